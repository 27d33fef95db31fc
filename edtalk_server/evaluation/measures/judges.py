"""Networks that judge a clip from outside: lips against sound, who it is, and what it feels.

A judge is the same for every bundle that is measured. What it says is called `own_…` where the judge is this project's
own, trained on renders, and has the usual name where the user gave the weights of the literature.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import cv2
import numpy as np

from edtalk_server.bundles import Bundle
from edtalk_server.evaluation.measures.model_under_test import ModelUnderTest
from edtalk_server.evaluation.metrics.image_distance import Picture
from edtalk_server.evaluation.metrics.landmarks import Points
from edtalk_server.evaluation.metrics.sync import ExpertJudge, SyncJudge, sync
from edtalk_server.evaluation.people.holdout import FloatArray
from edtalk_server.media.audio.voice import Waveform
from shared_protocol.banks import Bank

Row = dict[str, float]

_SMALLEST_DEVIATION = 1e-3
"""In weight units: a weight that hardly varies is not divided by less."""


class IdentityJudge(Protocol):
    """Embeds who a face belongs to."""

    def embed(self, frames: Picture, landmarks: Points) -> FloatArray:
        """Return vectors of length one [N, D] of pictures [N, S, S, 3] with landmarks [N, 68, 2] in 0..1."""


class EmotionJudge:
    """Names the emotion of a clip: the preset of a bundle that the mean of its estimated expressions is nearest to.

    Distances count in the deviations that the bundle notes for its weights.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._model = ModelUnderTest(bundle.face)
        self._size = bundle.manifest.size
        self._part = bundle.layout.slice_of(Bank.EXPRESSION)
        names = [basis.identifier for basis in bundle.layout.bases[self._part]]
        presets = bundle.manifest.presets
        self.emotions = sorted(presets)
        self._wanted = np.array([[presets[e].get(n, 0.0) for n in names] for e in self.emotions])
        noted = bundle.manifest.statistics
        spread = [noted[name].deviation if name in noted else 1.0 for name in names]
        self._spread = np.maximum(spread, _SMALLEST_DEVIATION)

    def emotion_of(self, frames: Picture) -> str:
        """Return the name of the emotion that frames [T, S, S, 3] of one clip show."""
        shown = self._model.estimate(self._sized(frames))[:, self._part].mean(0)
        apart = np.square((self._wanted - shown) / self._spread).sum(1)
        return self.emotions[int(apart.argmin())]

    def _sized(self, frames: Picture) -> Picture:
        side = (self._size, self._size)
        if frames.shape[1] == self._size:
            return frames
        return np.stack([cv2.resize(frame, side, interpolation=cv2.INTER_AREA) for frame in frames]).astype(
            np.uint8
        )


@dataclass(frozen=True)
class Judges:
    """The judges that are there. `sync` are by their prefix in the report: `own_` or nothing."""

    sync: Mapping[str, SyncJudge] = field(default_factory=dict)
    emotion: EmotionJudge | None = None
    identity: IdentityJudge | None = None

    def synchrony(self, name: str, frames: Picture, points: Points | None, voice: Waveform | None) -> Row:
        """Return LSE-C, LSE-D and the offset of a clip and its voice by each judge, named after what was drawn."""
        row: Row = {}
        for whose, judge in self.sync.items():
            if voice is None or (whose and points is None):
                continue
            found = sync(judge, frames, points, voice)
            if found is not None:
                stem = f"{name}{whose}"
                row |= {f"{stem}lse_c": found.confidence, f"{stem}lse_d": found.distance}
                row |= {f"{stem}av_offset": found.offset}
        return row

    def feeling(self, name: str, frames: Picture, emotion: str) -> Row:
        """Return 100 where the emotion is seen that the data name, else 0; nothing where either is unknown."""
        judge = self.emotion
        if judge is None or emotion not in judge.emotions:
            return {}
        return {f"{name}own_emotion_accuracy": 100.0 * (judge.emotion_of(frames) == emotion)}

    def likeness(
        self, name: str, drawn: Picture, true: Picture, in_drawn: Points, in_true: Points
    ) -> list[Row]:
        """Return the distance of identities of each drawn and true frame."""
        if self.identity is None:
            return []
        apart = self.identity.embed(drawn, in_drawn) - self.identity.embed(true, in_true)
        return [{f"{name}aed": float(value)} for value in np.linalg.norm(apart, axis=1)]


NO_JUDGES = Judges()


def own_sync_judges(bundle: Bundle) -> dict[str, SyncJudge]:
    """Return the bundle's sync expert as the judge `own_`; nothing where it has none."""
    expert = bundle.sync
    if expert is None:
        return {}
    from edtalk_server.networks.sync import lip_windows

    return {"own_": ExpertJudge(expert.embed_lips, expert.embed_sound, lip_windows)}
