"""The synthesiser espeak-ng through its shared library: hundreds of times faster than speech, with phoneme times.

The library (Debian: `libespeak-ng1`) is an external program part under GPL-3; it is loaded when present, never shipped.
Its interface is that of `speak_lib.h`, version 1.50 and later.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from edtalk_server.training.speech.utterance import Segment, Utterance, resample
from edtalk_server.training.speech.visemes import VOWELS
from shared_protocol.errors import EDTalkError, ErrorCode

_SYNCHRONOUS, _PHONEME_EVENTS, _IN_IPA = 2, 1, 2
_CHARS_UTF8, _POSITION_CHARACTER = 1, 1
_RATE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4
_EVENT_END, _EVENT_WORD, _EVENT_PHONEME = 0, 1, 7
_PAUSE = "_"
"""The symbol of a pause, which has none in IPA."""
_LIBRARY_NAMES = ("libespeak-ng.so.1", "libespeak-ng.dylib", "libespeak-ng.dll")


class _EventId(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    )


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


@dataclass(frozen=True)
class Manner:
    """A way to speak: an espeak voice (`en-us+f3`), words a minute, pitch and pitch range (both 0 to 99)."""

    voice: str = "en-us"
    rate: int = 170
    pitch: int = 50
    pitch_range: int = 50


class Espeak:
    """The loaded library. It keeps global state, so there is one instance (`Espeak.shared()`), used by one thread at a
    time.

    Raises `EDTalkError(UNSUPPORTED)` where the library is not installed.
    """

    def __init__(self) -> None:
        self._library = _load()
        self._rate = self._library.espeak_Initialize(_SYNCHRONOUS, 0, None, _PHONEME_EVENTS | _IN_IPA)
        if self._rate <= 0:
            raise _unavailable("espeak-ng could not start: its voice data were not found")
        self._lock = threading.Lock()
        self._chunks: list[npt.NDArray[np.int16]] = []
        self._marks: list[tuple[float, str]] = []
        self._words: list[tuple[float, int, int]] = []
        self._manner = Manner()
        self._callback = _Callback(self._receive)
        self._library.espeak_SetSynthCallback(self._callback)

    @staticmethod
    @cache
    def shared() -> Espeak:
        """Return the one instance of this process."""
        return Espeak()

    def speak(self, text: str, manner: Manner) -> Utterance:
        """Return 16 kHz samples in [-1, 1], phonemes (IPA: an accent's vowels as it says them) and words; `ValueError`
        for an unknown voice."""
        with self._lock:
            self._chunks.clear()
            self._marks.clear()
            self._words.clear()
            self._choose(manner)
            encoded = text.encode("utf-8")
            flags = _CHARS_UTF8
            self._library.espeak_Synth(
                encoded, len(encoded) + 1, 0, _POSITION_CHARACTER, 0, flags, None, None
            )
            self._library.espeak_Synchronize()
            return self._collect(text)

    def _choose(self, manner: Manner) -> None:
        self._manner = manner
        if self._library.espeak_SetVoiceByName(manner.voice.encode("utf-8")) != 0:
            raise ValueError(f"espeak-ng has no voice named {manner.voice!r}")
        values = {_RATE: manner.rate, _VOLUME: 100, _PITCH: manner.pitch, _RANGE: manner.pitch_range}
        for parameter, value in values.items():
            self._library.espeak_SetParameter(parameter, value, 0)

    def _receive(
        self, wave: ctypes._Pointer[ctypes.c_short], count: int, events: ctypes._Pointer[_Event]
    ) -> int:
        if count > 0 and wave:
            self._chunks.append(np.ctypeslib.as_array(wave, (count,)).copy())
        position = 0
        while events[position].type != _EVENT_END:
            event = events[position]
            if event.type == _EVENT_PHONEME:
                symbol = event.id.string.decode("utf-8", "replace") or _PAUSE
                self._marks.append((event.audio_position / 1000.0, symbol))
            elif event.type == _EVENT_WORD:
                place = event.audio_position / 1000.0, event.text_position - 1, event.length
                self._words.append(place)
            position += 1
        return 0

    def _collect(self, text: str) -> Utterance:
        if not self._chunks:
            return Utterance(np.zeros(0, np.float32), ())
        raw = np.concatenate(self._chunks).astype(np.float32) / 32768.0
        length = len(raw) / self._rate
        starts = true_starts(self._marks, raw, self._rate, self._manner.rate)
        segments = (
            Segment(symbol, start, end)
            for (_, symbol), start, end in zip(self._marks, starts, [*starts[1:], length], strict=True)
            if end > start
        )
        return Utterance(resample(raw, self._rate), tuple(segments), self._spoken_words(text, length))

    def _spoken_words(self, text: str, length: float) -> tuple[Segment, ...]:
        ends = [start for start, _, _ in self._words[1:]] + [length]
        return tuple(
            Segment(text[at : at + letters], start, end)
            for (start, at, letters), end in zip(self._words, ends, strict=True)
            if letters  # espeak also marks the second half of a sentence, with no word of its own
        )


_SILENT = 0.05
"""A closure is softer than this part of the loudest moments: some voices have an echo, the others are quite silent."""
_BLOCK = 0.005
_SHORTEST, _LONGEST = 0.012, 0.15
"""Seconds of a closure. Behind a pause, where nobody sees it begin, it lasts `_BEHIND_A_PAUSE` at most."""
_BEHIND_A_PAUSE = 0.06
_GLIDE = 0.012
"""Seconds from a liquid or nasal into a vowel at 170 words a minute: so long before the event the level rises most."""
_SONORANTS = frozenset("mnŋɲlɫɹrjw")


def true_starts(
    marks: Sequence[tuple[float, str]], raw: npt.NDArray[np.float32], sample_rate: int, words_a_minute: int
) -> list[float]:
    """Return when each phoneme begins, in seconds, from espeak's events (seconds, symbol) and its samples.

    espeak tells of a plosive when its closure is over, and of a vowel behind a liquid or nasal when the glide into
    it is: lips taught by these moments would close after the burst. Closures are found as silence before the event.
    """
    silent = _silent_blocks(raw, sample_rate)
    starts: list[float] = []
    before = "_"
    for moment, symbol in marks:
        lead = _closure(silent, moment, _BEHIND_A_PAUSE if _pauses(before) else _LONGEST)
        if _pauses(symbol):
            lead = 0.0
        elif before in _SONORANTS and symbol[:1] in VOWELS:
            lead += _GLIDE * 170 / words_a_minute
        earliest = (starts[-1] + moment) / 2 if starts else 0.0
        starts.append(max(moment - lead, earliest))
        before = symbol
    return starts


def _pauses(symbol: str) -> bool:
    return symbol.startswith(_PAUSE)


def _silent_blocks(raw: npt.NDArray[np.float32], sample_rate: int) -> npt.NDArray[np.bool_]:
    """Return for each block of `_BLOCK` seconds whether it could be a closure."""
    size = round(_BLOCK * sample_rate)
    level = np.sqrt(np.square(raw[: len(raw) // size * size].reshape(-1, size)).mean(axis=1))
    return np.asarray(level < _SILENT * np.percentile(level, 95)) if len(level) else np.zeros(0, np.bool_)


def _closure(silent: npt.NDArray[np.bool_], moment: float, longest: float) -> float:
    """Return the seconds of silence that end at `moment`; 0 where they are too few for a closure."""
    end = round(moment / _BLOCK)
    heard = np.flatnonzero(~silent[:end])
    length = (end - (int(heard[-1]) + 1 if len(heard) else 0)) * _BLOCK
    return min(length, longest) if length >= _SHORTEST else 0.0


def _load() -> ctypes.CDLL:
    system = ctypes.util.find_library("espeak-ng")
    for name in (*_LIBRARY_NAMES, *([system] if system else [])):
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    raise _unavailable("The speech synthesiser espeak-ng is not installed")


def _unavailable(cause: str) -> EDTalkError:
    return EDTalkError(
        ErrorCode.UNSUPPORTED,
        f"{cause}.",
        "Install it (Debian and Ubuntu: apt install libespeak-ng1 espeak-ng-data) to train the audio part.",
    )
