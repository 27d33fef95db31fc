# SPDX-License-Identifier: GPL-3.0-or-later
"""Operator: move, scale and rotate the portrait's crop over the 3D view, with the server's verdict on it."""

from __future__ import annotations

import bpy

from shared_protocol.errors import EDTalkError
from shared_protocol.messages import Crop, Inspect, Inspected

from ...core import crop_box
from ...core.crop_box import Grip, Point
from ...core.server.uploads import InMemory
from ...core.tasks import Progress, Steps, Stopped
from ...core.text.translate import iface_, n_, rpt_
from ...scene import character, portrait_crop
from ...scene.references import find_object
from ..runtime import portrait_requests, runtime
from ..runtime.polls import has_editable_character, is_in_view, refuse, report_error
from ..runtime.redraw import redraw_panels
from . import crop_drawing, overlay
from .crop_drawing import Fit, free_room
from .portrait_operators import VERDICTS

REACH = 10
"""Pixels at scale 1 from the box's edge within which a press still grabs it."""
WHEEL = 1.04
"""Factor on the box's size for a step of the mouse wheel."""
TIMER_S = 0.03
"""Seconds between two looks for the server's answer."""
HELP = n_("Drag inside: move    Edge or wheel: resize    Outside: rotate    Enter: apply    Esc: cancel")


