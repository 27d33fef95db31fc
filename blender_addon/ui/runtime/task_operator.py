# SPDX-License-Identifier: GPL-3.0-or-later
"""The base of all operators that take long: `execute` blocks and is scriptable, `invoke` is modal.

The work itself is a generator (see `core.tasks`); both ways run the same one. In the window it advances a little at
each timer event, shows its progress in the panel, and Escape or the panel's Cancel ends it. One task runs at a time.
What it changes in the file it changes at its end, in one go: one undo step, and a failure leaves everything as it was.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import bpy
from bpy.props import BoolProperty

from shared_protocol.errors import EDTalkError, ErrorCode

from ...core.tasks import SLICE_S, Progress, Steps, Stopped, Task
from ...core.text.translate import iface_, n_, rpt_, tip_
from ...scene import character
from ..character import appending
from ..weights import names
from . import pump

log = logging.getLogger(__name__)

if TYPE_CHECKING:
    from bpy.types import Operator
else:
    Operator = object

TIMER_SECONDS = 0.01
BLOCKING_PAUSE_SECONDS = 0.002
PUMP_S = 0.001
"""So long answers are taken in at each timer event, before the step (see `core.tasks.SLICE_S`)."""
LISTENERS: list[Callable[[Task], None]] = []
"""Told of a blocking task while it runs: without a window nobody sees the panel."""


def refuse(cls: type[bpy.types.Operator], reason: str, **values: object) -> bool:
    """Grey a button out and say why (a template and its values); False, for `return refuse(cls, ...)` in a poll."""
    cls.poll_message_set(tip_(reason, **values))
    return False


def report_error(operator: bpy.types.Operator, cause: str, fix: str) -> None:
    """Report what an `EDTalkError` says."""
    operator.report({"ERROR"}, f"{rpt_(cause)} {rpt_(fix)}")


class TaskOperator(Operator):
    """Mix-in: a subclass gives `title`, and `steps(context, progress)`, which returns the line to report, in the user's
    language."""

    title = ""
    _timer: bpy.types.Timer | None = None
    _asking = False
    _told: frozenset[str] = frozenset()
    _said = ""

    asked: BoolProperty(options={"HIDDEN", "SKIP_SAVE"})

    def steps(self, context: bpy.types.Context, progress: Progress) -> Steps[str]:
        """The work, as a generator."""
        raise NotImplementedError

    @classmethod
    def is_free(cls) -> bool:
        """For polls: no other task is running."""
        task = pump.session().task
        if task is None:
            return True
        return refuse(cls, "{task} is running: wait for it, or cancel it", task=tip_(task.title))

    # --- both ways ---------------------------------------------------------------------------------------------------

    def _begin(self, context: bpy.types.Context) -> Task:
        session, progress = pump.session(), Progress()
        session.failure = None
        appending.look_after()  # in background mode no timer does
        session.task = Task(self.title, self.steps(context, progress), progress)
        return session.task

    def _advance(self, task: Task) -> set[str] | None:
        """Take what has arrived and do one step; the operator's answer when it was the last."""
        try:
            pump.session().pump(PUMP_S)
            if not task.advance():
                return None
            self.report({"INFO"}, task.message)
            answer = {"FINISHED"}
        except Stopped:
            said = rpt_("{task} was cancelled; what was finished is kept", task=rpt_(self.title))
            self.report({"WARNING"}, said)
            answer = {"CANCELLED"}
        except EDTalkError as error:
            answer = self._failed(error.cause, error.fix)
        except Exception as error:  # the operator edge: every failure becomes words
            log.exception("%s failed", self.title)
            fix = n_("Look at Blender's console and report this error.")
            answer = self._failed(f"{self.title} failed: {error}.", fix)
        pump.session().task = None
        names.look_after()  # in background mode no timer does
        return answer

    def _failed(self, cause: str, fix: str) -> set[str]:
        pump.session().failure = (cause, fix)
        report_error(self, cause, fix)
        return {"CANCELLED"}

    # --- blocking ----------------------------------------------------------------------------------------------------

    def execute(self, context: bpy.types.Context) -> set[str]:
        if self._asking:
            # Dialogs and file browsers can only call `execute`, which may not become modal: begin again, with answers.
            self._asking = False
            operator = getattr(bpy.ops.edtalk, self.bl_idname.partition("_OT_")[2])
            operator("INVOKE_DEFAULT", **self.as_keywords(ignore=("asked",)), asked=True)
            return {"CANCELLED"}
        task = self._begin(context)
        while True:
            begun = time.perf_counter()
            answer = self._advance(task)
            if answer is not None:
                return answer
            for listen in LISTENERS:
                listen(task)
            if time.perf_counter() - begun < SLICE_S:  # it waits for an answer; else there is more to do
                time.sleep(BLOCKING_PAUSE_SECONDS)

    # --- in the window -----------------------------------------------------------------------------------------------

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        if bpy.app.background:
            return self.execute(context)
        task = self._begin(context)
        answer = self._advance(task)  # the first step settles whom it is about, before the next click
        if answer is not None:
            return self._end(context, answer)
        self._tell(context, task)
        self._timer = context.window_manager.event_timer_add(TIMER_SECONDS, window=context.window)
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def ask(self, context: bpy.types.Context, title: str = "", confirm: str = "") -> set[str]:
        """From `invoke`, while `asked` is false: let the user look at the operator's properties first (see `draw`)."""
        self._asking = True
        return context.window_manager.invoke_props_dialog(
            self, title=iface_(title or self.bl_label), confirm_text=iface_(confirm or self.bl_label)
        )

    def browse(self, context: bpy.types.Context) -> set[str]:
        """From `invoke`, while no file is named: let the user choose one first."""
        self._asking = True
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        task = pump.session().task
        if task is None:
            return self._end(context, {"CANCELLED"})
        if event.type == "ESC" and event.value == "PRESS":
            task.cancel()
        elif event.type != "TIMER":
            return {"PASS_THROUGH"}
        answer = self._advance(task)
        if answer is not None:
            return self._end(context, answer)
        self._tell(context, task)
        return {"RUNNING_MODAL"}

    def _tell(self, context: bpy.types.Context, task: Task) -> None:
        """Say in the panel and in the status bar what runs, when that changed. The view beside the panel is not drawn
        for that."""
        text = f"{iface_(task.title)}: {task.progress.text}    {iface_('Esc: cancel')}"
        if text != self._said:
            self._said = text
            pump.redraw_sidebars(context)
            context.workspace.status_text_set(text)
            self._told |= {context.workspace.name}

    def _fall_silent(self, context: bpy.types.Context) -> None:
        """Give the status bar back, in every workspace that the user went through."""
        for workspace in filter(None, map(bpy.data.workspaces.get, self._told)):
            with context.temp_override(workspace=workspace):
                workspace.status_text_set(None)
        self._told = frozenset()

    def cancel(self, context: bpy.types.Context) -> None:
        """Blender ends the operator (the window closes, another file is loaded)."""
        session = pump.session()
        if session.task is not None:
            session.task.close()
            session.task = None
        self._end(context, set())

    def _end(self, context: bpy.types.Context, answer: set[str]) -> set[str]:
        if self._timer is not None:
            context.window_manager.event_timer_remove(self._timer)
            self._timer = None
        self._fall_silent(context)
        pump.redraw_panels(context)
        return answer


class Cancel(bpy.types.Operator):
    """End what is running. Frames that are finished are kept"""

    bl_idname = "edtalk.cancel"
    bl_label = "Cancel"

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return pump.session().task is not None or refuse(cls, "Nothing is running")

    def execute(self, _context: bpy.types.Context) -> set[str]:
        if (task := pump.session().task) is not None:
            task.cancel()
        return {"FINISHED"}


def scene_of(uid: int) -> bpy.types.Scene:
    """The scene with this `session_uid`: references do not outlive an undo, names may change.

    Raises `EDTalkError` when it was removed.
    """
    scene = character.find_scene(uid)
    if scene is None:
        raise EDTalkError(
            ErrorCode.EMPTY_RANGE, "The scene was removed meanwhile.", "Begin again in another scene."
        )
    return scene
