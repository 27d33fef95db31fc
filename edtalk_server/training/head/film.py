"""Takes of people who were filmed: their prosody, and the head's movements as a frozen bundle reads them.

The crop of a prepared clip follows the face steadily, so the reader sees the head move within it. What counts is
change: the usual pose of a stretch, its median, is zero. A person's style is a draw that belongs to their name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from edtalk_server.arrays import Doubles, Floats
from edtalk_server.engine import Engine
from edtalk_server.media.audio.prosody import FRAMES_PER_SECOND, prosody
from edtalk_server.media.audio.voice import load_voice
from edtalk_server.motion.curves import smooth
from edtalk_server.training.datasets.film.cache import ClipRecord, FilmCache, StoredClip
from edtalk_server.training.head.corpus import Take
from edtalk_server.training.head.movement import HABITS
from shared_protocol.banks import HEAD, NATURAL_POSE, Bank
from shared_protocol.emotions import EMOTIONS
from shared_protocol.errors import EDTalkError, ErrorCode

HELD_OUT_SHARE = 0.1
"""Share of the clips, the last ones by name, on which a run is measured."""
STRONGEST_LEVEL = 3
"""Largest level of an emotion in MEAD."""
_SMOOTH_S = 0.06
"""Deviation of the window that takes the reader's trembling away."""
_BATCH = 64


def build(folder: Path, bundle: str, device: str, least_seconds: float) -> tuple[list[Take], list[Take]]:
    """Return the takes of a cache (`edtalk train video-data`) to train on, and those to measure on.

    Each is a stretch without a cut of at least `least_seconds`. Raises `EDTalkError`: `NOT_READY` where the cache has
    fewer than two such stretches with sound, `UNSUPPORTED` where the bundle's pose weights mean nothing.
    """
    engine = Engine.open(bundle, device)
    takes = [
        take for path, clip in FilmCache(folder).records().items() for take in _takes(path, clip, engine)
    ]
    takes = [take for take in takes if len(take.pose) >= least_seconds * FRAMES_PER_SECOND]
    if len(takes) < 2:
        raise EDTalkError(
            ErrorCode.NOT_READY,
            f"{folder} has fewer than two stretches with sound of {least_seconds:.1f} seconds or more.",
            "Prepare longer clips with sound, or give a smaller “hops” in the config.",
        )
    held_out = max(1, round(HELD_OUT_SHARE * len(takes)))
    return takes[:-held_out], takes[-held_out:]


def _takes(path: Path, record: ClipRecord, engine: Engine) -> Iterator[Take]:
    if not record.has_sound:
        return
    clip, voice = StoredClip(path), load_voice(path / "voice.flac")
    for first, stop, _ in record.runs:
        weights = _weights(clip, range(first, stop), engine)
        pose = natural_pose(weights, engine).astype(np.float32)
        rows = prosody(voice.samples, stop - first, first)
        yield Take(rows, _emotions(record, stop - first), pose, style_of(record.person), np.zeros(0))


def _weights(clip: StoredClip, frames: range, engine: Engine) -> Doubles:
    """Return what the bundle reads in frames of a clip [T, channels], smoothed."""
    parts = []
    for begin in range(frames.start, frames.stop, _BATCH):
        pictures = clip.pictures(range(begin, min(begin + _BATCH, frames.stop)))
        side = (engine.size, engine.size)
        parts.append(
            engine.estimate(
                np.stack([cv2.resize(one, side, interpolation=cv2.INTER_AREA) for one in pictures])
            )
        )
    return smooth(np.concatenate(parts).astype(np.float64), _SMOOTH_S * FRAMES_PER_SECOND)


def natural_pose(weights: Doubles, engine: Engine) -> Doubles:
    """Return natural pose [T, 6] of a bundle's weights [T, channels], around their median."""
    moved, layout = weights - np.median(weights, axis=0), engine.bundle.layout
    if layout.has(*HEAD):
        pose = np.zeros((len(moved), len(NATURAL_POSE)))
        for column, name in enumerate(NATURAL_POSE):
            if layout.has(name):
                pose[:, column] = moved[:, layout.index(name)]
        return pose
    if engine.bundle.pose_map is None:
        raise EDTalkError(
            ErrorCode.UNSUPPORTED,
            "The bundle does not say what its pose weights mean.",
            "Read the film with the starter, or measure a pose map with `edtalk bundle describe`.",
        )
    return np.asarray(moved[:, layout.slice_of(Bank.POSE)] @ np.linalg.pinv(engine.bundle.pose_map).T)


def _emotions(record: ClipRecord, frames: int) -> Floats:
    """Return the emotion that a clip's name tells [frames, 8]; its level says how strong (without one: fully)."""
    emotions = np.zeros((frames, len(EMOTIONS)), np.float32)
    if record.emotion in EMOTIONS:
        emotions[:, EMOTIONS.index(record.emotion)] = (record.level or STRONGEST_LEVEL) / STRONGEST_LEVEL
    return emotions


def style_of(person: str) -> Floats:
    """Return a person's style [8]: normal numbers that belong to the name."""
    seed = int.from_bytes(hashlib.sha256(person.encode()).digest()[:8], "big")
    return np.random.default_rng(seed).standard_normal(HABITS).astype(np.float32)
