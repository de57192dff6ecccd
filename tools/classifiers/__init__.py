"""Name masks: encoders that put regions of a picture and descriptions in words into one space."""
