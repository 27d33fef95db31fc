"""Faces in pictures: detect them, crop them, assess their quality, paste them back."""
