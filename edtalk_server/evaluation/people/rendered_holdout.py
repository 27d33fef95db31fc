"""The hold-out set: rendered people that no training and no choice of settings has seen, made on demand.

Each person is one file in the user's cache folder, written atomically. The folder is named after everything that the
pictures depend on: the renderer's source, the face kit and the settings. So a set is never stale, and interrupted
rendering continues.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs

from edtalk_server.evaluation.people.holdout import Clip, Footage, Person, PerturbedFrames, with_drivers
from shared_protocol import atomic_write
from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.paths import APPLICATION

_SOURCES = (
    "synthetic/renderer/**/*.py",
    "synthetic/controls.py",
    "synthetic/data/clips.py",
    "synthetic/data/sampling.py",
    "evaluation/people/perturbations.py",
    "evaluation/people/holdout.py",
    "evaluation/people/rendered_people.py",
)
_BESIDE_CHECKOUT = "shared/data/ict_facekit.npz"


def find_facekit(requested: Path | None = None) -> Path:
    """Return the packed face kit: the given one, else that of EDTALK_FACEKIT, else the one beside the checkout.

    Raises `EDTalkError(NOT_READY)` where it is missing.
    """
    variable = os.environ.get("EDTALK_FACEKIT")
    named = requested or (Path(variable) if variable else None)
    path = named or Path(__file__).resolve().parents[4] / _BESIDE_CHECKOUT
    if path.is_file():
        return path
    raise EDTalkError(
        ErrorCode.NOT_READY,
        f"There is no face kit at {path}." if named else "No face kit was found to render people from.",
        "Name a packed ICT-FaceKit (.npz) with --facekit or in the variable EDTALK_FACEKIT (see docs/evaluation.md).",
    )


def cache_folder() -> Path:
    """Return the folder of rendered people; EDTALK_CACHE_DIR moves it. It may be deleted at any time."""
    override = os.environ.get("EDTALK_CACHE_DIR")
    return Path(override) if override else Path(platformdirs.user_cache_path(APPLICATION, appauthor=False))


def key(facekit: Path) -> str:
    """Return a name for everything that the pictures depend on, except the number of people."""
    package = Path(__file__).parents[2]
    digest = hashlib.sha256(facekit.read_bytes())
    for path in (source for pattern in _SOURCES for source in sorted(package.glob(pattern))):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


@dataclass(frozen=True)
class HoldoutSet:
    """`people` rendered from a face kit, kept in `folder`."""

    facekit: Path
    people: int
    folder: Path

    @classmethod
    def of(cls, facekit: Path, people: int, cache: Path | None = None) -> HoldoutSet:
        """Return the set in the cache. It needs at least two people, who drive each other."""
        if people < 2:
            raise EDTalkError(
                ErrorCode.BAD_MESSAGE,
                "One person cannot be driven by another.",
                "Ask for two people or more.",
            )
        return cls(facekit, people, (cache or cache_folder()) / "holdout" / key(facekit))

    def load(self, on_progress: Callable[[int], None] = lambda _done: None) -> list[Person]:
        """Return all people, after rendering the missing ones. `on_progress` receives how many exist."""
        missing = [number for number in range(self.people) if not self._path(number).is_file()]
        if missing:
            self._render(missing, on_progress)
        return with_drivers([_read(self._path(number)) for number in range(self.people)])

    def _path(self, number: int) -> Path:
        # the last person is driven by the first, so its file depends on how many there are
        closing = f"_of_{self.people}" if number == self.people - 1 else ""
        return self.folder / f"{number:03}{closing}.npz"

    def _render(self, missing: list[int], on_progress: Callable[[int], None]) -> None:
        from edtalk_server.evaluation.people.rendered_people import PersonRenderer

        renderer = PersonRenderer(self.facekit)
        for count, number in enumerate(missing):
            on_progress(self.people - len(missing) + count)
            _write(self._path(number), renderer.person(number, (number + 1) % self.people))
        on_progress(self.people)


def _write(path: Path, person: Person) -> None:
    arrays: dict[str, Any] = {
        "frames": person.clip.frames,
        "weights": person.clip.weights,
        "landmarks": person.clip.landmarks,
        "identity": np.array(person.clip.identity),
        "driven": person.driven,
    }
    if person.perturbed is not None:
        arrays |= {
            "moved_weights": person.perturbed.weights,
            "moved_frames": person.perturbed.frames,
        }
    if person.motion is not None:
        arrays |= {"motion_frames": person.motion.frames, "motion_still": person.motion.still}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write.replacing(path) as partial, partial.open("wb") as file:
            np.savez_compressed(file, **arrays)
    except OSError as error:
        raise EDTalkError(
            ErrorCode.DISK,
            f"Rendered people could not be kept in {path.parent}: {error}.",
            "Make room there, or name another folder in the variable EDTALK_CACHE_DIR.",
        ) from error


def _read(path: Path) -> Person:
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    clip = Clip(arrays["frames"], arrays["weights"], arrays["landmarks"], int(arrays["identity"]))
    moves = PerturbedFrames(arrays["moved_weights"], arrays["moved_frames"])
    moving = "motion_frames" in arrays
    motion = Footage(arrays["motion_frames"], arrays["motion_still"]) if moving else None
    return Person(clip, driven=arrays["driven"], perturbed=moves, motion=motion)
