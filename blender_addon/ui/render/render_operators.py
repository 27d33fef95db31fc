# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
"""Final renders show baked frames: bake what is stale first, lend the planes their takes, take them back afterwards.

With the preference, handlers do that for every render, however it was started. Without a window, and for scripts, they
bake frame by frame. In the window Blender calls them in a thread of its own, where neither the sockets nor the file
may be touched: there they wait for the main thread to do it (`render_wait`). They never fail a render, and look for no
server where nothing is stale, so that a render node without one just reads images. An operator does the same without
the preference.
"""

from __future__ import annotations

import logging
import threading
import time

import bpy
from bpy.app.handlers import persistent
from bpy.props import BoolProperty

from shared_protocol.errors import EDTalkError

from ...core.takes import takes
from ...core.takes.staleness import State, state_of
from ...core.tasks import SLICE_S, Progress, Steps, Stopped, time_sliced
from ...core.text.translate import rpt_
from ...scene import character, plane
from ...scene.keys.signature import Signature, has_drivers
from ...scene.takes import take_places
from ..bake.bake_operators import Wish, all_baked, bakeable
from ..runtime import pump
from ..runtime.live import is_rendering
from ..runtime.preferences import preferences
from ..runtime.range_operator import found
from ..runtime.task_operator import TaskOperator, refuse, scene_of
from . import render_wait

log = logging.getLogger(__name__)

_Loan = tuple[takes.Take, range]
"""A take, and the unbroken run of its frames that a plane is to show."""
_lent: set[int] = set()
"""The characters whose planes show a take for the render that is going on."""
_by_operator = False
"""The operator has begun the render that is going on."""
_gave_up = False
"""Somebody stopped the bake in the render that is going on: none is begun before the next."""
_hopeless: set[int] = set()
"""The characters that could not be baked in the render that is going on: it is not tried again before the next."""
_ready = range(0)
"""The frames that were made ready for the render in the window that is going on."""
_has_memory = False
"""The render in the window that is going on was given the server's graphics memory."""


# --- lending ---------------------------------------------------------------------------------------------------------


def lend(ob: bpy.types.Object, take: takes.Take, run: range) -> None:
    """Let the plane show this run of finished frames of a take, for a render."""
    plane.lend_take(ob, take, run[0], run[-1])
    _lent.add(ob.session_uid)


def take_back() -> None:
    """Let the planes show again what they showed before."""
    global _by_operator
    _by_operator = False
    for uid in _lent:
        if (ob := character.find(uid)) is not None:
            plane.take_back(ob)
    _lent.clear()


def look_after() -> None:
    """From the timer: is the render over? (While something is baked it has perhaps not begun.)"""
    if (_lent or _by_operator) and not is_rendering() and pump.session().task is None:
        take_back()


def give_memory() -> None:
    """From the timer: a render in the window gets the server's graphics memory, once what it waits for is baked. Once a
    render, because one that bakes again and again would have the model loaded each time."""
    global _has_memory
    session = pump.session()
    if not is_rendering():
        _has_memory = False
        return
    if _has_memory or session.task is not None or not session.is_ready:
        return
    if session.can("release") and session.memory.device > 0:  # told a moment after it is taken
        _has_memory = True
        session.release()


@persistent
def leave(*_: object) -> None:
    """Another file is about to be opened, and Blender waits for the render to end."""
    _waiting.abandon()


def forget() -> None:
    """Another file is open: what was lent belonged to the old one."""
    _lent.clear()
    take_back()
    tidy()


def tidy() -> None:
    """Take back what a file lends that was saved during a render, or a step that was undone to."""
    for ob in bpy.data.objects:
        if character.is_character(ob) and ob.session_uid not in _lent and plane.lent_image(ob) is not None:
            plane.take_back(ob)


def made_ready(scene_uid: int, frames: range, progress: Progress) -> Steps[str]:
    """Bake what is stale of a scene's characters, and let their planes show the frames; a word about it.

    Raises `EDTalkError` when it failed for one of them; the others are ready all the same, and it is `_hopeless`.
    """
    rendered, loans, troubles = 0, dict[int, _Loan](), list[EDTalkError]()
    for uid in [ob.session_uid for ob in bakeable(scene_of(scene_uid))]:
        try:
            rendered += yield from _made_ready(uid, scene_uid, frames, progress, loans)
        except EDTalkError as error:
            troubles.append(error)
            _hopeless.add(uid)
    for uid, (take, run) in loans.items():  # all at once: an undo meanwhile would take the first ones back
        if (ob := character.find(uid)) is not None:
            lend(ob, take, run)
    pump.takes_changed()
    if troubles:
        raise troubles[0]
    return rpt_("{count} frames baked", count=rendered)


def _made_ready(
    uid: int, scene_uid: int, frames: range, progress: Progress, loans: dict[int, _Loan]
) -> Steps[int]:
    """One character; how many frames were rendered. What its plane is to show goes into `loans`."""
    folder, rendered = character.file_of(found(uid), "take"), 0
    take = (yield from time_sliced(takes.Take.opening(folder))) if folder is not None else None
    there = (yield from time_sliced(take.finished())) if take is not None else set[int]()
    run = takes.run_to_show(there, frames[0])
    if take is None or not (yield from _are_fresh(uid, take, there, frames)):
        if uid in _hopeless:
            return 0
        wish = Wish(uid, scene_uid, frames, take_places.default_base())
        (done,) = yield from all_baked([wish], progress)
        take, run, rendered = done.take, done.run, done.rendered
    ob = found(uid)
    first, last = ob.edtalk.take_first, ob.edtalk.take_last
    shows = ob.edtalk.show == "TAKE" and first <= frames[0] and frames[-1] <= last
    if not shows or take.folder != folder:
        loans[uid] = take, run
    return rendered


