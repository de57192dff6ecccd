"""Reinforcement learning from the graph's own episodes: GRPO and its relatives, with TRL."""
