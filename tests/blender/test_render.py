"""Final renders: with "Bake before Rendering" they show baked frames, and leave the file as it was."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy
import numpy as np
import pytest

SIZE = 64  # the pictures of the server without a model


@pytest.fixture
def camera(addon: Any) -> None:
    """A camera that sees the plane and nothing else, one sample for each pixel."""
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.samples, scene.cycles.use_denoising, scene.cycles.filter_width = 1, False, 0.01
    scene.render.resolution_x = scene.render.resolution_y = SIZE
    scene.render.dither_intensity = 0
    scene.render.image_settings.file_format = "PNG"
    scene.view_settings.view_transform = "Standard"
    data = bpy.data.cameras.new("camera")
    data.type, data.ortho_scale = "ORTHO", 2
    ob = bpy.data.objects.new("camera", data)
    ob.location, ob.rotation_euler = (0, -3, 0), (np.pi / 2, 0, 0)
    scene.collection.objects.link(ob)
    scene.camera = ob


@pytest.fixture
def baking_first(addon: Any) -> Iterator[None]:
    preferences = addon("ui.runtime.preferences").preferences()
    preferences.bake_before_render = True
    yield
    preferences.bake_before_render = False


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without a server, such as a render node."""
    monkeypatch.delenv("EDTALK_SERVER_PYTHON", raising=False)
    monkeypatch.setenv("EDTALK_DATA_DIR", str(tmp_path / "no data"))
    monkeypatch.setenv("EDTALK_RUNTIME_DIR", str(tmp_path / "no run"))


def read(path: Path) -> np.ndarray:
    """A picture's pixels, RGB, 0 to 255."""
    image = bpy.data.images.load(str(path))
    image.colorspace_settings.name = "Non-Color"
    pixels = np.array(image.pixels[:], np.float32).reshape(image.size[1], image.size[0], -1)[..., :3]
    bpy.data.images.remove(image)
    return np.round(pixels * 255)


def rendered(tmp_path: Path, frame: int, operator: Any = bpy.ops.render.render) -> np.ndarray:
    scene = bpy.context.scene
    scene.frame_set(frame)
    scene.render.filepath = str(tmp_path / f"still_{frame}.png")
    operator(write_still=True)
    return read(Path(scene.render.filepath))


def baked(ob: bpy.types.Object, frame: int) -> np.ndarray:
    folder = Path(bpy.path.abspath(ob.edtalk.take)) if ob.edtalk.take else None
    folder = folder or Path(bpy.data.filepath).parent / "edtalk" / "face" / "take_001"
    return read(folder / f"{frame:04d}.png")


def same(one: np.ndarray, other: np.ndarray) -> bool:
    return bool(np.abs(one - other).mean() <= 1.0)


@pytest.mark.versions
@pytest.mark.parametrize("operator", ["render", "edtalk"])
def test_a_still_is_baked_first_and_the_plane_is_as_before(
    addon: Any,
    talking: bpy.types.Object,
    camera: None,
    baking_first: None,
    tmp_path: Path,
    renders: list[int],
    operator: str,
) -> None:
    node = addon("scene.plane").texture_node(talking)
    images = set(bpy.data.images.keys())
    picture = rendered(tmp_path, 6, getattr(bpy.ops, operator).render)
    assert renders == [1], "only the frame that is rendered"
    assert same(picture, baked(talking, 6))
    assert (talking.edtalk.show, node.image) == ("LIVE", talking.edtalk.live_image)
    assert set(bpy.data.images.keys()) - images <= {"Render Result"}
    assert not talking.edtalk.take


def test_a_duplicate_is_rendered_with_its_own_frames(
    addon: Any, talking: bpy.types.Object, camera: None, baking_first: None, tmp_path: Path
) -> None:
    """Blender lets both share a material."""
    twin = talking.copy()
    bpy.context.scene.collection.objects.link(twin)
    twin.animation_data_clear()
    twin.location.x, twin.edtalk.mouth_01 = 4, 0.9
    assert same(rendered(tmp_path, 6), baked(talking, 6))
    bpy.context.scene.camera.location.x = 4
    folder = Path(bpy.data.filepath).parent / "edtalk" / "face.001" / "take_001"
    assert same(rendered(tmp_path, 6), read(folder / "0006.png"))


