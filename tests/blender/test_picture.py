"""The picture on the plane is the server's picture: in renders, under each view transform, at every frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest

pytestmark = pytest.mark.versions

SAMPLE = Path(__file__).resolve().parents[2] / "edtalk_server" / "samples" / "portrait.png"
SIZE = 64  # the pictures of the server without a model


@pytest.fixture
def camera() -> None:
    """A camera that sees the plane and nothing else, one sample for each pixel."""
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.samples, scene.cycles.use_denoising, scene.cycles.filter_width = 1, False, 0.01
    scene.render.resolution_x = scene.render.resolution_y = SIZE
    scene.render.dither_intensity = 0
    scene.render.image_settings.file_format = "PNG"
    data = bpy.data.cameras.new("camera")
    data.type, data.ortho_scale = "ORTHO", 2
    ob = bpy.data.objects.new("camera", data)
    ob.location, ob.rotation_euler = (0, -3, 0), (np.pi / 2, 0, 0)
    scene.collection.objects.link(ob)
    scene.camera = ob


def read(path: Path) -> np.ndarray:
    """A picture's pixels, RGB [height, width, 3], 0 to 255, rows bottom-up."""
    image = bpy.data.images.load(str(path))
    image.colorspace_settings.name = "Non-Color"
    pixels = np.empty(len(image.pixels), np.float32)
    image.pixels.foreach_get(pixels)
    pixels = pixels.reshape(image.size[1], image.size[0], -1)[..., :3]
    bpy.data.images.remove(image)
    return np.round(pixels * 255)


def rendered(tmp_path: Path, frame: int) -> np.ndarray:
    """What Cycles makes of a scene frame."""
    scene = bpy.context.scene
    scene.frame_set(frame)
    scene.render.filepath = str(tmp_path / f"render_{frame:04d}.png")
    bpy.ops.render.render(write_still=True)
    return read(Path(scene.render.filepath))


def baked(ob: bpy.types.Object, frame: int) -> np.ndarray:
    """The frame as the server made it."""
    return read(Path(bpy.path.abspath(ob.edtalk.take)) / f"{frame:04d}.png")


def test_the_rendered_plane_is_the_baked_frame(
    addon: Any, talking: bpy.types.Object, camera: None, tmp_path: Path
) -> None:
    bpy.context.scene.view_settings.view_transform = "Standard"
    bpy.ops.edtalk.bake()
    for frame in (1, 6, 12):
        assert np.abs(rendered(tmp_path, frame) - baked(talking, frame)).mean() <= 1.0
    assert np.abs(baked(talking, 6) - baked(talking, 1)).max() > 50, "the frames do differ"


@pytest.mark.parametrize("transform", ["AgX", "Filmic"])
def test_other_view_transforms_show_the_same_colours(
    addon: Any, talking: bpy.types.Object, camera: None, tmp_path: Path, transform: str
) -> None:
    bpy.context.scene.view_settings.view_transform = transform
    bpy.ops.edtalk.bake(first=1, last=3)
    assert np.abs(rendered(tmp_path, 2) - baked(talking, 2)).mean() <= 1.0


@pytest.mark.parametrize("transform", ["Standard", "Filmic", "AgX"])
def test_a_face_keeps_its_colours_to_half_a_grey_level(
    addon: Any, model_server: None, camera: None, tmp_path: Path, transform: str
) -> None:
    scene = bpy.context.scene
    scene.view_settings.view_transform = transform
    scene.render.resolution_x = scene.render.resolution_y = 512
    bpy.ops.edtalk.new_character(filepath=str(SAMPLE))
    bpy.ops.edtalk.bake(first=2, last=2)
    frame = baked(bpy.context.object, 2)
    assert np.ptp(frame) > 150, "a whole picture"
    assert np.abs(rendered(tmp_path, 2) - frame).mean() <= 0.5


def test_a_view_transform_chosen_later_is_followed(
    addon: Any, talking: bpy.types.Object, camera: None, tmp_path: Path
) -> None:
    bpy.context.scene.view_settings.view_transform = "Standard"
    bpy.ops.edtalk.bake(first=1, last=3)
    live = np.array(talking.edtalk.live_image.pixels[:])
    bpy.context.scene.view_settings.view_transform = "AgX"
    assert np.abs(rendered(tmp_path, 2) - baked(talking, 2)).mean() <= 1.0
    np.testing.assert_array_equal(np.array(talking.edtalk.live_image.pixels[:]), live)


def test_before_and_after_the_take_the_plane_holds_its_ends(
    addon: Any, talking: bpy.types.Object, camera: None, tmp_path: Path
) -> None:
    bpy.context.scene.view_settings.view_transform = "Standard"
    bpy.ops.edtalk.bake(first=5, last=8)
    for frame, shown in ((0, 5), (1, 5), (4, 5), (9, 8), (500, 8)):
        assert np.abs(rendered(tmp_path, frame) - baked(talking, shown)).mean() <= 1.0, frame


