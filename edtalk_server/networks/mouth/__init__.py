"""The inside of an open mouth, drawn by geometry: rows of teeth, gums, tongue, and the dark behind them."""
