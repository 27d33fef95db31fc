"""Filmed clips as a `ClipSet`: pictures and landmarks, without the truth that only a renderer knows."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from edtalk_server.engine.tensors import to_tensor
from edtalk_server.media.faces.portrait import Picture
from edtalk_server.training.datasets.film.cache import ClipRecord, FilmCache, StoredClip
from edtalk_server.training.datasets.film.layout import EMOTIONS
from edtalk_server.training.datasets.interface import FRAME_RATE, ClipBatch, Random, SpokenBatch, resized
from shared_protocol.errors import EDTalkError, ErrorCode

_OPEN = 64
"""Clips kept open at a time."""
_APART = FRAME_RATE
"""Least distance in frames between a source and the clip, where the film is long enough."""
_NEUTRAL = "neutral"


@dataclass(frozen=True)
class _Sample:
    """One row of a batch."""

    source: Picture
    frames: Picture
    landmarks: np.ndarray
    clip: ClipRecord


class FilmedClips:
    """The clips of a cache (`edtalk train video-data`), in pictures of `size` pixels.

    Every person is drawn equally often, however long they were filmed. The source is a picture of another moment of the
    same shot; where the person's neutral face was filmed (MEAD), it is one of those.
    """

    has_truth = False
    consecutive = True

    def __init__(self, folder: Path, size: int) -> None:
        self.size = size
        cache = FilmCache(folder)
        cache.check()
        self._clips = cache.records()
        if not self._clips:
            raise EDTalkError(
                ErrorCode.NOT_READY,
                f"There is not one usable clip in {folder}.",
                "Run `edtalk train video-data` first, and look at what it left out.",
            )
        self._by_person: dict[str, list[Path]] = defaultdict(list)
        for path, record in self._clips.items():
            self._by_person[record.person].append(path)
        self.people = sorted(self._by_person)
        self._open: OrderedDict[Path, StoredClip] = OrderedDict()

    def clips(self, rng: Random, count: int, length: int) -> ClipBatch:
        able = self._people_with(length)
        samples = [self._sample(rng, able, length) for _ in range(count)]
        return ClipBatch(
            source=self._sources(samples),
            frames=self._frames(samples),
            landmarks=_landmarks(samples),
            identity=self._identities(samples),
            emotion=torch.tensor([_number_of(sample.clip.emotion) for sample in samples]),
            level=torch.tensor([sample.clip.level for sample in samples]),
        )

    def spoken(self, rng: Random, count: int, length: int, reach: int = 0) -> SpokenBatch:
        """Draw clips with their sound (`interface.SpokenSet`)."""
        whole = length + 2 * reach
        able = [who for who in self.people if self._paths(who, whole, spoken=True)]
        if not able:
            raise EDTalkError(
                ErrorCode.NOT_READY,
                f"No clip with sound shows a face for {whole} frames without a cut.",
                "Prepare films that have sound, or render some (docs/training_paper.md).",
            )
        samples, voices = [], []
        for _ in range(count):
            path = self._draw_path(rng, able, whole, spoken=True)
            first, shot = _window(rng, self._clips[path], whole)
            samples.append(self._cut(rng, path, shot, first + reach, length))
            voices.append(self._stored_clip(path).voice(range(first, first + whole)))
        return SpokenBatch(
            source=self._sources(samples),
            frames=self._frames(samples),
            landmarks=_landmarks(samples),
            voice=torch.from_numpy(np.stack(voices)),
            identity=self._identities(samples),
        )

    def _people_with(self, length: int) -> list[str]:
        able = [who for who in self.people if self._paths(who, length)]
        if not able:
            raise ValueError(f"no clip shows a face for {length} frames without a cut")
        return able

    def _paths(self, person: str, length: int, spoken: bool = False) -> list[Path]:
        """Return a person's clips that are long enough, and have sound where they are to be `spoken`."""
        paths = self._by_person[person]
        return [
            path
            for path in paths
            if _fits(self._clips[path], length) and self._clips[path].has_sound >= spoken
        ]

    def _draw_path(self, rng: Random, people: list[str], length: int, spoken: bool = False) -> Path:
        person = people[int(rng.integers(len(people)))]
        able = self._paths(person, length, spoken)
        return able[int(rng.integers(len(able)))]

    def _sample(self, rng: Random, people: list[str], length: int) -> _Sample:
        path = self._draw_path(rng, people, length)
        first, shot = _window(rng, self._clips[path], length)
        return self._cut(rng, path, shot, first, length)

    def _cut(self, rng: Random, path: Path, shot: int, first: int, length: int) -> _Sample:
        """Return `length` frames of a clip from `first` on, and a source for them."""
        stored, numbers = self._stored_clip(path), range(first, first + length)
        return _Sample(
            source=self._source(rng, path, shot, first, length),
            frames=stored.pictures(numbers),
            landmarks=stored.landmarks(numbers),
            clip=self._clips[path],
        )

    def _source(self, rng: Random, path: Path, shot: int, first: int, length: int) -> Picture:
        record = self._clips[path]
        calm = [p for p in self._by_person[record.person] if self._clips[p].emotion == _NEUTRAL]
        if calm and record.emotion not in ("", _NEUTRAL):
            path = calm[int(rng.integers(len(calm)))]
            frames = _frames(self._clips[path])
        else:
            frames = _away(_frames(record, shot), first, length)
        return self._stored_clip(path).pictures([int(rng.choice(frames))])[0]

    def _stored_clip(self, path: Path) -> StoredClip:
        if path not in self._open:
            self._open[path] = StoredClip(path)
        self._open.move_to_end(path)
        while len(self._open) > _OPEN:
            self._open.popitem(last=False)
        return self._open[path]

    def _sources(self, samples: Sequence[_Sample]) -> Tensor:
        return torch.cat([self._pictures(sample.source[None]) for sample in samples])

    def _frames(self, samples: Sequence[_Sample]) -> Tensor:
        return torch.stack([self._pictures(sample.frames) for sample in samples])

    def _identities(self, samples: Sequence[_Sample]) -> Tensor:
        return torch.tensor([self.people.index(sample.clip.person) for sample in samples])

    def _pictures(self, frames: Picture) -> Tensor:
        """Return uint8 [N, S, S, 3] as float32 [N, 3, size, size] in [-1, 1]."""
        return resized(to_tensor(frames), self.size)


