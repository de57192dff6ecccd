"""The web page: drop a picture or a clip, ask, watch the steps, take the masks; mounted in the server at `/ui`."""
