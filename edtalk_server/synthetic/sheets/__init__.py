"""Contact sheets and sample portraits, for eyes."""
