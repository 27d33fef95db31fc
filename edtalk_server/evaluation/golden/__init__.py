"""Comparison with golden vectors: outputs of the official network on weights and inputs that a rule generates.

`rule` makes the weights and inputs, `folder` finds out which set a folder holds, `checks` computes each file's
quantities with our networks, `compare` compares them. `edtalk doctor --golden DIR` runs it all.
"""
