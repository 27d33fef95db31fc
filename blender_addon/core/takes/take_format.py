# SPDX-License-Identifier: GPL-3.0-or-later
"""How the frames of a take look, and the hash of all that a frame was made from. No bpy here."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, replace
from functools import lru_cache

VERSION = 3
"""Of a take's files. Part of every hash: frames of another version are stale."""
ENCODINGS = ("png", "exr")
OLD_SIZE, NEW_SIZE = "256", "512"
"""The size of faces in .blend files of versions that knew no other, and of characters that are made now."""


@dataclass(frozen=True)
class TakeFormat:
    """What all frames of a take have in common.

    `encoding`: `png` or `exr`; `framing`: `face` or `full`; `alpha`: do they have the face's matte; size in pixels;
    `cut_out`: full frames have the alpha of their portrait, which is transparent in parts.
    """

    encoding: str = "png"
    framing: str = "face"
    alpha: bool = False
    width: int = 0
    height: int = 0
    cut_out: bool = False

    def __post_init__(self) -> None:
        if self.encoding not in ENCODINGS:
            raise ValueError(f"no encoding of frames: {self.encoding}")

    def is_like(self, other: TakeFormat) -> bool:
        """Return whether frames of both fit into one sequence. The size of full pictures may differ, because it follows
        the portrait; that of faces is chosen (0: unknown)."""
        is_other_size = (
            self.framing == "face" and 0 not in (self.width, other.width) and self.width != other.width
        )
        return not is_other_size and replace(self, width=0, height=0) == replace(other, width=0, height=0)

    @property
    def is_transparent(self) -> bool:
        """Do the frames have alpha?"""
        return self.alpha or self.cut_out

    @property
    def stored(self) -> dict[str, object]:
        """What a manifest keeps. Versions without cut-outs read every take that has none."""
        return {name: value for name, value in asdict(self).items() if name != "cut_out" or value}

    @property
    def hashed(self) -> str:
        """The text that goes into a frame's hash. It never changes: else every take would be stale."""
        cut_out = ", cut_out=True" if self.cut_out else ""
        return (
            f"Look(encoding={self.encoding!r}, framing={self.framing!r}, alpha={self.alpha!r}, "
            f"width={self.width!r}, height={self.height!r}{cut_out})"
        )


def frame_hash(bundle: str, source: str, weights: bytes, take_format: TakeFormat) -> str:
    """Return the hash of all that makes a frame: the identities of bundle and source, weights (float32), format."""
    digest = _common_hash(bundle, source, take_format).copy()
    digest.update(weights)
    return digest.hexdigest()


@lru_cache(maxsize=8)
def _common_hash(bundle: str, source: str, take_format: TakeFormat) -> hashlib._Hash:
    """Hash what all frames of a take have in common."""
    return hashlib.sha256(f"{VERSION}\n{bundle}\n{source}\n{take_format.hashed}\n".encode())