def test_a_take_that_begins_at_frame_zero_has_no_gap(
    addon: Any, talking: bpy.types.Object, camera: None, tmp_path: Path
) -> None:
    bpy.context.scene.view_settings.view_transform = "Standard"
    bpy.ops.edtalk.bake(first=0, last=2)
    for frame in (0, 1, 2, 3):
        assert np.abs(rendered(tmp_path, frame) - baked(talking, min(frame, 2))).mean() <= 1.0, frame


def test_a_new_bake_is_what_the_next_render_shows(
    addon: Any, talking: bpy.types.Object, camera: None, tmp_path: Path
) -> None:
    bpy.context.scene.view_settings.view_transform = "Standard"
    bpy.ops.edtalk.bake()
    before = rendered(tmp_path, 6)
    curve = addon("scene.keys.actions").find(talking, "edtalk.mouth_01")
    curve.keyframe_points[5].co[1] += 3
    curve.update()
    bpy.ops.edtalk.bake()
    after = rendered(tmp_path, 6)
    assert np.abs(after - baked(talking, 6)).mean() <= 1.0
    assert np.abs(after - before).max() > 50


def test_switching_between_live_and_baked_changes_the_image_only(
    addon: Any, talking: bpy.types.Object
) -> None:
    bpy.ops.edtalk.bake()
    node = addon("scene.plane").texture_node(talking)
    talking.edtalk.show = "LIVE"
    assert node.image == talking.edtalk.live_image
    talking.edtalk.show = "TAKE"
    assert node.image == talking.edtalk.take_image
    assert (node.image_user.frame_start, node.image_user.frame_duration) == (1, 12)


def test_the_live_picture_follows_the_weights(addon: Any, talking: bpy.types.Object) -> None:
    live, scene = addon("ui.runtime.live").LIVE, bpy.context.scene
    shown = []
    for frame in (1, 6):
        scene.frame_set(frame)
        assert live.update(scene, bpy.context.evaluated_depsgraph_get())
        settle(addon)
        pixels = np.empty(len(talking.edtalk.live_image.pixels), np.float32)
        talking.edtalk.live_image.pixels.foreach_get(pixels)
        shown.append(np.round(pixels.reshape(SIZE, SIZE, 4)[..., :3] * 255))
        assert not live.update(scene, bpy.context.evaluated_depsgraph_get()), (
            "nothing changed: nothing is asked"
        )
    bpy.ops.edtalk.bake()
    np.testing.assert_array_equal(shown[0], baked(talking, 1))
    np.testing.assert_array_equal(shown[1], baked(talking, 6))


def test_after_a_server_restart_the_live_picture_comes_back(
    addon: Any, own_server: Any, portrait: Path
) -> None:
    bpy.ops.edtalk.new_character(filepath=str(portrait))
    ob, scene = bpy.context.object, bpy.context.scene
    bpy.ops.edtalk.stop_server()
    assert not addon.session.is_connected
    bpy.ops.edtalk.start_server()
    ob.edtalk.mouth_01 = 2.5
    ob.update_tag()
    assert addon("ui.runtime.live").LIVE.update(scene, bpy.context.evaluated_depsgraph_get())
    settle(addon)
    assert addon.session.failure is None
    bpy.ops.edtalk.bake(first=1, last=1)
    pixels = np.array(ob.edtalk.live_image.pixels[:], np.float32).reshape(SIZE, SIZE, 4)[..., :3]
    np.testing.assert_array_equal(np.round(pixels * 255), baked(ob, 1))


def settle(addon: Any) -> None:
    """Pump as Blender's timer does in the window, until no answer is under way."""
    import time

    live, end = addon("ui.runtime.live").LIVE, time.monotonic() + 30
    while addon.session.is_waiting or live.is_hurried:
        assert time.monotonic() < end, "no answer came"
        addon.session.pump()
        live.read_portraits()
        time.sleep(0.002)


def test_another_portrait_is_shown_at_once(addon: Any, talking: bpy.types.Object, tmp_path: Path) -> None:
    live, scene = addon("ui.runtime.live").LIVE, bpy.context.scene
    live.update(scene, bpy.context.evaluated_depsgraph_get())
    settle(addon)
    before = np.array(talking.edtalk.live_image.pixels[:])
    other = tmp_path / "other.png"
    image = bpy.data.images.new("other", 96, 96)  # black
    image.filepath_raw, image.file_format = str(other), "PNG"
    image.save()
    talking.edtalk.portrait = str(other)
    talking.update_tag()
    assert live.update(scene, bpy.context.evaluated_depsgraph_get())
    settle(addon)
    assert addon.session.failure is None
    assert not np.array_equal(np.array(talking.edtalk.live_image.pixels[:]), before)
