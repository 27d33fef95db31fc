# SPDX-License-Identifier: GPL-3.0-or-later
"""A coloured line below the ruler of the animation editors: which frames of the active character are baked."""

from __future__ import annotations

import bpy

from ...core.takes.staleness import State
from ..runtime.preferences import preferences
from .watch import WATCH

COLORS = {
    State.FRESH: (0.25, 0.65, 0.55, 0.9),
    State.STALE: (0.95, 0.6, 0.1, 0.9),
    State.MISSING: (0.55, 0.2, 0.25, 0.9),
}
"""Told apart by lightness too. Frames that are not known yet are not drawn."""
HEIGHT, BELOW_TOP = 4, 23 + 4
"""Pixels at scale 1: the line's own, and from the region's top to its lower edge (the ruler is 23 high)."""

Rectangle = tuple[float, float]
_handles: list[tuple[type[bpy.types.Space], object]] = []


def _draw() -> None:
    import gpu
    from gpu_extras.batch import batch_for_shader

    region, staleness = bpy.context.region, WATCH.map
    if staleness is None or not preferences().draw_stale:
        return
    scale = bpy.context.preferences.system.ui_scale
    low, high = region.height - BELOW_TOP * scale, region.height - (BELOW_TOP - HEIGHT) * scale
    gpu.state.blend_set("ALPHA")
    shader = gpu.shader.from_builtin("UNIFORM_COLOR")
    for state, color in COLORS.items():
        corners: list[tuple[float, float]] = []
        for left, right in _spans(region, state):
            corners += [(left, low), (right, low), (right, high), (left, low), (right, high), (left, high)]
        if corners:
            shader.uniform_float("color", color)
            batch_for_shader(shader, "TRIS", {"pos": corners}).draw(shader)
    gpu.state.blend_set("NONE")


def _spans(region: bpy.types.Region, state: State) -> list[Rectangle]:
    """Return the pixels of the region's frames in a state, as spans; touching spans are joined."""
    staleness, view, spans = WATCH.map, region.view2d, list[Rectangle]()
    for run in staleness.runs if staleness is not None else ():
        left = max(view.view_to_region(run.first - 0.5, 0, clip=False)[0], 0)
        right = min(view.view_to_region(run.last + 0.5, 0, clip=False)[0], region.width)
        if run.state != state or right < left:
            continue
        if spans and spans[-1][1] >= left:
            spans[-1] = spans[-1][0], max(right, left + 1)
        else:
            spans.append((left, max(right, left + 1)))
    return spans


def register() -> None:
    """Draw in the windows that there are."""
    if bpy.app.background:
        return
    for space in (bpy.types.SpaceDopeSheetEditor, bpy.types.SpaceGraphEditor, bpy.types.SpaceNLA):
        _handles.append((space, space.draw_handler_add(_draw, (), "WINDOW", "POST_PIXEL")))


def unregister() -> None:
    """Stop drawing."""
    for space, handle in _handles:
        space.draw_handler_remove(handle, "WINDOW")
    _handles.clear()
