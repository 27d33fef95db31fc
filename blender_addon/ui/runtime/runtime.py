# SPDX-License-Identifier: GPL-3.0-or-later
"""What lives while the add-on is enabled: the session with the server, and the timer that every room hooks into.

Nothing here knows the rooms above. Each registers its own tick, and what it forgets when another file is opened.
"""

from __future__ import annotations

import atexit
import logging
import time
from collections.abc import Callable
from dataclasses import replace

import bpy

from ...core.server.discovery import ServerInstall, find_install
from ...core.server.session import Session
from ...core.tasks import SLICE_S, Result, Steps
from ...core.text.translate import n_
from .preferences import preferences, server_options
from .redraw import redraw_panels
from .waiting import LINE

log = logging.getLogger(__name__)

PUMP_S = 0.0015
"""Seconds for which each tick reads the server's answers."""
BUSY_S, HURRIED_S, AWAKE_S, ASLEEP_S = 0.005, 0.02, 0.1, 0.5
"""Seconds between two ticks: while an answer is expected, after a change, while a server runs, otherwise."""
WAIT_S = 0.002
"""Seconds between two looks for an answer in `run_blocking`, where nothing else has to be done."""

Hook = Callable[[], None]


class Runtime:
    """The session and the hooks of all rooms, from enabling the add-on to disabling it."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._due = 0.0
        """Time of the next tick (`time.monotonic`)."""
        self._ticks: list[Hook] = []
        self._is_hurried: list[Callable[[], bool]] = []
        self._on_new_file: list[Hook] = []
        self._before_tasks: list[Hook] = []
        self._after_tasks: list[Hook] = []

    # --- hooks -------------------------------------------------------------------------------------------------------

    def on_tick(self, work: Hook, is_hurried: Callable[[], bool] | None = None) -> None:
        """Call `work` at each tick; it may take a millisecond or two. While `is_hurried`, ticks come more often."""
        self._ticks.append(work)
        if is_hurried is not None:
            self._is_hurried.append(is_hurried)

    def on_new_file(self, forget: Hook) -> None:
        """Call `forget` when another file was opened."""
        self._on_new_file.append(forget)

    def around_tasks(self, before: Hook | None = None, after: Hook | None = None) -> None:
        """Call these around each task: in background mode no timer does a room's work."""
        self._before_tasks += [before] if before is not None else []
        self._after_tasks += [after] if after is not None else []

    def before_task(self) -> None:
        """Call what the rooms hooked in before tasks."""
        for work in self._before_tasks:
            work()

    def after_task(self) -> None:
        """Call what the rooms hooked in after tasks."""
        for work in self._after_tasks:
            work()

    # --- the timer ---------------------------------------------------------------------------------------------------

    def wake(self) -> None:
        """Tick soon: something was asked for."""
        soon = time.monotonic() + BUSY_S
        if bpy.app.timers.is_registered(_on_timer):
            if (
                self._due <= soon
            ):  # a timer that is registered again with each frame would never fire during playback
                return
            bpy.app.timers.unregister(_on_timer)
        self._due = soon
        bpy.app.timers.register(_on_timer, first_interval=BUSY_S, persistent=True)

    def tick(self) -> float:
        """Read answers and do the rooms' work for a few milliseconds. Return the seconds until the next tick."""
        pause = self._tick()
        self._due = time.monotonic() + pause
        return pause

    def _tick(self) -> float:
        session = self.session
        before = session.status, session.trouble
        try:
            session.pump(PUMP_S)
            for work in self._ticks:
                work()
        except Exception:  # the timer must live on; the log and the panel say what failed
            log.exception("the EDTalk timer failed")
            session.failure = (
                n_("The EDTalk add-on met an error."),
                n_("Look at Blender's console and report it."),
            )
            return ASLEEP_S
        if (session.status, session.trouble) != before:
            redraw_panels()
        if session.is_waiting or session.task is not None:
            return BUSY_S
        if any(is_hurried() for is_hurried in self._is_hurried):
            return HURRIED_S
        return AWAKE_S if session.is_connected else ASLEEP_S

    def run_blocking(self, steps: Steps[Result]) -> Result:
        """Do all steps now, for background mode and for render handlers in the main thread. Return their result."""
        while True:
            begun = time.perf_counter()
            self.session.pump()
            try:
                next(steps)
            except StopIteration as last:
                return last.value
            if time.perf_counter() - begun < SLICE_S:  # the step waits for an answer
                time.sleep(WAIT_S)

    # --- files and the end -------------------------------------------------------------------------------------------

    def forget_file(self) -> None:
        """Forget what belonged to the file that was open before."""
        if self.session.task is None or self.session.task.is_of_file:
            self._end_task()
        LINE.clear()
        self.session.failure = None
        for forget in self._on_new_file:
            forget()
        self.wake()

    def close(self) -> None:
        """End the task, the timer and the session."""
        if bpy.app.timers.is_registered(_on_timer):
            bpy.app.timers.unregister(_on_timer)
        LINE.clear()
        self._end_task()
        self.session.close()

    def _end_task(self) -> None:
        if self.session.task is not None:
            self.session.task.close()
            self.session.task = None


_current: Runtime | None = None


def current() -> Runtime:
    """Return the runtime. Raises `RuntimeError` while the add-on is disabled."""
    if _current is None:
        raise RuntimeError("the EDTalk add-on is not enabled")
    return _current


def session() -> Session:
    """Return the session with the server. Raises `RuntimeError` while the add-on is disabled."""
    return current().session


def _on_timer() -> float:
    return current().tick()


def _find_server() -> ServerInstall:
    return replace(find_install(preferences().server_python), options=server_options())


def register() -> None:
    """Make the runtime, and start the server where the preferences say so."""
    global _current
    # Blender as a Python module disables add-ons only while Python shuts down: too late for sockets
    atexit.register(stop)
    _current = Runtime(Session(_find_server))
    if preferences().start_with_blender and not bpy.app.background:
        _current.session.start_server()
    _current.wake()


def stop() -> None:
    """End what runs, before the add-on's classes go or Blender ends. May be called twice."""
    global _current
    atexit.unregister(stop)
    if _current is not None:
        _current.close()
    _current = None


unregister = stop
