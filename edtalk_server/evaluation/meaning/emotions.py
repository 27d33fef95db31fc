"""The eight emotion presets of a bundle, measured.

People show each emotion as shapes of the face kit (`presets.EMOTIONS`), some of which no weight makes. The preset is
the combination of mouth and expression weights, within the sliders' ranges, whose rendered changes come closest to the
change of the emotion in those people's pictures (least squares over pictures of 64 pixels, all people together); its
expression part is kept. So a weight that the network renders weakly gets a larger value, and the mouth's part of an
emotion is not put on the expression.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.optimize import lsq_linear

from edtalk_server.evaluation.measures.model_under_test import ModelUnderTest
from edtalk_server.evaluation.metrics.image_distance import Picture, coarse
from edtalk_server.evaluation.people.holdout import FloatArray
from edtalk_server.evaluation.people.rendered_people import PersonRenderer
from edtalk_server.synthetic import controls
from edtalk_server.synthetic.controls import ShapeMap
from edtalk_server.synthetic.presets import EMOTIONS, Shapes
from edtalk_server.synthetic.renderer.frame import Renderer
from shared_protocol.banks import Bank, BankLayout

SEED = 31
"""Other people than those that bundles are evaluated on."""
PEOPLE = 16
_STEP = 0.6
"""How far each weight is moved to learn what it changes, in parts of its larger limit."""
_RIDGE = 0.02
"""Ridge penalty for weights that change nearly the same pixels, as a share of what they change."""
_SMALL = 0.05
"""Bases that no emotion moves further than this are left out of the presets."""
_LEFT_OUT = frozenset({"gaze_left", "gaze_up"})
"""Where somebody looks is not an emotion."""

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _WithShapes(ShapeMap):
    """A map that adds fixed shapes to those of the weights."""

    extra: FloatArray

    def to_shapes(self, weights: FloatArray) -> FloatArray:
        return np.asarray(super().to_shapes(weights) + self.extra, np.float32)


@contextlib.contextmanager
def _show(renderer: Renderer, shapes: Shapes) -> Iterator[None]:
    """Give everybody these shapes inside this block."""
    usual = renderer.deformer.shapes
    extra = np.array([shapes.get(name, 0.0) for name in usual.names], np.float32)
    renderer.deformer.shapes = _WithShapes(usual.names, usual.above, usual.below, usual.reading, extra)
    try:
        yield
    finally:
        renderer.deformer.shapes = usual


def render_emotions(facekit: Path, people: int = PEOPLE) -> Iterator[dict[str, Picture]]:
    """Yield for each person emotion -> picture [S, S, 3], in one pose, light and camera, with the rest of the face
    neutral."""
    people_renderer = PersonRenderer(facekit, seed=SEED)
    for number in range(people):
        scene = people_renderer.scene(number)
        calm = controls.neutral()
        calm[controls.POSE] = scene.weights[0][controls.POSE]
        pictures = {}
        for emotion, shapes in EMOTIONS.items():
            with _show(people_renderer.renderer, shapes):
                pictures[emotion] = people_renderer.draw(scene, calm[None])[0].image
        yield pictures
        people_renderer.forget(number)


class Presets:
    """The emotions of one model: gathers pictures of people, then solves for the weights."""

    def __init__(self, model: ModelUnderTest, layout: BankLayout, symmetric: bool) -> None:
        """`symmetric`: the layout is the starter's, whose left and right are known."""
        self.model, self.layout, self.symmetric = model, layout, symmetric
        self._channels = [
            channel
            for channel, basis in enumerate(layout.bases)
            if basis.bank is not Bank.POSE and basis.identifier not in _LEFT_OUT
        ]
        self._gram = np.zeros((len(self._channels),) * 2)
        self._shown: dict[str, Doubles] = {}

    def add(self, pictures: Mapping[str, Picture]) -> None:
        """Add one person's pictures by emotion, `neutral` among them."""
        neutral = pictures["neutral"]
        drawn = self._changes(neutral)
        self._gram += drawn @ drawn.T
        for emotion, picture in pictures.items():
            projection = drawn @ (coarse(picture[None]) - coarse(neutral[None])).ravel()
            self._shown[emotion] = self._shown.get(emotion, 0.0) + projection

    def _changes(self, neutral: Picture) -> Doubles:
        """Return the change of rendered pictures for a unit of each weight, [weights, pixels]."""
        own = self.model.estimate(neutral[None])[0]
        bases = [self.layout.bases[channel] for channel in self._channels]
        steps = np.array([_STEP * max(basis.maximum, -basis.minimum) for basis in bases], np.float32)
        rows = np.repeat(own[None], len(steps), axis=0)
        rows[np.arange(len(rows)), self._channels] += steps
        drawn = coarse(self.model.draw(self.model.prepare(neutral), rows)) - coarse(neutral[None])
        return np.asarray(drawn.reshape(len(steps), -1) / steps[:, None], np.float64)

    def values(self) -> dict[str, dict[str, float]]:
        """Return emotion -> expression basis -> weight, with two decimals; bases that no emotion moves are left out."""
        solved = {emotion: self._solve(projection) for emotion, projection in self._shown.items()}
        part = self.layout.slice_of(Bank.EXPRESSION)
        used = [
            i
            for i in range(part.start, part.stop)
            if max(abs(weights[i]) for weights in solved.values()) > _SMALL
        ]
        return {
            emotion: {self.layout.bases[i].identifier: round(float(weights[i]), 2) + 0.0 for i in used}
            for emotion, weights in solved.items()
        }

    def _solve(self, projection: Doubles) -> FloatArray:
        """Return the weights [C] that minimise w' G w − 2 w' projection with a ridge, within the sliders' ranges."""
        bases = [self.layout.bases[channel] for channel in self._channels]
        limits = tuple(np.array([getattr(basis, end) for basis in bases]) for end in ("minimum", "maximum"))
        held = self._gram + np.diag(_RIDGE * np.diag(self._gram) + 1e-6)
        lower = np.linalg.cholesky(held)
        weights = np.zeros(len(self.layout), np.float32)
        weights[self._channels] = lsq_linear(lower.T, np.linalg.solve(lower, projection), limits).x
        return np.asarray(0.5 * (weights + controls.mirror(weights))) if self.symmetric else weights
