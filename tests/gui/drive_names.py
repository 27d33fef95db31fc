"""Runs inside a Blender with a window (see test_names_window.py): two characters of different bundles, the names in the
Graph Editor, a tooltip, and names that change again and again while a slider is dragged."""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator
from typing import Any

import bpy

sys.path.insert(0, "/mnt/src")
import drive_window as window
from drive_weights import at, mouse
from drive_window import FRAMES, OUT, SRC, addon, finished, inside, photograph, result, settled

ROWS = [
    {"identifier": "smirk", "name": "Smirk", "bank": "mouth", "minimum": 0.0, "maximum": 2.0},
    {"identifier": "sulk", "name": "Sulk", "bank": "mouth", "description": "Lower lip comes forward"},
    {"identifier": "nod", "name": "Nod", "bank": "pose", "description": "Looks down"},
]
"""The bases of a small bundle."""
CHANGES: list[bool] = []


class SliderPanel(bpy.types.Panel):
    """One large slider of a certain character at a known place, whichever is the active one."""

    bl_idname = "SLIDER_PT_test"
    bl_space_type, bl_region_type, bl_category, bl_label = "VIEW_3D", "UI", "Slider", "Slider"

    def draw(self, _context: bpy.types.Context) -> None:
        column = self.layout.column()
        column.scale_y = 4
        column.prop(bpy.data.objects["Small"].edtalk, "mouth_02", slider=True)


def story() -> Generator[float, None, None]:
    window.install()
    bpy.utils.register_class(SliderPanel)
    yield from window.arrange()
    yield from make_two()
    yield from look_at_both()
    yield from point_at_a_slider()
    yield from drag_while_names_change()
    yield from render_while_names_would_change()


def make_two() -> Iterator[float]:
    """The first one gets the small bundle's names, as if that had run when it was made."""
    scene = bpy.context.scene
    scene.render.fps, scene.frame_start, scene.frame_end = 25, 1, FRAMES
    bpy.ops.wm.save_as_mainfile(filepath=str(OUT / "shot.blend"))
    for name in ("Small", "Other"):
        with inside("VIEW_3D"):
            bpy.ops.edtalk.new_character("INVOKE_DEFAULT", filepath=str(SRC / "portrait.png"))
        yield from finished()
        bpy.context.object.name = name
        for frame, value in ((1, 0.0), (FRAMES, 0.5)):
            for channel in ("mouth_01", "mouth_02", "mouth_03", "pose_01", "pose_02"):
                setattr(bpy.context.object.edtalk, channel, value)
                bpy.context.object.keyframe_insert(f"edtalk.{channel}", frame=frame)
    small = bpy.data.objects["Small"]
    layout = addon("core.weights.layouts").layout_from_rows(ROWS)
    addon("scene.character").set_source(small, "", "Small 1", layout, [0.0] * 3, ())
    yield from settled()


def activate(name: str) -> None:
    """A click on a character."""
    for ob in bpy.data.objects:
        ob.select_set(ob.name == name)
    bpy.context.view_layer.objects.active = bpy.data.objects[name]


def called(name: str) -> list[str]:
    properties = bpy.data.objects[name].edtalk.bl_rna.properties
    return [properties[channel].name for channel in ("mouth_01", "mouth_03", "pose_01")]


def look_at_both() -> Iterator[float]:
    for name in ("Small", "Other"):
        activate(name)
        yield 1.5
        with inside("GRAPH_EDITOR"):
            bpy.ops.anim.channels_expand(all=True)
            bpy.ops.graph.view_all()
        yield 1.0
        result[f"called in {name}"] = called(name)
        photograph(f"graph_{name.lower()}.png")


def point_at_a_slider() -> Iterator[float]:
    activate("Small")
    side = window.region(window.area("VIEW_3D"), "UI")
    side.active_panel_category = "Slider"
    yield 1.0
    mouse("mousemove", *at(side, side.width // 2, 75))
    yield 0.3
    mouse("mousemove_relative", "--", "3", "0")
    yield 3.0
    photograph("tooltip.png")


def change_names() -> float:
    """A timer: another character is the active one."""
    before = called("Small")
    activate("Other" if bpy.context.view_layer.objects.active.name == "Small" else "Small")
    addon("ui.weights.weight_names").tick()
    CHANGES.append(called("Small") != before)
    return 0.02


def drag(side: bpy.types.Region) -> Iterator[float]:
    """The slider, to the right."""
    mouse("mousemove", *at(side, side.width // 2, 75))
    yield 0.2
    mouse("mousedown", "1")
    for step in range(10):
        mouse("mousemove_relative", "--", "8", "0")
        yield 0.05 if step else 0.2
    mouse("mouseup", "1")
    yield 0.2


def drag_while_names_change() -> Iterator[float]:
    """What the window has drawn refers to names that are gone a moment later."""
    side = window.region(window.area("VIEW_3D"), "UI")
    small = bpy.data.objects["Small"]
    small.animation_data_clear()
    small.edtalk.mouth_02 = 0.0
    bpy.app.timers.register(change_names)
    for _ in range(5):
        yield from drag(side)
        mouse("click", "3")
        yield 0.5
        mouse("key", "Escape")
        yield 0.2
        bpy.context.scene.frame_set(bpy.context.scene.frame_current + 1)
    bpy.app.timers.unregister(change_names)
    result["changes"] = CHANGES.count(True)
    activate("Small")
    bpy.data.objects["Small"].edtalk.mouth_02 = 0.0
    yield 1.0
    yield from drag(side)
    yield 0.3
    result["value"] = bpy.data.objects["Small"].edtalk.mouth_02
    photograph("dragged.png")


def render_while_names_would_change() -> Iterator[float]:
    """The renderer's thread reads the properties: they are let alone until it is done."""
    scene = bpy.context.scene
    activate("Small")
    yield 1.0
    scene.render.engine, scene.cycles.device = "CYCLES", "CPU"
    scene.cycles.samples, scene.cycles.use_adaptive_sampling = 4000, False
    scene.cycles.use_denoising = False  # not every build can
    scene.camera = scene.camera or _camera()
    bpy.context.preferences.view.render_display_type = "NONE"
    with inside("VIEW_3D"):
        bpy.ops.render.render("INVOKE_DEFAULT")
    for _ in range(100):
        yield 0.1
        if bpy.app.is_job_running("RENDER"):
            break
    result["was rendering"] = bpy.app.is_job_running("RENDER")
    before = called("Small")
    activate("Other")
    yield 2.0
    result["kept during a render"] = bpy.app.is_job_running("RENDER") and called("Small") == before
    mouse("key", "Escape")
    for _ in range(200):
        if not bpy.app.is_job_running("RENDER"):
            break
        mouse("key", "Escape")
        yield 0.3
    yield 2.0
    result["changed after it"] = called("Small") != before


def _camera() -> Any:
    ob = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    ob.location.y, ob.rotation_euler.x = -4, 1.5708
    bpy.context.scene.collection.objects.link(ob)
    return ob


if __name__ == "__main__":
    window.begin(story())
