"""What is measured of a model on people."""
