# SPDX-License-Identifier: GPL-3.0-or-later
"""The base of all long-running operators: `execute` blocks and is scriptable, `invoke` is modal.

The work is a generator (see `core.tasks`), the same one both ways. In the window it advances a little at each timer
event and shows its progress in the panel; Escape or the panel's cross cancels it. One task runs at a time; what is
asked for meanwhile waits in line (`waiting`). A task changes the file at its end, in one go: that is one undo step, and
a failure leaves everything as it was. Opening another file ends a task of the file (`is_of_file`). Others, such as an
installation, continue: Blender ends their operator, and `CarryOn` takes the task over. So their `steps` must read the
operator's properties before the first pause.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import bpy
from bpy.props import BoolProperty, IntProperty

from shared_protocol.errors import EDTalkError

from ...core.tasks import PACE, SLICE_S, Progress, Steps, Stopped, Task
from ...core.text.translate import iface_, n_, rpt_, tip_
from . import runtime
from .polls import refuse, report_error
from .redraw import redraw_panels, redraw_sidebars
from .waiting import LINE, Waiting

log = logging.getLogger(__name__)

if TYPE_CHECKING:
    from bpy.types import Operator
else:
    Operator = object

TIMER_S, WAITING_S = 0.01, 0.1
"""Seconds between two timer events in the window: of the task that runs, and of one that waits."""
PAUSE_S = 0.002
"""Seconds between two looks for an answer in blocking mode."""
PUMP_S = 0.001
"""Seconds of reading answers at each timer event, before the step (see `core.tasks.SLICE_S`)."""
LISTENERS: list[Callable[[Task], None]] = []
"""Called with a blocking task after each of its steps, the last one too: without a window there is no panel to show its
progress. One
with `tells` says himself how the task ended."""


def _is_told() -> bool:
    """Return whether a listener says how the task ended: Blender would print it a second time."""
    return any(getattr(listen, "tells", False) for listen in LISTENERS)


class TaskOperator(Operator):
    """Mix-in: a subclass gives `title`, and `steps`, which returns the line to report in the user's language."""

    title = ""
    is_of_file = True
    _timer: bpy.types.Timer | None = None
    _task: Task | None = None
    _waiting: Waiting | None = None
    _is_asking = False
    _workspaces: frozenset[str] = frozenset()
    _shown_text = ""

    asked: BoolProperty(options={"HIDDEN", "SKIP_SAVE"})

    def steps(self, context: bpy.types.Context, progress: Progress) -> Steps[str]:
        """Return the work as a generator."""
        raise NotImplementedError

    @classmethod
    def is_free(cls) -> bool:
        """Return whether it can begin, or wait in line. Without a window nothing waits: say what to do."""
        task = runtime.session().task
        if task is None or not bpy.app.background:
            return True
        return refuse(cls, "{task} is running: wait for it, or cancel it", task=tip_(task.title))

    # --- both ways ---------------------------------------------------------------------------------------------------

    def _begin(self, context: bpy.types.Context) -> Task:
        session, progress = runtime.session(), Progress()
        session.failure = None
        PACE.reset()
        runtime.current().before_task()
        self._task = session.task = Task(self.title, self.steps(context, progress), progress, self.is_of_file)
        return session.task

    def _advance(self, task: Task) -> set[str] | None:
        """Read answers and do one step. Return the operator's result after the last step, None before."""
        try:
            runtime.session().pump(PUMP_S)
            if not task.advance():
                return None
            self._tell({"INFO"}, task.message)
            answer = {"FINISHED"}
        except Stopped:
            self._tell(
                {"WARNING"}, rpt_("{task} was cancelled. Finished frames are kept", task=rpt_(self.title))
            )
            answer = {"CANCELLED"}
        except EDTalkError as error:
            answer = self._failed(error.cause, error.fix)
        except Exception as error:  # the operator edge: every failure becomes words
            log.exception("%s failed", self.title)
            fix = n_("Look at Blender's console and report this error.")
            answer = self._failed(f"{self.title} failed: {error}.", fix)
        runtime.session().task = None
        PACE.reset()
        runtime.current().after_task()
        return answer

    def _failed(self, cause: str, fix: str) -> set[str]:
        runtime.session().failure = (cause, fix)
        if not _is_told():
            report_error(self, cause, fix)
        return {"CANCELLED"}

    def _tell(self, kind: set[str], text: str) -> None:
        """Report to the user, unless a listener does it."""
        if not _is_told():
            self.report(kind, text)

    # --- blocking ----------------------------------------------------------------------------------------------------

    def execute(self, context: bpy.types.Context) -> set[str]:
        if self._is_asking:
            # dialogs and file browsers call `execute`, which cannot become modal: start again with their answers
            self._is_asking = False
            self.start_again(asked=True)
            return {"CANCELLED"}
        if (running := runtime.session().task) is not None:
            words = rpt_("{task} is running: wait for it, or cancel it", task=rpt_(running.title))
            self.report({"ERROR"}, words)
            return {"CANCELLED"}
        task = self._begin(context)
        while True:
            begun = time.perf_counter()
            answer = self._advance(task)
            for listen in LISTENERS:
                listen(task)
            if answer is not None:
                return answer
            if time.perf_counter() - begun < SLICE_S:  # the step waits for an answer
                time.sleep(PAUSE_S)

    # --- in the window -----------------------------------------------------------------------------------------------

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        if bpy.app.background:
            return self.execute(context)
        if runtime.session().task is not None or len(LINE):
            return self._wait(context)
        answer = self._begin_in_window(context)
        if answer == {"RUNNING_MODAL"}:
            context.window_manager.modal_handler_add(self)
        return answer

    def _begin_in_window(self, context: bpy.types.Context) -> set[str]:
        """Begin now. The first step reads the selection, before the next click."""
        task = self._begin(context)
        answer = self._advance(task)
        if answer is not None:
            return self._end(context, answer)
        self._show_progress(context, task)
        self._set_timer(context, TIMER_S)
        return {"RUNNING_MODAL"}

    def _wait(self, context: bpy.types.Context) -> set[str]:
        """Wait in line, on what is active now."""
        asked = f"{self.bl_idname} {sorted(self.as_keywords(ignore=('asked',)).items())}"
        self._waiting = LINE.join(context, self.title, asked)
        if self._waiting is None:
            self.report({"INFO"}, rpt_("{task} waits already", task=rpt_(self.title)))
            return {"CANCELLED"}
        self._set_timer(context, WAITING_S)
        context.window_manager.modal_handler_add(self)
        redraw_sidebars()
        return {"RUNNING_MODAL"}

    def _set_timer(self, context: bpy.types.Context, seconds: float) -> None:
        if self._timer is not None:
            context.window_manager.event_timer_remove(self._timer)
        self._timer = context.window_manager.event_timer_add(seconds, window=context.window)

    def ask(self, context: bpy.types.Context, title: str = "", confirm: str = "") -> set[str]:
        """From `invoke`, while `asked` is false: show the operator's properties in a dialog first (see `draw`)."""
        self._is_asking = True
        return context.window_manager.invoke_props_dialog(
            self, title=iface_(title or self.bl_label), confirm_text=iface_(confirm or self.bl_label)
        )

    def start_again(self, asked: bool = False) -> None:
        """Invoke this operator with the same properties, and report what its first step refuses."""
        try:
            getattr(bpy.ops.edtalk, self._name)(
                "INVOKE_DEFAULT", **self.as_keywords(ignore=("asked",)), asked=asked
            )
        except RuntimeError as error:  # Python's way to be told of a report of an error
            self.report({"ERROR"}, str(error).removeprefix("Error: ").strip())

    @property
    def _name(self) -> str:
        """The operator's name in `bpy.ops.edtalk`."""
        return str(self.bl_idname.partition("_OT_")[2])

    def browse(self, context: bpy.types.Context) -> set[str]:
        """From `invoke`, while no file is named: open the file browser first."""
        self._is_asking = True
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if self._waiting is not None:
            return self._look_in_line(context, self._waiting, event)
        task = runtime.session().task
        if task is None or task is not self._task:
            return self._end(context, {"CANCELLED"})
        if event.type == "ESC" and event.value == "PRESS":
            if is_playing(context):  # then Escape is Blender's: it stops playback
                return {"PASS_THROUGH"}
            task.cancel()
        elif event.type != "TIMER":
            return {"PASS_THROUGH"}
        PACE.tick(time.perf_counter())
        answer = self._advance(task)
        if answer is not None:
            return self._end(context, answer)
        self._show_progress(context, task)
        return {"RUNNING_MODAL"}

    def _look_in_line(self, context: bpy.types.Context, waiting: Waiting, event: bpy.types.Event) -> set[str]:
        """Begin when nothing runs and it is the first in line."""
        if waiting.is_cancelled:
            return self._end(context, {"CANCELLED"})
        is_next = runtime.session().task is None and LINE.is_first(waiting)
        if event.type != "TIMER" or not is_next:
            return {"PASS_THROUGH"}
        LINE.leave(waiting)
        self._waiting = None
        try:
            with waiting.place():
                if not self.poll(context):
                    what = n_("What waited cannot be done any more.")
                    fix = n_("The tooltip of its button says why.")
                    return self._end(context, self._failed(what, fix))
                return self._begin_in_window(context)
        except EDTalkError as error:
            return self._end(context, self._failed(error.cause, error.fix))

    def _show_progress(self, context: bpy.types.Context, task: Task) -> None:
        """Show the progress in the panel and the status bar when it changed, without redrawing the 3D view."""
        text = f"{iface_(task.title)}: {task.progress.text}    {iface_('Esc: cancel')}"
        if text != self._shown_text:
            self._shown_text = text
            redraw_sidebars()
            context.workspace.status_text_set(text)
            self._workspaces |= {context.workspace.name}

    def _clear_status(self, context: bpy.types.Context) -> None:
        """Clear the status bar of every workspace that showed the progress."""
        for workspace in filter(None, map(bpy.data.workspaces.get, self._workspaces)):
            with context.temp_override(workspace=workspace):
                workspace.status_text_set(None)
        self._workspaces = frozenset()

    def cancel(self, context: bpy.types.Context) -> None:
        """Called when Blender ends the operator: the window closes, or another file is loaded."""
        session = runtime.session()
        if self._waiting is not None:
            LINE.leave(self._waiting)
            if not self.is_of_file:
                _invoke_soon(self._name, **self.as_keywords(ignore=("asked",)), asked=True)
        elif session.task is not None and session.task is self._task:
            if self.is_of_file:
                session.task.close()
                session.task = None
            else:
                _invoke_soon("carry_on")
        self._end(context, set())

    def _end(self, context: bpy.types.Context, answer: set[str]) -> set[str]:
        if self._timer is not None:
            context.window_manager.event_timer_remove(self._timer)
            self._timer = None
        self._clear_status(context)
        redraw_panels()
        return answer


