"""What is painted on the mesh: skin, hair, eyes, clothes, and what stands behind."""
