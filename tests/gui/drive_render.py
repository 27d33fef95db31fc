"""Runs inside a Blender with a window (see test_render_window.py): renders that wait for a bake."""

from __future__ import annotations

import sys
import time
from collections.abc import Generator, Iterator
from typing import Any

import bpy
import numpy as np

sys.path.insert(0, "/mnt/src")
import drive_bake as bake
import drive_window as window
import hands
from drive_window import OUT, addon, character, finished, inside, photograph, result, settled

ended: list[str] = []
asked: list[int] = []
FIRST, LAST = 10, 14
BAKED_SIDE = 256
"""Pixels of a baked frame's side, so that rendered and baked pixels are the same ones."""


def story() -> Generator[float, None, None]:
    yield from bake.prepare()
    listen()
    bake.put_up_a_camera(character())
    render = bpy.context.scene.render
    render.resolution_x = render.resolution_y = BAKED_SIDE
    addon("ui.runtime.preferences").preferences().bake_before_render = True
    bpy.ops.wm.save_mainfile()
    scene = bpy.context.scene
    for how, gain in (("free", 0.9), ("locked", 0.8), ("persistent", 0.7)):
        character().edtalk.gain.mouth = gain  # all frames are stale
        scene.render.use_lock_interface, scene.render.use_persistent_data = (
            how == "locked",
            how == "persistent",
        )
        result[how] = yield from animation(how)
    scene.render.use_persistent_data = False
    result["again"] = yield from animation("again")
    ob = character()
    node = addon("scene.plane").texture_node(ob)
    result["shows"] = [ob.edtalk.show, node.image == ob.edtalk.live_image]
    result["pictures left"] = [image.name for image in bpy.data.images if image.get("edtalk") == "lent"]
    yield from render_by_key_in_eevee()
    yield from end_by_escape()
    yield from open_another_file()


def listen() -> None:
    """Note how renders end, and how many frames are asked of the server."""
    bpy.app.handlers.render_complete.append(bpy.app.handlers.persistent(lambda *_: ended.append("complete")))
    bpy.app.handlers.render_cancel.append(bpy.app.handlers.persistent(lambda *_: ended.append("cancelled")))
    client = addon("core.server.client").Client
    start = client.start

    def counted(self: Any, request: Any, *rest: Any) -> str:
        if hasattr(request, "frames"):
            asked.append(len(request.frames))
        return str(start(self, request, *rest))

    client.start = counted


def press_render(animation: bool) -> None:
    ended.clear()
    asked.clear()
    with inside("VIEW_3D"):
        bpy.ops.render.render("INVOKE_DEFAULT", animation=animation)


def animation(how: str) -> Iterator[float]:
    """Render some frames, and compare them with the take."""
    scene = bpy.context.scene
    scene.frame_start, scene.frame_end = FIRST, LAST
    scene.render.filepath = str(OUT / f"{how}_")
    scene.render.image_settings.file_format = "PNG"
    yield from settled()
    press_render(animation=True)
    yield from bake.until(lambda: bool(ended), 120)
    yield 1.0
    take = OUT / "edtalk" / "portrait" / "take_001"
    frames = range(FIRST, LAST + 1)
    rendered = [pixels(OUT / f"{how}_{frame:04d}.png") for frame in frames]
    baked = [pixels(take / f"{frame:04d}.png") for frame in frames]
    return {
        "ended": list(ended),
        "asked for": list(asked),
        "differences": [
            float(np.abs(one - other).mean()) for one, other in zip(rendered, baked, strict=True)
        ],
        "frames apart": float(np.abs(baked[0] - baked[-1]).max()),
        "trouble": addon("ui.runtime.runtime").session().failure,
    }


def pixels(path: Any) -> np.ndarray:
    """0 to 255."""
    image = bpy.data.images.load(str(path))
    image.colorspace_settings.name = "Non-Color"
    values = np.array(image.pixels[:], np.float32).reshape(-1, image.channels)[:, :3] * 255
    bpy.data.images.remove(image)
    return values


