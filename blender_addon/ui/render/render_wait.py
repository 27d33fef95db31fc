# SPDX-License-Identifier: GPL-3.0-or-later
"""A render that Blender runs in a thread of its own waits here until the main thread has baked what it needs.

That thread may touch neither the sockets nor the file. So it only says which frames it is about to render, and waits;
the timer in the main thread does the work, a step at each tick, with its progress in the panel. Nothing can hang: when
the main thread stops coming (it may be waiting for the render to end), the render goes on with what there is.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import bpy

from shared_protocol.errors import EDTalkError

from ...core.tasks import Progress, Steps, Stopped, Task
from ...core.text.translate import n_
from ..runtime import runtime
from ..runtime.redraw import redraw_panels

log = logging.getLogger(__name__)

SILENCE_S = 5.0
"""Seconds without a tick of the main thread after which the render continues."""
TITLE = n_("Bake before Rendering")

Work = Callable[[int, range, Progress], Steps[str]]
"""What makes frames ready: of the scene with this `session_uid`, these frames."""


@dataclass
class _Request:
    """The frames that a render waits for; `over` is set when it need not wait any longer."""

    scene_uid: int
    frames: range
    over: threading.Event = field(default_factory=threading.Event)


class Waiting:
    """The render that waits: at most one, because Blender renders one at a time."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._request: _Request | None = None
        self._task: Task | None = None
        self._last_tick = 0.0
        self.failed = False
        """Whether the last request ended before its work was finished."""

    def wait(self, scene_uid: int, frames: range) -> None:
        """In the render's thread: return when the frames are ready or cannot be baked."""
        request = _Request(scene_uid, frames)
        self._last_tick = time.monotonic()
        self._request = request
        while not request.over.wait(0.05):
            if time.monotonic() - self._last_tick > SILENCE_S:
                self.failed = True
                break
        self._request = None

    def abandon(self) -> None:
        """Let a waiting render continue: its file is being closed."""
        if self._request is not None:
            self.failed = True
            self._request.over.set()

    def tick(self) -> None:
        """In the main thread: do a step of the work that a render waits for."""
        self._last_tick = time.monotonic()
        request, session = self._request, runtime.session()
        if request is None or request.over.is_set():
            self._drop()
        elif self._task is not None and session.task is not self._task:  # the panel's cross, or another file
            self._end(request, failed=True)
        elif self._task is not None or session.task is None:  # (what runs already is waited for)
            self._step(request)

    def _step(self, request: _Request) -> None:
        session = runtime.session()
        if self._task is None:
            progress = Progress()
            steps = self._work(request.scene_uid, request.frames, progress)
            self._task = session.task = Task(TITLE, steps, progress)
            self.failed = False
            _listen_for_escape()
        try:
            if self._task.advance():
                self._end(request)
            return
        except Stopped:
            pass
        except EDTalkError as error:  # the work knows what it need not try again
            session.failure = (error.cause, error.fix)
            self._end(request)
            return
        except Exception as error:  # the render goes on whatever happens here
            log.exception("baking before a render failed")
            session.failure = (
                f"{TITLE} failed: {error}.",
                "Look at Blender's console and report this error.",
            )
        self._end(request, failed=True)

    def _end(self, request: _Request, failed: bool = False) -> None:
        self.failed = failed
        self._drop()
        request.over.set()

    def _drop(self) -> None:
        """Close our task."""
        if self._task is None:
            return
        self._task.close()
        if runtime.session().task is self._task:
            runtime.session().task = None
        self._task = None
        redraw_panels()


class Escape(bpy.types.Operator):
    """Escape ends the bake that a render waits for"""

    bl_idname = "edtalk.escape_render"
    bl_label = TITLE
    bl_options = {"INTERNAL"}

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, _context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        task = runtime.session().task
        if task is None or task.title != TITLE:
            return {"FINISHED", "PASS_THROUGH"}
        if event.type == "ESC" and event.value == "PRESS":
            task.cancel()
            return {"FINISHED"}
        return {"PASS_THROUGH"}


def _listen_for_escape() -> None:
    window = next(iter(bpy.context.window_manager.windows), None)
    if window is not None and not bpy.app.background:
        with bpy.context.temp_override(window=window):
            bpy.ops.edtalk.escape_render("INVOKE_DEFAULT")


CLASSES = (Escape,)
