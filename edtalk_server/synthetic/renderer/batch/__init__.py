"""The renderer for many pictures at once, in plain torch, for graphics cards."""
