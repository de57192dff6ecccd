"""The agent as tools of the Model Context Protocol: `segment_image` and `segment_video`."""
