"""A small renderer of talking heads: the only source of training pictures.

A seed determines everything: the head comes from a face kit (ICT-FaceKit, MIT, an `.npz` that the caller names),
and skin, hair, clothes, light and background are painted by code. Because the scene is known, each picture comes with
exact weights, landmarks, part ids, and the flow and visibility between any two pictures of one clip. Runs on one CPU
core with numba.
"""
