"""Runs inside a Blender with a window (see test_views_window.py): the live picture in each kind of shading."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator

import bpy

sys.path.insert(0, "/mnt/src")
import drive_bake as bake
import drive_window as window
from drive_window import area, character, photograph, result

VIEWS = {
    "solid": ("SOLID", ""),
    "material": ("MATERIAL", ""),
    "eevee": (
        "RENDERED",
        "BLENDER_EEVEE_NEXT" if bpy.app.version < (5, 0, 0) else "BLENDER_EEVEE",
    ),
    "cycles": ("RENDERED", "CYCLES"),
}
LIMIT = 300 if "eevee" in os.environ["VIEWS"] else 60
"""Seconds that a picture may take to be seen: EEVEE compiles shaders first."""


def story() -> Iterator[float]:
    yield from bake.prepare()
    for track in character().animation_data.nla_tracks:
        track.mute = True
    space, scene = area("VIEW_3D").spaces.active, bpy.context.scene
    space.overlay.show_overlays = False
    scene.cycles.samples = scene.cycles.preview_samples = 1
    scene.cycles.use_preview_denoising = False
    result["changes"] = {}
    for name in os.environ["VIEWS"].split(","):
        shading, engine = VIEWS[name]
        if engine:
            scene.render.engine = engine
        space.shading.type = shading
        yield from shown_after_a_change(name)
        photograph(f"{name}.png")


def shown_after_a_change(name: str) -> Iterator[float]:
    """How many of three changes of a weight are seen on the screen."""
    ob, seen = character(), 0
    for value in (0.0, 1.0, 0.2):
        ob.edtalk.mouth_01 = value
        ob.update_tag()
        yield 0.5
        yield from steady()
        before, end = bake.plane_on_screen(), time.monotonic() + LIMIT
        ob.edtalk.mouth_01 = value + 0.5
        ob.update_tag()
        while bake.plane_on_screen() == before and time.monotonic() < end:
            yield 0.2
        seen += bake.plane_on_screen() != before
    result["changes"][name] = seen


def steady() -> Iterator[float]:
    """Wait until nothing moves on the screen any more (shaders are compiled, samples are taken)."""
    end, last, same = time.monotonic() + LIMIT, b"", 0
    while same < 6 and time.monotonic() < end:
        now = bake.plane_on_screen()
        same = same + 1 if now == last else 0
        last = now
        yield 0.3


if __name__ == "__main__":
    window.begin(story())
