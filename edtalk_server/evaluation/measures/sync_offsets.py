"""How well a judge of lips and sound finds by how much they are apart, on clips whose lips and sound are in sync."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edtalk_server.evaluation.metrics.sync import SyncJudge, sync
from edtalk_server.media.audio.mel import SAMPLES_PER_FRAME
from edtalk_server.media.audio.voice import Waveform, load_voice
from edtalk_server.training.datasets.film.cache import ClipRecord, FilmCache, StoredClip
from shared_protocol.errors import EDTalkError, ErrorCode

SHIFTS = (0, -5, 3, 6, -2, 4, -6, 1, -4, 5, -1, 2, -3)
"""By how many frames the sound of one clip after the other is taken too early."""
_TOLERATED = 1
"""Frames by which a found offset may be wrong."""


@dataclass(frozen=True)
class OffsetReport:
    """`found` and `true` are offsets in frames, one for each clip; LSE-C and LSE-D as means over the clips."""

    found: tuple[float, ...]
    true: tuple[int, ...]
    confidence: float
    distance: float

    @property
    def share(self) -> float:
        """Return the share of clips whose offset is right within a frame."""
        pairs = zip(self.found, self.true, strict=True)
        return float(np.mean([abs(found - true) <= _TOLERATED for found, true in pairs]))


def measure_offsets(judge: SyncJudge, folder: Path) -> OffsetReport:
    """Shift the sound of each clip of a film cache by some frames, and let the judge find it.

    `EDTalkError(NOT_READY)` when no clip has sound and is long enough.
    """
    longest = max(abs(shift) for shift in SHIFTS)
    clips = [(path, record) for path, record in FilmCache(folder).records().items() if record.has_sound]
    results = []
    for number, (path, record) in enumerate(clips):
        shift = SHIFTS[number % len(SHIFTS)]
        first, last = _longest_run(record)
        frames = range(first + longest, last - longest)
        stored = StoredClip(path)
        if len(frames) < 2 * longest:
            continue
        voice = _part(load_voice(path / "voice.flac"), frames.start - shift, len(frames))
        judged = sync(judge, stored.pictures(frames), stored.landmarks(frames), voice)
        if judged is not None:
            results.append((judged, -shift))
    if not results:
        raise EDTalkError(
            ErrorCode.NOT_READY,
            f"No clip of {folder} has sound and shows a face long enough.",
            "Prepare films that have sound, or render some (`edtalk train spoken-data --holdout`).",
        )
    return OffsetReport(
        found=tuple(judged.offset for judged, _ in results),
        true=tuple(true for _, true in results),
        confidence=float(np.mean([judged.confidence for judged, _ in results])),
        distance=float(np.mean([judged.distance for judged, _ in results])),
    )


def _longest_run(record: ClipRecord) -> tuple[int, int]:
    first, last, _ = max(record.runs, key=lambda run: run[1] - run[0])
    return first, last


def _part(voice: Waveform, first: int, count: int) -> Waveform:
    """Return the sound of `count` frames from frame `first` on."""
    start = first * SAMPLES_PER_FRAME
    return Waveform(voice.samples[start : start + count * SAMPLES_PER_FRAME].copy())
