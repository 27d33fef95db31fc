"""Renders the people of the hold-out set (`rendered_holdout`). Needs numba; imported only when one is missing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edtalk_server.evaluation.metrics.image_distance import Picture
from edtalk_server.evaluation.people.holdout import (
    CLIP,
    MOTION_FRAMES,
    MOTION_PEOPLE,
    SEED,
    SIZE,
    STILL_MARGIN,
    Clip,
    FloatArray,
    Footage,
    Person,
    PerturbedFrames,
    transfer,
)
from edtalk_server.evaluation.people.perturbations import choose_perturbations, perturbed_rows
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
class Scene:
    """One person in front of one camera, and the weights of its eight frames [8, 36]."""

    identity: Identity
    light: Light
    background: FloatArray
    camera: Camera
    weights: FloatArray


class PersonRenderer:
    """One renderer for all people. Person n depends on n alone (and `driven` on its driver)."""

    def __init__(self, facekit: Path, size: int = SIZE, seed: int = SEED) -> None:
        self.renderer = Renderer(facekit)
        self.size = size
        self.seed = seed
        self._scenes: dict[int, Scene] = {}

    def person(self, number: int, driver: int) -> Person:
        """Render everything of a person; `with_drivers` adds the driver's clip."""
        scene, other = self.scene(number), self.scene(driver)
        if driver != number + 1:
            self.forget(driver)
        self.forget(number)
        own = scene.weights[0]
        renders = self.draw(scene, scene.weights)
        rows = transfer(own, other.weights[1:] - other.weights[0], STARTER_LAYOUT)
        moved = perturbed_rows(own, choose_perturbations(STARTER_LAYOUT, own, number))
        clip = Clip(
            frames=_pictures(renders),
            weights=scene.weights,
            landmarks=np.stack([render.landmarks for render in renders]).astype(np.float32),
            identity=scene.identity.seed,
        )
        return Person(
            clip,
            driven=_pictures(self.draw(scene, rows)),
            perturbed=PerturbedFrames(moved, _pictures(self.draw(scene, moved))),
            motion=self._motion(scene, number) if number < MOTION_PEOPLE else None,
        )

    def scene(self, number: int) -> Scene:
        """Return the `number`th person with light, camera and weights."""
        if number not in self._scenes:
            random = np.random.default_rng([self.seed, number])
            identity = self.renderer.identity(identity_seed(self.seed, 0, number * CLIPS_PER_IDENTITY))
            light, background = make_light(random), make_background(random, self.size * SUPERSAMPLING)
            first = sample_first(random)
            camera = jittered_camera(random, self.renderer, identity, first)
            weights = clip_weights(random, camera, first)
            self._scenes[number] = Scene(identity, light, background, camera, weights)
        return self._scenes[number]

    def forget(self, number: int) -> None:
        """Free the 16 MiB of a person; it can be made again."""
        self._scenes.pop(number, None)

    def draw(self, scene: Scene, rows: npt.NDArray[np.float32]) -> list[Render]:
        """Render the person under each row of weights."""
        s = scene
        return [
            self.renderer.render(s.identity, row, s.light, s.background, s.camera, self.size) for row in rows
        ]

    def _motion(self, scene: Scene, number: int) -> Footage:
        """Render a movement from the first frame half the way to another one, as a head moves in 0.4 seconds."""
        own, other = scene.weights[0], scene.weights[1 + number % (CLIP - 1)]
        share = 0.25 * (1 - np.cos(np.pi * np.linspace(0, 1, MOTION_FRAMES)))
        renders = self.draw(scene, (own + share[:, None] * (other - own)).astype(np.float32))
        moving = np.any([render.parts != BACKGROUND for render in renders], axis=0).astype(np.uint8)
        near = cv2.dilate(moving, np.ones((2 * STILL_MARGIN + 1,) * 2, np.uint8))
        return Footage(_pictures(renders), near == 0)


def _pictures(renders: list[Render]) -> Picture:
    return np.stack([render.image for render in renders])
