"""Many pictures at once, in plain torch, for graphics cards."""
