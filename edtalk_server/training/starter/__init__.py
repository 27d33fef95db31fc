"""The starter bundle's training: motion encoder, generator, and the fit of one to the other, on rendered people."""