class AdjustCrop(bpy.types.Operator):
    """Show the portrait over the view. Move, scale and rotate the square around the face"""

    bl_idname = "edtalk.adjust_crop"
    bl_label = "Adjust Crop"
    bl_options = {"UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not has_editable_character(cls, context):
            return False
        return is_in_view(context) or refuse(cls, "Do this in a 3D view")

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        ob = context.object
        self._uid, self._area = ob.session_uid, context.area
        self._region = next(region for region in context.area.regions if region.type == "WINDOW")
        try:
            portrait = character.portrait_bytes(ob)
            self._picture = load_portrait(portrait, portrait_crop.seen(ob))
        except EDTalkError as error:
            report_error(self, error.cause, error.fix)
            return {"CANCELLED"}
        self._portrait = InMemory.of(portrait)
        self._size = tuple(self._picture.size)
        self._crop = first_crop(ob, self._size)
        self._held: tuple[Grip, Point, Crop] | None = None
        self._question: Steps[Inspected] | None = None
        self._lines: list[str] = []
        runtime.session().start_server()
        runtime.current().wake()
        self._ask()
        self._handle = bpy.types.SpaceView3D.draw_handler_add(self._draw, (), "WINDOW", "POST_PIXEL")
        self._timer = context.window_manager.event_timer_add(TIMER_S, window=context.window)
        context.workspace.status_text_set(iface_(HELP))
        context.window_manager.modal_handler_add(self)
        self._area.tag_redraw()
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if event.type == "TIMER":
            self._read_answer()
            return {"PASS_THROUGH"}
        if event.type in {"ESC", "RIGHTMOUSE"} and event.value == "PRESS":
            return self._end(context, {"CANCELLED"})
        if event.type in {"RET", "NUMPAD_ENTER"} and event.value == "PRESS":
            return self._end(context, self._apply())
        self._on_mouse(event)
        self._area.tag_redraw()
        return {"RUNNING_MODAL"}

    def cancel(self, context: bpy.types.Context) -> None:
        """Called when Blender ends the operator: the window closes, or another file is loaded."""
        self._end(context, set())

    # --- the mouse ---------------------------------------------------------------------------------------------------

    def _on_mouse(self, event: bpy.types.Event) -> None:
        fit = self._fit()
        point = fit.to_picture((event.mouse_x - self._region.x, event.mouse_y - self._region.y))
        if event.type == "LEFTMOUSE" and event.value == "PRESS":
            reach = REACH * bpy.context.preferences.system.ui_scale / fit.scale
            self._held = crop_box.grip_at(self._crop, point, reach), point, self._crop
        elif event.type == "LEFTMOUSE" and event.value == "RELEASE" and self._held is not None:
            self._held = None
            self._ask()
        elif event.type in {"WHEELUPMOUSE", "WHEELDOWNMOUSE"}:
            self._crop = crop_box.scale(self._crop, WHEEL if event.type == "WHEELUPMOUSE" else 1 / WHEEL)
            self._ask()
        elif self._held is not None:
            grip, start, before = self._held
            self._crop = crop_box.drag(before, grip, start, point)

    def _fit(self) -> Fit:
        return Fit.into(free_room(self._area, self._region), self._size)

    # --- the server --------------------------------------------------------------------------------------------------

    def _ask(self) -> None:
        """Let the server look at this crop as soon as it is ready. An older question is dropped."""
        self._drop_question()
        self._has_to_ask = True

    def _read_answer(self) -> None:
        """Send the question, or read the answer to it."""
        session = runtime.session()
        if self._has_to_ask and session.is_ready:
            self._has_to_ask = False
            if session.can(Inspect.capability):
                self._question = portrait_requests.inspect(self._portrait, self._crop, Progress())
        elif self._has_to_ask:
            self._show([session.status.line])  # which is in the user's language already
        if self._question is None:
            return
        try:
            next(self._question)
        except StopIteration as last:
            self._show_verdict(last.value.verdict, last.value.advice)
        except EDTalkError as error:
            self._show_verdict(error.cause, error.fix)
        except Stopped:
            self._question = None

    def _show_verdict(self, verdict: str, advice: str) -> None:
        self._question = None
        self._show([iface_(line) for line in (VERDICTS.get(verdict, verdict), advice) if line])

    def _show(self, lines: list[str]) -> None:
        if lines != self._lines:
            self._lines = lines
            self._area.tag_redraw()

    def _drop_question(self) -> None:
        if self._question is not None:
            self._question.close()
            self._question = None

    # --- the end -----------------------------------------------------------------------------------------------------

    def _apply(self) -> set[str]:
        ob = find_object(self._uid)
        if ob is None:
            self.report({"WARNING"}, rpt_("The character was removed."))
            return {"CANCELLED"}
        portrait_crop.set_crop(ob, self._crop)
        return {"FINISHED"}

    def _end(self, context: bpy.types.Context, answer: set[str]) -> set[str]:
        self._drop_question()
        bpy.types.SpaceView3D.draw_handler_remove(self._handle, "WINDOW")
        context.window_manager.event_timer_remove(self._timer)
        context.workspace.status_text_set(None)
        bpy.data.images.remove(self._picture)
        redraw_panels()
        return answer

    # --- drawing -----------------------------------------------------------------------------------------------------

    def _draw(self) -> None:
        if bpy.context.region != self._region:
            return
        crop_drawing.draw(self._picture, self._crop, self._fit(), self._region)
        if self._lines:
            overlay.write(self._lines, 0.0, 0.0)


def load_portrait(data: bytes, inspected: Inspected | None) -> bpy.types.Image:
    """Load the portrait as a temporary image.

    It is declared to be sRGB, so that its texture is linear light wherever it is drawn.

    Raises `EDTalkError` for a picture that Blender cannot show, or shows on its side because it does not rotate it as
    the server does.
    """
    image = bpy.data.images.new("EDTalk crop", 1, 1)
    image[portrait_crop.TAG] = "crop"
    image.pack(data=data, data_len=len(data))
    image.source = "FILE"
    if not image.is_float:  # renders in linear light say so themselves
        image.colorspace_settings.name = "sRGB"
    try:
        portrait_crop.check_shown(tuple(image.size), inspected)
    except EDTalkError:
        bpy.data.images.remove(image)
        raise
    return image


def first_crop(ob: bpy.types.Object, size: tuple[int, int]) -> Crop:
    """Return the crop to start with: the chosen one, the one that the server found, or the middle of the picture."""
    if (crop := portrait_crop.crop_of(ob)) is not None:
        return crop
    inspected = portrait_crop.seen(ob)
    if inspected is not None and inspected.crop.side > 0 and portrait_crop.is_seen(ob):
        return inspected.crop
    return Crop(size[0] / 2, size[1] / 2, float(min(size)))


CLASSES = (AdjustCrop,)
