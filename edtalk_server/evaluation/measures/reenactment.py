"""How well a network makes one picture move like others: measures of single people (`people_rows`), and their means.

Every function gives rows of named numbers, one row a frame unless said otherwise; `definitions.DEFINITIONS` says what
each name means. A measure whose truth is not known for a clip is left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from edtalk_server.evaluation.measures.model_under_test import Judge
from edtalk_server.evaluation.metrics import features, image_distance, landmarks
from edtalk_server.evaluation.metrics.image_distance import Picture, psnr
from edtalk_server.evaluation.people.holdout import Clip, Motion, Person, carried
from shared_protocol.banks import BankLayout

Row = dict[str, float]
Likeness = Callable[[Picture, Picture], list[float]]
"""Made and true frames [N, S, S, 3] -> one number a frame."""
Summary = Callable[[Picture], features.Doubles]
"""Frames [N, S, S, 3] -> one row of features a frame [N, D]."""


class Means:
    """Means of named numbers over all rows that have them."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = defaultdict(float)
        self._counts: dict[str, int] = defaultdict(int)

    def add(self, rows: Iterable[Mapping[str, float]]) -> None:
        """Take in rows."""
        for row in rows:
            for name, value in row.items():
                self._sums[name] += value
                self._counts[name] += 1

    def values(self) -> Row:
        """Name -> mean."""
        return {name: total / self._counts[name] for name, total in self._sums.items()}


@dataclass(frozen=True)
class Measures:
    """What made frames are compared with true ones by, frame for frame and as whole sets."""

    likeness: Mapping[str, Likeness]
    distribution: Mapping[str, Summary]

    @classmethod
    def own(cls) -> Measures:
        """Those that need no weights from elsewhere."""
        return cls(
            {"ssim": image_distance.ssim, "features": features.distances},
            {"features_frechet": features.summary},
        )


class Reenactment:
    """The measures of one network."""

    def __init__(self, judge: Judge, layout: BankLayout, controlled: bool, measures: Measures) -> None:
        """`controlled`: the network's weights are the renderer's own controls, so true weights may drive it."""
        self.judge = judge
        self.layout = layout
        self.controlled = controlled
        self.measures = measures
        self._summaries: dict[str, list[tuple[features.Doubles, features.Doubles]]] = defaultdict(list)

    def rows(self, person: Person) -> Iterator[Row]:
        """All that can be measured on this person."""
        yield from self._itself(person.clip)
        if person.driver is not None and person.driven is not None:
            yield from self._crossed(person, person.driver, person.driven)
        if person.motion is not None:
            yield self.trembling(person.motion)

    def _itself(self, clip: Clip) -> Iterator[Row]:
        """Self-reenactment: the first frame driven by the weights read from each of the others."""
        read = self.judge.read(clip.frames)
        source = self.judge.source(clip.frames[0])
        made, true = self.judge.draw(source, read), clip.frames
        yield {"rest_psnr": psnr(made[0], true[0])}
        unmoved = np.broadcast_to(true[:1], true.shape)
        yield from self._compared("self", made[1:], clip, slice(1, None))
        yield from self._compared("unmoved", unmoved[1:], clip, slice(1, None))
        yield from self._likeness(made[1:], true[1:])
        yield from self._landmarks(made, clip)
        if clip.weights is not None and self.controlled:
            by_truth = self.judge.draw(source, read[:1] + clip.weights[1:] - clip.weights[:1])
            yield from self._compared("true", by_truth, clip, slice(1, None))

    def _compared(self, name: str, made: Picture, clip: Clip, part: slice) -> Iterator[Row]:
        points = clip.landmarks[part] if clip.landmarks is not None else None
        for i, (picture, true) in enumerate(zip(made, clip.frames[part], strict=True)):
            row = {f"{name}_psnr": psnr(picture, true)}
            if points is not None:
                box = landmarks.face_box(points[i], true.shape[0])
                row[f"face_{name}_psnr"] = psnr(picture[box], true[box])
            yield row

    def _likeness(self, made: Picture, true: Picture) -> Iterator[Row]:
        for name, summarise in self.measures.distribution.items():
            self._summaries[name].append((summarise(made), summarise(true)))
        for name, compare in self.measures.likeness.items():
            for value in compare(made, true):
                yield {name: value}

    def _landmarks(self, made: Picture, clip: Clip) -> Iterator[Row]:
        """Distances of the landmarks that the network's own reader finds."""
        if not self.judge.finds_landmarks:
            return
        size, mouth = made.shape[1], landmarks.MOUTH
        in_made, in_true = self.judge.points(made), self.judge.points(clip.frames)
        for i in range(1, len(made)):
            row = {
                "m_lmd": landmarks.centred_distance(in_made[i, mouth], in_true[i, mouth], size),
                "f_lmd": landmarks.centred_distance(in_made[i], in_true[i], size),
            }
            if clip.landmarks is not None:
                row["landmark_px"] = landmarks.distance(in_true[i], clip.landmarks[i], size)
                row["made_landmark_px"] = landmarks.distance(in_made[i], clip.landmarks[i], size)
            yield row

    def _crossed(self, person: Person, driver: Clip, driven: Picture) -> Iterator[Row]:
        """Cross-identity reenactment: this person driven by another's frames, against the true render of that."""
        source = self.judge.source(person.clip.frames[0])
        own, theirs = self.judge.read(person.clip.frames[:1])[0], self.judge.read(driver.frames)
        made = self.judge.draw(source, carried(own, theirs[1:] - theirs[0], self.layout))
        by_itself = self.judge.draw(source, self.judge.read(driven))
        for i, true in enumerate(driven):
            yield {
                "cross_psnr": psnr(made[i], true),
                "cross_unmoved_psnr": psnr(person.clip.frames[0], true),
                "leakage": image_distance.difference(made[i], by_itself[i]),
                "leakage_movement": image_distance.difference(by_itself[i], person.clip.frames[0]),
            }

    def trembling(self, motion: Motion) -> Row:
        """Flicker of what stands still (one row a motion)."""
        source = self.judge.source(motion.frames[0])
        made = self.judge.draw(source, self.judge.read(motion.frames))
        return {
            "flicker": image_distance.flicker(made, motion.still),
            "flicker_true": image_distance.flicker(motion.frames, motion.still),
        }

    def distribution(self) -> Row:
        """Distances of the distributions of made and true frames, where there are more frames than features."""
        out = {}
        for name, pairs in self._summaries.items():
            made, true = (np.concatenate(rows) for rows in zip(*pairs, strict=True))
            if len(made) > made.shape[1]:
                out[name] = features.frechet(made, true)
        return out
