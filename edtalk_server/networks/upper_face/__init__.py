"""Lids, irises and brows that move by geometry: found once in a picture, moved in it for each frame."""
