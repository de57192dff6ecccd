"""The agent behind HTTP: an OpenAI-compatible chat endpoint, plain segmentation of an uploaded file, and its probes."""