def _landmarks(samples: Sequence[_Sample]) -> Tensor:
    return torch.from_numpy(np.stack([sample.landmarks for sample in samples]))


def _number_of(emotion: str) -> int:
    return EMOTIONS.index(emotion) if emotion else -1


def _fits(record: ClipRecord, length: int) -> bool:
    return any(stop - first >= length for first, stop, _ in record.runs)


def _window(rng: Random, record: ClipRecord, length: int) -> tuple[int, int]:
    """Draw a window of `length` frames: its first frame and its shot. All of a clip's windows are equally likely."""
    runs = [run for run in record.runs if run[1] - run[0] >= length]
    counts = np.array([stop - first - length + 1 for first, stop, _ in runs])
    chosen = runs[int(rng.choice(len(runs), p=counts / counts.sum()))]
    return int(rng.integers(chosen[0], chosen[1] - length + 1)), chosen[2]


def _frames(record: ClipRecord, shot: int | None = None) -> np.ndarray:
    """Return the usable frames of a clip, or of one of its shots."""
    runs = [run for run in record.runs if shot is None or run[2] == shot]
    return np.concatenate([np.arange(first, stop) for first, stop, _ in runs])


def _away(frames: np.ndarray, first: int, length: int) -> np.ndarray:
    """Return the frames well apart from a window; the farthest ones where none is."""
    distance = np.maximum(first - frames, frames - (first + length - 1))
    return frames[distance >= min(_APART, int(distance.max()))]
