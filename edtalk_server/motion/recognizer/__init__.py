"""Forced alignment of English with pocketsphinx (extra `align`): where each word of a known text begins and ends.

pocketsphinx holds Python's lock as long as it listens, .4 s for 11 s of voice, and pictures would wait. So it listens
in a process of its own, which starts with the first text and stays until `end`, or until this process ends.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence

from edtalk_server.arrays import Floats
from edtalk_server.motion.recognizer.process import Listener
from edtalk_server.motion.recognizer.results import Heard, Sound, Spelling

__all__ = ["Heard", "Sound", "Spelling", "align", "end", "is_available", "pids", "spell"]

_listener = Listener()


def is_available() -> bool:
    """Return whether pocketsphinx is installed."""
    return importlib.util.find_spec("pocketsphinx") is not None


def spell(words: Sequence[str]) -> Spelling:
    """Look up words; those that are not in the dictionary are added to it. Raises `OSError`: there is no process."""
    return Spelling.of(_listener.ask({"spell": list(words)}))


def align(samples: Floats, forms: Sequence[Sequence[str]], wants_sounds: bool = False) -> Heard | None:
    """Return the span of each written word in a piece of voice (16 kHz), in its own seconds, and with `wants_sounds`
    those of all sounds, from a second pass; None where the text is not what is said there. Raises `OSError`.

    `forms` are those of `spell`.
    """
    answer = _listener.ask({"align": samples, "forms": [list(one) for one in forms], "sounds": wants_sounds})
    return Heard.of(answer) if "spans" in answer else None


def pids() -> tuple[int, ...]:
    """Return the number of the process that listens, if there is one."""
    return _listener.pids


def end() -> None:
    """End the process that listens; the next question starts it again."""
    _listener.end()
