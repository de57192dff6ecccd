"""Rewards: one file each, behind one protocol; each names the system it comes from."""
