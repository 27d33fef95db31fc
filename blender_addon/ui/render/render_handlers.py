# SPDX-License-Identifier: GPL-3.0-or-later
"""With the preference *Bake before Rendering*, every render bakes what changed first, however it was started.

Without a window, and for scripts, the handlers bake frame by frame. In the window Blender calls them in a thread of its
own, which may touch neither the sockets nor the file: there they wait for the main thread to bake (`render_wait`). They
never fail a render.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass

import bpy
from bpy.app.handlers import persistent

from shared_protocol.errors import EDTalkError

from ...core.tasks import Progress, Stopped
from ..bake.bake import bakeable
from ..runtime import runtime
from ..runtime.preferences import preferences
from .loans import LOANS
from .prepare_frames import FAILED, prepare_frames
from .render_wait import Waiting

log = logging.getLogger(__name__)


@dataclass
class _CurrentRender:
    """The render that is running."""

    gave_up: bool = False
    """Whether the bake was stopped: none starts before the next render."""
    ready: range = range(0)
    """The frames that are ready for a render in the window."""


_render = _CurrentRender()
_waiting = Waiting(prepare_frames)


@persistent
def before_load(*_: object) -> None:
    """Let a waiting render continue: Blender opens another file once the render has ended."""
    _waiting.abandon()


@persistent
def on_start(*_: object) -> None:
    """Forget the render before this one."""
    _render.gave_up, _render.ready = False, range(0)
    FAILED.clear()


@persistent
def before_frame(scene: bpy.types.Scene, *_: object) -> None:
    """Bake the frame that is about to be rendered, where that is needed."""
    if not preferences().bake_before_render or LOANS.by_operator or _render.gave_up:
        return
    if scene.frame_current < 0 or not bakeable(scene):  # pictures cannot be numbered below 0
        return
    if threading.current_thread() is not threading.main_thread():
        _wait_for_bake(scene)
    elif runtime.session().task is None:
        _bake_now(scene)


def _bake_now(scene: bpy.types.Scene) -> None:
    frame = scene.frame_current
    try:
        steps = prepare_frames(scene.session_uid, range(frame, frame + 1), Progress())
        runtime.current().run_blocking(steps)
    except (EDTalkError, Stopped, OSError) as error:
        _render.gave_up = not isinstance(error, EDTalkError)
        log.warning("The scene is rendered as it is, because it could not be baked: %s", error)


def _wait_for_bake(scene: bpy.types.Scene) -> None:
    """In a render's own thread: wait for this frame alone, because the render may be a still. At the second frame, wait
    for all frames that are left, unless the render skips some."""
    now = scene.frame_current
    if now in _render.ready:
        return
    last = max(now, scene.frame_end) if _render.ready and scene.frame_step == 1 else now
    _render.ready = range(now, last + 1)
    _waiting.wait(scene.session_uid, _render.ready)
    _render.gave_up = _waiting.failed


@persistent
def on_end(*_: object) -> None:
    """Take back what was lent. In a render thread of Blender the next tick does it."""
    if threading.current_thread() is threading.main_thread():
        LOANS.take_back()


@persistent
def on_undo(*_: object) -> None:
    """Undo may bring back a plane with a lent take."""
    LOANS.tidy()


HANDLERS = (
    ("load_pre", before_load),
    ("render_init", on_start),
    ("render_pre", before_frame),
    ("render_complete", on_end),
    ("render_cancel", on_end),
    ("undo_post", on_undo),
    ("redo_post", on_undo),
)


def register() -> None:
    """Hook into renders, the timer and new files."""
    for name, handler in HANDLERS:
        getattr(bpy.app.handlers, name).append(handler)
    hooks = runtime.current()
    for work in (_waiting.tick, LOANS.take_back_after_render, LOANS.release_memory):
        hooks.on_tick(work)
    hooks.on_new_file(LOANS.forget)


def unregister() -> None:
    """Let a waiting render continue, and undo `register`."""
    _waiting.abandon()
    for name, handler in HANDLERS:
        handlers = getattr(bpy.app.handlers, name)
        if handler in handlers:
            handlers.remove(handler)
    LOANS.take_back()
