"""How well an audio network's lips follow speech: held-out synthetic voices, whose truth is known, and any voice whose
words are known, in which p, b and m must bring the lips together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from edtalk_server.media.audio.voice import Waveform
from edtalk_server.motion.align import align
from edtalk_server.motion.curves import interpolate
from edtalk_server.motion.mouth import mouth_weights
from edtalk_server.networks.audio2lip import Audio2Lip
from edtalk_server.training.speech.corpus import Clips, CorpusConfig, Kind, held_out_clips
from edtalk_server.training.speech.train import evaluate
from edtalk_server.training.speech.visemes import LEAD, MOUTH_NAMES, aperture
from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.timebase import MODEL_FPS
from shared_protocol.transcripts import Transcript

CLOSED = 0.06
"""Aperture (`visemes.aperture`) below which lips count as closed."""
_LIPS_MEET = ("P", "B", "M")
"""Sounds of the recogniser in which they do."""
_RATE = 100
"""Looks a second at a curve."""
_VOICES = {
    Kind.ESPEAK: "espeak-ng, unheard voices",
    Kind.FLITE: "flite, an unheard voice",
    Kind.FLITE_NEW_TEXT: "flite, known voices, new sentences",
}


class Closures(NamedTuple):
    """How many p, b and m were heard in a voice, and in how many of them the lips meet."""

    heard: int
    closed: int


def closures(network: Audio2Lip, voice: Waveform, transcript: Transcript) -> Closures:
    """Look for closed lips in each p, b and m of an English voice, in the curves that a prediction gives.

    Raises `EDTalkError(UNSUPPORTED)` where the recogniser finds no sounds.
    """
    words = align(transcript, voice, "en", wants_sounds=True).words
    spans = [(one.start, one.end) for word in words for one in word.sounds if one.name in _LIPS_MEET]
    if not spans:
        raise EDTalkError(
            ErrorCode.UNSUPPORTED,
            "No p, b or m was found in this voice.",
            'Give its own English words, and install pocketsphinx: pip install "edtalk-blender[align]".',
        )
    open_by = _aperture(network, voice)
    return Closures(len(spans), sum(_least(open_by, start, end) < CLOSED for start, end in spans))


def _aperture(network: Audio2Lip, voice: Waveform) -> np.ndarray:
    """Return how far the lips are apart, 100 times a second."""
    fps = float(MODEL_FPS)
    frames = int(float(voice.duration) * fps)
    rows = mouth_weights(network, voice, -1, frames + 3)
    moments = np.arange(int(frames / fps * _RATE)) / _RATE * fps
    return aperture(interpolate(rows, moments + 1))


def _least(open_by: np.ndarray, start: float, end: float) -> float:
    """Return the least aperture while a sound lasts; lips are ahead of it."""
    first = max(int((start - LEAD) * _RATE), 0)
    return float(open_by[first : max(int(np.ceil((end - LEAD) * _RATE)), first) + 1].min(initial=np.inf))


def report(network: object, clips: int, voices: Sequence[tuple[str, Waveform, Transcript]] = ()) -> list[str]:
    """Return the lines of a Markdown table: the jaw on `clips` held-out clips of each kind, closures there and in the
    named voices. Raises `EDTalkError(UNSUPPORTED)` for a network with other mouth weights."""
    if not isinstance(network, Audio2Lip) or network.config.outputs != len(MOUTH_NAMES):
        raise EDTalkError(
            ErrorCode.UNSUPPORTED,
            "This model bundle has no audio part with named mouth weights.",
            "Choose the starter, or one that was trained from it.",
        )
    held_out = held_out_clips(CorpusConfig(held_out_clips=clips))
    return [*_table(evaluate(network, held_out), held_out), *_closed(network, voices)]


def _table(values: dict[str, float], held_out: Clips) -> list[str]:
    jaws = [
        f"| correlation of the jaw: {name} | {values[f'{kind.name.lower()}/jaw_open']:.2f} | ≥ .80 |"
        for kind, name in _VOICES.items()
        if (held_out.kind == kind).any()
    ]
    return [
        "| the lips | predictions | accepted |",
        "|---|---|---|",
        *jaws,
        f"| p, b and m in which the lips meet | {values['closure/recall']:.2f} | ≥ .85 |",
        f"| correlation of the jaw and loudness (in truth {values['loudness/true']:.2f}) "
        f"| {values['loudness/predicted']:.2f} | |",
        f"| how far the jaw opens in silence | {values['rest/jaw_open']:.3f} | |",
    ]


def _closed(network: Audio2Lip, voices: Sequence[tuple[str, Waveform, Transcript]]) -> list[str]:
    found = [(name, closures(network, voice, text)) for name, voice, text in voices]
    return [
        f"| {name}: p, b and m in which the lips meet | {one.closed} of {one.heard} | ≥ .85 |"
        for name, one in found
    ]
