"""Runs inside a Blender with a window (see test_bake_window.py): live picture, baking, rendering, quitting, as an
animator does them, with mouse and keys where that is the point."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from typing import Any

import bpy

sys.path.insert(0, "/mnt/src")
import drive_window as window
from drive_window import (
    FRAMES,
    OUT,
    SRC,
    addon,
    character,
    finished,
    inside,
    photograph,
    picture,
    result,
    settled,
)
from hands import F12, Place, at, drag, mouse, move, press, until

took: dict[str, list[float]] = {}


class DragPanel(bpy.types.Panel):
    """One large slider at a known place."""

    bl_idname = "DRAG_PT_test"
    bl_space_type, bl_region_type, bl_category, bl_label = "VIEW_3D", "UI", "Drag", "Drag"

    def draw(self, context: bpy.types.Context) -> None:
        column = self.layout.column()
        column.scale_y = 4
        column.prop(context.object.edtalk, "mouth_01", slider=True)


def timed(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
    """The same, noting how long it takes."""

    def measured(*arguments: Any, **options: Any) -> Any:
        start = time.perf_counter()
        try:
            return work(*arguments, **options)
        finally:
            took.setdefault(name, []).append((time.perf_counter() - start) * 1000)

    return measured


def measure() -> None:
    """Note the time that the add-on's parts take of the main thread."""
    runtime, live = addon("ui.runtime.runtime").current(), addon("ui.runtime.live").Live
    live.update = timed("handler", live.update)
    session = type(runtime.session)
    session.pump = timed("pump", session.pump)
    runtime._ticks[:] = [timed(f"tick {work.__qualname__}", work) for work in runtime._ticks]


def hover(kind: str) -> None:
    """Put the mouse into the middle of an area: keys go to where it is."""
    where = window.area(kind)
    x, y = where.x + where.width // 3, window.window().height - (where.y + where.height // 2)
    subprocess.run(["xdotool", "mousemove", str(x), str(y)], check=True)


def story() -> Generator[float, None, None]:
    yield from prepare()
    yield from drag_a_slider()
    yield from play()
    yield from cancel_by_escape()
    yield from bake_and_edit()
    yield from answer_questions()
    yield from undo_while_reading()
    yield from render_by_key()
    yield from lose_the_server()
    quit_as_a_user()


def prepare() -> Iterator[float]:
    """A talking character in a solid view that shows textures; a Dope Sheet below, and the Timeline."""
    window.install()
    measure()
    for ob in list(bpy.data.objects):
        bpy.data.objects.remove(ob)
    scene = bpy.context.scene
    scene.render.fps, scene.frame_start, scene.frame_end = 25, 1, FRAMES
    scene.view_settings.view_transform = "Standard"
    space = window.area("VIEW_3D").spaces.active
    space.show_region_ui = True
    space.shading.type, space.shading.color_type = "SOLID", "TEXTURE"
    with inside("VIEW_3D"):
        bpy.ops.screen.area_split(direction="HORIZONTAL", factor=0.3)
    views = sorted((a for a in window.window().screen.areas if a.type == "VIEW_3D"), key=lambda a: a.y)
    views[0].ui_type = "FCURVES"
    yield 1.0
    window.region(window.area("VIEW_3D"), "UI").active_panel_category = "EDTalk"
    bpy.ops.wm.save_as_mainfile(filepath=str(OUT / "shot.blend"))
    with inside("VIEW_3D"):
        bpy.ops.edtalk.new_character("INVOKE_DEFAULT", filepath=str(SRC / "portrait.png"))
    yield from finished()
    window.frame_the_plane()
    with inside("VIEW_3D"):
        bpy.ops.edtalk.choose_voice(filepath=str(next(SRC.glob("voice.*"))))
        bpy.ops.edtalk.predict("INVOKE_DEFAULT")
    yield from finished()
    yield 1.0


