"""The official face template as arrays: every picture that a face network gets is cropped so that landmarks 0-46 fit
these points best under a similarity."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from shared_protocol import face_template

TEMPLATE_SIZE = face_template.SIZE
"""Side of the crop in which `TEMPLATE68` is given, in pixels."""

FITTED_POINTS = 47
"""The similarity is fitted to the points 0 to 46 only, so that an open mouth does not move the crop."""

TEMPLATE68: npt.NDArray[np.float32] = np.array(face_template.POINTS, dtype=np.float32)
"""[68, 2] float32, (x, y) in pixels of the 256 x 256 crop, y down."""
TEMPLATE68.flags.writeable = False
