# SPDX-License-Identifier: GPL-3.0-or-later
"""The one session of this Blender, its live pictures, and the timer that pumps them."""

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
from ..bake import take_library
from ..bake import watch as watching
from ..character import appending
from ..weights import names
from . import live as live_pictures
from .preferences import preferences, server_options

log = logging.getLogger(__name__)

BUDGET_S = 0.0015
BUSY_S, HURRIED_S, AWAKE_S, ASLEEP_S = 0.005, 0.02, 0.1, 0.5
"""Seconds between two looks: while an answer is under way, after a change, while a server runs, otherwise."""

WAIT_S = 0.002
"""The same where nothing else is to be done meanwhile."""

_due = 0.0
"""When the next look is."""
_session: Session | None = None
_live: live_pictures.Live | None = None
_watch: watching.Watch | None = None
_library: take_library.Library | None = None
_ticks: list[Callable[[], None]] = []


def session() -> Session:
    """The session; made by `start`."""
    if _session is None:
        raise RuntimeError("the EDTalk add-on is not enabled")
    return _session


def live() -> live_pictures.Live:
    """The live pictures; made by `start`."""
    if _live is None:
        raise RuntimeError("the EDTalk add-on is not enabled")
    return _live


def watch() -> watching.Watch:
    """What is known of the active character's frames; made by `start`."""
    if _watch is None:
        raise RuntimeError("the EDTalk add-on is not enabled")
    return _watch


def library() -> take_library.Library:
    """The takes of this file; made by `start`."""
    if _library is None:
        raise RuntimeError("the EDTalk add-on is not enabled")
    return _library


def takes_changed() -> None:
    """Frames were baked, or takes switched or deleted."""
    library().refresh()
    watch().unsettle()
    wake()


def on_tick(work: Callable[[], None]) -> None:
    """Let `work` be called at each look, until the add-on is disabled. It may take a millisecond or two."""
    _ticks.append(work)


def redraw_panels(context: bpy.types.Context) -> None:
    """Let the panel show the news."""
    for window in context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                area.tag_redraw()


def redraw_sidebars(context: bpy.types.Context) -> None:
    """The same where nothing else than the panel changed: the 3D view beside it may be slow to draw."""
    for window in context.window_manager.windows:
        for area in window.screen.areas:
            for region in area.regions if area.type == "VIEW_3D" else ():
                if region.type == "UI":
                    region.tag_redraw()


def wake() -> None:
    """Something was asked for: look again soon."""
    global _due
    soon = time.monotonic() + BUSY_S
    if bpy.app.timers.is_registered(_pump):
        if _due <= soon:  # made anew it would come later: while playing, with each frame, never
            return
        bpy.app.timers.unregister(_pump)
    _due = soon
    bpy.app.timers.register(_pump, first_interval=BUSY_S, persistent=True)


def _pump() -> float:
    """Blender's timer: look, and say when to look again."""
    global _due
    pause = _look()
    _due = time.monotonic() + pause
    return pause


def _look() -> float:
    """A few milliseconds of reading, then back to the window; seconds until the next time."""
    here = session()
    before = here.status, here.trouble
    try:
        here.pump(BUDGET_S)
        for work in _ticks:
            work()
    except Exception:  # the timer must live on; what failed is in the log and the panel
        log.exception("the EDTalk timer failed")
        here.failure = n_("The EDTalk add-on met an error."), n_("Look at Blender's console and report it.")
        return ASLEEP_S
    if (here.status, here.trouble) != before:
        redraw_panels(bpy.context)
    if here.is_waiting or here.task is not None:
        return BUSY_S
    if watch().is_hurried or library().is_hurried or live().is_hurried:
        return HURRIED_S
    return AWAKE_S if here.is_connected else ASLEEP_S


def finished(steps: Steps[Result]) -> Result:
    """Do all of some work now, and wait for it: for background mode and render handlers in the main thread."""
    while True:
        begun = time.perf_counter()
        session().pump()
        try:
            next(steps)
        except StopIteration as last:
            return last.value
        if time.perf_counter() - begun < SLICE_S:  # it waits for an answer; else there is more to do
            time.sleep(WAIT_S)


def _find_server() -> ServerInstall:
    return replace(find_install(preferences().server_python), options=server_options())


def wants_restart() -> bool:
    """Does a server run that was started with other settings than those of now?"""
    here = session()
    return here.is_connected and here.server.options != server_options()


def start() -> None:
    """The add-on was enabled."""
    global _session, _live, _watch, _library
    # The Python module of Blender disables add-ons only while Python is being taken apart: too late for sockets.
    atexit.register(stop)
    _session = Session(_find_server)
    _live, _watch = live_pictures.Live(_session), watching.Watch()
    _library = take_library.Library()
    _ticks.extend(
        (names.look_after, appending.look_after, _live.look_after, _watch.look_after, _library.look_after)
    )
    if preferences().start_with_blender and not bpy.app.background:
        _session.start_server()
    wake()


def stop() -> None:
    """The add-on is disabled, or Blender ends. May come twice."""
    global _session, _live, _watch, _library
    atexit.unregister(stop)
    if bpy.app.timers.is_registered(_pump):
        bpy.app.timers.unregister(_pump)
    if _session is not None:
        _end_task(_session)
        _session.close()
    _ticks.clear()
    _session = _live = _watch = _library = None


def forget_file() -> None:
    """Another file was opened: what was running belonged to the old one."""
    _end_task(session())
    session().failure = None
    names.other_file()
    appending.other_file()
    live().forget()
    watch().forget()
    library().refresh()
    wake()


def _end_task(here: Session) -> None:
    if here.task is not None:
        here.task.close()
        here.task = None
