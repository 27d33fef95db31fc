"""The painters of mouth and eyes (`networks/detail`): rendered rows, their training, and a bundle that has them."""
