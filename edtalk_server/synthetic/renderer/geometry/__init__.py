"""The mesh of a head, and which of its triangles each pixel sees."""
