# SPDX-License-Identifier: GPL-3.0-or-later
"""The portrait with its crop over the 3D view: a mouse moves, scales and turns the box, the server judges it."""

from __future__ import annotations

from dataclasses import dataclass
from inspect import signature
from typing import NamedTuple

import bpy

from shared_protocol.errors import EDTalkError
from shared_protocol.messages import Crop, Inspect, Inspected

from ...core import crop_box
from ...core.crop_box import Grip, Point
from ...core.server.uploads import InMemory
from ...core.tasks import Progress, Steps, Stopped
from ...core.text.translate import iface_, n_, rpt_
from ...scene import character, portrait_crop
from ..runtime import portrait_requests, pump
from ..runtime.task_operator import refuse, report_error
from . import overlay
from .portrait import VERDICTS, is_ours_to_crop

FILLING = 0.92
"""Of the room that there is by the picture."""
REACH = 10
"""Pixels at scale 1 beside the box's edge at which a press still takes it."""
WHEEL = 1.04
TIMER_SECONDS = 0.03
DIM, LINE, SHADE = (0.05, 0.05, 0.05, 0.8), (1.0, 0.75, 0.25, 1.0), (0.0, 0.0, 0.0, 0.7)
HELP = n_(
    "Drag inside: move    Edge or wheel: size    Outside: turn    Enter: use it    Esc: leave it as it was"
)


class Room(NamedTuple):
    """A rectangle in a region, in its pixels; y upwards."""

    left: int
    low: int
    right: int
    high: int


def free_room(area: bpy.types.Area, region: bpy.types.Region) -> Room:
    """What the sidebar and all else that lies over a region leave of it."""
    room = [0, 0, region.width, region.height]
    for other in area.regions:
        left, low = other.x - region.x, other.y - region.y
        right, high = left + other.width, low + other.height
        is_over = other.type != "WINDOW" and min(other.width, other.height) > 1
        if not is_over or right <= 0 or high <= 0 or left >= region.width or low >= region.height:
            continue
        match other.alignment:
            case "LEFT":
                room[0] = max(room[0], right)
            case "BOTTOM":
                room[1] = max(room[1], high)
            case "RIGHT":
                room[2] = min(room[2], left)
            case "TOP":
                room[3] = min(room[3], low)
    return Room(*room)


@dataclass(frozen=True)
class Fit:
    """Where a picture of `width` x `height` pixels is in a region: `scale` region pixels for each of its own."""

    left: float
    top: float
    scale: float

    @classmethod
    def into(cls, room: Room, picture: tuple[int, int]) -> Fit:
        """As large as there is room for, in the middle."""
        width, height = max(room.right - room.left, 1), max(room.high - room.low, 1)
        scale = FILLING * min(width / picture[0], height / picture[1])
        middle = (room.left + room.right) / 2, (room.low + room.high) / 2
        return cls(middle[0] - picture[0] * scale / 2, middle[1] + picture[1] * scale / 2, scale)

    def to_region(self, point: Point) -> Point:
        """A place in the picture, on the screen."""
        return self.left + point[0] * self.scale, self.top - point[1] * self.scale

    def to_picture(self, point: Point) -> Point:
        """The other way."""
        return (point[0] - self.left) / self.scale, (self.top - point[1]) / self.scale


