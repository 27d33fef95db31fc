"""Mouth and eyes drawn finely, over what the face network draws: boxes around them, painters, and the whole network."""
