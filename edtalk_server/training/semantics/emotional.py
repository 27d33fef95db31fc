"""Synthetic emotional speech: espeak and flite voices whose rate, pitch, range, force and brightness follow an emotion.

The manners follow reviews of vocal expression (Scherer 2003; Juslin and Laukka 2003): anger, joy, fear and surprise are
faster, higher and mostly louder, sadness slower, lower and softer. Spreads let them overlap, as in people. A recording
is one speaker with several sentences, because what is heard is change: without a neutral sentence beside it, a high
voice is only a high voice.
"""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edtalk_server.media.audio.prosody import FRAMES_PER_SECOND, prosody
from edtalk_server.networks.voice.semantics import normalized
from edtalk_server.training.semantics.lexicon import CLASSES
from edtalk_server.training.semantics.sentences import Labelled, drawn
from edtalk_server.training.semantics.trainer import Clip
from edtalk_server.training.speech import espeak, flite
from edtalk_server.training.speech.utterance import SAMPLE_RATE
from shared_protocol import atomic_write

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Manner:
    """How an emotion is said against neutral: factor of rate, semitones of pitch, factor of its range, decibels of
    force, decibels of brightness above 1 kHz."""

    rate: float
    pitch: float
    range: float
    force: float
    brightness: float


MANNERS = {
    "happy": Manner(1.10, 3.0, 1.6, 3.0, 1.5),
    "sad": Manner(0.80, -2.0, 0.55, -6.0, -4.0),
    "angry": Manner(1.15, 2.5, 1.35, 6.0, 5.0),
    "surprised": Manner(1.05, 5.5, 2.0, 3.0, 1.0),
    "fear": Manner(1.30, 4.5, 0.7, 0.5, 0.0),
    "disgusted": Manner(0.84, -1.5, 1.0, 1.0, 2.0),
    "neutral": Manner(1.0, 0.0, 1.0, 0.0, 0.0),
}
SPREAD = Manner(0.08, 1.2, 0.2, 1.8, 1.2)
"""Standard deviations of the manners, rate and range as shares."""
HIGH_AROUSAL = ("happy", "angry", "surprised", "fear")
GROUPS = {
    "happy": "bright", "surprised": "bright", "angry": "angry", "fear": "fear", "sad": "low", "disgusted": "low",
    "neutral": "low",
}  # fmt: skip
"""The four groups that sound alone can tell apart."""
TRAIN_VOICES = (
    "en-us+m1", "en-us+m3", "en-us+m7", "en-us+f1", "en-us+f3", "en-gb-x-rp+m2", "en-gb-x-rp+f2", "en-gb-scotland+m4",
    "en-gb-scotland+f4", "en-029+m5", "en-029+f1", "en-us+Andrea", "en-us+max", "en-gb-x-gbcwmd+Alex",
)  # fmt: skip
HELD_OUT_VOICES = ("en-us-nyc+f5", "en-gb-x-gbclan+m8", "en-us-nyc+m6")
TRAIN_FLITE, HELD_OUT_FLITE = ("slt", "kal16"), ("awb",)
"""flite voices that obey `int_f0_target_mean` (`obeys_pitch`); rms does not: it keeps its own pitch."""
_FLITE_HZ = {"slt": 180.0, "rms": 105.0, "awb": 125.0, "kal16": 105.0}
_FLITE_SHARE = 0.3


