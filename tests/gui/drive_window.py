"""Runs inside a Blender with a window (see test_window.py): does with the mouse away what an animator does, takes
pictures of the screen, and writes what it saw to OUT/result.json.

Everything happens in a timer that yields the seconds to wait, so that the window draws in between and modal operators
run as they do for a user.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import time
import traceback
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bpy

SRC, OUT = Path("/mnt/src"), Path("/mnt/out")
MODULE = "bl_ext.user_default.edtalk"
COARSE_SIDE = 64
"""Pixels of the side of a picture that the server without a model draws quickly."""
FRAMES = int(os.environ.get("FRAMES", "125"))
result: dict[str, Any] = {"blender": bpy.app.version_string}
took: dict[str, float] = {}
"""How many seconds each step of a story took, for whoever makes them shorter."""
_clock: dict[str, float] = {}
LAPS = 2
"""Turns of Blender's main loop after each wait. A turn calls timers first, then handles what mouse and keys sent, then
draws: after a drawing that took longer than the wait, the timer would be called before what it waits for."""
_laps = itertools.cycle([False] * LAPS + [True])
"""Whether this call of the timer goes on with the story."""


def addon(module: str) -> Any:
    import importlib

    return importlib.import_module(f"{MODULE}.{module}")


def install(*panels: str) -> None:
    """The package as a user installs it, and the server, which runs outside this process's little world. `panels`
    (module.Class) are open; they are by default as their classes say when they are first drawn."""
    package = next(SRC.glob("edtalk-*.zip"))
    bpy.ops.extensions.package_install_files(
        filepath=str(package), repo="user_default", enable_on_install=True
    )
    assert MODULE in bpy.context.preferences.addons, "Blender refused the package"
    if panels:
        bpy.ops.preferences.addon_disable(module=MODULE)
        for panel in panels:
            module, _, name = panel.rpartition(".")
            getattr(addon(f"ui.{module}"), name).bl_options = set()
        bpy.ops.preferences.addon_enable(module=MODULE)
    reach_server()


def reach_server() -> None:
    """Choose the server: a stand-in for the one that runs outside this little world."""
    addon("ui.runtime.preferences").preferences().server_python = str(SRC / "stand_in.py")


def window() -> bpy.types.Window:
    return bpy.context.window_manager.windows[0]


def area(kind: str) -> bpy.types.Area:
    """The largest area of a kind."""
    return max((a for a in window().screen.areas if a.type == kind), key=lambda a: a.width * a.height)


def region(where: bpy.types.Area, kind: str = "WINDOW") -> bpy.types.Region:
    return next(r for r in where.regions if r.type == kind)


def inside(kind: str) -> Any:
    where = area(kind)
    return bpy.context.temp_override(window=window(), area=where, region=region(where))


def photograph(name: str) -> None:
    subprocess.run(["import", "-window", "root", str(OUT / name)], check=True)


def pixels(x: int, y: int, width: int, height: int) -> Any:
    """A part of the screen from its left top, uint8 [height, width, 3]."""
    import numpy as np

    crop = f"{width}x{height}+{x}+{y}"
    command = ["import", "-window", "root", "-crop", crop, "-depth", "8", "rgb:-"]
    data = subprocess.run(command, check=True, capture_output=True).stdout
    return np.frombuffer(data, np.uint8).reshape(height, width, 3)


def arrange() -> Iterator[float]:
    """3D view above, Graph Editor below; the Timeline goes."""
    for ob in list(bpy.data.objects):
        bpy.data.objects.remove(ob)
    with inside("VIEW_3D"):
        bpy.ops.screen.area_split(direction="HORIZONTAL", factor=0.45)
    views = sorted((a for a in window().screen.areas if a.type == "VIEW_3D"), key=lambda a: a.y)
    views[0].ui_type = "FCURVES"
    views[0].spaces.active.show_region_ui = False
    yield 0.5
    space = area("VIEW_3D").spaces.active
    space.show_region_ui = True
    space.shading.type, space.shading.light, space.shading.color_type = "SOLID", "FLAT", "TEXTURE"
    space.overlay.show_floor = space.overlay.show_axis_x = space.overlay.show_axis_y = False
    space.overlay.show_cursor = False
    bpy.context.scene.view_settings.view_transform = "Standard"
    yield 1.0
    yield from open_tab("EDTalk")


def open_tab(name: str) -> Iterator[float]:
    """A tab of the 3D view's sidebar."""
    region(area("VIEW_3D"), "UI").active_panel_category = name
    area("VIEW_3D").tag_redraw()
    yield 0.5


