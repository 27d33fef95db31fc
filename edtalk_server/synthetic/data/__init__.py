"""Training data: clips of rendered people, written to memory-mapped shards that survive a crash and can be
continued."""
