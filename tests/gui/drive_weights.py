"""Runs inside a Blender with a window (see test_weights_window.py): keys on top of a performance, poses and emotions,
as an animator makes them, with mouse and keys where that is the point."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Generator, Iterator

import bpy

sys.path.insert(0, "/mnt/src")
import drive_window as window
from drive_window import FRAMES, OUT, SRC, addon, character, finished, inside, photograph, result, settled


class JawPanel(bpy.types.Panel):
    """One large slider at a known place."""

    bl_idname = "JAW_PT_test"
    bl_space_type, bl_region_type, bl_category, bl_label = "VIEW_3D", "UI", "Jaw", "Jaw"

    def draw(self, context: bpy.types.Context) -> None:
        column = self.layout.column()
        column.scale_y = 4
        column.prop(context.object.edtalk, "mouth_01", slider=True)


def story() -> Generator[float, None, None]:
    yield from prepare()
    yield from key_by_hand()
    yield from copy_and_paste()
    yield from look_at_panels()
    yield from edit_the_performance()
    yield from assets()
    yield from pose_files()


def prepare() -> Iterator[float]:
    """A character that speaks, in a window with a Graph Editor."""
    window.install("weights.emotion_panel.EmotionPanel")
    bpy.utils.register_class(JawPanel)
    yield from window.arrange()
    scene = bpy.context.scene
    scene.render.fps, scene.frame_start, scene.frame_end = 25, 1, FRAMES
    bpy.ops.wm.save_as_mainfile(filepath=str(OUT / "shot.blend"))
    with inside("VIEW_3D"):
        bpy.ops.edtalk.new_character("INVOKE_DEFAULT", filepath=str(SRC / "portrait.png"))
    yield from finished()
    window.frame_the_plane()
    with inside("VIEW_3D"):
        bpy.ops.edtalk.choose_voice(filepath=str(next(SRC.glob("voice.*"))))
        bpy.ops.edtalk.predict("INVOKE_DEFAULT")
    yield from finished()
    yield from settled()


def at(where: bpy.types.Region, x: int, from_top: int) -> tuple[str, str]:
    """A place in a region as the mouse counts."""
    top = window.window().height - (where.y + where.height)
    return str(where.x + x), str(top + from_top)


def mouse(*commands: str) -> None:
    subprocess.run(["xdotool", *commands], check=True)


def key_by_hand() -> Iterator[float]:
    """Drag the slider at a frame and press I over it; the value must be there when the frame is left and met again."""
    scene, ob = bpy.context.scene, character()
    side = window.region(window.area("VIEW_3D"), "UI")
    side.active_panel_category = "Jaw"
    scene.frame_set(20)
    yield 1.0
    result["before"] = [value_at(frame) for frame in (10, 20, 30)]
    scene.frame_set(20)
    yield 1.0
    x, y = at(side, side.width // 2, 75)
    mouse("mousemove", x, y)
    yield 0.5
    mouse("mousedown", "1")
    for step in range(10):
        mouse("mousemove_relative", "--", "6", "0")
        yield 0.05 if step else 0.2
    mouse("mouseup", "1")
    yield 0.5
    photograph("dragged.png")
    result["dragged to"] = ob.edtalk.mouth_01
    mouse("mousemove", x, y)
    yield 0.5
    mouse("key", "i")
    yield 1.0
    photograph("keyed.png")
    action = ob.animation_data.action
    result["keyed in"] = action.name if action else ""
    result["blend"] = ob.animation_data.action_blend_type
    result["after"] = [value_at(frame) for frame in (10, 20, 30)]
    side.active_panel_category = "EDTalk"
    scene.frame_set(20)
    yield 0.5


def value_at(frame: int) -> float:
    bpy.context.scene.frame_set(frame)
    return float(character().edtalk.mouth_01)


def copy_and_paste() -> Iterator[float]:
    """Over the system's clipboard."""
    with inside("VIEW_3D"):
        bpy.ops.edtalk.copy_pose()
    yield 0.3
    result["clipboard"] = bpy.context.window_manager.clipboard[:20]
    bpy.context.scene.frame_set(60)
    with inside("VIEW_3D"):
        bpy.ops.edtalk.paste_pose()
    yield 0.3
    result["pasted"] = value_at(60), value_at(20)