def undo() -> Iterator[float]:
    """One step back."""
    with bpy.context.temp_override(window=window()):
        bpy.ops.ed.undo()
    yield 0.5


def redo() -> Iterator[float]:
    """One step forward."""
    with bpy.context.temp_override(window=window()):
        bpy.ops.ed.redo()
    yield 0.5


def frame_the_plane() -> None:
    with inside("VIEW_3D"):
        bpy.ops.view3d.view_axis(type="FRONT")
        bpy.ops.view3d.view_selected()


def choose_file(path: Path) -> Iterator[float]:
    """In the file browser that has opened in a window of its own, type a path and accept it."""
    browser = next(w for w in bpy.context.window_manager.windows if w.screen.areas[0].type == "FILE_BROWSER")
    chooser = browser.screen.areas[0].spaces.active
    chooser.params.directory, chooser.params.filename = str(path.parent).encode(), path.name
    yield 1.0
    with bpy.context.temp_override(window=browser, area=browser.screen.areas[0]):
        bpy.ops.file.execute()
    yield 1.0


def finished(limit: float = 240) -> Iterator[float]:
    """Wait for the task in the panel."""
    session, end = addon("ui.runtime.runtime").session(), time.monotonic() + limit
    yield 0.1
    while session.task is not None:
        assert time.monotonic() < end, f"{session.task.title} takes too long: {session.task.progress.text}"
        yield 0.1
    assert session.failure is None, session.failure


def settled() -> Iterator[float]:
    """Wait for the live picture."""
    session, end = addon("ui.runtime.runtime").session(), time.monotonic() + 60
    yield 0.3
    while session._listeners or addon("ui.runtime.live").LIVE.is_hurried:
        assert time.monotonic() < end, "the live picture does not come"
        yield 0.05
    yield 0.5


