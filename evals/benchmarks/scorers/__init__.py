"""How answers are compared with the truth: one file each way."""
