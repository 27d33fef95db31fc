"""The paint on the mesh (skin, hair, eyes, clothes) and the backgrounds."""
