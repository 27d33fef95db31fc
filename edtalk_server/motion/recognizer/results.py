"""What the recogniser tells, and how it crosses to the process that asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edtalk_server.motion.script_words import Span


@dataclass(frozen=True)
class Sound:
    """A speech sound (ARPABET) from `start` to `end` in seconds."""

    name: str
    start: float
    end: float


@dataclass(frozen=True)
class Heard:
    """The span of each written word, and the sounds that were heard, where they were asked for."""

    spans: list[Span]
    sounds: tuple[Sound, ...] = ()

    def plain(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {"spans": self.spans, "sounds": [[one.name, one.start, one.end] for one in self.sounds]}

    @classmethod
    def of(cls, plain: dict[str, Any]) -> Heard:
        """Return what `plain` was made of."""
        spans = [(start, end) for start, end in plain["spans"]]
        return cls(spans, tuple(Sound(*one) for one in plain["sounds"]))


@dataclass(frozen=True)
class Spelling:
    """The dictionary words of each written word, and the written ones whose sounds were guessed by letter rules."""

    forms: tuple[tuple[str, ...], ...]
    unknown: frozenset[int]

    def plain(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {"forms": self.forms, "unknown": sorted(self.unknown)}

    @classmethod
    def of(cls, plain: dict[str, Any]) -> Spelling:
        """Return what `plain` was made of."""
        return cls(tuple(map(tuple, plain["forms"])), frozenset(plain["unknown"]))
