"""Commands of `segscout rl`, one file each; the root command mounts them."""
