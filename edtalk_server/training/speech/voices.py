"""Clips of synthetic speech: who speaks, how fast, high and evenly, and the pauses between the sentences.

Held-out clips have voices and sentences that the training clips lack.
"""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Callable, Sequence

import numpy as np

from edtalk_server.training.speech import espeak, flite
from edtalk_server.training.speech.texts import sentence
from edtalk_server.training.speech.utterance import SAMPLE_RATE, Samples, Segment, Utterance, warp

log = logging.getLogger(__name__)

Random = np.random.Generator

_ACCENTS = ("en-us", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbcwmd", "en-029")
_VARIANTS = (
    "m1", "m2", "m3", "m4", "m5", "m6", "m7", "f1", "f2", "f3", "f4", "steph", "steph2", "Andrea", "Alex", "edward",
    "max", "adam", "Alicia", "Annie", "aunty", "grandma", "grandpa", "john", "Lee", "Michael", "paul", "quincy", "rob",
    "travis", "victor", "zac", "shelby", "belinda", "benjamin", "caleb", "david", "klatt", "klatt2", "klatt3", "klatt6",
    "whisper",
)  # fmt: skip
TRAIN_ESPEAK = tuple(f"{accent}+{variant}" for accent in _ACCENTS for variant in _VARIANTS)
HELD_OUT_ESPEAK = ("en-gb-x-gbclan+m8", "en-us-nyc+f5", "en-us-nyc+linda", "en-gb-x-gbclan+klatt4")
TRAIN_FLITE, HELD_OUT_FLITE = ("slt", "rms", "awb"), ("kal16",)

Speaker = Callable[[str, Random], Utterance]
"""Says a text as one voice would, each time in another mood."""


def espeak_speaker(voice: str, rng: Random) -> Speaker:
    """Return a speaker with this espeak voice: a throat, a usual rate and pitch drawn by lot."""
    rate, pitch = int(rng.integers(120, 230)), int(rng.integers(20, 85))
    engine = espeak.Espeak.shared()

    def speak(text: str, mood: Random) -> Utterance:
        hurry = mood.uniform(0.8, 1.25)
        manner = espeak.Manner(
            voice,
            round(rate * hurry),
            int(np.clip(pitch + mood.normal(0, 8), 1, 99)),
            int(mood.integers(10, 99)),
        )
        return warp(engine.speak(text, manner), mood.uniform(0.88, 1.15))

    return speak


def flite_speaker(voice: str, rng: Random) -> Speaker:
    """Return a speaker with this flite voice: a throat, a usual rate and pitch drawn by lot."""
    pitch = rng.uniform(110, 260) if voice == "slt" else rng.uniform(80, 190)
    stretch, throat = rng.uniform(0.8, 1.3), rng.uniform(0.82, 1.22)

    def speak(text: str, mood: Random) -> Utterance:
        manner = flite.Manner(
            voice, stretch * mood.uniform(0.85, 1.2), pitch * mood.uniform(0.9, 1.15), mood.uniform(5, 50)
        )
        return warp(flite.speak(text, manner), throat)

    return speak


def any_speaker(rng: Random, held_out: bool = False) -> Speaker:
    """Return a speaker with a voice drawn by lot; two of three are flite's, where it is installed."""
    if flite.available() and rng.random() < 2 / 3:
        return flite_speaker(str(rng.choice(HELD_OUT_FLITE if held_out else TRAIN_FLITE)), rng)
    return espeak_speaker(str(rng.choice(HELD_OUT_ESPEAK if held_out else TRAIN_ESPEAK)), rng)


def spoken_clip(speak: Speaker, rng: Random, count: int, written: bool = True) -> Utterance:
    """Return `count` sentences with pauses before, between and after them; without `written`, none of the list.

    A sentence on which flite fails is left out.
    """
    sentences = []
    for _ in range(count):
        try:
            spoken = speak(sentence(rng, written), rng)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            log.warning("flite failed on one sentence: %s", error)
            continue
        sentences.append(uneven(spoken, rng) if rng.random() < 0.5 else spoken)
    return _joined(sentences, rng)


def _joined(sentences: Sequence[Utterance], rng: Random) -> Utterance:
    samples: list[Samples] = []
    segments: list[Segment] = []
    time = 0.0
    for spoken in sentences:
        pause = int(rng.uniform(0.1, 1.2) * SAMPLE_RATE)
        time += pause / SAMPLE_RATE
        samples += [np.zeros(pause, np.float32), spoken.samples]
        segments += [Segment(s.symbol, s.start + time, s.end + time) for s in spoken.segments]
        time += spoken.duration
    samples.append(np.zeros(int(rng.uniform(0.2, 1.0) * SAMPLE_RATE), np.float32))
    return Utterance(np.concatenate(samples), tuple(segments))


def uneven(utterance: Utterance, rng: Random) -> Utterance:
    """Speak some passages faster and others slower (0.8 to 1.25 times), as people do and synthesisers do not.

    The pitch follows by as much, as under stress.
    """
    knots = np.arange(0.0, utterance.duration + 1.0, rng.uniform(0.25, 0.7))
    rates = np.exp(rng.uniform(-0.22, 0.22, len(knots)))
    moments = np.arange(len(utterance.samples)) / SAMPLE_RATE
    spoken = np.concatenate([[0.0], np.cumsum(1.0 / np.interp(moments, knots, rates))])  # in samples
    grid = np.arange(int(spoken[-1]))
    source = np.interp(grid, spoken, np.arange(len(spoken)))
    samples = np.interp(source, np.arange(len(moments)), utterance.samples).astype(np.float32)

    def placed(second: float) -> float:
        return float(np.interp(second * SAMPLE_RATE, np.arange(len(spoken)), spoken)) / SAMPLE_RATE

    segments = (Segment(s.symbol, placed(s.start), placed(s.end)) for s in utterance.segments)
    return Utterance(samples, tuple(segments))


def silence(rng: Random, colour: Callable[[int, Random], Samples]) -> Utterance:
    """Return several seconds in which nobody speaks: nothing, or noise by `colour`."""
    length = int(rng.uniform(2.0, 6.0) * SAMPLE_RATE)
    return Utterance((colour(length, rng) * rng.choice([0.0, 1.0])).astype(np.float32), ())
