"""Hours of speech with movements of the head: prosody, feelings and pose of takes of about a minute, kept on disk."""

from __future__ import annotations

import json
import logging
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from edtalk_server.arrays import Doubles, Floats
from edtalk_server.media.audio.prosody import FRAMES_PER_SECOND, prosody
from edtalk_server.training.head import stress
from edtalk_server.training.head.movement import HABITS, Voice, move
from edtalk_server.training.speech import augment, espeak, flite
from edtalk_server.training.speech.texts import sentence
from edtalk_server.training.speech.utterance import SAMPLE_RATE, Segment, Utterance, warp
from edtalk_server.training.speech.voices import HELD_OUT_ESPEAK, HELD_OUT_FLITE, TRAIN_ESPEAK, TRAIN_FLITE
from shared_protocol import atomic_write
from shared_protocol.emotions import EMOTIONS

log = logging.getLogger(__name__)

_VERSION = 4
"""Version of the recipe. A corpus of another version is built again."""
_TAKE_S = 60.0
_HABIT_LIMIT = 2.5
_LIVELY = {
    "happy": (1.1, 1.2, 1.3),
    "angry": (1.1, 1.1, 1.3),
    "surprised": (1.0, 1.3, 1.4),
    "fear": (1.2, 1.2, 1.0),
}
"""Rate, height and range of the voice of some emotions; `_CALM`: of the others."""
_CALM = {"sad": (0.8, 0.85, 0.6), "contempt": (0.9, 0.95, 0.8), "disgusted": (0.9, 0.9, 1.0)}


@dataclass(frozen=True)
class HeadCorpusConfig:
    """The size of the corpus in takes of a minute: more than five hours, and what is held out."""

    takes: int = 280
    flite_share: float = 0.1
    held_out: int = 24
    seed: int = 5


@dataclass(frozen=True)
class Take:
    """Somebody speaks: prosody [T, 8], emotions [T, 8] and natural pose [T, 6] at 25 fps, a style [8], and the seconds
    of accents."""

    prosody: Floats
    emotions: Floats
    pose: Floats
    style: Floats
    accents: Doubles

    def save(self, path: Path) -> None:
        """Write as .npz, whole or not at all."""
        with atomic_write.replacing(path) as partial, partial.open("wb") as file:
            np.savez(file, **{name: getattr(self, name) for name in self.__dataclass_fields__})

    @classmethod
    def load(cls, path: Path) -> Take:
        """Read a file that `save` wrote."""
        with np.load(path, allow_pickle=False) as data:
            return cls(**{name: data[name] for name in cls.__dataclass_fields__})


def build(folder: Path, config: HeadCorpusConfig) -> tuple[list[Take], list[Take]]:
    """Return the takes to train on and the held-out ones (other voices, other texts); made once, then read.

    An interrupted making continues. Draws depend on a take's number and the seed; espeak-ng varies by itself.
    """
    folder.mkdir(parents=True, exist_ok=True)
    recipe = folder / "corpus.json"
    text = json.dumps({"version": _VERSION, **asdict(replace(config, takes=0, held_out=0))})
    if recipe.is_file() and recipe.read_text() != text:
        for path in folder.glob("*.npz"):
            path.unlink()
    recipe.write_text(text)
    held_out = list(_takes(folder, config, config.held_out, held_out=True))
    return list(_takes(folder, config, config.takes, held_out=False)), held_out


def _takes(folder: Path, config: HeadCorpusConfig, count: int, held_out: bool) -> Iterator[Take]:
    kind = "held_out" if held_out else "train"
    for number in range(count):
        path = folder / f"{kind}_{number:04}.npz"
        if not path.is_file():
            rng = np.random.default_rng([config.seed, held_out, number])
            make_take(rng, config.flite_share, held_out).save(path)
            if number % 25 == 24:
                log.info("%s: %d of %d takes", kind, number + 1, count)
        yield Take.load(path)


def make_take(rng: np.random.Generator, flite_share: float = 0.0, held_out: bool = False) -> Take:
    """Let somebody new say some sentences, and move."""
    habits = np.clip(rng.standard_normal(HABITS), -_HABIT_LIMIT, _HABIT_LIMIT)
    spoken, feelings = _monologue(rng, flite_share, held_out)
    clip, curve = _joined(spoken, feelings, rng)
    sound = _recorded(clip.samples, rng)
    frames = len(sound) * FRAMES_PER_SECOND // SAMPLE_RATE
    rows, emotions = prosody(sound, frames), _smoothed(curve[:frames])
    said = stress.syllables(clip.segments, rows)
    voice = Voice(rows, said, stress.accents(said))
    pose = move(voice, emotions, habits, rng)
    accented = np.array([one.middle for one in voice.accents])
    return Take(rows, emotions.astype(np.float32), pose, habits.astype(np.float32), accented)


