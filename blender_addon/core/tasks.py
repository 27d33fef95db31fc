# SPDX-License-Identifier: GPL-3.0-or-later
"""Long work in small steps. No bpy here.

A piece of long work is a generator that yields whenever it waits. The same generator runs in a blocking loop (scripts,
background mode) and a little at each timer event (the window); closing it cancels what it asked the server for.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from shared_protocol import messages

from .text.translate import iface_

Result = TypeVar("Result")
Steps = Generator[None, None, Result]
"""Work that pauses by `yield` and returns its result."""


TICK_S = 0.004
"""Seconds that the window may be blocked at a time."""
SLICE_S = 0.002
"""The shortest slice of work, in seconds: half of a tick, which also reads what has arrived and whose
last small step may take longer."""


SLICE_SHARE = 0.15
"""Share of the time between two ticks for which work may go on: a window that draws slowly gets it done, too."""
LONGEST_SLICE_S = 0.04
"""Seconds of a slice at most, however slowly the window draws."""


class Pace:
    """The length of a slice of work, which grows with the time between the window's ticks."""

    def __init__(self) -> None:
        self.slice_s = SLICE_S
        self._last: float | None = None

    def tick(self, now: float) -> None:
        """Note a tick of the window, at `now` seconds."""
        gap = now - self._last if self._last is not None else 0.0
        self._last, self.slice_s = now, min(max(SLICE_SHARE * gap, SLICE_S), LONGEST_SLICE_S)

    def reset(self) -> None:
        """Forget the ticks: another task follows, or one without a window."""
        self._last, self.slice_s = None, SLICE_S


PACE = Pace()
"""The pace of the task in the window, of which there is one at a time."""


def run_to_end(work: Steps[Result]) -> Result:
    """Do all of some work without a pause, and return its result."""
    while True:
        try:
            next(work)
        except StopIteration as last:
            return last.value


@dataclass(frozen=True)
class Finished(Generic[Result]):
    """The result of work that has ended."""

    result: Result


def run_for(work: Steps[Result], seconds: float) -> Finished[Result] | None:
    """Go on with work for some seconds. Return its result when it ended, else None."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        try:
            next(work)
        except StopIteration as last:
            return Finished(last.value)
    return None


def time_sliced(work: Steps[Result]) -> Steps[Result]:
    """Turn work that pauses often into steps that pause as often as the window needs (see `Pace`)."""
    end = time.perf_counter() + PACE.slice_s
    while True:
        try:
            next(work)
        except StopIteration as last:
            return last.value
        if time.perf_counter() > end:
            yield
            end = time.perf_counter() + PACE.slice_s


def redraw() -> Steps[None]:
    """Let the window draw the progress before the next step, which blocks it. Four pauses: Blender may send several
    timer events between two redraws."""
    for _ in range(4):
        yield


class Stopped(Exception):  # noqa: N818 (the user wished it: not an error)
    """The user cancelled."""


def format_duration(seconds: float) -> str:
    """Return a duration for people, in two units at most, and without a second one that is 0."""
    whole = max(round(seconds), 0)
    if whole < 60:
        return f"{whole} s"
    big, small = divmod(whole, 60) if whole < 3600 else divmod(whole // 60, 60)
    units = ("min", "s") if whole < 3600 else ("h", "min")
    return f"{big} {units[0]}" + (f" {small} {units[1]}" if small else "")


def translate_parts(words: str) -> str:
    """Translate what a server says of its work, part by part between commas."""
    return ", ".join(map(iface_, words.split(", ")))


@dataclass
class Progress:
    """What a task is doing: `done` of `total` (0: unknown), units a second (0: unknown), seconds to go (-1: unknown).
    `subject` is what it is done to, where there are several; `unit` names the rate, where it is worth showing, and
    `counted` what is counted, where that is not plain; `result` is what came of it, for programs."""

    stage: str = ""
    done: int = 0
    total: int = 0
    eta: float = -1.0
    rate: float = 0.0
    subject: str = ""
    unit: str = ""
    counted: str = ""
    result: dict[str, object] = field(default_factory=dict)

    def begin(self, stage: str, total: int = 0) -> None:
        """Start to do something else, of which `total` units are to be done (0: unknown). `stage` is English."""
        self.stage, self.done, self.total, self.eta, self.rate = stage, 0, total, -1.0, 0.0
        self.counted = ""

    def follow(self, event: messages.Progress) -> None:
        """Show what the server reports of its job."""
        self.done, self.total, self.eta, self.rate = event.done, event.total, event.eta, event.rate
        if event.stage:
            self.stage = event.stage[0].upper() + event.stage[1:]

    @property
    def fraction(self) -> float:
        """0 to 1."""
        return self.done / self.total if self.total else 0.0

    @property
    def text(self) -> str:
        """One line for people, in their language (`stage` is English)."""
        subject = f"{self.subject}: " if self.subject else ""
        count = iface_(" {done} of {total}", done=self.done, total=self.total) if self.total else ""
        count += f" {self.counted}" if count and self.counted else ""
        rate = f", {self.rate:.1f} {self.unit}" if self.unit and self.rate > 0 else ""
        left = iface_(", {time} left", time=format_duration(self.eta)) if self.eta >= 0 else ""
        return f"{subject}{translate_parts(self.stage)}{count}{rate}{left}"


class Task:
    """One piece of long work in progress. `is_of_file`: it ends when another file is opened."""

    def __init__(self, title: str, steps: Steps[str], progress: Progress, is_of_file: bool = True) -> None:
        self.title = title
        self.progress = progress
        self.is_of_file = is_of_file
        self.message = ""
        """What to tell the user when it has finished."""
        self._steps = steps
        self._cancel_asked = False

    def cancel(self) -> None:
        """Ask it to end: the next `advance` raises `Stopped`."""
        self._cancel_asked = True

    def advance(self) -> bool:
        """Do the next step; return whether it was the last. Raises what the work raises, and `Stopped`."""
        if self._cancel_asked:
            self.close()
            raise Stopped
        try:
            next(self._steps)
        except StopIteration as end:
            self.message = end.value
            return True
        return False

    def close(self) -> None:
        """End it where it is; what it asked the server for is cancelled."""
        self._steps.close()
