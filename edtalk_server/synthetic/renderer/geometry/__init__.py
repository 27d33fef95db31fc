"""The mesh of a head, and the triangle that is visible in each pixel."""
