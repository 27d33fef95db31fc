"""Filmed people as training data: `layout` finds the clips of a folder, `prepare` turns each into a folder of a cache
(`cache` knows its files), `clips` draws batches from it. Every clip is cut by the crop rule of `media.faces.portrait`.
"""
