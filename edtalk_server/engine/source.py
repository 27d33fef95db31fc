"""A source: an encoded portrait. And the checks that every engine makes."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edtalk_server.arrays import Picture, Weights
from edtalk_server.media.faces.paste import bounded
from edtalk_server.media.faces.portrait import over_grey
from edtalk_server.media.faces.portrait_quality import QualityReport, Verdict
from edtalk_server.media.output_spec import LARGEST_SIDE
from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.messages import Crop
from shared_protocol.sizes import held_sizes, largest_size


@dataclass(frozen=True, eq=False)
class Source:
    """An encoded portrait, immutable.

    `key`: content hash of bundle, portrait and crop. `weights` [channels]: the portrait's own. `crop`: the square that
    is animated. `size`: the side of its frames in pixels; `sizes`: all that the bundle draws and the portrait holds,
    rising. `verdict` and `notes`: the portrait's quality (`media.faces.portrait_quality`). `portrait`: the whole
    picture, scaled down if it is very large, and `place`, the crop on it. `cut_out`: the same picture with straight
    alpha, if it is transparent in parts. `landmarks`: 68 points, x and y in turn, in fractions of the crop; none if the
    bundle finds none. `encoded` belongs to the engine that made it. `also`: further pictures of the
    person as sources of their own, and `gives`, what each of them gives (names of `engine.album.PARTS`).
    """

    key: str
    weights: Weights
    crop: Crop
    notes: tuple[str, ...]
    size: int
    portrait: Picture = field(repr=False)
    place: Crop
    encoded: Any = field(repr=False)
    verdict: str = Verdict.GOOD.value
    sizes: tuple[int, ...] = ()
    cut_out: Picture | None = field(default=None, repr=False)
    landmarks: tuple[float, ...] = field(default=(), repr=False)
    also: tuple[Source, ...] = field(default=(), repr=False)
    gives: tuple[tuple[str, ...], ...] = ()

    def side(self, most: int) -> int:
        """Return the side of a face picture of at most `most` pixels; `size`, the smallest, for 0."""
        return largest_size(self.sizes or (self.size,), most)

    @property
    def full_size(self) -> tuple[int, int]:
        """Width and height of full frames."""
        return self.portrait.shape[1], self.portrait.shape[0]

    @property
    def is_cut_out(self) -> bool:
        """Is the portrait transparent in parts?"""
        return self.cut_out is not None

    @property
    def nbytes(self) -> int:
        """Bytes of main memory that it keeps."""
        held = (*vars(self).values(), getattr(self.encoded, "picture", None))
        own = sum(value.nbytes for value in held if isinstance(value, np.ndarray))
        return own + sum(other.nbytes for other in self.also)

    def with_also(self, also: Sequence[Source], gives: Sequence[tuple[str, ...]], encoded: Any) -> Source:
        """Return the same source with further pictures; its key tells them."""
        keys = hashlib.sha256(" ".join([self.key, *(other.key for other in also)]).encode())
        return replace(self, key=keys.hexdigest(), also=tuple(also), gives=tuple(gives), encoded=encoded)


def new_source(
    digest: str,
    portrait: Picture,
    quality: QualityReport,
    sizes: Sequence[int],
    weights: Weights,
    encoded: Any,
    landmarks: Sequence[float] = (),
) -> Source:
    """Return the source of an assessed portrait. `digest`: the bundle's; `sizes`: the sides of its frames, rising."""
    given, place = bounded(portrait, quality.crop, LARGEST_SIDE)
    cut_out = given.copy() if given.shape[2] == 4 else None
    whole = given.copy() if cut_out is None else over_grey(given)
    for array in (whole, weights) if cut_out is None else (whole, weights, cut_out):
        array.flags.writeable = False
    notes = quality.notes
    if whole.shape[:2] != portrait.shape[:2]:
        notes += (
            f"The portrait is very large; full frames have {whole.shape[1]} x {whole.shape[0]} pixels.",
        )
    key = source_key(digest, portrait, quality.crop)
    return Source(
        key=key,
        weights=weights,
        crop=replace(quality.crop),
        notes=notes,
        size=sizes[0],
        portrait=whole,
        place=place,
        encoded=encoded,
        verdict=quality.verdict.value,
        sizes=held_sizes(sizes, place.side),
        cut_out=cut_out,
        landmarks=tuple(landmarks),
    )


def source_key(digest: str, portrait: Picture, crop: Crop) -> str:
    """Return the SHA-256 (hexadecimal) of what makes a source: bundle digest, the portrait's pixels and the crop."""
    content = hashlib.sha256(digest.encode())
    content.update(struct.pack("<qq", *portrait.shape[:2]))
    content.update(np.ascontiguousarray(portrait).data)
    content.update(struct.pack("<dddd", crop.center_x, crop.center_y, crop.side, crop.roll))
    return content.hexdigest()


def check_portrait(portrait: Picture) -> None:
    """Raise `EDTalkError(IMAGE_UNREADABLE)` for anything but a picture uint8 [H, W, 3 or 4]: a path, say."""
    if not isinstance(portrait, np.ndarray):
        raise EDTalkError(
            ErrorCode.IMAGE_UNREADABLE,
            f"The portrait is a {type(portrait).__name__}, not a picture.",
            "Read the file first, with load_portrait.",
        )
    if (
        portrait.dtype != np.uint8
        or portrait.ndim != 3
        or portrait.shape[2] not in (3, 4)
        or not portrait.size
    ):
        raise EDTalkError(
            ErrorCode.IMAGE_UNREADABLE,
            f"The portrait is {portrait.dtype} of shape {portrait.shape}, not 8-bit RGB.",
            "Convert it to 8-bit RGB first.",
        )


def check_weights(weights: npt.ArrayLike, channels: int) -> Weights:
    """Return weights as float32 [B, channels].

    Raises `EDTalkError(BAD_WEIGHTS)` for another shape or type, or numbers that are not finite.
    """
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
