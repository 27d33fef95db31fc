"""What is measured of one model on people."""