def is_playing(context: bpy.types.Context) -> bool:
    """Return whether any window plays the animation."""
    return any(window.screen.is_animation_playing for window in context.window_manager.windows)


def _invoke_soon(name: str, **properties: object) -> None:
    """Invoke an operator once there is a window again: another file is being loaded, or Blender ends."""

    def invoke() -> None:
        with bpy.context.temp_override(window=bpy.context.window_manager.windows[0]):
            getattr(bpy.ops.edtalk, name)("INVOKE_DEFAULT", **properties)

    bpy.app.timers.register(invoke, persistent=True)


class CarryOn(TaskOperator, bpy.types.Operator):
    """Continue the task whose operator Blender ended when it opened another file"""

    bl_idname = "edtalk.carry_on"
    bl_label = "Carry On"
    bl_options = {"INTERNAL"}

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        task = runtime.session().task
        if task is None or task.is_of_file:
            return {"CANCELLED"}
        self.title, self.is_of_file, self._task = task.title, False, task
        self._set_timer(context, TIMER_S)
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}


class Cancel(bpy.types.Operator):
    """Cancel this task. Finished frames are kept"""

    bl_idname = "edtalk.cancel"
    bl_label = "Cancel"

    waiting: IntProperty(options={"HIDDEN", "SKIP_SAVE"})
    """The number of what waits; 0: what runs."""

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return runtime.session().task is not None or len(LINE) > 0 or refuse(cls, "Nothing is running")

    def execute(self, _context: bpy.types.Context) -> set[str]:
        if self.waiting:
            LINE.cancel(self.waiting)
            redraw_sidebars()
        elif (task := runtime.session().task) is not None:
            task.cancel()
        return {"FINISHED"}