def _are_fresh(uid: int, take: takes.Take, finished: set[int], frames: range) -> Steps[bool]:
    """Are all of these frames baked as their curves are now? Where weights are driven, nobody knows."""
    if has_drivers(found(uid)) or not all(frame in finished for frame in frames):
        return False
    left = frames
    while left:
        signature, end = Signature(found(uid)), time.perf_counter() + SLICE_S
        while left and time.perf_counter() < end:
            if state_of(left[0], signature.at(left[0]), take.signatures, finished) != State.FRESH:
                return False
            left = left[1:]
        yield
    return True


_waiting = render_wait.Waiting(made_ready)


# --- in the window ---------------------------------------------------------------------------------------------------


class Render(TaskOperator, bpy.types.Operator):
    """Bake what is stale of all characters, then render with the baked frames"""

    bl_idname = "edtalk.render"
    bl_label = "Bake and Render"
    title = "Bake"

    animation: BoolProperty(
        name="Animation", description="All frames of the scene's range", options={"SKIP_SAVE"}
    )

    write_still: BoolProperty(
        name="Write Still", description="Save a single picture too, at the output path", options={"SKIP_SAVE"}
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not bakeable(context.scene):
            return refuse(cls, "The scene has no character that can be baked here")
        if is_rendering():
            return refuse(cls, "A render is going on")
        return cls.is_free()

    def steps(self, context: bpy.types.Context, progress: Progress) -> Steps[str]:
        scene, now = context.scene, context.scene.frame_current
        _hopeless.clear()
        frames = range(scene.frame_start, scene.frame_end + 1) if self.animation else range(now, now + 1)
        is_ready = False
        try:
            words = yield from made_ready(scene.session_uid, frames, progress)
            is_ready = True
        finally:
            if not is_ready:  # one failed, or the user cancelled it, when others were lent their frames
                take_back()
        self._render()
        return words

    def _render(self) -> None:
        global _by_operator
        _by_operator = True
        how = "EXEC_DEFAULT" if bpy.app.background else "INVOKE_DEFAULT"
        try:
            bpy.ops.render.render(how, animation=self.animation, write_still=self.write_still)
        except RuntimeError:  # no camera, say: Blender has told the user
            take_back()
            raise


def draw_menu(self: bpy.types.Menu, _context: bpy.types.Context) -> None:
    """Two lines in the Render menu."""
    layout = self.layout
    layout.separator()
    layout.operator("edtalk.render", text="Bake and Render Image", icon="RENDER_STILL")
    layout.operator(
        "edtalk.render", text="Bake and Render Animation", icon="RENDER_ANIMATION"
    ).animation = True


# --- handlers --------------------------------------------------------------------------------------------------------


@persistent
def begins(*_: object) -> None:
    """A render begins."""
    global _gave_up, _ready
    _gave_up, _ready = False, range(0)
    _hopeless.clear()


@persistent
def before_frame(scene: bpy.types.Scene, *_: object) -> None:
    """A frame is about to be rendered: bake it where that is needed."""
    if not preferences().bake_before_render or _by_operator or _gave_up:
        return
    if scene.frame_current < 0 or not bakeable(scene):  # pictures cannot be numbered below 0
        return
    if threading.current_thread() is not threading.main_thread():
        _wait(scene)
    elif pump.session().task is None:
        _bake_now(scene)


def _bake_now(scene: bpy.types.Scene) -> None:
    global _gave_up
    frame = scene.frame_current
    try:
        pump.finished(made_ready(scene.session_uid, range(frame, frame + 1), Progress()))
    except (EDTalkError, Stopped, OSError) as error:
        _gave_up = not isinstance(error, EDTalkError)
        log.warning("The scene is rendered as it is, because it could not be baked: %s", error)


def _wait(scene: bpy.types.Scene) -> None:
    """In a render's own thread: for this frame alone, because the render may be a still; when another one comes, for
    all that are left (unless it leaves some out)."""
    global _gave_up, _ready
    now = scene.frame_current
    if now in _ready:
        return
    last = max(now, scene.frame_end) if _ready and scene.frame_step == 1 else now
    _ready = range(now, last + 1)
    _waiting.wait(scene.session_uid, _ready)
    _gave_up = _waiting.failed


@persistent
def ends(*_: object) -> None:
    """The render is over. In a thread of Blender's own the timer does the rest."""
    if threading.current_thread() is threading.main_thread():
        take_back()


# --- registering -----------------------------------------------------------------------------------------------------

CLASSES = (Render, *render_wait.CLASSES)
HANDLERS = (
    ("load_pre", leave),
    ("render_init", begins),
    ("render_pre", before_frame),
    ("render_complete", ends),
    ("render_cancel", ends),
)


def register() -> None:
    """Handlers and the Render menu."""
    for name, handler in HANDLERS:
        getattr(bpy.app.handlers, name).append(handler)
    bpy.types.TOPBAR_MT_render.append(draw_menu)
    pump.on_tick(_waiting.tick)
    pump.on_tick(look_after)
    pump.on_tick(give_memory)


def unregister() -> None:
    """Take all of it back."""
    _waiting.abandon()
    bpy.types.TOPBAR_MT_render.remove(draw_menu)
    for name, handler in HANDLERS:
        listeners = getattr(bpy.app.handlers, name)
        if handler in listeners:
            listeners.remove(handler)
    take_back()