def test_the_first_of_two_keeps_what_it_is_lent_while_the_second_is_baked(
    addon: Any, talking: bpy.types.Object, portrait: Path
) -> None:
    """As in the window, where the timer looks after each step whether a render is over."""
    bpy.ops.edtalk.new_character(filepath=str(portrait))
    tasks, session, loans = addon("core.tasks"), addon.session, addon("ui.render.loans").LOANS
    progress = tasks.Progress()
    steps = addon("ui.render.prepare_frames").prepare_frames(
        bpy.context.scene.session_uid, range(3, 5), progress
    )
    session.task = tasks.Task("Bake", steps, progress)
    bpy.ops.ed.undo_push(message="before")
    bpy.context.object.location.x = 1
    bpy.ops.ed.undo_push(message="moved")
    end, second = time.monotonic() + 30, False
    while not session.task.advance():
        assert time.monotonic() < end
        session.pump()
        loans.take_back_after_render()
        if progress.subject == "face.001" and not second:
            second = True
            bpy.ops.ed.undo()

    def lent() -> list[bool]:
        names = ("face", "face.001")
        return [addon("scene.plane").lent_image(bpy.data.objects[name]) is not None for name in names]

    assert second and lent() == [True, True]
    session.task = None
    loans.take_back_after_render()
    assert lent() == [False, False], "no render began"


def test_when_one_cannot_be_baked_the_others_show_what_they_showed(
    addon: Any, talking: bpy.types.Object, portrait: Path
) -> None:
    bpy.ops.edtalk.new_character(filepath=str(portrait))
    bpy.context.object.edtalk.portrait = str(portrait.with_name("gone.png"))
    with pytest.raises(RuntimeError, match=r"gone\.png"):
        bpy.ops.edtalk.render()
    assert addon("scene.plane").texture_node(talking).image == talking.edtalk.live_image


@pytest.mark.parametrize("step", ["saved", "undone"])
def test_what_is_kept_during_a_render_shows_afterwards_what_was_shown_before(
    addon: Any, talking: bpy.types.Object, camera: None, baking_first: None, tmp_path: Path, step: str
) -> None:
    def keep(*_: object) -> None:
        bpy.ops.ed.undo_push(message="during the render")
        bpy.ops.wm.save_as_mainfile(filepath=bpy.data.filepath)

    bpy.ops.ed.undo_push(message="before the render")
    bpy.app.handlers.render_post.append(keep)
    rendered(tmp_path, 6)
    bpy.app.handlers.render_post.remove(keep)
    if step == "saved":
        bpy.ops.wm.open_mainfile(filepath=bpy.data.filepath)
    else:
        bpy.data.objects["face"].location.x = 1
        bpy.ops.ed.undo_push(message="after the render")
        bpy.ops.ed.undo()
    again = bpy.data.objects["face"]
    assert addon("scene.plane").texture_node(again).image == again.edtalk.live_image
    assert not [image for image in bpy.data.images if image.get("edtalk") == "lent"]


def test_an_animation_is_baked_frame_by_frame(
    addon: Any,
    talking: bpy.types.Object,
    camera: None,
    baking_first: None,
    tmp_path: Path,
    renders: list[int],
) -> None:
    bpy.ops.edtalk.bake(first=1, last=2)
    talking.edtalk.show = "LIVE"
    scene = bpy.context.scene
    scene.frame_end = 4
    scene.render.filepath = str(tmp_path / "frame_")
    bpy.ops.render.render(animation=True)
    assert renders == [2, 1, 1], "fresh frames are not rendered again"
    for frame in (1, 2, 3, 4):
        assert same(read(tmp_path / f"frame_{frame:04d}.png"), baked(talking, frame)), frame
    assert talking.edtalk.show == "LIVE"


def test_without_the_preference_a_live_picture_is_rendered_as_it_is(
    addon: Any, talking: bpy.types.Object, camera: None, tmp_path: Path, renders: list[int]
) -> None:
    rendered(tmp_path, 6)
    assert renders == []


