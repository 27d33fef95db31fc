"""A source: a portrait that has been encoded. And the checks that every engine makes."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edtalk_server.media.faces.paste import bounded
from edtalk_server.media.faces.portrait_quality import QualityReport, Verdict
from edtalk_server.media.output_spec import LARGEST_SIDE
from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.messages import Crop

Picture = npt.NDArray[np.uint8]
Weights = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Source:
    """Immutable. `key` is the content hash of bundle, portrait and crop; `weights` [channels] are the
    portrait's own; `crop` was used; `verdict` and `notes` tell what the portrait is worth
    (`media.faces.portrait_quality`). `portrait` is the whole picture, scaled down where it is very large, and `place`
    the crop on it. `prepared` belongs to the engine that made it."""

    key: str
    weights: Weights
    crop: Crop
    notes: tuple[str, ...]
    size: int
    portrait: Picture = field(repr=False)
    place: Crop
    prepared: Any = field(repr=False)
    verdict: str = Verdict.GOOD.value

    @property
    def full_size(self) -> tuple[int, int]:
        """Width and height of full frames."""
        return self.portrait.shape[1], self.portrait.shape[0]

    @property
    def nbytes(self) -> int:
        """Main memory that it keeps, in bytes."""
        held = (*vars(self).values(), getattr(self.prepared, "picture", None))
        return sum(value.nbytes for value in held if isinstance(value, np.ndarray))


def new_source(
    digest: str, portrait: Picture, judgement: QualityReport, size: int, weights: Weights, prepared: Any
) -> Source:
    """The source of a portrait that was judged; `digest` is the bundle's, `size` that of its frames."""
    whole, place = bounded(portrait, judgement.crop, LARGEST_SIDE)
    whole = whole.copy()
    for array in (whole, weights):
        array.flags.writeable = False
    notes = judgement.notes
    if whole.shape != portrait.shape:
        notes += (
            f"The portrait is very large; full frames have {whole.shape[1]} x {whole.shape[0]} pixels.",
        )
    key = source_key(digest, portrait, judgement.crop)
    return Source(
        key, weights, replace(judgement.crop), notes, size, whole, place, prepared, judgement.verdict.value
    )


def source_key(digest: str, portrait: Picture, crop: Crop) -> str:
    """SHA-256 (hexadecimal) of what makes a source: bundle digest, the portrait's pixels and the crop that
    is cut."""
    content = hashlib.sha256(digest.encode())
    content.update(struct.pack("<qq", *portrait.shape[:2]))
    content.update(np.ascontiguousarray(portrait).data)
    content.update(struct.pack("<dddd", crop.center_x, crop.center_y, crop.side, crop.roll))
    return content.hexdigest()


def check_portrait(portrait: Picture) -> None:
    """`EDTalkError(IMAGE_UNREADABLE)` for anything but a picture uint8 [H, W, 3]."""
    if not isinstance(portrait, np.ndarray):
        raise EDTalkError(
            ErrorCode.IMAGE_UNREADABLE,
            f"The portrait is a {type(portrait).__name__}, not a picture.",
            "Read the file first, with load_portrait.",
        )
    if portrait.dtype != np.uint8 or portrait.ndim != 3 or portrait.shape[2] != 3 or not portrait.size:
        raise EDTalkError(
            ErrorCode.IMAGE_UNREADABLE,
            f"The portrait is {portrait.dtype} of shape {portrait.shape}, not 8-bit RGB.",
            "Convert it to 8-bit RGB first.",
        )


def check_weights(weights: npt.ArrayLike, channels: int) -> Weights:
    """Weights as float32 [B, channels]; `EDTalkError(BAD_WEIGHTS)` for another shape, type or infinite
    numbers."""
    array = np.asarray(weights)
    if array.ndim != 2 or array.shape[1] != channels:
        raise EDTalkError(
            ErrorCode.BAD_WEIGHTS,
            f"The weights have the shape {list(array.shape)}; this bundle needs [frames, {channels}].",
            "Predict again with this bundle, or give each frame all its weights.",
        )
    if array.dtype.kind not in "fiu":
        raise EDTalkError(ErrorCode.BAD_WEIGHTS, "The weights are not numbers.", "Give numbers.")
    with np.errstate(over="ignore"):
        result = array.astype(np.float32)
    finite = np.isfinite(result).all(axis=1)
    if not finite.all():
        raise EDTalkError(
            ErrorCode.BAD_WEIGHTS,
            f"Row {int(np.argmin(finite))} of the weights is not finite.",
            "Look for a driver or key with an impossible value.",
        )
    return result
