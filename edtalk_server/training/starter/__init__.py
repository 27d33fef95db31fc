"""The starter bundle's training."""
