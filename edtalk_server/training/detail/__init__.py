"""The painters of mouth and eyes (`networks/detail.py`): rendered rows, their training, and a bundle that has them."""
