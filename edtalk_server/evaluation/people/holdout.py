"""What networks are judged on: people that they were never trained on, and what is known about them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edtalk_server.evaluation.metrics.image_distance import Mask, Picture, psnr
from edtalk_server.evaluation.metrics.landmarks import measures
from shared_protocol.banks import BankLayout
from shared_protocol.errors import EDTalkError, ErrorCode

__all__ = [
    "Clip",
    "Person",
    "carried",
    "clips",
    "measures",
    "one_per_person",
    "psnr",
]

CLIP = 8

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Clip:
    """Frames of one person under one light, uint8 [T, S, S, 3], and where they were rendered the true weights [T, C]
    and landmarks [T, 68, 2] in 0..1."""

    frames: Picture
    weights: FloatArray | None = None
    landmarks: FloatArray | None = None
    identity: int = 0


@dataclass(frozen=True)
class Moves:
    """The first frame of a clip with single weights moved (`moves.chosen_moves`), truly drawn."""

    weights: FloatArray
    """[M, C]"""
    frames: Picture
    """[M, S, S, 3]"""


@dataclass(frozen=True)
class Motion:
    """Frames that follow each other at 25 a second [T, S, S, 3], and the pixels [S, S] in which nothing happens."""

    frames: Picture
    still: Mask


@dataclass(frozen=True)
class Person:
    """A person to be judged on.

    `driven` [T - 1, S, S, 3] is the truth of cross-identity reenactment: this person with its own first weights plus
    the changes of the *driver's* clip (`carried`), in the light and camera of its own clip.
    """

    clip: Clip
    driver: Clip | None = None
    driven: Picture | None = None
    moves: Moves | None = None
    motion: Motion | None = None


def carried(own: FloatArray, change: FloatArray, layout: BankLayout) -> FloatArray:
    """The one rule of transfer: `own` [C] plus each `change` [T, C], kept within the sliders' ranges, because no face
    is beyond them. Own weights that lie outside count as allowed."""
    low = np.minimum([basis.minimum for basis in layout.bases], own)
    high = np.maximum([basis.maximum for basis in layout.bases], own)
    return np.asarray(np.clip(own + change, low, high), np.float32)


def clips(folder: Path) -> Iterator[Clip]:
    """All clips of a folder of shards, with 256-pixel pictures. `EDTalkError` when there is none."""
    paths = sorted(folder.glob("*_done.npy"))
    if not paths:
        raise EDTalkError(
            ErrorCode.NOT_READY,
            f"There are no rendered clips in {folder}.",
            "Make them with `edtalk train data`.",
        )
    for path in paths:
        arrays = {
            name: np.load(path.with_name(path.name.replace("_done", f"_{name}")), mmap_mode="r")
            for name in ("img256", "weights", "lm", "identity")
        }
        for first in range(0, int(np.load(path)[0]) // CLIP * CLIP, CLIP):
            part = slice(first, first + CLIP)
            yield Clip(
                np.array(arrays["img256"][part]),
                np.array(arrays["weights"][part]),
                np.array(arrays["lm"][part]),
                int(arrays["identity"][first]),
            )


def one_per_person(all_clips: Iterator[Clip], limit: int) -> list[Clip]:
    """The first clip of each of the first `limit` people."""
    found: dict[int, Clip] = {}
    for clip in all_clips:
        found.setdefault(clip.identity, clip)
        if len(found) == limit:
            break
    return list(found.values())


def with_drivers(people: list[Person]) -> list[Person]:
    """Each person driven by the next one's clip; nobody where there is only one."""
    following = people[1:] + people[:1]
    pairs = zip(people, following, strict=True)
    return [replace(one, driver=other.clip) for one, other in pairs] if len(people) > 1 else people
