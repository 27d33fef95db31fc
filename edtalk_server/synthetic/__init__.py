"""Faces made from nothing: the meaning of the 36 weights, a renderer, and training data from it."""
