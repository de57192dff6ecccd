"""Runs over many samples: spread over workers, kept row by row, and gone on with where they stopped."""