def plane_on_screen() -> bytes:
    """The pixels of the whole plane in the 3D view, without the sidebar's slider, as the user sees them."""
    where = window.area("VIEW_3D")
    top = window.window().height - where.y - where.height + 60
    return window.pixels(where.x + where.width // 3, top, 300, 300).tobytes()


def drag_a_slider() -> Iterator[float]:
    """A weight without keys, dragged with the mouse: the live picture follows while the button is down."""
    ob = character()
    for track in ob.animation_data.nla_tracks:
        track.mute = True
    ob.edtalk.mouth_01 = 0.0
    ob.update_tag()
    yield from settled()
    bpy.utils.register_class(DragPanel)
    sidebar = window.region(window.area("VIEW_3D"), "UI")
    yield 0.5
    sidebar.active_panel_category = "Drag"
    yield 1.0
    x = sidebar.x + sidebar.width // 2 - 60
    y = window.window().height - (sidebar.y + sidebar.height) + 75
    result["drag at"] = [x, y]
    before, seen = picture(ob), plane_on_screen()
    subprocess.run(["xdotool", "mousemove", str(x), str(y)], check=True)
    yield 1.0
    subprocess.run(["xdotool", "mousemove_relative", "1", "1"], check=True)
    yield 1.0
    subprocess.run(["xdotool", "mousedown", "1"], check=True)
    yield 1.0
    for _ in range(8):
        subprocess.run(["xdotool", "mousemove_relative", "12", "0"], check=True)
        yield 0.3
    yield from until(lambda: abs(picture(ob) - before).max() > 0.02)
    result["dragged to"] = ob.edtalk.mouth_01
    result["picture while dragging"] = float(abs(picture(ob) - before).max())
    yield from until(lambda: plane_on_screen() != seen)  # the view is drawn after the picture has come
    result["view while dragging"] = plane_on_screen() != seen
    photograph("dragging.png")
    subprocess.run(["xdotool", "mouseup", "1"], check=True)
    yield 0.5
    yield from drag_with_alt((x, y))
    for track in ob.animation_data.nla_tracks:
        track.mute = False
    # not before: Blender rebuilds what it evaluates when an object goes, leaves out one whose tracks are all muted, and
    # does not take it in again when they are unmuted
    bpy.data.objects.remove(bpy.data.objects["other"])
    yield 0.3
    bpy.utils.unregister_class(DragPanel)
    sidebar.active_panel_category = "EDTalk"
    yield from settled()


def drag_with_alt(slider: Place) -> Iterator[float]:
    """Two characters, both selected: with Alt, the slider of the active one changes the other, too."""
    ob = character()
    other = ob.copy()
    other.name = "other"
    bpy.context.collection.objects.link(other)
    other.select_set(True)
    bpy.context.view_layer.objects.active = ob
    ob.select_set(True)
    before = [ob.edtalk.mouth_01, other.edtalk.mouth_01]
    mouse("keydown", "alt")
    yield from drag((slider[0] + 40, slider[1]), (slider[0], slider[1]))
    mouse("keyup", "alt")
    yield 0.3
    result["dragged with Alt"] = [before, [ob.edtalk.mouth_01, other.edtalk.mouth_01]]


def play() -> Iterator[float]:
    """Playback with the live picture on, for three seconds or, on a slow machine, until some pictures have come."""
    pictures, start = set(), time.monotonic()
    took.clear()
    with bpy.context.temp_override(window=window.window()):
        bpy.ops.screen.animation_play()
    while time.monotonic() - start < (3 if len(pictures) > 3 else 60):
        yield 0.1
        pictures.add(picture(character()).tobytes())
    with bpy.context.temp_override(window=window.window()):
        bpy.ops.screen.animation_cancel()
    result["pictures while playing"] = len(pictures)
    result["seconds of playing"] = round(time.monotonic() - start, 1)
    note_times("playing")
    yield from settled()


def note_times(when: str) -> None:
    """Milliseconds of the main thread: median, the slowest of a hundred, the slowest."""
    for name, values in took.items():
        values.sort()
        numbers = (values[len(values) // 2], values[int(len(values) * 0.99)], values[-1])
        result[f"{name} {when} [ms]"] = [len(values), *(round(value, 2) for value in numbers)]
    took.clear()


def cancel_by_escape() -> Iterator[float]:
    session = addon("ui.runtime.runtime").session()
    hover("VIEW_3D")
    took.clear()
    with inside("VIEW_3D"):
        bpy.ops.edtalk.bake("INVOKE_DEFAULT")
    while session.task is not None and session.task.progress.done < 10:
        yield 0.05
    result["was baking"] = session.task is not None
    result["progress"] = session.task.progress.text if session.task is not None else ""
    photograph("baking.png")
    note_times("baking")
    start = time.monotonic()
    press("Escape")
    while session.task is not None and time.monotonic() - start < 5:
        yield 0.01
    result["cancelled after [ms]"] = round((time.monotonic() - start) * 1000)
    result["is cancelled"] = session.task is None
    take = addon("core.takes").Take.open(OUT / "edtalk" / "portrait" / "take_001")
    result["kept"] = len(addon("core.tasks").run_to_end(take.finished()))
    yield 1.0
    photograph("cancelled.png")


def bake_and_edit() -> Iterator[float]:
    """What is stale is shown on the timeline."""
    with inside("VIEW_3D"):
        bpy.ops.edtalk.bake("INVOKE_DEFAULT")
    yield from finished()
    watch = addon("ui.bake.watch").WATCH
    yield from until(lambda: watch.map.words.startswith("All"))
    result["after the bake"] = watch.map.words
    curve = addon("scene.keys.actions").find(character(), "edtalk.mouth_01")
    for key in curve.keyframe_points:
        if 20 <= key.co[0] <= 40:
            key.co[1] += 0.3
    curve.update()
    bpy.context.scene.frame_end = FRAMES + 20
    yield from until(lambda: watch.map is not None and f"–{FRAMES + 20}" in watch.map.words)
    result["after an edit"] = watch.map.words
    photograph("stale.png")
    bpy.context.scene.frame_end = FRAMES
    yield 0.5
    yield from drag_the_line()


def drag_the_line() -> Iterator[float]:
    """Compare the live picture with the take: the dot moves the line, which Escape puts back."""
    ob, manager = character(), bpy.context.window_manager
    ob.edtalk.show = "LIVE"
    bpy.context.scene.frame_set(30)
    yield from settled()
    manager.edtalk_wipe.is_on = True
    yield from until(lambda: addon("ui.bake.wipe").WIPE.image is not None)
    yield 0.5
    result["line"] = [manager.edtalk_wipe.line]
    left = plane_on_screen()
    for end in (0.2, 0.8):
        start = line_dot(manager.edtalk_wipe.line)
        move((start[0] + 3, start[1]))  # it lights up when the mouse comes to it
        yield 0.5
        yield from drag(start, line_dot(end))
        result["line"].append(manager.edtalk_wipe.line)
    photograph("compared.png")
    yield from until(lambda: plane_on_screen() != left)
    result["line is seen"] = plane_on_screen() != left
    start = line_dot(manager.edtalk_wipe.line)
    move(start)
    yield 0.3
    mouse("mousedown", "1")
    yield 0.2
    move(line_dot(0.5))
    yield 0.3
    press("Escape")
    yield 0.3
    mouse("mouseup", "1")
    yield 0.3
    result["line"].append(manager.edtalk_wipe.line)
    manager.edtalk_wipe.is_on = False
    yield 0.3


def line_dot(line: float) -> Place:
    """Where the dot is for a place of the line, as the mouse counts."""
    where, module = window.area("VIEW_3D"), addon("ui.bake.wipe")
    view = window.region(where)
    with bpy.context.temp_override(window=window.window(), area=where, region=view):
        x, y = module.place_of(character(), line, 0.06)
    return at(view, round(x), round(view.height - y))


def answer_questions() -> Iterator[float]:
    """Bake into a new take, and delete the old one: both ask first."""
    session, takes = addon("ui.runtime.runtime").session(), OUT / "edtalk" / "portrait"
    with inside("VIEW_3D"):
        bpy.ops.edtalk.bake_range("INVOKE_DEFAULT", new_take=True)
    yield 2.0
    result["asked before baking"] = session.task is None
    press("Return")
    yield from until(lambda: session.task is not None)
    yield from finished()
    result["takes"] = sorted(path.name for path in takes.iterdir())
    yield from until(lambda: len(addon("ui.bake.take_library").LIBRARY.entries) == 2)
    with inside("VIEW_3D"):
        bpy.ops.edtalk.delete_take("INVOKE_DEFAULT", folder=str(takes / "take_001"))
    yield 2.0
    photograph("question.png")
    press("Return")
    yield from until(lambda: not (takes / "take_001").exists())
    yield from finished()
    result["takes after deleting"] = sorted(path.name for path in takes.iterdir())


def undo_while_reading() -> Iterator[float]:
    """An undo while the bake still reads the weights, and one while it renders."""
    session = addon("ui.runtime.runtime").session()
    bpy.ops.ed.undo_push(message="keys were moved")
    with inside("VIEW_3D"):
        bpy.ops.edtalk.bake("INVOKE_DEFAULT")
    yield 0.02
    result["undone while baking"] = session.task is not None
    with bpy.context.temp_override(window=window.window()):
        bpy.ops.ed.undo()
    yield from finished()
    result["shows after an undo"] = character().edtalk.show
    yield 1.0


def put_up_a_camera(ob: bpy.types.Object) -> None:
    """A camera that sees the plane and nothing else, and a renderer that is quick."""
    scene = bpy.context.scene
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    camera.data.type, camera.data.ortho_scale = "ORTHO", 2
    camera.location, camera.rotation_euler = (ob.location.x, ob.location.y - 3, ob.location.z), (1.5708, 0, 0)
    scene.collection.objects.link(camera)
    scene.camera, scene.render.engine, scene.cycles.samples = camera, "CYCLES", 1
    scene.cycles.use_denoising = False  # not every build can
    scene.render.resolution_x = scene.render.resolution_y = 64
    bpy.context.preferences.view.render_display_type = "NONE"


def render_by_key() -> Iterator[float]:
    """F12 with "Bake before Rendering"."""
    scene, ob = bpy.context.scene, character()
    addon("ui.runtime.preferences").preferences().bake_before_render = True
    put_up_a_camera(ob)
    ob.edtalk.show = "LIVE"
    bpy.ops.wm.save_mainfile()
    scene.frame_set(30)
    yield from settled()
    yield 1.0
    result["unsaved before rendering"] = bpy.data.is_dirty
    ended: list[str] = []
    shown: list[str] = []
    bpy.app.handlers.render_complete.append(lambda *_: ended.append("complete"))
    bpy.app.handlers.render_cancel.append(lambda *_: ended.append("cancelled"))
    node = addon("scene.plane").texture_node(ob)
    bpy.app.handlers.render_pre.append(lambda *_: shown.append(node.image.get("edtalk")))
    hover("VIEW_3D")
    press(F12)
    yield from until(lambda: bool(ended), 100)
    yield from until(lambda: node.image.get("edtalk") == "live")
    yield 0.5
    result["rendered"], result["showed while rendering"] = list(ended), list(shown)
    ob = character()
    result["shows after rendering"] = [ob.edtalk.show, node.image == ob.edtalk.live_image]
    result["unsaved after rendering"] = bpy.data.is_dirty
    result["trouble"] = addon("ui.runtime.runtime").session().failure


def lose_the_server() -> Iterator[float]:
    """The last frame stays, with a word about it."""
    ob = character()
    yield from settled()
    before = picture(ob)
    with inside("VIEW_3D"):
        bpy.ops.edtalk.stop_server()
    yield from until(lambda: not addon("ui.runtime.runtime").session().is_connected)
    bpy.context.scene.frame_set(60)
    yield 1.0
    result["words over the plane"] = addon("ui.character.overlay").reason(ob)
    result["picture without a server"] = float(abs(picture(ob) - before).max())
    photograph("without_server.png")


def quit_as_a_user() -> None:
    """Blender must not ask what to do with pictures that nobody painted."""
    result["unsaved pictures"] = [image.name for image in bpy.data.images if image.is_dirty]
    bpy.ops.wm.save_mainfile()
    result["ok"] = True
    window.write_result()
    bpy.app.timers.register(asked, first_interval=8.0, persistent=True)
    with bpy.context.temp_override(window=window.window()):
        bpy.ops.wm.quit_blender("INVOKE_DEFAULT")


def asked() -> None:
    """Blender is still there: it has asked."""
    result["asked on quitting"] = True
    photograph("asked.png")
    window.write_result()
    bpy.ops.wm.quit_blender()


if __name__ == "__main__":
    window.begin(story())
