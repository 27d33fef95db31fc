"""The recogniser itself, in a process of its own: pocketsphinx holds Python's lock as long as it listens.

The wheel carries the acoustic model and the dictionary; nothing is fetched.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from edtalk_server.arrays import Floats
from edtalk_server.media.audio.mel import SAMPLE_RATE
from edtalk_server.motion.pronunciation import sounds_of, spoken_forms
from edtalk_server.motion.recognizer.results import Heard, Sound, Spelling
from edtalk_server.motion.script_words import Span

FRAME_S = 0.01
_BEAMS = (1e-64, 1e-48, 1e-90)
"""How unlikely a path may be before it is dropped: the usual one first, then others for a voice that it loses."""
_PADDING_S = 0.2
"""Seconds of faint noise before and after a piece: a path begins and ends in silence."""
_NOISE = 2e-4
"""Deviation of the noise: a synthesiser's silence of zeros is like no silence that the recogniser knows."""
_SHORTEST_PHONE = 3
"""Frames: each phone has three states."""
_MOST_SQUEEZED = 0.4
"""Share of words as short as they can be, from which on the text is not what the voice says."""


def spell(words: Sequence[str]) -> Spelling:
    """See `recognizer.spell`."""
    forms = tuple(tuple(spoken_forms(word) or ["um"]) for word in words)
    guessed = _learn(sorted({form for spoken in forms for form in spoken}))
    unknown = frozenset(i for i, spoken in enumerate(forms) if not guessed.isdisjoint(spoken))
    return Spelling(forms, unknown)


def _learn(forms: Sequence[str]) -> set[str]:
    """Make sure that all decoders know the words; return those whose sounds are a guess."""
    for beam in _BEAMS:
        decoder = _decoder(beam)
        new = [form for form in forms if decoder.lookup_word(form) is None]
        for form in new:
            decoder.add_word(form, sounds_of(form), form == new[-1])  # the last one rebuilds the search
        _guessed.update(new)
    return _guessed.intersection(forms)


_guessed: set[str] = set()


@lru_cache(maxsize=len(_BEAMS))
def _decoder(beam: float) -> Any:
    import pocketsphinx

    # the best path through a lattice begins with a word of no length, in which its sounds cannot be found
    return pocketsphinx.Decoder(lm=None, loglevel="FATAL", bestpath=False, beam=beam, pbeam=beam, wbeam=beam)


def align(samples: Floats, forms: Sequence[Sequence[str]], wants_sounds: bool = False) -> Heard | None:
    """See `recognizer.align`."""
    padded = np.pad(samples.astype(np.float64), round(_PADDING_S * SAMPLE_RATE))
    padded += np.random.default_rng(0).normal(0.0, _NOISE, len(padded))
    pcm = (np.clip(padded, -1.0, 1.0) * 32767).astype(np.int16).tobytes()
    flat = [form for word in forms for form in word]
    for beam in _BEAMS:
        segments = _segments(_decoder(beam), pcm, flat)
        if segments is not None:
            sounds = _sounds(_decoder(beam), pcm) if wants_sounds else ()
            return Heard(_joined(segments, forms), sounds)
    return None


def _segments(decoder: Any, pcm: bytes, words: list[str]) -> list[Any] | None:
    """Return the segments of the words alone, None where no path fits or most words are squeezed."""
    decoder.set_align_text(" ".join(words))
    found = decoder.seg() if _hears(decoder, pcm) else None
    if found is None:
        return None
    segments = [one for one in found if not one.word.startswith(("<", "[", "+"))]
    if len(segments) != len(words):
        return None
    squeezed = sum(_is_squeezed(decoder, one) for one in segments)
    return segments if squeezed <= _MOST_SQUEEZED * len(words) else None


def _hears(decoder: Any, pcm: bytes) -> bool:
    """Let the decoder listen. Return whether it came to the end: not always where the text is not what is said."""
    decoder.start_utt()
    decoder.process_raw(pcm, full_utt=True)
    try:
        decoder.end_utt()
    except RuntimeError:
        return False
    return True


def _sounds(decoder: Any, pcm: bytes) -> tuple[Sound, ...]:
    """Return the sounds of the words that were just aligned, without silences."""
    decoder.set_alignment()
    alignment = decoder.get_alignment() if _hears(decoder, pcm) else None
    if alignment is None:
        return ()
    # an entry is valid only until the next one is asked for
    entries = [(one.name, one.start, one.duration) for one in alignment.phones()]
    return tuple(
        Sound(name, start * FRAME_S - _PADDING_S, (start + duration) * FRAME_S - _PADDING_S)
        for name, start, duration in entries
        if name != "SIL" and not name.startswith("+")
    )


def _is_squeezed(decoder: Any, segment: Any) -> bool:
    sounds = decoder.lookup_word(segment.word) or ""
    return bool(segment.end_frame - segment.start_frame + 1 <= _SHORTEST_PHONE * len(sounds.split()))


def _joined(segments: list[Any], forms: Sequence[Sequence[str]]) -> list[Span]:
    spans, at = [], 0
    for word in forms:
        first, last = segments[at], segments[at + len(word) - 1]
        start = max(first.start_frame * FRAME_S - _PADDING_S, 0.0)
        spans.append((start, max((last.end_frame + 1) * FRAME_S - _PADDING_S, start)))
        at += len(word)
    return spans
