"""Draws the people of the hold-out set (`rendered`). Needs numba; imported only when something has to be drawn."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edtalk_server.evaluation.metrics.image_distance import Picture
from edtalk_server.evaluation.people.holdout import CLIP, Clip, FloatArray, Motion, Moves, Person, carried
from edtalk_server.evaluation.people.perturbations import chosen_moves, moved_rows
from edtalk_server.evaluation.people.settings import MOTION_FRAMES, MOTION_PEOPLE, SEED, SIZE, STILL_MARGIN
from edtalk_server.synthetic.controls import STARTER_LAYOUT
from edtalk_server.synthetic.data.clips import (
    CLIPS_PER_IDENTITY,
    clip_weights,
    identity_seed,
    jittered_camera,
)
from edtalk_server.synthetic.data.sampling import sample_first
from edtalk_server.synthetic.renderer.camera import Camera
from edtalk_server.synthetic.renderer.frame import SUPERSAMPLING, Render, Renderer
from edtalk_server.synthetic.renderer.geometry.mesh import BACKGROUND
from edtalk_server.synthetic.renderer.identity import Identity
from edtalk_server.synthetic.renderer.scene import Light, make_background, make_light


@dataclass(frozen=True)
class Sitting:
    """One person before one camera, and the weights of its eight frames [8, 36]."""

    identity: Identity
    light: Light
    background: FloatArray
    camera: Camera
    weights: FloatArray


class Studio:
    """One renderer for all people; person n depends on n alone (and on its driver for `driven`)."""

    def __init__(self, facekit: Path, size: int = SIZE, seed: int = SEED) -> None:
        self.renderer = Renderer(facekit)
        self.size = size
        self.seed = seed
        self._sittings: dict[int, Sitting] = {}

    def person(self, number: int, driver: int) -> Person:
        """All that is drawn of a person; `Person.driver` is left to the reader of the set."""
        sitting, other = self.sitting(number), self.sitting(driver)
        if driver != number + 1:
            self.forget(driver)
        self.forget(number)
        own = sitting.weights[0]
        renders = self.draw(sitting, sitting.weights)
        rows = carried(own, other.weights[1:] - other.weights[0], STARTER_LAYOUT)
        moved = moved_rows(own, chosen_moves(STARTER_LAYOUT, own, number))
        clip = Clip(
            frames=_pictures(renders),
            weights=sitting.weights,
            landmarks=np.stack([one.landmarks for one in renders]).astype(np.float32),
            identity=sitting.identity.seed,
        )
        return Person(
            clip,
            driven=_pictures(self.draw(sitting, rows)),
            moves=Moves(moved, _pictures(self.draw(sitting, moved))),
            motion=self._motion(sitting, number) if number < MOTION_PEOPLE else None,
        )

    def sitting(self, number: int) -> Sitting:
        """Who sits there, in which light, and what it does."""
        if number not in self._sittings:
            random = np.random.default_rng([self.seed, number])
            identity = self.renderer.identity(identity_seed(self.seed, 0, number * CLIPS_PER_IDENTITY))
            light, background = make_light(random), make_background(random, self.size * SUPERSAMPLING)
            first = sample_first(random)
            camera = jittered_camera(random, self.renderer, identity, first)
            weights = clip_weights(random, camera, first)
            self._sittings[number] = Sitting(identity, light, background, camera, weights)
        return self._sittings[number]

    def forget(self, number: int) -> None:
        """Give back the 16 MiB that a person takes; it can be asked for again."""
        self._sittings.pop(number, None)

    def draw(self, sitting: Sitting, rows: npt.NDArray[np.float32]) -> list[Render]:
        """The person under each row of weights."""
        s = sitting
        return [
            self.renderer.render(s.identity, row, s.light, s.background, s.camera, self.size) for row in rows
        ]

    def _motion(self, sitting: Sitting, number: int) -> Motion:
        """From the first frame half of the way to another one, as a head moves in four tenths of a second."""
        own, other = sitting.weights[0], sitting.weights[1 + number % (CLIP - 1)]
        share = 0.25 * (1 - np.cos(np.pi * np.linspace(0, 1, MOTION_FRAMES)))
        renders = self.draw(sitting, (own + share[:, None] * (other - own)).astype(np.float32))
        moving = np.any([one.parts != BACKGROUND for one in renders], axis=0).astype(np.uint8)
        near = cv2.dilate(moving, np.ones((2 * STILL_MARGIN + 1,) * 2, np.uint8))
        return Motion(_pictures(renders), near == 0)


def _pictures(renders: list[Render]) -> Picture:
    return np.stack([one.image for one in renders])
