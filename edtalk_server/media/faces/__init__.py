"""Faces in pictures: found, framed, judged, pasted back."""
