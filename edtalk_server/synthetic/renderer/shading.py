"""Constants that both renderers (numba and batched torch) share. Only NumPy, so that each can be used alone.

The formulas themselves are in `shader.py` and `batch/batch_shade.py`;
`tests/unit/synthetic/test_batch_renderer.py` checks that both draw the same picture.
"""

from __future__ import annotations

import numpy as np

from edtalk_server.synthetic.renderer.geometry.mesh import Part

SUPERSAMPLING = 2
SHADOW_SIDE = 256
"""Side of the shadow map in pixels."""
SHADOW_EXTENT = 64.0
"""Centimetres that the shadow map spans."""
SLACK = 0.3
"""A surface within this many centimetres of the nearest one counts as seen: it is the same surface, rasterised
elsewhere."""

HIDDEN, VISIBLE, BOTH_BACKGROUND = 0, 1, 2
"""Visibility of a target pixel in the source."""

_PARTS = max(Part) + 1

WRAP = np.zeros((_PARTS, 3), np.float32)
"""How far the light wraps round the terminator, by part and colour."""
WRAP[[Part.SKIN, Part.HEAD, Part.LIPS]] = (0.42, 0.22, 0.16)
WRAP[[Part.GUMS, Part.TEETH, Part.EYE, Part.MOUTH]] = 0.3
WRAP[[Part.HAIR, Part.LONG_HAIR]] = 0.25

GLOSS = np.full(_PARTS, 18.0, np.float32)
"""Blinn-Phong exponent by part."""
GLOSS[Part.EYE] = 120.0
GLOSS[[Part.TEETH, Part.GLASSES]] = 60.0
GLOSS[Part.LIPS] = 45.0
GLOSS[Part.GUMS] = 40.0
GLOSS[[Part.HAIR, Part.LONG_HAIR]] = 14.0
