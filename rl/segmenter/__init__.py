"""Train a small SAM 2 from random weights on synthetic pictures only."""
