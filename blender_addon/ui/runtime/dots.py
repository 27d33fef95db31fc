# SPDX-License-Identifier: GPL-3.0-or-later
"""Dots over a view that are dragged with the mouse."""

from __future__ import annotations

import math

from ...core.weights.face_handles import Place

FILL, RING, LIT = (0.1, 0.1, 0.1, 0.35), (1.0, 1.0, 1.0, 0.85), (1.0, 0.75, 0.25, 1.0)
"""Colours (RGBA): of a dot, of its ring, and of the ring under the mouse."""
CORNERS = 20
"""Corners of what is drawn as a circle."""
INNER = 0.72
"""Radius inside the ring, in radii of the dot."""


def draw_dot(place: Place, radius: float, is_lit: bool) -> None:
    """Draw a dot at a place of the region, in pixels."""
    draw_disk(place, radius, LIT if is_lit else RING)
    draw_disk(place, radius * INNER, FILL)


def draw_disk(place: Place, radius: float, color: tuple[float, float, float, float]) -> None:
    """Draw a filled circle."""
    import gpu
    from gpu_extras.batch import batch_for_shader

    angles = [2 * math.pi * corner / CORNERS for corner in range(CORNERS)]
    edge = [(place[0] + radius * math.cos(a), place[1] + radius * math.sin(a)) for a in angles]
    triangles = [(0, corner, corner % CORNERS + 1) for corner in range(1, CORNERS + 1)]
    gpu.state.blend_set("ALPHA")
    shader = gpu.shader.from_builtin("UNIFORM_COLOR")
    shader.uniform_float("color", color)
    batch_for_shader(shader, "TRIS", {"pos": [place, *edge]}, indices=triangles).draw(shader)
    gpu.state.blend_set("NONE")
