"""The eight emotion presets of a bundle, measured.

People show each emotion as shapes of the face kit (`presets.EMOTIONS`), some of which no weight makes. The preset is
the combination of mouth and expression weights, within the sliders' ranges, whose drawn changes add up nearest to what
the emotion changes in those people's pictures (least squares over pixels of pictures of 64, all people together); its
expression part is kept. So a weight that the network draws weakly is asked for more of, and what the mouth does in an
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

from edtalk_server.evaluation.measures.model_under_test import Judge
from edtalk_server.evaluation.metrics.image_distance import Picture, coarse
from edtalk_server.evaluation.people.holdout import FloatArray
from edtalk_server.evaluation.people.rendered_people import Studio
from edtalk_server.synthetic import controls
from edtalk_server.synthetic.controls import ShapeMap
from edtalk_server.synthetic.presets import EMOTIONS, Shapes
from edtalk_server.synthetic.renderer.frame import Renderer
from shared_protocol.banks import Bank, BankLayout

SEED = 31
"""Other people than those that bundles are judged on."""
PEOPLE = 16
_STEP = 0.6
"""So far each weight is moved to learn what it draws, in its larger limit."""
_RIDGE = 0.02
"""Holds weights back that draw nearly the same, as a share of what they draw."""
_SMALL = 0.05
"""Bases that no emotion moves further than this are none of the presets' business."""
_OWN_BUSINESS = frozenset({"gaze_left", "gaze_up"})
"""Where somebody looks is not what they feel."""

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _WithShapes(ShapeMap):
    """A map that adds shapes to whatever the weights say."""

    extra: FloatArray

    def to_shapes(self, weights: FloatArray) -> FloatArray:
        return np.asarray(super().to_shapes(weights) + self.extra, np.float32)


@contextlib.contextmanager
def _showing(renderer: Renderer, shapes: Shapes) -> Iterator[None]:
    """While this lasts, everybody wears these shapes."""
    usual = renderer.deformer.shapes
    extra = np.array([shapes.get(name, 0.0) for name in usual.names], np.float32)
    renderer.deformer.shapes = _WithShapes(usual.names, usual.above, usual.below, usual.reading, extra)
    try:
        yield
    finally:
        renderer.deformer.shapes = usual


def emotional_people(facekit: Path, people: int = PEOPLE) -> Iterator[dict[str, Picture]]:
    """For each person: emotion -> picture [S, S, 3]; the same pose, light and camera, the rest of the face neutral."""
    studio = Studio(facekit, seed=SEED)
    for number in range(people):
        sitting = studio.sitting(number)
        calm = controls.neutral()
        calm[controls.POSE] = sitting.weights[0][controls.POSE]
        pictures = {}
        for emotion, shapes in EMOTIONS.items():
            with _showing(studio.renderer, shapes):
                pictures[emotion] = studio.draw(sitting, calm[None])[0].image
        yield pictures
        studio.forget(number)


class Presets:
    """Gathers what people show, then finds the weights."""

    def __init__(self, judge: Judge, layout: BankLayout, symmetric: bool) -> None:
        """`symmetric`: the layout is the starter's, which knows what is left and right."""
        self.judge, self.layout, self.symmetric = judge, layout, symmetric
        self._channels = [
            channel
            for channel, basis in enumerate(layout.bases)
            if basis.bank is not Bank.POSE and basis.identifier not in _OWN_BUSINESS
        ]
        self._gram = np.zeros((len(self._channels),) * 2)
        self._shown: dict[str, Doubles] = {}

    def add(self, pictures: Mapping[str, Picture]) -> None:
        """One person's emotions, `neutral` among them."""
        neutral = pictures["neutral"]
        drawn = self._changes(neutral)
        self._gram += drawn @ drawn.T
        for emotion, picture in pictures.items():
            seen = drawn @ (coarse(picture[None]) - coarse(neutral[None])).ravel()
            self._shown[emotion] = self._shown.get(emotion, 0.0) + seen

    def _changes(self, neutral: Picture) -> Doubles:
        """What a unit of each weight changes in drawn pictures [weights, pixels]."""
        own = self.judge.read(neutral[None])[0]
        bases = [self.layout.bases[channel] for channel in self._channels]
        steps = np.array([_STEP * max(basis.maximum, -basis.minimum) for basis in bases], np.float32)
        rows = np.repeat(own[None], len(steps), axis=0)
        rows[np.arange(len(rows)), self._channels] += steps
        drawn = coarse(self.judge.draw(self.judge.source(neutral), rows)) - coarse(neutral[None])
        return np.asarray(drawn.reshape(len(steps), -1) / steps[:, None], np.float64)

    def values(self) -> dict[str, dict[str, float]]:
        """Emotion -> expression basis -> weight, two decimals; bases that no emotion moves are left out."""
        found = {emotion: self._solved(seen) for emotion, seen in self._shown.items()}
        part = self.layout.slice_of(Bank.EXPRESSION)
        used = [
            i for i in range(part.start, part.stop) if max(abs(one[i]) for one in found.values()) > _SMALL
        ]
        return {
            emotion: {self.layout.bases[i].identifier: round(float(weights[i]), 2) + 0.0 for i in used}
            for emotion, weights in found.items()
        }

    def _solved(self, seen: Doubles) -> FloatArray:
        """The weights [C] that minimise w' G w − 2 w' seen with a ridge, within the sliders' ranges."""
        bases = [self.layout.bases[channel] for channel in self._channels]
        limits = tuple(np.array([getattr(one, end) for one in bases]) for end in ("minimum", "maximum"))
        held = self._gram + np.diag(_RIDGE * np.diag(self._gram) + 1e-6)
        lower = np.linalg.cholesky(held)
        weights = np.zeros(len(self.layout), np.float32)
        weights[self._channels] = lsq_linear(lower.T, np.linalg.solve(lower, seen), limits).x
        return np.asarray(0.5 * (weights + controls.mirror(weights))) if self.symmetric else weights
