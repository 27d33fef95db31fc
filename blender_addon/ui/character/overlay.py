# SPDX-License-Identifier: GPL-3.0-or-later
"""Words over the plane in the 3D view while its live preview is paused, and why."""

from __future__ import annotations

import bpy

from ...core.text.translate import iface_, n_
from ..runtime import runtime
from ..runtime.live import LIVE

SIZE, MARGIN, PADDING = 12, 8, 5
"""Letters and distances in pixels at scale 1."""
PAUSED = n_("Preview paused")
BAKED = n_("Baked frames are shown")
TEXT, BACK = (1.0, 0.85, 0.6, 1.0), (0.0, 0.0, 0.0, 0.65)

_handle: object | None = None


def reason(ob: bpy.types.Object) -> list[str]:
    """Return why the plane does not show the sliders' face, as lines; none when it does or is not expected to."""
    session = runtime.session()
    if ob.edtalk.show != "LIVE":
        return [BAKED, n_("Start the server to see what you edit")] if LIVE.is_unseen(ob) else []
    if session.is_ready:
        cause = LIVE.trouble(ob)
        return [PAUSED, cause] if cause else []
    if not session.is_connected:
        cause = session.trouble[0] if session.trouble is not None else n_("The server is not running")
        return [PAUSED, cause, n_("Start the server in the EDTalk panel")]
    return [PAUSED, session.status.line]


def _draw() -> None:
    context = bpy.context
    if not context.space_data.overlay.show_overlays:
        return
    for ob in LIVE.characters(context.scene):
        if ob.visible_get(view_layer=context.view_layer) and (lines := reason(ob)):
            write(list(map(iface_, lines)), *_corner(ob, context.region, context.region_data))


def _corner(
    ob: bpy.types.Object, region: bpy.types.Region, view: bpy.types.RegionView3D
) -> tuple[float, float]:
    """Where the words begin: at the plane's lower left corner as it is seen, or the view's when it is out of sight."""
    from bpy_extras.view3d_utils import location_3d_to_region_2d
    from mathutils import Vector

    corners = [
        location_3d_to_region_2d(region, view, ob.matrix_world @ Vector(corner)) for corner in ob.bound_box
    ]
    visible = [corner for corner in corners if corner is not None]
    x, y = (
        min((corner.x for corner in visible), default=0.0),
        min((corner.y for corner in visible), default=0.0),
    )
    is_inside = 0 <= x < region.width and 0 <= y < region.height
    return (x, y) if is_inside else (0.0, 0.0)


def write(lines: list[str], left: float, low: float) -> None:
    """Words, in the user's language already, on a dark ground whose lower left corner is a little above and right of a
    place in the region."""
    import blf
    import gpu
    from gpu_extras.batch import batch_for_shader

    scale = bpy.context.preferences.system.ui_scale
    blf.size(0, SIZE * scale)
    pad, step = PADDING * scale, SIZE * scale * 1.4
    width = max(blf.dimensions(0, line)[0] for line in lines) + 2 * pad
    left, low = left + MARGIN * scale, low + MARGIN * scale
    right, high = left + width, low + step * len(lines) + pad
    gpu.state.blend_set("ALPHA")
    shader = gpu.shader.from_builtin("UNIFORM_COLOR")
    shader.uniform_float("color", BACK)
    corners = [(left, low), (right, low), (left, high), (right, high)]
    batch_for_shader(shader, "TRI_STRIP", {"pos": corners}).draw(shader)
    gpu.state.blend_set("NONE")
    blf.color(0, *TEXT)
    for number, line in enumerate(lines, 1):
        blf.position(0, left + pad, high - step * number, 0)
        blf.draw(0, line)


def register() -> None:
    """Draw in the 3D views that there are."""
    global _handle
    if not bpy.app.background:
        _handle = bpy.types.SpaceView3D.draw_handler_add(_draw, (), "WINDOW", "POST_PIXEL")


def unregister() -> None:
    """Stop drawing."""
    global _handle
    if _handle is not None:
        bpy.types.SpaceView3D.draw_handler_remove(_handle, "WINDOW")
        _handle = None
