"""How well a network makes one picture move like others.

Measures are rows of named numbers, one row a frame unless stated otherwise; `report.DEFINITIONS` explains the names. A
measure whose truth is unknown for a clip is left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from edtalk_server.evaluation.measures.judges import NO_JUDGES, Judges
from edtalk_server.evaluation.measures.model_under_test import ModelUnderTest
from edtalk_server.evaluation.metrics import features, image_distance, landmarks
from edtalk_server.evaluation.metrics.image_distance import Picture, gradients, psnr
from edtalk_server.evaluation.people.holdout import FINE_STEP, Clip, FloatArray, Footage, Person, transfer
from edtalk_server.motion.curves import clip_one_way
from edtalk_server.motion.mouth import AudioToLip, mouth_weights
from shared_protocol.banks import Bank, BankLayout

Row = dict[str, float]
FrameMetric = Callable[[Picture, Picture], list[float]]
"""Rendered and true frames [N, S, S, 3] -> one number a frame."""
FeatureExtractor = Callable[[Picture], features.Doubles]
"""Frames [N, S, S, 3] -> one row of features a frame [N, D]."""


class RunningMeans:
    """The mean of each named number over all rows that have it."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = defaultdict(float)
        self._counts: dict[str, int] = defaultdict(int)

    def add(self, rows: Iterable[Mapping[str, float]]) -> None:
        """Add rows."""
        for row in rows:
            for name, value in row.items():
                self._sums[name] += value
                self._counts[name] += 1

    def values(self) -> Row:
        """Return the mean of each name."""
        return {name: total / self._counts[name] for name, total in self._sums.items()}


@dataclass(frozen=True)
class MetricSet:
    """The metrics that compare rendered with true frames: frame by frame, and as distributions."""

    frame: Mapping[str, FrameMetric]
    distribution: Mapping[str, FeatureExtractor]

    @classmethod
    def built_in(cls) -> MetricSet:
        """Return the metrics that need no pretrained weights."""
        return cls(
            {"ssim": image_distance.ssim, "features": features.distances},
            {"features_frechet": features.summary},
        )


