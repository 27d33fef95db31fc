"""Contact sheets and sample portraits, for the eye."""
