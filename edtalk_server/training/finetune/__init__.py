"""Person fine-tuning: a bundle's generator learns one person's film; what its weights mean stays as it was.

`material` holds the film, `keep` portraits of others that must not be forgotten, `tuning` the losses of each kind of
network, `run` the loop that can be stopped at any moment, `result` the new bundle.
"""
