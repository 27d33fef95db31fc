"""Videos and image sequences, read and written."""
