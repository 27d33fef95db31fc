"""Names for the kinds of NumPy arrays that cross rooms. They document: NumPy checks no shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]
Bytes = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]

Picture = npt.NDArray[np.uint8]
"""One picture [H, W, 3] or several [B, H, W, 3]: RGB, sRGB, 8 bits."""

Levels = npt.NDArray[np.float32]
"""A picture [H, W, 3] before rounding: sRGB, 0 to 255."""

Rendered = npt.NDArray[Any]
"""Finished pictures: uint8 in sRGB, or float16 in linear light; 3 channels, or 4 with alpha."""

Weights = npt.NDArray[np.float32]
"""Basis weights [frames, channels], or [channels] of one frame, in the bundle's bank order."""
