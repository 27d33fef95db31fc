"""The corpus: clips of synthetic speech with pauses, as mel columns and their mouth weights.

How loud a moment is does not count: the mouth follows the sounds and how long they last (`visemes`). A real mouth's
opening hardly goes with loudness; lips that were taught to open wider where the voice is louder overdid it.

Held-out clips have voices and sentences that the training clips lack (`voices`).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import IntEnum
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edtalk_server.media.audio.mel import mel_spectrogram
from edtalk_server.training.speech import augment, flite, voices
from edtalk_server.training.speech.utterance import Utterance
from edtalk_server.training.speech.visemes import closure, mouth_curves
from shared_protocol import atomic_write

log = logging.getLogger(__name__)

MEL_RATE = 80
"""Mel columns a second."""
WINDOW = 16
"""Mel columns of one window."""
_VERSION = 3
"""Version of the recipe. A corpus of another version is built again."""
WINDOW_LEAD = 6.8 / MEL_RATE
"""Seconds from a window's first column to its frame: 80 ms (as in Wav2Lip) and the mean truncation."""


class Kind(IntEnum):
    """The kinds of clips."""

    ESPEAK = 0
    FLITE = 1
    SILENCE = 2
    FLITE_NEW_TEXT = 3


@dataclass(frozen=True)
class CorpusConfig:
    """The size of the corpus, in clips of about eight seconds."""

    espeak_clips: int = 500
    flite_clips: int = 450
    silent_clips: int = 60
    held_out_clips: int = 40
    seed: int = 2

    def scaled(self, factor: float) -> CorpusConfig:
        """Return a config with `factor` times the clips, but at least a few of each kind."""

        def scale(count: int) -> int:
            return max(4, round(count * factor))

        return CorpusConfig(
            scale(self.espeak_clips),
            scale(self.flite_clips),
            scale(self.silent_clips),
            scale(self.held_out_clips),
            self.seed,
        )


@dataclass(frozen=True)
class Clips:
    """Clips end to end. Entry i of `starts` is a window's first column; its targets are row i of the others.

    mel float16 [80, columns]; weights float16 [n, 20]; shut float16 [n] (how far the lips must be closed);
    rest bool [n] (nobody speaks); starts int64 [n]; kind uint8 [n], a `Kind`.
    """

    mel: npt.NDArray[np.float16]
    weights: npt.NDArray[np.float16]
    shut: npt.NDArray[np.float16]
    rest: npt.NDArray[np.bool_]
    starts: npt.NDArray[np.int64]
    kind: npt.NDArray[np.uint8]

    def save(self, path: Path) -> None:
        """Write as .npz, whole or not at all."""
        with atomic_write.replacing(path) as partial, partial.open("wb") as file:
            np.savez(file, **{name: getattr(self, name) for name in self.__dataclass_fields__})

    @classmethod
    def load(cls, path: Path) -> Clips:
        """Read a file that `save` wrote."""
        with np.load(path, allow_pickle=False) as data:
            return cls(**{name: data[name] for name in cls.__dataclass_fields__})


def build(folder: Path, config: CorpusConfig) -> tuple[Clips, Clips]:
    """Return the training and the held-out clips; made once, then read from `folder`."""
    recipe = folder / "corpus.json"
    paths = folder / "train.npz", folder / "held_out.npz"
    text = json.dumps({"version": _VERSION, **asdict(config)})
    if recipe.is_file() and recipe.read_text() == text and all(path.is_file() for path in paths):
        return Clips.load(paths[0]), Clips.load(paths[1])
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(config.seed)
    held_out = _pack(_held_out(config, rng))
    train = _pack(_train(config, rng))
    train.save(paths[0])
    held_out.save(paths[1])
    recipe.write_text(text)
    return train, held_out


def held_out_clips(config: CorpusConfig) -> Clips:
    """Make the held-out clips alone."""
    return _pack(_held_out(config, np.random.default_rng(config.seed)))


def _train(config: CorpusConfig, rng: np.random.Generator) -> Iterator[tuple[Utterance, int]]:
    for _ in range(config.espeak_clips):
        yield _espeak(rng, str(rng.choice(voices.TRAIN_ESPEAK)), 3), Kind.ESPEAK
    if flite.available():
        for _ in range(config.flite_clips):
            yield _flite(rng, str(rng.choice(voices.TRAIN_FLITE)), 2), Kind.FLITE
    else:
        log.warning("flite is not installed: training on espeak-ng alone")
    for _ in range(config.silent_clips):
        yield voices.silence(rng, augment.noise), Kind.SILENCE


def _held_out(config: CorpusConfig, rng: np.random.Generator) -> Iterator[tuple[Utterance, int]]:
    for index in range(config.held_out_clips):
        voice = voices.HELD_OUT_ESPEAK[index % len(voices.HELD_OUT_ESPEAK)]
        yield _espeak(rng, voice, 2, written=False), Kind.ESPEAK
        if flite.available() and index % 2 == 0:
            yield _flite(rng, voices.HELD_OUT_FLITE[0], 1, written=False), Kind.FLITE
            train_voice = voices.TRAIN_FLITE[index // 2 % len(voices.TRAIN_FLITE)]
            yield _flite(rng, train_voice, 1, written=False), Kind.FLITE_NEW_TEXT


def _espeak(rng: np.random.Generator, voice: str, count: int, written: bool = True) -> Utterance:
    return voices.spoken_clip(voices.espeak_speaker(voice, rng), rng, count, written)


def _flite(rng: np.random.Generator, voice: str, count: int, written: bool = True) -> Utterance:
    return voices.spoken_clip(voices.flite_speaker(voice, rng), rng, count, written)


def _pack(clips: Iterator[tuple[Utterance, int]]) -> Clips:
    rng = np.random.default_rng(7)
    mels, rows, column = [], [], 0
    for number, (clip, kind) in enumerate(clips):
        mel = mel_spectrogram(augment.recording(clip.samples, rng)).T
        rows.append(_targets(clip, mel.shape[1], column, kind))
        mels.append(mel.astype(np.float16))
        column += mel.shape[1]
        if number % 100 == 99:
            log.info("%d clips, %.0f minutes of speech", number + 1, column / MEL_RATE / 60)
    names = ("weights", "shut", "rest", "starts", "kind")
    joined = {name: np.concatenate([row[name] for row in rows]) for name in names}
    return Clips(mel=np.concatenate(mels, axis=1), **joined)


def _targets(clip: Utterance, columns: int, offset: int, kind: int) -> dict[str, npt.NDArray]:
    """Return one row for every window that fits into the clip."""
    starts = np.arange(max(columns - WINDOW + 1, 0))
    times = starts / MEL_RATE + WINDOW_LEAD
    weights = mouth_curves(clip.segments, times, clip.duration)
    return {
        "weights": weights.astype(np.float16),
        "shut": closure(clip.segments, times).astype(np.float16),
        "rest": np.abs(weights).max(axis=1) < 0.02,
        "starts": starts + offset,
        "kind": np.full(len(starts), kind, np.uint8),
    }