def _monologue(
    rng: np.random.Generator, flite_share: float, held_out: bool
) -> tuple[list[Utterance], list[Floats]]:
    """Return about a minute of sentences by one voice, and the emotion [8] of each."""
    from_flite = flite.available() and rng.random() < flite_share
    voices = (HELD_OUT_FLITE if held_out else TRAIN_FLITE) if from_flite else _espeak_voices(held_out)
    voice, base, factor = str(rng.choice(voices)), rng.random(4), float(rng.uniform(0.88, 1.15))
    spoken: list[Utterance] = []
    feelings: list[Floats] = []
    feeling = _feeling(rng)
    while sum(one.duration + 0.7 for one in spoken) < _TAKE_S:
        if rng.random() < 0.25:
            feeling = _feeling(rng)
        text = sentence(rng, written=not held_out)
        said = (_flite_says if from_flite else _espeak_says)(text, voice, base, feeling)
        if said is not None and len(said.samples) > SAMPLE_RATE // 4:
            spoken.append(warp(said, factor))
            feelings.append(feeling)
    return spoken, feelings


def _espeak_voices(held_out: bool) -> tuple[str, ...]:
    whispers = {voice for voice in TRAIN_ESPEAK if voice.endswith("whisper")}
    return HELD_OUT_ESPEAK if held_out else tuple(v for v in TRAIN_ESPEAK if v not in whispers)


def _feeling(rng: np.random.Generator) -> Floats:
    """Draw nothing (half of the time) or one emotion at some intensity [8]."""
    emotion = np.zeros(len(EMOTIONS), np.float32)
    if rng.random() < 0.5:
        emotion[rng.integers(len(EMOTIONS))] = rng.uniform(0.3, 1.0)
    return emotion


def _effect(feeling: Floats) -> Doubles:
    """Return factors of the voice's rate, height and range."""
    table = np.log([(_LIVELY | _CALM).get(name, (1.0, 1.0, 1.0)) for name in EMOTIONS])
    return np.asarray(np.exp(feeling @ table))


def _espeak_says(text: str, voice: str, base: Doubles, feeling: Floats) -> Utterance | None:
    rate, height, spread = np.array([130 + 70 * base[0], 25 + 50 * base[1], 30 + 50 * base[2]]) * _effect(
        feeling
    )
    manner = espeak.Manner(voice, int(rate), int(min(height, 99)), int(min(spread, 99)))
    return espeak.Espeak.shared().speak(text, manner)


def _flite_says(text: str, voice: str, base: Doubles, feeling: Floats) -> Utterance | None:
    rate, height, spread = _effect(feeling)
    usual = 150 + 70 * base[1] if voice == "slt" else 85 + 60 * base[1]
    manner = flite.Manner(voice, (0.85 + 0.3 * base[0]) / rate, usual * height, (10 + 25 * base[2]) * spread)
    try:
        return flite.speak(text, manner)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        log.warning("flite failed on one sentence: %s", error)
        return None


def _joined(
    spoken: list[Utterance], feelings: list[Floats], rng: np.random.Generator
) -> tuple[Utterance, Floats]:
    """Join sentences with pauses; return them with the emotion of each frame [T, 8]."""
    samples: list[Floats] = []
    segments: list[Segment] = []
    curve: list[Floats] = []
    length = 0
    for said, feeling in zip(spoken, feelings, strict=True):
        pause = int(_pause(rng) * SAMPLE_RATE)
        begin = (length + pause) / SAMPLE_RATE
        samples += [np.zeros(pause, np.float32), said.samples]
        segments += [Segment(s.symbol, s.start + begin, s.end + begin) for s in said.segments]
        length += pause + len(said.samples)
        until = length * FRAMES_PER_SECOND // SAMPLE_RATE
        curve += [feeling] * (until - len(curve))
    rest = (
        SAMPLE_RATE + -length % SAMPLE_RATE
    )  # whole seconds: transforms of other lengths can take ten times as long
    samples.append(np.zeros(rest, np.float32))
    curve += [feelings[-1]] * (2 * FRAMES_PER_SECOND)
    return Utterance(np.concatenate(samples), tuple(segments)), np.array(curve, np.float32)


def _recorded(samples: Floats, rng: np.random.Generator) -> Floats:
    """Change the microphone, the level and the noise, but keep pauses recognisable."""
    if rng.random() < 0.5:
        samples = augment.equalise(samples, rng)
    samples = samples / (np.abs(samples).max() + 1e-6)
    noisy = samples + augment.noise(len(samples), rng) * 10 ** rng.uniform(-4.5, -2.3)
    return np.clip(noisy * 10 ** rng.uniform(-1.0, 0.0), -1.0, 1.0).astype(np.float32)


def _pause(rng: np.random.Generator) -> float:
    return float(rng.uniform(2.0, 4.0) if rng.random() < 0.12 else rng.uniform(0.3, 1.5))


def _smoothed(curve: Floats) -> Floats:
    """Let emotions [T, 8] come and go over half a second."""
    width = FRAMES_PER_SECOND // 2
    kernel = np.hanning(width + 2)[1:-1] / np.hanning(width + 2).sum()
    padded = np.pad(curve, ((width // 2, width - 1 - width // 2), (0, 0)), mode="edge")
    return np.stack([np.convolve(column, kernel, "valid") for column in padded.T], axis=1)
