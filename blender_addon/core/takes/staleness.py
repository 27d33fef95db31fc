# SPDX-License-Identifier: GPL-3.0-or-later
"""Which frames of a shot are baked, and which are stale, found out a few frames at a time. No bpy here.

Whether a frame is really stale is known once its weights are read from the evaluated scene, which a bake does and
nothing else may do behind the artist's back. In between, a frame's signature tells: a short hash of what its curves and
settings make of its weights, kept in the take beside the frame's hash. Another signature means another picture.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from itertools import groupby

from ..text.translate import iface_

RANGES_IN_WORDS = 4


class State(IntEnum):
    """What is known of a frame."""

    UNKNOWN = 0
    FRESH = 1
    STALE = 2
    MISSING = 3


@dataclass(frozen=True)
class Run:
    """Neighbouring frames in the same state."""

    first: int
    last: int
    state: State


def state_of(frame: int, signature: str, recorded: Mapping[int, str], finished: Container[int]) -> State:
    """Return the state of a frame whose curves are now like `signature`; `recorded` and `finished` are the take's."""
    if frame not in finished:
        return State.MISSING
    return State.FRESH if recorded.get(frame) == signature else State.STALE


class Staleness:
    """The states of all frames of a range. They are looked at in turn, again and again."""

    def __init__(self, frames: range) -> None:
        self.frames = frames
        self._states = bytearray(len(frames))
        self._cursor = 0
        self._unseen = len(frames)
        self._runs: list[Run] | None = None

    @property
    def is_settled(self) -> bool:
        """Has every frame been looked at since something changed?"""
        return self._unseen == 0

    def unsettle(self) -> None:
        """Note that something changed: all frames have to be looked at again."""
        self._unseen = len(self.frames)

    def next_frame(self) -> int:
        """Return the frame to look at next. There must be frames."""
        return self.frames[self._cursor]

    def saw(self, state: State) -> bool:
        """Set the state of the next frame; return whether it changed."""
        is_news = self._states[self._cursor] != state
        if is_news:
            self._states[self._cursor] = state
            self._runs = None
        self._cursor = (self._cursor + 1) % len(self.frames)
        self._unseen = max(self._unseen - 1, 0)
        return is_news

    @property
    def runs(self) -> list[Run]:
        """The states in rising order, neighbours joined."""
        if self._runs is None:
            self._runs = list(self._joined())
        return self._runs

    def _joined(self) -> Iterator[Run]:
        first = self.frames.start
        for state, same in groupby(self._states):
            last = first + sum(1 for _ in same) - 1
            yield Run(first, last, State(state))
            first = last + 1

    def count(self, *states: State) -> int:
        """How many frames are in one of these states."""
        return sum(self._states.count(state) for state in states)

    @property
    def words(self) -> str:
        """One line for people, in their language."""
        if not self.is_settled:
            return iface_("Checking...")
        if not (open_ := self.count(State.STALE, State.MISSING)):
            return iface_("All {count} frames are baked", count=len(self.frames))
        if self.count(State.MISSING) == len(self.frames):
            return iface_("No frame is baked")
        ranges = self._open_ranges()
        return iface_(
            "{open} of {count} frames to bake: {ranges}", open=open_, count=len(self.frames), ranges=ranges
        )

    def _open_ranges(self) -> str:
        spans: list[tuple[int, int]] = []
        for run in self.runs:
            if run.state in (State.STALE, State.MISSING):
                if spans and spans[-1][1] == run.first - 1:
                    spans[-1] = spans[-1][0], run.last
                else:
                    spans.append((run.first, run.last))
        named = [f"{first}–{last}" if last > first else f"{first}" for first, last in spans]
        more = ", …" if len(named) > RANGES_IN_WORDS else ""
        return ", ".join(named[:RANGES_IN_WORDS]) + more
