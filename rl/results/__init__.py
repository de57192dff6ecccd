"""What training runs gave: numbers step by step, curves, and the tables made of them."""