def obeys_pitch(voice: str) -> bool:
    """Return whether a flite voice speaks higher when it is told to: its pitch rises by at least 2 of 5 semitones."""
    from edtalk_server.media.audio.prosody import _looks, pitch

    found = []
    for hertz in (_FLITE_HZ[voice], _FLITE_HZ[voice] * 2 ** (5 / 12)):
        samples = flite.speak("We were away a year ago.", flite.Manner(voice, 1.0, hertz, 15.0)).samples
        f0, _ = pitch(_looks(samples, 0, len(samples) // 320))
        found.append(float(np.nanmedian(f0)))
    return 12 * np.log2(found[1] / found[0]) >= 2.0


def _drawn_manner(emotion: str, rng: np.random.Generator) -> tuple[Manner, float]:
    """Return a manner and its intensity, .5 to 1: weaker feelings are nearer to neutral."""
    whole, strength = MANNERS[emotion], float(rng.uniform(0.6, 1.1))
    noise = rng.normal(size=5)
    manner = Manner(
        whole.rate**strength * float(np.exp(SPREAD.rate * noise[0])),
        whole.pitch * strength + SPREAD.pitch * noise[1],
        whole.range**strength * float(np.exp(SPREAD.range * noise[2])),
        whole.force * strength + SPREAD.force * noise[3],
        whole.brightness * strength + SPREAD.brightness * noise[4],
    )
    return manner, 0.0 if emotion == "neutral" else min(strength, 1.0) * 0.9


@dataclass(frozen=True)
class Speaker:
    """A synthetic speaker: a voice, its own rate and pitch, and whether flite speaks."""

    voice: str
    rate: float
    pitch: float
    is_flite: bool


def _speaker(held_out: bool, rng: np.random.Generator) -> Speaker:
    if flite.available() and rng.random() < _FLITE_SHARE:
        voice = str(rng.choice(HELD_OUT_FLITE if held_out else TRAIN_FLITE))
        return Speaker(voice, float(rng.uniform(0.9, 1.1)), _FLITE_HZ[voice], True)
    voice = str(rng.choice(HELD_OUT_VOICES if held_out else TRAIN_VOICES))
    return Speaker(voice, float(rng.uniform(150, 180)), float(rng.uniform(30, 50)), False)


def _say(speaker: Speaker, text: str, manner: Manner) -> npt.NDArray[np.float32]:
    if speaker.is_flite:
        hertz = speaker.pitch * 2 ** (manner.pitch / 12)
        spoken = flite.speak(
            text, flite.Manner(speaker.voice, speaker.rate / manner.rate, hertz, 16.0 * manner.range)
        )
    else:
        # espeak's pitch moves an octave for about 50 of its 99 steps
        pitch = int(np.clip(speaker.pitch + manner.pitch * 4.2, 0, 99))
        spread = int(np.clip(45 * manner.range, 0, 99))
        voice = espeak.Manner(speaker.voice, round(speaker.rate * manner.rate), pitch, spread)
        spoken = espeak.Espeak.shared().speak(text, voice)
    return _coloured(spoken.samples, manner)


def _coloured(samples: npt.NDArray[np.float32], manner: Manner) -> npt.NDArray[np.float32]:
    """Return sound with the manner's force, and with its brightness above 1 kHz."""
    spectrum = np.fft.rfft(samples)
    hertz = np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE)
    high = 1 / (1 + np.exp(-(hertz - 1000) / 200))
    gain = 10 ** ((manner.force + manner.brightness * high) / 20)
    return np.asarray(0.35 * np.fft.irfft(spectrum * gain, len(samples)), np.float32)


def recording(
    rng: np.random.Generator, held_out: bool, sentences: int = 4
) -> tuple[npt.NDArray[np.float32], list[tuple[float, float, Labelled, float]]]:
    """Return 16 kHz sound of one speaker, and (start, end, sentence, intensity) of each: the first is neutral, except
    in a quarter of the recordings. The words tell nothing of how they are said."""
    speaker, is_mixed = _speaker(held_out, rng), rng.random() > 0.25
    pieces, spans, time = [np.zeros(4800, np.float32)], [], 0.3
    same = str(rng.choice(CLASSES))
    for i in range(sentences):
        emotion = "neutral" if is_mixed and i == 0 else str(rng.choice(CLASSES)) if is_mixed else same
        manner, strength = _drawn_manner(emotion, rng)
        text = drawn(rng).text
        try:
            samples = _say(speaker, text, manner)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            log.warning("flite failed on one sentence: %s", error)
            continue
        pause = np.zeros(int(rng.uniform(0.25, 0.8) * SAMPLE_RATE), np.float32)
        label = Labelled(text, CLASSES.index(emotion))
        spans.append((time, time + len(samples) / SAMPLE_RATE, label, strength))
        pieces += [samples, pause]
        time += (len(samples) + len(pause)) / SAMPLE_RATE
    sound = np.concatenate(pieces)
    level = 10 ** (rng.uniform(-12, 6) / 20)  # microphones stand near and far
    noise = rng.normal(0, 10 ** (rng.uniform(-75, -50) / 20), len(sound))
    return np.clip(sound * level + noise, -1, 1).astype(np.float32), spans


def clips(count: int, held_out: bool, seed: int) -> Iterator[Clip]:
    """Yield the sentences of `count` recordings as the network hears them."""
    for number in range(count):
        rng = np.random.default_rng((seed, int(held_out), number))
        sound, spans = recording(rng, held_out)
        rows = normalized(prosody(sound, int(np.ceil(len(sound) / SAMPLE_RATE * FRAMES_PER_SECOND))))
        for start, end, sentence, strength in spans:
            first, last = (round(edge * FRAMES_PER_SECOND) for edge in (max(start - 0.1, 0.0), end + 0.1))
            yield Clip(rows[first:last], sentence.text, sentence.label, strength)
        if number % 50 == 49:
            log.info("%d recordings", number + 1)


def build(folder: Path, count: int, held_out: bool, seed: int = 5) -> list[Clip]:
    """Return clips, made once and then read from `folder`."""
    path = folder / f"emotional_{'held_out' if held_out else 'train'}_{count}_{seed}.npz"
    if not path.is_file():
        made = list(clips(count, held_out, seed))
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_write.replacing(path) as partial, partial.open("wb") as file:
            np.savez(
                file,
                prosody=np.concatenate([clip.prosody for clip in made]).astype(np.float16),
                lengths=np.array([len(clip.prosody) for clip in made]),
                texts=np.array([clip.text for clip in made]),
                labels=np.array([clip.label for clip in made]),
                intensities=np.array([clip.intensity for clip in made], np.float32),
            )
    with np.load(path, allow_pickle=False) as data:
        rows = np.split(data["prosody"].astype(np.float32), np.cumsum(data["lengths"])[:-1])
        return [
            Clip(row, str(text), int(label), float(strength))
            for row, text, label, strength in zip(
                rows, data["texts"], data["labels"], data["intensities"], strict=True
            )
        ]
