"""What all training shares: time, learning rate, averages, checkpoints."""
