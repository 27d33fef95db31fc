# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
"""Final renders show baked frames: bake what is stale first, lend the planes their takes, take them back afterwards.

In the window an operator does that (F12 and Ctrl F12, when the preference is on), because there Blender calls render
handlers in a thread of its own, where neither the sockets nor the file may be touched. Without a window, and for
scripts, the handlers do it, frame by frame. They never fail, and never wait where nothing is stale, so that a render
node without a server just reads images.
"""

from __future__ import annotations

import logging
import threading

import bpy
from bpy.app.handlers import persistent
from bpy.props import BoolProperty

from shared_protocol.errors import EDTalkError

from ..core import takes
from ..core.staleness import State, judged
from ..core.tasks import Progress, Steps, Stopped
from ..core.wording import n_, rpt_
from ..scene import character, plane, take_places
from ..scene.signature import Signature, has_drivers
from . import link
from .bake import Wish, all_baked, bakeable
from .live import is_rendering
from .operators import TaskOperator, refuse
from .preferences import preferences

log = logging.getLogger(__name__)

_lent: set[int] = set()
"""The characters whose planes show a take for the render that is going on."""
_by_operator = False
"""The operator has begun the render that is going on."""
_gave_up = False
"""Baking failed in the render that is going on: it is not tried again before the next."""
UNBAKED = (
    n_("The render showed characters as they were, because it was not started by EDTalk."),
    n_("Press F12, or choose Render > Bake and Render Image, and their frames are baked first."),
)


# --- lending ---------------------------------------------------------------------------------------------------------


def lend(ob: bpy.types.Object, take: takes.Take, frames: range) -> None:
    """Let the plane show these finished frames of a take, for a render."""
    first, last = take.span(frames[0])
    plane.lend_take(ob, take, first, max(last, first))
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
    """From the timer: is the render over?"""
    if (_lent or _by_operator) and not is_rendering():
        take_back()


def forget() -> None:
    """Another file is open: what was lent belonged to the old one."""
    _lent.clear()
    take_back()


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
        scene, base = context.scene, take_places.default_base()
        now = scene.frame_current
        frames = range(scene.frame_start, scene.frame_end + 1) if self.animation else range(now, now + 1)
        wishes = [Wish(ob.session_uid, scene.session_uid, frames, base) for ob in bakeable(scene)]
        done = yield from all_baked(wishes, progress)
        for one in done:
            if (ob := character.find(one.wish.uid)) is not None:
                lend(ob, one.take, frames)
        link.takes_changed()
        self._render()
        return rpt_("{count} frames baked", count=sum(one.rendered for one in done))

    def _render(self) -> None:
        global _by_operator
        _by_operator = True
        how = "EXEC_DEFAULT" if bpy.app.background else "INVOKE_DEFAULT"
        try:
            bpy.ops.render.render(how, animation=self.animation, write_still=self.write_still)
        except RuntimeError:  # no camera, say: Blender has told the user
            take_back()
            raise


class RenderKey(bpy.types.Operator):
    """Bake first, when the preferences say so; else F12 stays Blender's"""

    bl_idname = "edtalk.render_key"
    bl_label = "Bake and Render"
    bl_options = {"INTERNAL"}

    animation: BoolProperty(options={"SKIP_SAVE"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return preferences().bake_before_render and Render.poll(context)

    def invoke(self, _context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        return bpy.ops.edtalk.render("INVOKE_DEFAULT", animation=self.animation)


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
def begins(scene: bpy.types.Scene, *_: object) -> None:
    """A render begins."""
    global _gave_up
    _gave_up = False
    if _is_ours() and bakeable(scene) and threading.current_thread() is not threading.main_thread():
        link.session().failure = UNBAKED


@persistent
def before_frame(scene: bpy.types.Scene, *_: object) -> None:
    """A frame is about to be rendered: bake it where that is needed."""
    if not _is_ours() or threading.current_thread() is not threading.main_thread():
        return
    for ob in bakeable(scene):
        try:
            _bake_for_render(ob, scene)
        except (EDTalkError, Stopped, OSError) as error:
            _give_up(ob, error)


@persistent
def ends(*_: object) -> None:
    """The render is over. In a thread of Blender's own the timer does the rest."""
    if threading.current_thread() is threading.main_thread():
        take_back()


def _is_ours() -> bool:
    """Is it on these handlers to bake, and not on the operator, which has done so already?"""
    return preferences().bake_before_render and not (_by_operator or _gave_up) and link.session().task is None


def _give_up(ob: bpy.types.Object, error: Exception) -> None:
    global _gave_up
    _gave_up = True
    log.warning("%s is rendered as it is, because it could not be baked: %s", ob.name, error)


def _bake_for_render(ob: bpy.types.Object, scene: bpy.types.Scene) -> None:
    frame = scene.frame_current
    folder = character.file_of(ob, "take")
    take = takes.Take.open(folder) if folder is not None else None
    if take is None or not _is_fresh(ob, take, frame):
        wish = Wish(ob.session_uid, scene.session_uid, range(frame, frame + 1), take_places.default_base())
        (done,) = link.finished(all_baked([wish], Progress()))
        take = done.take
    shows = ob.edtalk.show == "TAKE" and ob.edtalk.take_first <= frame <= ob.edtalk.take_last
    if not shows or take.folder != folder:
        lend(ob, take, range(frame, frame + 1))


def _is_fresh(ob: bpy.types.Object, take: takes.Take, frame: int) -> bool:
    signature = Signature(ob).at(frame)
    return not has_drivers(ob) and judged(frame, signature, take.signatures, take.finished()) == State.FRESH


# --- registering -----------------------------------------------------------------------------------------------------

CLASSES = (Render, RenderKey)
HANDLERS = (
    ("render_init", begins),
    ("render_pre", before_frame),
    ("render_complete", ends),
    ("render_cancel", ends),
)
_keys: list[tuple[bpy.types.KeyMap, bpy.types.KeyMapItem]] = []


def register() -> None:
    """Handlers, keys, and the Render menu."""
    for name, handler in HANDLERS:
        getattr(bpy.app.handlers, name).append(handler)
    bpy.types.TOPBAR_MT_render.append(draw_menu)
    link.on_tick(look_after)
    keys = bpy.context.window_manager.keyconfigs.addon
    if keys is not None:  # there are none without a window
        keymap = keys.keymaps.new(name="Screen")
        for control in (False, True):
            item = keymap.keymap_items.new(RenderKey.bl_idname, "F12", "PRESS", ctrl=control)
            item.properties.animation = control
            _keys.append((keymap, item))


def unregister() -> None:
    """Take all of it back."""
    for keymap, item in _keys:
        keymap.keymap_items.remove(item)
    _keys.clear()
    bpy.types.TOPBAR_MT_render.remove(draw_menu)
    for name, handler in HANDLERS:
        listeners = getattr(bpy.app.handlers, name)
        if handler in listeners:
            listeners.remove(handler)
    take_back()
