"""Rendered faces: the meaning of the 36 weights, a renderer, and training data from it.

Rule of this package: `renderer` knows `controls`; `data` knows the renderer; `sheets` knows both. No arrow runs back.
"""