def picture(ob: bpy.types.Object) -> Any:
    """The live picture's pixels, RGBA in a row: as many as the coarse one has that shows while something moves."""
    import numpy as np

    image = ob.edtalk.live_image
    pixels = np.empty(len(image.pixels), np.float32)
    image.pixels.foreach_get(pixels)
    step = image.size[0] // COARSE_SIDE
    rows = pixels.reshape(image.size[1], image.size[0], 4)
    return rows[step // 2 :: step, step // 2 :: step].reshape(-1)


def character() -> bpy.types.Object:
    return next(ob for ob in bpy.data.objects if ob.edtalk.is_character)


def story() -> Generator[float, None, None]:
    install()
    yield from arrange()
    photograph("empty.png")
    scene = bpy.context.scene
    scene.render.fps, scene.frame_start, scene.frame_end = 25, 1, FRAMES
    bpy.ops.wm.save_as_mainfile(filepath=str(OUT / "shot.blend"))
    with inside("VIEW_3D"):
        bpy.ops.edtalk.new_character("INVOKE_DEFAULT", filepath=str(SRC / "portrait.png"))
    assert addon("ui.runtime.runtime").session().task is not None, "it must not block the window"
    yield from finished()
    frame_the_plane()
    yield 0.5
    with inside("VIEW_3D"):
        bpy.ops.edtalk.choose_voice(filepath=str(next(SRC.glob("voice.*"))), add_strip=True)
        bpy.ops.edtalk.predict("INVOKE_DEFAULT")
    yield from finished()
    result["curves"] = len(addon("scene.keys.actions").curves(character()))
    yield from undo_and_redo()
    yield from scrub()
    show_curves()
    yield 1.5
    photograph("window.png")
    with inside("VIEW_3D"):
        bpy.ops.edtalk.edit_on_top()
    with inside("VIEW_3D"):
        bpy.ops.edtalk.bake("INVOKE_DEFAULT")
    yield 1.0
    photograph("baking.png")
    yield from finished()
    result["baked"] = len(list((OUT / "edtalk").rglob("*.png")))
    result["shows"] = character().edtalk.show
    yield 1.0
    photograph("baked.png")
    yield from undo_while_baking()
    yield from disable_while_baking()
    yield from bake_by_command()


def bake_all_anew(by: float) -> None:
    """Begin a bake in which every frame is stale, because its keys have moved by so much."""
    curve = addon("scene.keys.actions").find(character(), "edtalk.mouth_02")
    for key in curve.keyframe_points:
        key.co[1] += by
    curve.update()
    bpy.ops.ed.undo_push(message="every key is moved")
    with inside("VIEW_3D"):
        bpy.ops.edtalk.bake("INVOKE_DEFAULT")


@contextmanager
def no_frame_comes() -> Iterator[None]:
    """Let bakes wait for their frames: what is to come in between does, however fast they are."""
    bake = addon("ui.bake.bake")
    before, bake.WAITING_FRAMES = bake.WAITING_FRAMES, 0
    try:
        yield
    finally:
        bake.WAITING_FRAMES = before


def rendering() -> Iterator[float]:
    """Wait until a bake has come to its rendering, or has ended. (Stages before that count other things.)"""
    session, end = addon("ui.runtime.runtime").session(), time.monotonic() + 60
    while session.task is not None and session.task.progress.stage != "Rendering":
        assert time.monotonic() < end, session.task.progress.text
        yield 0.02


def undo_while_baking() -> Iterator[float]:
    """The bake goes on; what it shows at its end is there."""
    with no_frame_comes():
        bake_all_anew(by=0.1)
        yield from rendering()
        result["undone while baking"] = addon("ui.runtime.runtime").session().task is not None
        yield from undo()
    yield from finished()
    result["shows after undo while baking"] = character().edtalk.show


def disable_while_baking() -> Iterator[float]:
    """The task ends with the add-on; enabled again, everything works."""
    with no_frame_comes():
        bake_all_anew(by=0.2)  # (what was undone has been baked)
        yield from rendering()
        result["disabled while baking"] = addon("ui.runtime.runtime").session().task is not None
        bpy.ops.preferences.addon_disable(module=MODULE)
    yield 1.0
    bpy.ops.preferences.addon_enable(module=MODULE)
    reach_server()
    with inside("VIEW_3D"):
        bpy.ops.edtalk.bake("INVOKE_DEFAULT")
    yield from finished()
    result["last frame after enabling again"] = character().edtalk.take_last


def bake_by_command() -> Iterator[float]:
    """Another Blender, without a window, bakes a copy of the file from nothing; its frames are compared with ours."""
    ob, copy = character(), OUT / "farm" / "shot.blend"
    copy.parent.mkdir()
    mine, theirs = Path(bpy.path.abspath(ob.edtalk.take)), copy.parent / "edtalk" / "portrait" / "take_001"
    kept, ob.edtalk.take = ob.edtalk.take, ""
    bpy.ops.wm.save_as_mainfile(filepath=str(copy), copy=True)
    ob.edtalk.take = kept
    bpy.ops.wm.save_userpref()  # the other one has the same add-ons
    command = [bpy.app.binary_path, "-b", str(copy), "--command", "edtalk", "bake"]
    command += ["--character", ob.name, "--frames", f"1-{FRAMES}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as other:
        while other.poll() is None:
            yield 0.1
        said, complained = other.communicate()
    names = [f"{frame:04d}.png" for frame in range(FRAMES + 1)]
    same = [name for name in names if (theirs / name).read_bytes() == (mine / name).read_bytes()]
    result["by command"] = {
        "code": other.returncode,
        "said": said,
        "complained": complained,
        "same": len(same),
    }


def key_values(curve: bpy.types.FCurve) -> list[float]:
    return [key.co[1] for key in curve.keyframe_points]


def widest_mouth() -> int:
    """The frame at which the jaw is open most."""
    keys = addon("scene.keys.actions").find(character(), "edtalk.mouth_01").keyframe_points
    return round(max(keys, key=lambda key: key.co[1]).co[0])


def show_curves() -> None:
    """The curves of the performance that move, in full colour; the flat ones hidden."""
    with inside("VIEW_3D"):
        bpy.ops.edtalk.edit_performance()
    bpy.context.preferences.edit.fcurve_unselected_alpha = 0.9
    bpy.context.preferences.themes[0].graph_editor.vertex_size = 1
    for curve in addon("scene.keys.actions").curves(character()):
        values = key_values(curve)
        curve.hide = max(values) - min(values) < 0.2
        curve.color_mode = "AUTO_RAINBOW"
    with inside("GRAPH_EDITOR"):
        bpy.ops.anim.channels_expand(all=True)
        bpy.ops.graph.select_all(action="DESELECT")
        bpy.ops.graph.view_all()


def undo_and_redo() -> Iterator[float]:
    """One step each."""
    yield from undo()
    result["curves after undo"] = len(addon("scene.keys.actions").curves(character()))
    yield from redo()
    result["curves after redo"] = len(addon("scene.keys.actions").curves(character()))


def scrub() -> Iterator[float]:
    """The live picture follows the frame, without blocking the window."""
    bpy.context.scene.frame_set(1)
    yield from settled()
    first = picture(character())
    look_at = widest_mouth()
    for frame in range(1, look_at + 1, 3):
        bpy.context.scene.frame_set(frame)
        yield 0.04
    bpy.context.scene.frame_set(look_at)
    yield from settled()
    result["scrub_changes_picture"] = float(abs(picture(character()) - first).max())
    result["handler_errors"] = addon("ui.runtime.runtime").session().trouble


def run(steps: Generator[float, None, None]) -> float | None:
    """Do the story's next step. Return the seconds until the next call, None at the end."""
    if not next(_laps):
        return 0.0
    step, begun = _step_of(steps), time.monotonic()
    took[step] = took.get(step, 0.0) + begun - _clock.get("ended", begun)
    _clock["ended"] = begun
    try:
        return next(steps)
    except StopIteration:
        result["ok"] = True
    except Exception:  # noqa: BLE001 (whatever it was goes into the result)
        result["error"] = traceback.format_exc()
        photograph("error.png")
    write_result()
    bpy.ops.wm.quit_blender()
    return None


def _step_of(steps: Generator[float, None, None]) -> str:
    """The name of the step that a story is at."""
    return str(getattr(steps.gi_yieldfrom, "__name__", "story"))


def write_result() -> None:
    """Write what was seen, and how long each step took."""
    result["seconds of steps"] = {name: round(seconds, 1) for name, seconds in took.items()}
    (OUT / "result.json").write_text(json.dumps(result, indent=1))


def begin(steps: Generator[float, None, None]) -> None:
    """Drive Blender by these steps, once its window is there."""
    bpy.context.preferences.view.show_splash = False
    draw_once()
    bpy.app.timers.register(lambda: run(steps), first_interval=2.0, persistent=True)


def draw_once() -> None:
    """Let views draw each picture once: without a graphics card, the 8 or 16 samples that smooth edges, and the frames
    in which a view glides, take longer than everything else. PICTURES=1 keeps them, for the pictures of the docs."""
    if "PICTURES" in os.environ:
        return
    bpy.context.preferences.system.viewport_aa = "OFF"
    bpy.context.preferences.view.smooth_view = 0
    for scene in bpy.data.scenes:
        scene.eevee.taa_samples = 1


if __name__ == "__main__":
    begin(story())
