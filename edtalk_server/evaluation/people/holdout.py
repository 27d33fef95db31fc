"""People that no network was trained on, with the truth that is known about them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edtalk_server.evaluation.metrics.image_distance import Mask, Picture
from edtalk_server.media.audio.voice import Waveform
from shared_protocol.banks import BankLayout
from shared_protocol.errors import EDTalkError, ErrorCode

CLIP = 8
"""Frames of a clip."""
FINE_STEP = 4
"""Frames from one that is kept in a larger size to the next."""

# What the rendered hold-out set is made with. A change here makes a new set.
SIZE = 256
"""Pixels of a side."""
SEED = 30
"""Training uses seeds 1 to 19, the people watched during training 21 and above: nobody has looked at these."""
MOTION_PEOPLE = 10
"""How many of the people also move smoothly, to measure flicker."""
MOTION_FRAMES = 10
STILL_MARGIN = 7
"""Pixels between a still background pixel and anything that ever moves."""

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Clip:
    """Frames of one person under one light, uint8 [T, S, S, 3]; of rendered people also the true weights [T, C] and
    landmarks [T, 68, 2] in 0..1. `fine`: every `FINE_STEP`-th of the frames from the first on, in a larger size."""

    frames: Picture
    weights: FloatArray | None = None
    landmarks: FloatArray | None = None
    identity: int = 0
    fine: Picture | None = None


@dataclass(frozen=True)
class PerturbedFrames:
    """True renders of a clip's first frame with single weights changed (`perturbations.choose_perturbations`)."""

    weights: FloatArray
    """[M, C]"""
    frames: Picture
    """[M, S, S, 3]"""


@dataclass(frozen=True)
class Footage:
    """Consecutive frames at 25 a second [T, S, S, 3], and the still pixels [S, S] among them."""

    frames: Picture
    still: Mask


@dataclass(frozen=True)
class Person:
    """A test subject.

    `driven` [T - 1, S, S, 3] is the truth of cross-identity reenactment: this person under its own first weights plus
    the changes of the driver's clip (`transfer`), in its own light and camera. `voice` is the sound of the clip, from
    its first frame on, 25 frames a second; `emotion` is what the data say is shown, by a preset's name.
    """

    clip: Clip
    driver: Clip | None = None
    driven: Picture | None = None
    perturbed: PerturbedFrames | None = None
    motion: Footage | None = None
    voice: Waveform | None = None
    emotion: str = ""


def transfer(own: FloatArray, change: FloatArray, layout: BankLayout) -> FloatArray:
    """Return `own` [C] plus each `change` [T, C], within the sliders' ranges, because no face is beyond them.

    Own weights outside the ranges widen them.
    """
    low = np.minimum([basis.minimum for basis in layout.bases], own)
    high = np.maximum([basis.maximum for basis in layout.bases], own)
    return np.asarray(np.clip(own + change, low, high), np.float32)


def clips(folder: Path) -> Iterator[Clip]:
    """Yield all clips of a folder of shards, with 256-pixel pictures. Raises `EDTalkError(NOT_READY)` without any."""
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
    """Return the first clip of each of the first `limit` people."""
    first: dict[int, Clip] = {}
    for clip in all_clips:
        first.setdefault(clip.identity, clip)
        if len(first) == limit:
            break
    return list(first.values())


def with_drivers(people: list[Person]) -> list[Person]:
    """Let the next person's clip drive each person; a single person has no driver."""
    following = people[1:] + people[:1]
    pairs = zip(people, following, strict=True)
    return [replace(person, driver=driver.clip) for person, driver in pairs] if len(people) > 1 else people
