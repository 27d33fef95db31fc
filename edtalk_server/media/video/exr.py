"""OpenEXR files: half floats in linear light with the primaries of sRGB, marked as synthetic.

Alpha is straight, as in our PNG files, because it is a matte and not coverage: the colours under it are complete. Most
programs assume premultiplied EXR unless told otherwise.
"""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
import OpenEXR

from edtalk_server.media.provenance import exr_attributes


def encode_exr(picture: npt.NDArray[np.float16]) -> bytes:
    """Encode a picture, float16 [H, W, 3 or 4] in linear light, as an EXR file (lossless PIZ compression)."""
    if picture.dtype != np.float16 or picture.ndim != 3 or picture.shape[2] not in (3, 4):
        raise ValueError(
            f"a picture of {picture.dtype} and shape {picture.shape} is no half-float RGB or RGBA"
        )
    header = {"type": OpenEXR.scanlineimage, "compression": OpenEXR.PIZ_COMPRESSION, **exr_attributes()}
    channels = {"RGBA" if picture.shape[2] == 4 else "RGB": np.ascontiguousarray(picture)}
    file = io.BytesIO()
    OpenEXR.File(header, channels, num_threads=0).write(file)
    return file.getvalue()
