"""Sound files, and the audio networks' input made from them."""