def look_at_panels() -> Iterator[float]:
    """The panels of weights and emotions, and a happy face."""
    bpy.context.preferences.view.ui_scale = 0.75
    character().edtalk.emotion.happy = 0.8
    character().update_tag()
    yield from settled()
    with inside("VIEW_3D"):
        bpy.ops.screen.screen_full_area()
    yield 2.0
    photograph("happy.png")
    bpy.context.preferences.view.ui_scale = 1.0
    with inside("VIEW_3D"):
        bpy.ops.screen.screen_full_area()
    yield 1.0
    character().edtalk.emotion.happy = 0.0
    character().update_tag()
    yield from settled()


def edit_the_performance() -> Iterator[float]:
    """The Graph Editor shows the keys on top, then the performance."""
    with inside("GRAPH_EDITOR"):
        bpy.ops.anim.channels_expand(all=True)
        bpy.ops.graph.view_all()
    yield 1.0
    photograph("on_top.png")
    with inside("VIEW_3D"):
        bpy.ops.edtalk.edit_performance()
    yield 0.5
    with inside("GRAPH_EDITOR"):
        bpy.ops.anim.channels_expand(all=True)
        bpy.ops.graph.view_all()
    yield 1.5
    photograph("performance.png")
    result["edited itself"] = character().animation_data.action.name
    with inside("VIEW_3D"):
        bpy.ops.edtalk.edit_on_top()
    yield 0.5


def assets() -> Iterator[float]:
    """Poses in the shelf of the 3D view; a click on one applies it."""
    window.area("GRAPH_EDITOR").ui_type = "ASSETS"
    window.area("VIEW_3D").spaces.active.show_region_asset_shelf = True
    yield 3.0
    with inside("VIEW_3D"):
        bpy.ops.edtalk.make_pose_assets("INVOKE_DEFAULT")
    yield from finished(limit=500)
    window.area("FILE_BROWSER").spaces.active.params.asset_library_reference = "LOCAL"
    yield 4.0
    photograph("shelf.png")
    shelf = window.region(window.area("VIEW_3D"), "ASSET_SHELF")
    result["shelf"] = [shelf.width, shelf.height]
    character().edtalk.writing.reach = 2
    bpy.context.scene.frame_set(50)
    before = list(addon("scene.character").read_weights(character()))
    mouse("mousemove", *at(shelf, 40, 40))
    yield 1.0
    mouse("click", "1")
    yield 2.0
    photograph("applied.png")
    after = list(addon("scene.character").read_weights(character()))
    changed = [abs(a - b) > 1e-4 for a, b in zip(after, before, strict=True)]
    result["changed by a click"] = changed.count(True)
    mouse("mousemove", *at(window.region(window.area("FILE_BROWSER")), 60, 60))
    yield 0.5
    mouse("click", "3")
    yield 2.0
    photograph("browser.png")
    mouse("key", "Escape")
    yield 0.5
    mouse("mousemove", *at(window.region(window.area("VIEW_3D")), 200, 200))
    yield 0.5
    with inside("VIEW_3D"):
        bpy.ops.edtalk.keep_pose("INVOKE_DEFAULT", name="Smirk")
    yield 1.0
    photograph("keep.png")
    result["asks before"] = "Smirk" not in bpy.data.actions
    mouse("key", "Return")
    yield 1.0
    yield from finished()
    kept = bpy.data.actions.get("Smirk")
    result["kept"] = kept is not None and kept.asset_data is not None
    yield 1.0
    photograph("kept.png")


def pose_files() -> Iterator[float]:
    """The pose that was kept goes to a file, and comes back from there."""
    bpy.ops.wm.call_menu(name="EDTALK_MT_poses")
    yield 1.0
    photograph("poses.png")
    mouse("key", "Escape")
    yield 0.5
    with inside("VIEW_3D"):
        bpy.ops.edtalk.export_poses("INVOKE_DEFAULT")
    yield 3.0
    yield from window.choose_file(OUT / "poses")  # it gets its suffix
    content = json.loads((OUT / "poses.json").read_text("utf-8"))
    result["written"] = list(content["poses"])
    content["poses"] |= {f"Smirk {number}": content["poses"]["Smirk"] for number in range(40)}
    (OUT / "poses.json").write_text(json.dumps(content), "utf-8")
    bpy.data.actions.remove(bpy.data.actions["Smirk"])
    with inside("VIEW_3D"):
        bpy.ops.edtalk.import_poses("INVOKE_DEFAULT")
    yield 3.0
    yield from window.choose_file(OUT / "poses.json")
    result["importing"] = addon("ui.runtime.runtime").session().task is not None
    yield from finished()
    result["read"] = sum(action.name.startswith("Smirk") for action in bpy.data.actions)


if __name__ == "__main__":
    window.begin(story())