def test_a_node_without_a_server_reads_the_baked_frames(
    addon: Any,
    talking: bpy.types.Object,
    camera: None,
    baking_first: None,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    bpy.ops.edtalk.bake()
    talking.edtalk.show = "LIVE"
    addon.session.close()
    request.getfixturevalue("nowhere")
    picture = rendered(tmp_path, 6)
    assert same(picture, baked(talking, 6))
    assert not addon.session.is_connected, "nothing is stale: the server is not even looked for"


def test_a_node_without_a_server_renders_stale_frames_as_they_are(
    addon: Any,
    talking: bpy.types.Object,
    camera: None,
    baking_first: None,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    caplog: pytest.LogCaptureFixture,
) -> None:
    bpy.ops.edtalk.bake()
    talking.edtalk.gain.mouth = 0.25  # all frames are stale
    addon.session.close()
    request.getfixturevalue("nowhere")
    scene = bpy.context.scene
    scene.frame_end = 2
    scene.render.filepath = str(tmp_path / "frame_")
    assert bpy.ops.render.render(animation=True) == {"FINISHED"}
    assert same(read(tmp_path / "frame_0002.png"), baked(talking, 2))
    warnings = [record for record in caplog.records if "could not be baked" in record.message]
    assert len(warnings) == 1, "it is said once, and not tried at each frame"


def test_what_is_fresh_is_shown_after_a_stale_frame_that_nobody_could_bake(
    addon: Any,
    talking: bpy.types.Object,
    camera: None,
    baking_first: None,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    bpy.ops.edtalk.bake(first=2, last=3)
    talking.edtalk.show = "LIVE"
    addon.session.close()
    request.getfixturevalue("nowhere")
    scene = bpy.context.scene
    scene.frame_end = 3
    scene.render.filepath = str(tmp_path / "frame_")
    bpy.ops.render.render(animation=True)
    for frame in (2, 3):
        assert same(read(tmp_path / f"frame_{frame:04d}.png"), baked(talking, frame)), frame


def test_a_character_that_cannot_be_baked_does_not_stop_the_others(
    addon: Any,
    talking: bpy.types.Object,
    portrait: Path,
    camera: None,
    baking_first: None,
    tmp_path: Path,
    renders: list[int],
    caplog: pytest.LogCaptureFixture,
) -> None:
    bpy.ops.edtalk.new_character(filepath=str(portrait))
    spare = bpy.context.object
    spare.hide_viewport = spare.hide_render = True
    scene = bpy.context.scene
    scene.frame_end = 3
    scene.render.filepath = str(tmp_path / "frame_")
    bpy.ops.render.render(animation=True)
    assert renders == [1, 1, 1]
    for frame in (1, 2, 3):
        assert same(read(tmp_path / f"frame_{frame:04d}.png"), baked(talking, frame)), frame
    warnings = [record for record in caplog.records if "could not be baked" in record.message]
    assert len(warnings) == 1 and spare.name in warnings[0].getMessage()


def test_linear_frames_render_like_the_others(
    addon: Any, talking: bpy.types.Object, camera: None, tmp_path: Path
) -> None:
    bpy.ops.edtalk.bake(first=6, last=6)
    expected = baked(talking, 6)
    talking.edtalk.bake.encoding = "EXR"
    bpy.ops.edtalk.bake(first=6, last=6)
    assert bpy.path.abspath(talking.edtalk.take_image.filepath).endswith("0006.exr")
    assert same(rendered(tmp_path, 6), expected)


@pytest.mark.parametrize("encoding", ["PNG", "EXR"])
def test_around_the_matte_one_sees_through_the_plane(
    addon: Any, talking: bpy.types.Object, camera: None, tmp_path: Path, encoding: str
) -> None:
    scene = bpy.context.scene
    bpy.ops.edtalk.bake(first=6, last=6)
    opaque = baked(talking, 6)
    talking.edtalk.bake.alpha, talking.edtalk.bake.encoding = True, encoding
    bpy.ops.edtalk.bake(first=6, last=6)
    scene.render.film_transparent = True
    scene.render.image_settings.color_mode = "RGBA"
    scene.render.filepath = str(tmp_path / "through.png")
    scene.frame_set(6)
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(scene.render.filepath)
    matte = np.array(image.pixels[:], np.float32).reshape(SIZE, SIZE, 4)[..., 3]
    frame = bpy.data.images.load(bpy.path.abspath(talking.edtalk.take_image.filepath))
    wanted = np.array(frame.pixels[:], np.float32).reshape(SIZE, SIZE, 4)[..., 3]
    assert np.abs(matte - wanted).mean() <= 1 / 255
    solid = wanted > 0.99
    assert solid.any() and (wanted < 0.01).any()
    assert np.abs(read(Path(scene.render.filepath)) - opaque)[solid].mean() <= 1.0


def test_a_render_gets_the_servers_graphics_memory_once_nothing_is_baked_any_more(
    addon: Any, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bpy.ops.edtalk.start_server()
    render, session, given = addon("ui.render.loans"), addon.session, list[str]()
    memory = addon("core.server.status").Memory(1, 5 * 10**9, 8 * 10**9)
    monkeypatch.setattr(type(session), "memory", property(lambda _: memory))
    monkeypatch.setattr(session, "release", lambda: given.append("given"))
    rendering, task = True, object()
    monkeypatch.setattr(render, "is_rendering", lambda: rendering)
    for session.task, rendering, times in (
        (None, False, 0),
        (task, True, 0),
        (None, True, 1),
        (None, True, 1),
        (task, True, 1),
        (None, True, 1),
        (None, False, 1),
        (None, True, 2),
    ):
        render.LOANS.release_memory()
        assert len(given) == times, (session.task, rendering)
    memory = addon("core.server.status").Memory(1, 0, 0)
    rendering = False
    render.LOANS.release_memory()
    rendering = True
    render.LOANS.release_memory()
    assert len(given) == 2, "there is none on a processor"
    memory = addon("core.server.status").Memory(1, 5 * 10**9, 8 * 10**9)
    render.LOANS.release_memory()
    assert len(given) == 3, "the server told of it later"


def test_the_panel_warns_of_the_live_picture_only_where_renders_would_show_it(
    addon: Any, talking: bpy.types.Object, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel, chosen = addon("ui.bake.bake_panel"), SimpleNamespace(bake_before_render=False)
    monkeypatch.setattr(panel, "preferences", lambda: chosen)
    bpy.ops.edtalk.bake(first=6, last=6)
    for show, bakes, warns in (("LIVE", False, True), ("LIVE", True, False), ("TAKE", False, False)):
        talking.edtalk.show, chosen.bake_before_render = show, bakes
        words = [text for text, _ in panel._remarks(bpy.context.scene, talking)]
        assert any("Renders show the live picture" in text for text in words) == warns


def test_a_scene_strip_in_the_sequencer_renders_the_baked_frames(
    talking: bpy.types.Object, camera: None, tmp_path: Path
) -> None:
    bpy.ops.edtalk.bake()
    shot, edit = bpy.context.scene, bpy.data.scenes.new("Edit")
    edit.render.resolution_x = edit.render.resolution_y = SIZE
    edit.render.image_settings.file_format = "PNG"
    edit.view_settings.view_transform, edit.render.dither_intensity = "Standard", 0
    editor = edit.sequence_editor_create()
    strips = editor.strips if bpy.app.version >= (4, 4, 0) else editor.sequences
    strips.new_scene("shot", shot, 1, 4)  # the shot's first frame is the edit's fourth
    edit.frame_set(9)
    edit.render.filepath = str(tmp_path / "edit.png")
    with bpy.context.temp_override(scene=edit, view_layer=edit.view_layers[0]):
        bpy.ops.render.render(write_still=True, scene=edit.name)
    assert same(read(tmp_path / "edit.png"), baked(talking, 6))
    assert not same(baked(talking, 6), baked(talking, 9)), "it is not the edit's frame that is shown"
