"""Person fine-tuning: a bundle's generator learns one person's film; what its weights mean stays as it was.

`data` is the film, `regularization` keeps other people's faces moving as before, `model` has the losses of each kind of
network, `trainer` is the run that can be stopped at any moment, `export` writes the new bundle.
"""