def render_by_key_in_eevee() -> Iterator[float]:
    """F12 at two frames, of the live picture and of baked ones: each shows the face of its frame."""
    scene, ob = bpy.context.scene, character()
    scene.render.engine = "BLENDER_EEVEE_NEXT" if bpy.app.version < (5, 0, 0) else "BLENDER_EEVEE"
    scene.eevee.taa_render_samples = 1
    addon("ui.runtime.preferences").preferences().bake_before_render = False
    result["by EEVEE"] = {}
    for show in ("LIVE", "TAKE"):
        if show == "TAKE":
            with inside("VIEW_3D"):
                bpy.ops.edtalk.bake("INVOKE_DEFAULT")
            yield from finished()
        assert ob.edtalk.show == show
        rendered, expected = [], []
        for frame in (FIRST, LAST):
            scene.frame_set(frame)
            yield from settled()
            ended.clear()
            bake.hover("VIEW_3D")
            hands.press(hands.F12)
            yield from bake.until(lambda: bool(ended), 200)
            file = OUT / f"eevee_{show}_{frame}.png"
            bpy.data.images["Render Result"].save_render(str(file))
            rendered.append(pixels(file))
            expected.append(shown_picture(ob, frame))
        result["by EEVEE"][show] = [
            [float(np.abs(one - other).mean()) for other in expected] for one in rendered
        ]
    scene.render.engine, ob.edtalk.show = "CYCLES", "LIVE"
    addon("ui.runtime.preferences").preferences().bake_before_render = True


def shown_picture(ob: bpy.types.Object, frame: int) -> np.ndarray:
    """What the plane shows at a frame, as large as a render, 0 to 255."""
    if ob.edtalk.show == "TAKE":
        return pixels(OUT / "edtalk" / "portrait" / "take_001" / f"{frame:04d}.png")
    image = ob.edtalk.live_image
    values, many = np.array(image.pixels[:], np.float32), image.size[0] // BAKED_SIDE
    blocks = values.reshape(BAKED_SIDE, many, BAKED_SIDE, many, image.channels)[..., :3]
    return blocks.mean(axis=(1, 3)).reshape(-1, 3) * 255


def begin_to_bake() -> Iterator[float]:
    """An animation render of the whole, all of it stale; wait until the bake of its second frame is under way."""
    scene, session = bpy.context.scene, addon("ui.runtime.runtime").session()
    scene.frame_start, scene.frame_end = 1, window.FRAMES
    character().edtalk.gain.mouth -= 0.05
    scene.render.filepath = str(OUT / "ended_")
    yield from settled()
    bake.hover("VIEW_3D")
    press_render(animation=True)
    yield from bake.until(lambda: session.task is not None and is_rendering_many(session.task.progress))


def is_rendering_many(progress: Any) -> bool:
    """Whether the bake has come to the frames after the first."""
    return progress.stage == "Rendering" and progress.total > 10


def end_by_escape() -> Iterator[float]:
    session = addon("ui.runtime.runtime").session()
    yield from begin_to_bake()
    result["was baking"] = session.task is not None
    result["progress"] = session.task.progress.text if session.task is not None else ""
    photograph("waiting.png")
    bake.press("Escape")
    yield from bake.until(lambda: session.task is None)
    result["task after escape"] = None if session.task is None else session.task.title
    yield from bake.until(lambda: bool(ended), 100)
    result["ended after escape"] = list(ended)
    yield 1.0


def open_another_file() -> Iterator[float]:
    session = addon("ui.runtime.runtime").session()
    bpy.ops.wm.save_mainfile()
    yield from begin_to_bake()
    result["was baking before opening"] = session.task is not None
    begun = time.monotonic()
    with inside("VIEW_3D"):
        bpy.ops.wm.open_mainfile(filepath=bpy.data.filepath)
    result["opened in [s]"] = time.monotonic() - begun
    yield 2.0
    result["task after opening"] = None if session.task is None else session.task.title
    asked.clear()
    with inside("VIEW_3D"):
        bpy.context.view_layer.objects.active = character()
        bpy.ops.edtalk.bake_range("INVOKE_DEFAULT", first=1, last=window.FRAMES, again=True, asked=True)
    yield from finished()
    result["bakes after opening"] = sum(asked)


if __name__ == "__main__":
    window.begin(story())
