# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
"""Compare two versions on one plane: right of a line, a take is drawn over what the plane shows.

The plane shows the live picture or a take; the other version is always a take. It is an overlay of the 3D views, so the
scene, its materials and renders stay as they are.
"""

from __future__ import annotations

from inspect import signature
from pathlib import Path

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, PointerProperty, StringProperty

from ...core import takes
from ...core.text.translate import iface_
from ...scene import character, paths, plane
from ..runtime import runtime
from ..runtime.dots import draw_dot
from ..runtime.redraw import redraw_areas
from ..sidebar import draw_words
from .take_library import LIBRARY

STRIPS = 12
"""Parts of the picture across, so that perspective bends none of it visibly."""
LINE, SHADE = (1.0, 0.75, 0.25, 1.0), (0.0, 0.0, 0.0, 0.7)
"""Colours (RGBA) of the line and of the shade around it."""
DOT_HEIGHT, DOT_RADIUS = 0.06, 7.0
"""Of the dot by which the line is dragged: where it is on it, in fractions of the picture from below, and pixels at
scale 1."""
NONE = "NONE"
Place = tuple[float, float]
_choices: list[tuple[str, str, str]] = []
"""The menu's items: Blender keeps no reference to the strings that a function returns."""


def _redraw(_self: object, _context: bpy.types.Context | None) -> None:
    redraw_areas({"VIEW_3D"})


def _folders(_group: object, context: bpy.types.Context | None) -> list[tuple[str, str, str]]:
    """Return the takes to choose from: the active character's, as the list in the panel has them."""
    manager = context.window_manager if context is not None else bpy.context.window_manager
    found = [(row.folder, row.name, "") for row in manager.edtalk_takes.rows] or [(NONE, "-", "")]
    if found != _choices:  # equal strings are other strings, and an open menu shows the old ones
        _choices[:] = found
    return _choices


def _chosen(group: EDTalkWipe) -> int:
    """Return the number of the chosen take in the list, which changes when takes are baked or deleted."""
    folders = [row.folder for row in bpy.context.window_manager.edtalk_takes.rows]
    return folders.index(group.folder) if group.folder in folders else 0


def _choose(group: EDTalkWipe, number: int) -> None:
    rows = bpy.context.window_manager.edtalk_takes.rows
    group.folder = rows[number].folder if number < len(rows) else ""


class EDTalkWipe(bpy.types.PropertyGroup):
    """How versions are compared; not saved with the file."""

    is_on: BoolProperty(
        name="Compare",
        description="Right of the line, draw another take over what the plane shows. Renders stay as they are",
        update=_redraw,
    )
    folder: StringProperty(options={"HIDDEN", "SKIP_SAVE"})
    take: EnumProperty(
        name="With",
        description="The take right of the line",
        items=_folders,
        get=_chosen,
        set=_choose,
        update=_redraw,
    )
    line: FloatProperty(
        name="Line",
        description="Where the line is, from the picture's left edge to its right one",
        default=0.5,
        min=0.0,
        max=1.0,
        subtype="FACTOR",
        update=_redraw,
    )


class Wipe:
    """The other version's picture at the current frame."""

    def __init__(self) -> None:
        self._image = 0
        """`session_uid` of its image block, which the file does not keep."""
        self._shown: tuple[Path, str] | None = None
        """The file that it shows, and the hash of what was baked into it."""
        self.is_dot_lit = False
        """Whether the mouse is over the line's dot, or drags it."""

    @property
    def image(self) -> bpy.types.Image | None:
        """Return the picture to draw; None where there is none."""
        return self._block() if self._shown is not None else None

    def _block(self) -> bpy.types.Image | None:
        """Return its image block; None where there is none, also because an undo removed it."""
        return next((image for image in bpy.data.images if image.session_uid == self._image), None)

    def tick(self) -> None:
        """Read the frame's picture when the frame, the take or what was baked changed."""
        wipe, ob = bpy.context.window_manager.edtalk_wipe, _active()
        if not wipe.is_on or ob is None or wipe.take in ("", NONE):
            self.forget()
            return
        frame = bpy.context.window_manager.windows[0].scene.frame_current
        wanted = frame_file(Path(wipe.take), frame)
        if wanted == self._shown and (wanted is None or self._block() is not None):
            return
        if wanted is not None:
            self._load(wanted[0])
        self._shown = wanted
        redraw_areas({"VIEW_3D"})

    def _load(self, file: Path) -> None:
        image = self._block()
        if image is None:
            image = bpy.data.images.load(str(file), check_existing=False)
            image.name, image[plane.TAG] = "EDTalk compare", "compare"
            self._image = image.session_uid
        else:
            image.filepath = str(file)
            image.reload()

    def forget(self) -> None:
        """Remove the picture."""
        image, self._image, self._shown = self._block(), 0, None
        if image is not None:
            bpy.data.images.remove(image)


WIPE = Wipe()


def frame_file(folder: Path, frame: int) -> tuple[Path, str] | None:
    """Return a take's file for a frame, or for the nearest of its frames, and its hash; None where it has none."""
    found = next((entry.take for entry in LIBRARY.entries if entry.take.folder == folder), None)
    if found is None or not found.hashes:
        return None
    return existing(found, frame)


def existing(take: takes.Take, frame: int) -> tuple[Path, str] | None:
    """Return the file of the take's frame that is nearest to this one, and its hash; None when it is not on disk."""
    nearest = min(take.hashes, key=lambda number: abs(number - frame))
    file = take.path(nearest)
    return (file, take.hashes[nearest]) if file.is_file() else None


