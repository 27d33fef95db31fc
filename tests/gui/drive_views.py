"""Runs inside a Blender with a window (see test_views_window.py): the live picture in each kind of shading."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Generator, Iterator

import bpy
import numpy as np
from bpy_extras.view3d_utils import location_3d_to_region_2d

sys.path.insert(0, "/mnt/src")
import drive_bake as bake
import drive_window as window
from drive_window import addon, area, character, photograph, result

VIEWS = {
    "solid": ("SOLID", ""),
    "material": ("MATERIAL", ""),
    "eevee": (
        "RENDERED",
        "BLENDER_EEVEE_NEXT" if bpy.app.version < (5, 0, 0) else "BLENDER_EEVEE",
    ),
    "cycles": ("RENDERED", "CYCLES"),
}
LIMIT = 100 if "eevee" in os.environ["VIEWS"] else 30
"""Seconds that a picture may take to be seen: EEVEE compiles shaders first."""
CHANGES = {"slowly": 1.0, "one after another": 0.1, "many at once": 0.0}
"""Seconds between four changes of a weight."""


def story() -> Generator[float, None, None]:
    yield from bake.prepare()
    for track in character().animation_data.nla_tracks:
        track.mute = True
    space, scene = area("VIEW_3D").spaces.active, bpy.context.scene
    space.shading.light = "FLAT"
    space.overlay.show_overlays = space.show_gizmo = space.show_region_ui = False
    scene.cycles.samples = scene.cycles.preview_samples = 1
    scene.cycles.use_preview_denoising = False
    yield from look_at_the_character()
    yield from window.settled()
    result["seen"] = {}
    for name in os.environ["VIEWS"].split(","):
        shading, engine = VIEWS[name]
        if engine:
            scene.render.engine = engine
        space.shading.type = shading
        yield from seen_after_changes(name)
        photograph(f"{name}.png")


def look_at_the_character() -> Iterator[float]:
    """It alone is framed, whatever else is selected."""
    far = bpy.data.objects.new("far", None)
    bpy.context.collection.objects.link(far)
    far.location.x = 100
    far.select_set(True)
    with window.inside("VIEW_3D"):
        bpy.ops.edtalk.look_at_character()
    yield 1.0
    result["framed"] = [min(plane_on_screen().shape[:2]) > 150, far.select_get()]
    bpy.data.objects.remove(far)


def seen_after_changes(name: str) -> Iterator[float]:
    """Is the picture of a weight's last value seen on the screen, however quickly the values came?"""
    found: dict[str, list[bool]] = {}
    for speed, pause in CHANGES.items():
        for value in (-2.0, 2.0):
            before = picture()
            for share in (0.25, 0.5, 0.75, 1.0):
                character().edtalk.mouth_01 = value * share
                character().update_tag()
                yield pause
            yield from window.settled()  # the coarse picture has another size
            yield from saw(before, found.setdefault(speed, []))
    for shade in (0.2, 0.8):  # four pictures between two looks of the view
        before = picture()
        for share in (0.25, 0.5, 0.75, 1.0):
            show(shade * share)
        yield from saw(before, found.setdefault("none between", []))
    result["seen"][name] = found


def saw(before: np.ndarray, answers: list[bool]) -> Iterator[float]:
    """Wait until the picture is seen, and say whether it was."""
    end = time.monotonic() + LIMIT
    while not (is_seen := sees(before)) and time.monotonic() < end:
        yield 0.2
    answers.append(is_seen)


def show(shade: float) -> None:
    """A grey live picture, as if the server had sent it."""
    ob = character()
    width, height = ob.edtalk.live_image.size
    grey = round(255 * shade)
    addon("scene.plane").show_live(ob, width, height, bytes((grey, grey, grey, 255)) * (width * height))
    addon("ui.runtime.live").LIVE._moved = time.monotonic()


def picture() -> np.ndarray:
    """The live picture, uint8 [height, width, 3], from its top."""
    image = character().edtalk.live_image
    floats = np.empty(len(image.pixels), np.float32)
    image.pixels.foreach_get(floats)
    return np.rint(floats.reshape(image.size[1], image.size[0], 4)[::-1, :, :3] * 255).astype(np.uint8)


def sees(before: np.ndarray) -> bool:
    """Is the plane, where the picture is another one than `before`, nearer to it by far than to that one?"""
    now, seen = picture(), plane_on_screen().astype(float)
    changed = (now != before).any(axis=2)
    if not changed.any():
        return False
    rows, columns = (
        ((np.arange(many) + 0.5) * pixels / many).astype(int)
        for many, pixels in zip(seen.shape[:2], now.shape[:2], strict=True)
    )
    shown = changed[rows][:, columns]
    # views draw the picture larger and smooth its edges: those do not count
    to_now, to_before = (
        np.median(np.abs(one[rows][:, columns][shown] - seen[shown])) for one in (now, before)
    )
    return bool(to_now < to_before / 3)


def plane_on_screen() -> np.ndarray:
    """What the user sees of the plane, uint8 [height, width, 3]."""
    where, ob = window.region(area("VIEW_3D")), character()
    view = area("VIEW_3D").spaces.active.region_3d
    corners = [
        location_3d_to_region_2d(where, view, ob.matrix_world @ vertex.co) for vertex in ob.data.vertices
    ]
    left, right = (round(limit(corner.x for corner in corners)) for limit in (min, max))
    low, high = (round(limit(corner.y for corner in corners)) for limit in (min, max))
    top = window.window().height - (where.y + high)
    return window.pixels(where.x + left, top, right - left, high - low)


if __name__ == "__main__":
    window.begin(story())
