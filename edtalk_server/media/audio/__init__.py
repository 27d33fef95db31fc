"""Sound files, and what the audio networks hear of them."""