def _active() -> bpy.types.Object | None:
    window = next(iter(bpy.context.window_manager.windows), None)
    ob = window.view_layer.objects.active if window is not None else None
    return ob if character.is_character(ob) else None


# --- drawing ---------------------------------------------------------------------------------------------------------


def compared(context: bpy.types.Context) -> bpy.types.Object | None:
    """Return the character that is compared in this view; None where there is none."""
    ob, is_on = context.object, context.window_manager.edtalk_wipe.is_on
    if not is_on or not character.is_character(ob) or not context.space_data.overlay.show_overlays:
        return None
    return ob if ob.visible_get(view_layer=context.view_layer) else None


def _draw() -> None:
    ob, image, wipe = compared(bpy.context), WIPE.image, bpy.context.window_manager.edtalk_wipe
    if ob is None or image is None:
        return
    columns = [wipe.line + (1.0 - wipe.line) * part / STRIPS for part in range(STRIPS + 1)]
    inside = [(column, up) for column in columns for up in (0.0, 1.0)]
    seen = [place for place in (place_of(ob, *one) for one in inside) if place is not None]
    if len(seen) < len(inside):
        return  # a part of the plane is behind the view
    if wipe.line < 1.0:
        _draw_picture(image, inside, seen)
    _draw_line(seen[:2])
    dot = place_of(ob, wipe.line, DOT_HEIGHT)
    if dot is not None:
        draw_dot(dot, DOT_RADIUS * bpy.context.preferences.system.ui_scale, WIPE.is_dot_lit)


def place_of(ob: bpy.types.Object, across: float, up: float) -> Place | None:
    """Return where a place of the picture (fractions from its left low corner) is in the region, in pixels."""
    from bpy_extras.view3d_utils import location_3d_to_region_2d
    from mathutils import Vector

    low, high = Vector(ob.bound_box[0]), Vector(ob.bound_box[6])
    local = Vector((low.x + across * (high.x - low.x), (low.y + high.y) / 2, low.z + up * (high.z - low.z)))
    context = bpy.context
    point = location_3d_to_region_2d(context.region, context.region_data, ob.matrix_world @ local)
    return (point.x, point.y) if point is not None else None


def _draw_picture(image: bpy.types.Image, inside: list[Place], seen: list[Place]) -> None:
    """Draw a picture as a strip of triangles: places in it (fractions from its left low corner), and in the region."""
    import gpu
    from gpu_extras.batch import batch_for_shader
    from gpu_extras.presets import draw_texture_2d

    # before 5.0 some views were sRGB targets, which encode what is drawn over them
    encodes = "is_scene_linear_with_rec709_srgb_target" not in signature(draw_texture_2d).parameters
    shader = gpu.shader.from_builtin("IMAGE" if encodes else "IMAGE_SCENE_LINEAR_TO_REC709_SRGB")
    shader.uniform_sampler("image", gpu.texture.from_image(image))
    gpu.state.blend_set("ALPHA")
    batch_for_shader(shader, "TRI_STRIP", {"pos": seen, "texCoord": inside}).draw(shader)
    gpu.state.blend_set("NONE")


def _draw_line(ends: list[Place]) -> None:
    import gpu
    from gpu_extras.batch import batch_for_shader

    gpu.state.blend_set("ALPHA")
    shader = gpu.shader.from_builtin("POLYLINE_UNIFORM_COLOR")
    shader.uniform_float("viewportSize", gpu.state.viewport_get()[2:])
    places = [(x, y, 0.0) for x, y in ends]
    for color, width in ((SHADE, 4.0), (LINE, 1.8)):
        shader.uniform_float("lineWidth", width * bpy.context.preferences.system.ui_scale)
        shader.uniform_float("color", color)
        batch_for_shader(shader, "LINES", {"pos": places}).draw(shader)
    gpu.state.blend_set("NONE")


def draw_controls(layout: bpy.types.UILayout, ob: bpy.types.Object) -> None:
    """Draw the switch, the take and the line, for the panel of the takes."""
    wipe = bpy.context.window_manager.edtalk_wipe
    column = layout.column(align=True)
    column.prop(wipe, "is_on", toggle=True, icon="IMAGE_ALPHA")
    if not wipe.is_on:
        return
    column.prop(wipe, "take", text="")
    column.prop(wipe, "line", slider=True)
    folder = paths.file_of(ob, "take")
    if ob.edtalk.show == "TAKE" and folder is not None and str(folder) == wipe.take:
        draw_words(layout, iface_("The plane shows this take already: choose another, or Live"), "INFO")


CLASSES = (EDTalkWipe,)
_handle: object | None = None


def register() -> None:
    """Draw in the 3D views that there are."""
    global _handle
    bpy.types.WindowManager.edtalk_wipe = PointerProperty(type=EDTalkWipe, options={"SKIP_SAVE"})
    if not bpy.app.background:
        _handle = bpy.types.SpaceView3D.draw_handler_add(_draw, (), "WINDOW", "POST_PIXEL")
    runtime.current().on_tick(WIPE.tick)
    runtime.current().on_new_file(WIPE.forget)


def unregister() -> None:
    """Stop drawing."""
    global _handle
    if _handle is not None:
        bpy.types.SpaceView3D.draw_handler_remove(_handle, "WINDOW")
        _handle = None
    WIPE.forget()
    del bpy.types.WindowManager.edtalk_wipe