class AdjustCrop(bpy.types.Operator):
    """Show the portrait over the view, with the square of the face to be moved, scaled and turned"""

    bl_idname = "edtalk.adjust_crop"
    bl_label = "Adjust Crop"
    bl_options = {"UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not is_ours_to_crop(cls, context):
            return False
        return (context.area is not None and context.area.type == "VIEW_3D") or refuse(
            cls, "Do this in a 3D view"
        )

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        ob = context.object
        self._uid, self._area = ob.session_uid, context.area
        self._region = next(one for one in context.area.regions if one.type == "WINDOW")
        try:
            portrait = character.portrait_bytes(ob)
            self._picture = loaded(portrait, portrait_crop.seen(ob))
        except EDTalkError as error:
            report_error(self, error.cause, error.fix)
            return {"CANCELLED"}
        self._portrait = InMemory.of(portrait)
        self._size = tuple(self._picture.size)
        self._crop = first_crop(ob, self._size)
        self._held: tuple[Grip, Point, Crop] | None = None
        self._question: Steps[Inspected] | None = None
        self._lines: list[str] = []
        pump.session().start_server()
        pump.wake()
        self._ask()
        self._handle = bpy.types.SpaceView3D.draw_handler_add(self._draw, (), "WINDOW", "POST_PIXEL")
        self._timer = context.window_manager.event_timer_add(TIMER_SECONDS, window=context.window)
        context.workspace.status_text_set(iface_(HELP))
        context.window_manager.modal_handler_add(self)
        self._area.tag_redraw()
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if event.type == "TIMER":
            self._hear()
            return {"PASS_THROUGH"}
        if event.type in {"ESC", "RIGHTMOUSE"} and event.value == "PRESS":
            return self._end(context, {"CANCELLED"})
        if event.type in {"RET", "NUMPAD_ENTER"} and event.value == "PRESS":
            return self._end(context, self._use())
        self._on_mouse(event)
        self._area.tag_redraw()
        return {"RUNNING_MODAL"}

    def cancel(self, context: bpy.types.Context) -> None:
        """Blender ends the operator (the window closes, another file is loaded)."""
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
        """Let the server look at this crop, as soon as it is there; an older question is dropped."""
        self._forget_question()
        self._is_to_ask = True

    def _hear(self) -> None:
        """Go on with the question that is to be asked, or is under way."""
        session = pump.session()
        if self._is_to_ask and session.is_ready:
            self._is_to_ask = False
            if session.can(Inspect.capability):
                self._question = portrait_requests.inspect(self._portrait, self._crop, Progress())
        elif self._is_to_ask:
            self._say([session.status.line])  # which is in the user's language already
        if self._question is None:
            return
        try:
            next(self._question)
        except StopIteration as last:
            self._told(last.value.verdict, last.value.advice)
        except EDTalkError as error:
            self._told(error.cause, error.fix)
        except Stopped:
            self._question = None

    def _told(self, verdict: str, advice: str) -> None:
        self._question = None
        self._say([iface_(line) for line in (VERDICTS.get(verdict, verdict), advice) if line])

    def _say(self, lines: list[str]) -> None:
        if lines != self._lines:
            self._lines = lines
            self._area.tag_redraw()

    def _forget_question(self) -> None:
        if self._question is not None:
            self._question.close()
            self._question = None

    # --- the end -----------------------------------------------------------------------------------------------------

    def _use(self) -> set[str]:
        ob = character.find(self._uid)
        if ob is None:
            self.report({"WARNING"}, rpt_("The character was removed meanwhile"))
            return {"CANCELLED"}
        portrait_crop.set_crop(ob, self._crop)
        return {"FINISHED"}

    def _end(self, context: bpy.types.Context, answer: set[str]) -> set[str]:
        self._forget_question()
        bpy.types.SpaceView3D.draw_handler_remove(self._handle, "WINDOW")
        context.window_manager.event_timer_remove(self._timer)
        context.workspace.status_text_set(None)
        bpy.data.images.remove(self._picture)
        pump.redraw_panels(context)
        return answer

    # --- drawing -----------------------------------------------------------------------------------------------------

    def _draw(self) -> None:
        if bpy.context.region != self._region:
            return
        fit = self._fit()
        _draw_picture(self._picture, fit, self._size, (self._region.width, self._region.height))
        box = [fit.to_region(corner) for corner in crop_box.corners(self._crop)]
        mark = [fit.to_region(end) for end in crop_box.top_mark(self._crop)]
        for color, width in ((SHADE, 4.0), (LINE, 1.8)):
            _draw_line([*box, box[0]], color, width)
            _draw_line(mark, color, width)
        if self._lines:
            overlay.write(self._lines, 0.0, 0.0)


def loaded(data: bytes, seen: Inspected | None) -> bpy.types.Image:
    """The portrait as an image of its own, for as long as the box is drawn over it.

    It is declared to be sRGB, so that its texture is linear light wherever it is drawn.

    Raises `EDTalkError` for a photo that is stored lying: Blender does not turn it as the server does.
    """
    image = bpy.data.images.new("EDTalk crop", 1, 1)
    image[portrait_crop.TAG] = "crop"
    image.pack(data=data, data_len=len(data))
    image.source = "FILE"
    image.colorspace_settings.name = "sRGB"
    try:
        portrait_crop.check_upright(tuple(image.size), seen)
    except EDTalkError:
        bpy.data.images.remove(image)
        raise
    return image


def first_crop(ob: bpy.types.Object, size: tuple[int, int]) -> Crop:
    """The box to begin with: the chosen crop, the one that was found, or the middle of the picture."""
    if (crop := portrait_crop.crop_of(ob)) is not None:
        return crop
    seen = portrait_crop.seen(ob)
    if seen is not None and seen.crop.side > 0 and portrait_crop.is_seen(ob):
        return seen.crop
    return Crop(size[0] / 2, size[1] / 2, float(min(size)))


def _draw_picture(image: bpy.types.Image, fit: Fit, size: tuple[int, int], region: tuple[int, int]) -> None:
    import gpu
    from gpu_extras.batch import batch_for_shader
    from gpu_extras.presets import draw_texture_2d

    gpu.state.blend_set("ALPHA")
    shader = gpu.shader.from_builtin("UNIFORM_COLOR")
    shader.uniform_float("color", DIM)
    batch_for_shader(shader, "TRI_STRIP", {"pos": _strip((0, region[1]), (region[0], 0))}).draw(shader)
    # a view was an sRGB target, which encodes what is drawn over it, up to some Blender before 5.0
    encodes = "is_scene_linear_with_rec709_srgb_target" not in signature(draw_texture_2d).parameters
    options = {} if encodes else {"is_scene_linear_with_rec709_srgb_target": True}
    low = fit.to_region((0, size[1]))
    draw_texture_2d(gpu.texture.from_image(image), low, size[0] * fit.scale, size[1] * fit.scale, **options)
    gpu.state.blend_set("NONE")


def _strip(left_top: Point, right_bottom: Point) -> list[Point]:
    """A rectangle's corners as a strip of triangles."""
    (left, top), (right, bottom) = left_top, right_bottom
    return [(left, top), (right, top), (left, bottom), (right, bottom)]


def _draw_line(points: list[Point], color: tuple[float, float, float, float], width: float) -> None:
    import gpu
    from gpu_extras.batch import batch_for_shader

    gpu.state.blend_set("ALPHA")
    shader = gpu.shader.from_builtin("POLYLINE_UNIFORM_COLOR")
    shader.uniform_float("viewportSize", gpu.state.viewport_get()[2:])
    shader.uniform_float("lineWidth", width * bpy.context.preferences.system.ui_scale)
    shader.uniform_float("color", color)
    places = [(x, y, 0.0) for x, y in points]
    batch_for_shader(shader, "LINE_STRIP", {"pos": places}).draw(shader)
    gpu.state.blend_set("NONE")


CLASSES = (AdjustCrop,)