class Reenactment:
    """The measures of one model."""

    def __init__(
        self,
        model: ModelUnderTest,
        layout: BankLayout,
        controlled: bool,
        metrics: MetricSet,
        speaker: AudioToLip | None = None,
        judges: Judges = NO_JUDGES,
    ) -> None:
        """`controlled`: the model's weights are the renderer's own controls, so true weights may drive it. `speaker` is
        the bundle's audio part, for the rows that are driven by sound."""
        self.model = model
        self.layout = layout
        self.controlled = controlled
        self.metrics = metrics
        self.speaker = speaker
        self.judges = judges
        self._summaries: dict[str, list[tuple[features.Doubles, features.Doubles]]] = defaultdict(list)

    def rows(self, person: Person) -> Iterator[Row]:
        """Yield everything that can be measured on this person."""
        yield from self._self_reenactment(person)
        if person.clip.fine is not None:
            yield from self._fine_reenactment(person.clip, person.clip.fine)
        if person.driver is not None and person.driven is not None:
            yield from self._cross_reenactment(person, person.driver, person.driven)
        if person.motion is not None:
            yield self.flicker(person.motion)

    def _self_reenactment(self, person: Person) -> Iterator[Row]:
        """Drive the first frame by the weights estimated from each of the others, and its mouth by the sound."""
        clip = person.clip
        estimated = self.model.estimate(clip.frames)
        source = self.model.prepare(clip.frames[0])
        drawn, true = self.model.draw(source, estimated), clip.frames
        yield {"rest_psnr": psnr(drawn[0], true[0])}
        unmoved = np.broadcast_to(true[:1], true.shape)
        yield from self._psnr_rows("self", drawn[1:], clip, slice(1, None))
        yield from self._psnr_rows("unmoved", unmoved[1:], clip, slice(1, None))
        in_true = self._landmarks(true)
        yield from self._compared("", drawn, person, in_true)
        yield from self._judged("true_", true, person, in_true)
        yield from self._driven_by_sound(person, source, estimated, in_true)
        if clip.weights is not None and self.controlled:
            by_truth = self.model.draw(source, estimated[:1] + clip.weights[1:] - clip.weights[:1])
            yield from self._psnr_rows("true", by_truth, clip, slice(1, None))

    def _fine_reenactment(self, clip: Clip, fine: Picture) -> Iterator[Row]:
        """Drive the first frame in its larger size: how sharp is it beside the film?"""
        source = self.model.prepare(clip.frames[0], fine[0])
        drawn = self.model.draw(source, self.model.estimate(clip.frames[::FINE_STEP][1:]))
        for picture, true, sharp, sharp_true in zip(
            drawn, fine[1:], gradients(drawn), gradients(fine[1:]), strict=True
        ):
            yield {
                "fine_psnr": psnr(picture, true),
                "fine_unmoved_psnr": psnr(fine[0], true),
                "fine_sharpness": sharp / max(sharp_true, 1e-6),
            }

    def _psnr_rows(self, name: str, drawn: Picture, clip: Clip, part: slice) -> Iterator[Row]:
        points = clip.landmarks[part] if clip.landmarks is not None else None
        for i, (picture, true) in enumerate(zip(drawn, clip.frames[part], strict=True)):
            row = {f"{name}_psnr": psnr(picture, true)}
            if points is not None:
                box = landmarks.face_box(points[i], true.shape[0])
                row[f"face_{name}_psnr"] = psnr(picture[box], true[box])
            yield row

    def _driven_by_sound(
        self, person: Person, source: Any, estimated: FloatArray, in_true: FloatArray | None
    ) -> Iterator[Row]:
        """Drive the mouth by the clip's own sound, pose and expression by the estimates: the paper's setting A."""
        if person.voice is None or self.speaker is None:
            return
        rows, mouth = estimated.copy(), self.layout.slice_of(Bank.MOUTH)
        spoken = mouth_weights(self.speaker, person.voice, 0, len(rows))
        rows[:, mouth] = clip_one_way(spoken, self.layout.bases[mouth])
        drawn = self.model.draw(source, rows)
        yield from ({"a_psnr": psnr(*pair)} for pair in zip(drawn[1:], person.clip.frames[1:], strict=True))
        yield from self._compared("a_", drawn, person, in_true)

    def _compared(
        self, name: str, drawn: Picture, person: Person, in_true: FloatArray | None
    ) -> Iterator[Row]:
        """Yield everything that compares drawn frames [T, S, S, 3] with the true ones, the first left out."""
        true = person.clip.frames
        yield from self._metric_rows(name, drawn[1:], true[1:])
        in_drawn = self._landmarks(drawn)
        if in_drawn is not None and in_true is not None:
            yield from self._landmark_rows(name, in_drawn, in_true, person.clip)
            pairs = (drawn[1:], true[1:], in_drawn[1:], in_true[1:])
            yield from self.judges.likeness(name, *pairs)
        yield from self._judged(name, drawn, person, in_drawn)

    def _judged(self, name: str, frames: Picture, person: Person, points: FloatArray | None) -> Iterator[Row]:
        """Yield what judges say of a clip alone."""
        yield self.judges.synchrony(name, frames, points, person.voice)
        yield self.judges.feeling(name, frames, person.emotion)

    def _metric_rows(self, name: str, drawn: Picture, true: Picture) -> Iterator[Row]:
        for metric, summarise in self.metrics.distribution.items():
            self._summaries[name + metric].append((summarise(drawn), summarise(true)))
        for metric, compare in self.metrics.frame.items():
            for value in compare(drawn, true):
                yield {name + metric: value}

    def _landmarks(self, frames: Picture) -> FloatArray | None:
        """Return landmarks [T, 68, 2] by the network's own detector; None without one."""
        return self.model.landmarks(frames) if self.model.finds_landmarks else None

    def _landmark_rows(
        self, name: str, in_drawn: FloatArray, in_true: FloatArray, clip: Clip
    ) -> Iterator[Row]:
        size, mouth = clip.frames.shape[1], landmarks.MOUTH
        for i in range(1, len(in_drawn)):
            row = {
                f"{name}m_lmd": landmarks.centred_distance(in_drawn[i, mouth], in_true[i, mouth], size),
                f"{name}f_lmd": landmarks.centred_distance(in_drawn[i], in_true[i], size),
                f"{name}akd": landmarks.coordinate_distance(in_drawn[i], in_true[i], size),
            }
            if clip.landmarks is not None and not name:
                row["landmark_px"] = landmarks.distance(in_true[i], clip.landmarks[i], size)
                row["made_landmark_px"] = landmarks.distance(in_drawn[i], clip.landmarks[i], size)
            yield row

    def _cross_reenactment(self, person: Person, driver: Clip, driven: Picture) -> Iterator[Row]:
        """Drive this person by another's frames, and compare with the true render of that."""
        source = self.model.prepare(person.clip.frames[0])
        own, theirs = self.model.estimate(person.clip.frames[:1])[0], self.model.estimate(driver.frames)
        drawn = self.model.draw(source, transfer(own, theirs[1:] - theirs[0], self.layout))
        by_itself = self.model.draw(source, self.model.estimate(driven))
        for i, true in enumerate(driven):
            yield {
                "cross_psnr": psnr(drawn[i], true),
                "cross_unmoved_psnr": psnr(person.clip.frames[0], true),
                "leakage": image_distance.difference(drawn[i], by_itself[i]),
                "leakage_movement": image_distance.difference(by_itself[i], person.clip.frames[0]),
            }

    def flicker(self, motion: Footage) -> Row:
        """Return the flicker of still pixels in one row for the whole motion."""
        source = self.model.prepare(motion.frames[0])
        drawn = self.model.draw(source, self.model.estimate(motion.frames))
        return {
            "flicker": image_distance.flicker(drawn, motion.still),
            "flicker_true": image_distance.flicker(motion.frames, motion.still),
        }

    def distribution(self) -> Row:
        """Return the Fréchet distances of rendered and true frames, where there are more frames than features."""
        out = {}
        for name, pairs in self._summaries.items():
            drawn, true = (np.concatenate(rows) for rows in zip(*pairs, strict=True))
            if len(drawn) > drawn.shape[1]:
                out[name] = features.frechet(drawn, true)
        return out
