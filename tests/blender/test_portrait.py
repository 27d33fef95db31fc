"""The portrait: its crop and verdict, full pictures, image blocks, dropped files, facing the camera, appending."""

from __future__ import annotations

import math
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy
import numpy as np
import pytest

WIDTH, HEIGHT = 96, 64


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    """A portrait that is wider than high."""
    from conftest import png

    x, y = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    path = tmp_path / "proj ect ä" / "wide.png"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(png(np.stack([x * 2, y * 3, x + y], axis=-1).astype(np.uint8)))
    return path


@pytest.fixture
def broad(addon: Any, server: Any, wide: Path) -> bpy.types.Object:
    """A character of the wide portrait, in a scene of three frames."""
    bpy.context.scene.frame_start, bpy.context.scene.frame_end = 1, 3
    bpy.ops.edtalk.new_character(filepath=str(wide))
    return bpy.context.object


def follow(addon: Any, ob: bpy.types.Object) -> None:
    """Let the live picture catch up with the character, as the window's timer does."""
    live, session = addon("ui.runtime.live").LIVE, addon.session
    bpy.context.view_layer.update()
    live.update(bpy.context.scene, bpy.context.evaluated_depsgraph_get())
    for _ in range(2000):
        session.pump()
        live.read_portraits()
        if not (session.is_waiting or live.is_hurried):
            return
        time.sleep(0.005)
    raise AssertionError("the picture never comes")


def aspect(ob: bpy.types.Object) -> float:
    """Width by height of the plane as it stands there."""
    return float(ob.dimensions.x / ob.dimensions.z)


def sizes(addon: Any, ob: bpy.types.Object) -> tuple[tuple[int, int], float]:
    bpy.context.view_layer.update()
    return tuple(ob.edtalk.live_image.size), aspect(ob)


def place(ob: bpy.types.Object, x: float, y: float, side: float, roll: float = 0.0) -> None:
    picture = ob.edtalk.picture
    picture.center_x, picture.center_y, picture.side, picture.roll = x, y, side, roll


# --- crop ------------------------------------------------------------------------------------------------------------


def test_another_crop_makes_another_source_and_stales_all_frames(
    addon: Any, broad: bpy.types.Object, renders: list[int]
) -> None:
    assert addon("scene.portrait_crop").crop_of(broad) is None, "automatic at first"
    bpy.ops.edtalk.bake()
    bpy.ops.edtalk.bake()
    found, before = broad.edtalk.source, addon("scene.keys.signature").Signature(broad).at(1)
    place(broad, 30, 32, 40, 0.2)
    assert addon("scene.keys.signature").Signature(broad).at(1) != before, (
        "the timeline shows it before a bake"
    )
    bpy.ops.edtalk.bake()
    assert broad.edtalk.source != found
    assert renders == [3, 3]
    place(broad, 0, 0, 0)
    bpy.ops.edtalk.bake()
    assert broad.edtalk.source == found


def test_the_live_picture_is_prepared_with_the_crop(
    addon: Any, broad: bpy.types.Object, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, submit = [], addon.session.submit

    def noted(request: Any, *rest: Any, **options: Any) -> str:
        if type(request).__name__ == "Prepare":
            asked.append(request.crop)
        return submit(request, *rest, **options)

    monkeypatch.setattr(addon.session, "submit", noted)
    follow(addon, broad)
    assert asked == []
    place(broad, 30, 32, 40)
    follow(addon, broad)
    assert [(crop.center_x, crop.center_y, crop.side, crop.roll) for crop in asked] == [(30, 32, 40, 0)]
    assert addon("ui.runtime.live").LIVE.trouble(broad) == ""
    assert addon("scene.portrait_crop").is_seen(broad), "and the panel has a verdict on it"


def test_checking_says_what_the_portrait_is_worth(addon: Any, broad: bpy.types.Object) -> None:
    crops = addon("scene.portrait_crop")
    assert crops.is_seen(broad), "known from the beginning"
    place(broad, 30, 32, 40)
    assert not crops.is_seen(broad), "another crop was not looked at yet"
    assert bpy.ops.edtalk.check_portrait() == {"FINISHED"}
    seen = crops.seen(broad)
    assert crops.is_seen(broad) and seen.verdict in addon("ui.character.portrait_operators").VERDICTS
    assert (seen.width, seen.height, seen.crop.side) == (WIDTH, HEIGHT, 40)


def test_find_face_goes_back_to_automatic(addon: Any, broad: bpy.types.Object) -> None:
    place(broad, 30, 32, 40)
    bpy.ops.edtalk.find_face()
    assert addon("scene.portrait_crop").crop_of(broad) is None
    assert addon("scene.portrait_crop").seen(broad).crop.side == HEIGHT, "what was found is known for the box"


def test_next_face_says_when_there_is_none(addon: Any, broad: bpy.types.Object) -> None:
    with pytest.raises(RuntimeError, match="No face was found"):
        bpy.ops.edtalk.next_face()
    assert addon("scene.portrait_crop").crop_of(broad) is None


def test_the_next_face_goes_around(addon: Any) -> None:
    box = addon("core.crop_box")
    from importlib import import_module

    crop = import_module("shared_protocol.messages").Crop
    large, small = crop(100, 100, 80, 0.0), crop(300, 120, 40, 0.1)
    assert box.next_face((large, small), crop(104, 98, 84, 0.0)) == small
    assert box.next_face((large, small), small) == large


def test_the_mouse_moves_scales_and_turns_the_box(addon: Any) -> None:
    from importlib import import_module

    box, crop = addon("core.crop_box"), import_module("shared_protocol.messages").Crop(100, 80, 40, 0.0)
    assert box.corners(crop) == [(80, 60), (120, 60), (120, 100), (80, 100)]
    grips = [box.grip_at(crop, point, 4) for point in ((105, 85), (121, 80), (160, 80))]
    assert grips == [box.Grip.MOVE, box.Grip.SCALE, box.Grip.TURN]
    moved = box.drag(crop, box.Grip.MOVE, (105, 85), (95, 90))
    assert (moved.center_x, moved.center_y, moved.side) == (90, 85, 40)
    assert box.drag(crop, box.Grip.SCALE, (120, 80), (130, 80)).side == pytest.approx(60)
    turned = box.drag(crop, box.Grip.TURN, (160, 80), (100, 140))
    assert turned.roll == pytest.approx(math.pi / 2), "clockwise, as y goes downwards"
    assert box.corners(turned)[0] == pytest.approx((120, 60)), "the left top corner went to the right"


def test_the_box_lies_on_the_picture_wherever_that_is_drawn(addon: Any) -> None:
    drawing = addon("ui.character.crop_drawing")
    fit = drawing.Fit.into(drawing.Room(50, 0, 600, 570), (WIDTH, HEIGHT))
    left, top = fit.to_region((0, 0))
    right, bottom = fit.to_region((WIDTH, HEIGHT))
    assert 50 < left < right < 600 and 0 < bottom < top < 570
    assert (right - left) / (top - bottom) == pytest.approx(WIDTH / HEIGHT)
    assert fit.to_picture(fit.to_region((10, 20))) == pytest.approx((10, 20))


def test_the_picture_is_not_drawn_below_the_sidebar(addon: Any) -> None:
    def part(kind: str, alignment: str, *where: int) -> SimpleNamespace:
        x, y, width, height = where
        return SimpleNamespace(type=kind, alignment=alignment, x=x, y=y, width=width, height=height)

    view = part("WINDOW", "NONE", 100, 10, 800, 600)
    over = [part("TOOLS", "LEFT", 100, 10, 50, 600), part("UI", "RIGHT", 650, 10, 250, 600)]
    beside = [part("ASSET_SHELF", "BOTTOM", 100, 10, 800, 1), part("HEADER", "TOP", 100, 610, 800, 30)]
    area = SimpleNamespace(regions=[view, *over, *beside, part("TOOL_HEADER", "TOP", 100, 580, 800, 30)])
    assert addon("ui.character.crop_drawing").free_room(area, view) == (50, 0, 550, 570)


def test_the_box_begins_on_what_was_found(addon: Any, broad: bpy.types.Object, wide: Path) -> None:
    view, crops = addon("ui.character.crop_view"), addon("scene.portrait_crop")
    image = view.load_portrait(wide.read_bytes(), crops.seen(broad))
    assert tuple(image.size) == (WIDTH, HEIGHT)
    assert view.first_crop(broad, (WIDTH, HEIGHT)).side == HEIGHT
    place(broad, 30, 32, 40)
    assert view.first_crop(broad, (WIDTH, HEIGHT)).center_x == 30


def test_adjusting_the_crop_starts_the_server_and_tells_its_verdict_once_it_is_there(
    addon: Any, broad: bpy.types.Object, wide: Path, own_server: Any
) -> None:
    view, session, said = addon("ui.character.crop_view"), addon.session, list[str]()
    session.close()
    operator = view.AdjustCrop
    crop = SimpleNamespace(
        _question=None,
        _portrait=addon("core.server.uploads").InMemory.of(wide.read_bytes()),
        _crop=view.first_crop(broad, (WIDTH, HEIGHT)),
        _drop_question=lambda: None,
        _show=lambda lines: said.extend(line for line in lines if line not in said),
        _show_verdict=lambda verdict, advice: (said.append(verdict), setattr(crop, "_question", None)),
    )
    operator._ask(crop)
    session.start_server()
    end = time.monotonic() + 60
    while said[-1:] == [] or said[-1] not in addon("ui.character.portrait_operators").VERDICTS:
        assert time.monotonic() < end, said
        session.pump()
        operator._read_answer(crop)
        time.sleep(0.01)
    assert any("starting" in line for line in said)


# --- full pictures ---------------------------------------------------------------------------------------------------


def test_the_full_picture_widens_the_plane_and_back(addon: Any, broad: bpy.types.Object) -> None:
    size, square = sizes(addon, broad)
    assert size[0] == size[1] and square == pytest.approx(1)
    broad.edtalk.bake.framing = "FULL"
    follow(addon, broad)
    assert sizes(addon, broad) == ((WIDTH, HEIGHT), pytest.approx(WIDTH / HEIGHT))
    broad.edtalk.bake.framing = "FACE"
    follow(addon, broad)
    assert sizes(addon, broad) == (size, pytest.approx(1))


def test_baked_full_pictures_are_as_wide_as_the_portrait(addon: Any, broad: bpy.types.Object) -> None:
    bpy.ops.edtalk.bake()
    broad.edtalk.bake.framing = "FULL"
    bpy.context.view_layer.update()
    assert aspect(broad) == pytest.approx(1), "the frames that are shown are still square"
    bpy.ops.edtalk.bake()
    bpy.context.view_layer.update()
    assert aspect(broad) == pytest.approx(WIDTH / HEIGHT)
    frame = bpy.data.images.load(str(Path(bpy.path.abspath(broad.edtalk.take)) / "0001.png"))
    assert tuple(frame.size) == (WIDTH, HEIGHT)


@pytest.mark.parametrize("encoding", ["PNG", "EXR"])
def test_baked_full_pictures_of_a_cut_out_stay_transparent(
    addon: Any, broad: bpy.types.Object, encoding: str
) -> None:
    """The plane lets through what is behind it; the live picture shows grey there."""
    bpy.context.scene.frame_end = 2
    cut_out = np.full((HEIGHT, WIDTH, 4), 90, np.uint8)
    cut_out[..., 3] = np.where(np.arange(WIDTH) < WIDTH // 4, 0, 255)
    picture = bpy.data.images.new("cut out", WIDTH, HEIGHT, alpha=True)
    picture.pixels.foreach_set(cut_out.ravel().astype(np.float32) / 255)
    path = Path(bpy.path.abspath("//cut_out.png"))
    picture.save(filepath=str(path))
    broad.edtalk.portrait = str(path)
    broad.edtalk.bake.framing, broad.edtalk.bake.encoding = "FULL", encoding
    bpy.ops.edtalk.bake()
    folder = Path(bpy.path.abspath(broad.edtalk.take))
    frame = bpy.data.images.load(str(folder / f"0001.{encoding.lower()}"))
    alpha = np.array(frame.pixels[:]).reshape(HEIGHT, WIDTH, frame.channels)[..., 3]
    assert (alpha[:, : WIDTH // 4] == 0).all() and (alpha[:, WIDTH // 4 + 1 :] == 1).all()
    assert broad.edtalk.take_image.alpha_mode == "STRAIGHT"
    node = addon("scene.plane").texture_node(broad)
    assert node.image == broad.edtalk.take_image and node.outputs["Alpha"].is_linked
    assert addon("core.takes").Take.read_header(folder).format.cut_out
    broad.edtalk.show = "LIVE"
    follow(addon, broad)
    live = np.array(broad.edtalk.live_image.pixels[:]).reshape(-1, 4)[:, 3]
    assert (live == 1).all()


def test_a_wide_plane_keeps_what_the_artist_did_to_it(addon: Any, broad: bpy.types.Object) -> None:
    for vertex in broad.data.vertices:
        vertex.co.x *= 0.5
    broad.scale.x = 3
    broad.edtalk.bake.framing = "FULL"
    follow(addon, broad)
    bpy.context.view_layer.update()
    assert aspect(broad) == pytest.approx(1.5 * WIDTH / HEIGHT)


def test_a_linked_duplicate_keeps_its_own_shape(addon: Any, broad: bpy.types.Object) -> None:
    bpy.ops.object.duplicate(linked=True)
    twin = bpy.context.object
    twin.edtalk.bake.framing = "FULL"
    follow(addon, twin)
    bpy.context.view_layer.update()
    assert aspect(twin) == pytest.approx(WIDTH / HEIGHT) and aspect(broad) == pytest.approx(1)


# --- image blocks and drops ------------------------------------------------------------------------------------------


def test_a_packed_image_becomes_a_character_without_its_file(addon: Any, server: Any, wide: Path) -> None:
    image = bpy.data.images.load(str(wide))
    data = wide.read_bytes()
    image.pack()
    wide.unlink()
    assert bpy.ops.edtalk.new_from_image(image=image.name) == {"FINISHED"}
    ob = bpy.context.object
    assert ob.name == "wide" and ob.edtalk.portrait == "" and ob.edtalk.picture.image == image
    assert addon("scene.character").portrait_bytes(ob) == data
    bpy.ops.edtalk.bake(first=1, last=2)
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.open_mainfile(filepath=bpy.data.filepath)
    ob = bpy.data.objects["wide"]
    assert addon("scene.character").portrait_bytes(ob) == data, "the packed picture comes with the file"
    assert not wide.exists()


def test_a_painted_image_is_sent_as_it_is_now(addon: Any, server: Any) -> None:
    image = bpy.data.images.new("drawn", WIDTH, HEIGHT)
    image.pixels.foreach_set(np.tile(np.float32([1.0, 0.5, 0.0, 1.0]), WIDTH * HEIGHT))
    bpy.ops.edtalk.new_from_image(image="drawn")
    ob = bpy.context.object
    sent = addon("scene.character").portrait_bytes(ob)
    copy = bpy.data.images.new("sent", 1, 1)
    copy.pack(data=sent, data_len=len(sent))
    copy.source = "FILE"
    assert tuple(copy.size) == (WIDTH, HEIGHT)
    assert np.array(copy.pixels[:3]) * 255 == pytest.approx([255, 128, 0], abs=1)


def test_an_image_without_pixels_says_so(addon: Any, broad: bpy.types.Object, wide: Path) -> None:
    lost = bpy.data.images.load(str(wide), check_existing=False)
    lost.filepath = "//lost.png"
    broad.edtalk.picture.image = lost
    with pytest.raises(RuntimeError, match="has no pixels"):
        bpy.ops.edtalk.bake()


def test_pictures_can_be_dropped(addon: Any) -> None:
    handler = bpy.types.EDTALK_FH_portrait
    assert handler.bl_import_operator == "edtalk.new_character"
    assert {".png", ".jpg", ".webp"} <= set(handler.bl_file_extensions.split(";"))


# --- standing in the scene -------------------------------------------------------------------------------------------


def test_the_plane_faces_the_camera_until_told_otherwise(addon: Any, broad: bpy.types.Object) -> None:
    from mathutils import Vector

    with pytest.raises(RuntimeError, match="no camera"):
        bpy.ops.edtalk.face_camera()
    camera = bpy.data.objects.new("eye", bpy.data.cameras.new("eye"))
    bpy.context.scene.collection.objects.link(camera)
    bpy.context.scene.camera = camera
    camera.location = 5, -3, 2
    before = broad.matrix_world.copy()
    bpy.ops.edtalk.face_camera()
    bpy.ops.edtalk.face_camera()
    bpy.context.view_layer.update()
    front = broad.matrix_world.to_3x3() @ Vector((0, -1, 0))
    assert front.angle(camera.location - broad.location) == pytest.approx(0, abs=1e-3)
    assert len(broad.constraints) == 1
    bpy.ops.edtalk.stop_facing()
    bpy.context.view_layer.update()
    assert broad.matrix_world == before and not broad.constraints


@pytest.mark.versions
def test_an_appended_character_finds_its_files(
    addon: Any, talking: bpy.types.Object, portrait: Path, voice: Path, tmp_path: Path
) -> None:
    bpy.ops.wm.save_mainfile()
    library, shot = bpy.data.filepath, tmp_path / "shots" / "first.blend"
    shot.parent.mkdir()
    bpy.ops.wm.read_homefile(use_factory_startup=False, use_empty=True)
    bpy.ops.wm.save_as_mainfile(filepath=str(shot))
    bpy.ops.wm.append(directory=f"{library}/Object/", filename="face")
    ob = bpy.data.objects["face"]
    assert ob.library is None
    addon("ui.character.appending").tick()  # as the timer does: Blender 4.2 does not tell of appended data
    paths = addon("scene.paths")
    assert paths.file_of(ob, "portrait") == portrait and paths.file_of(ob, "voice") == voice
    assert ob.edtalk.portrait.startswith("//../"), "and the whole project can be moved"
    bpy.context.view_layer.objects.active = ob
    assert bpy.ops.edtalk.bake(first=1, last=2) == {"FINISHED"}
    assert Path(bpy.path.abspath(ob.edtalk.take)).is_relative_to(shot.parent)


@pytest.mark.versions
@pytest.mark.skipif(bpy.app.version >= (4, 3, 0), reason="this Blender tells of appended data")
def test_where_appending_is_not_told_of_a_path_that_leads_somewhere_is_left_alone(
    addon: Any, talking: bpy.types.Object, voice: Path, tmp_path: Path
) -> None:
    bpy.ops.wm.save_mainfile()
    library, shot = bpy.data.filepath, tmp_path / "shots" / "first.blend"
    shot.parent.mkdir()
    (shot.parent / "face.png").write_bytes(b"another face of the same name")
    bpy.ops.wm.read_homefile(use_factory_startup=False, use_empty=True)
    bpy.ops.wm.save_as_mainfile(filepath=str(shot))
    bpy.ops.wm.append(directory=f"{library}/Object/", filename="face")
    addon("ui.character.appending").tick()
    ob, paths = bpy.data.objects["face"], addon("scene.paths")
    assert paths.file_of(ob, "portrait") == shot.parent / "face.png"
    assert paths.file_of(ob, "voice") == voice
    ob.edtalk.voice = "//gone.wav"  # chosen by hand, and there is none: nothing is made up
    ob.copy()
    addon("ui.character.appending").tick()
    assert ob.edtalk.voice == "//gone.wav"


def test_a_picture_that_blender_cannot_show_says_so(addon: Any, broad: bpy.types.Object) -> None:
    view, crops = addon("ui.character.crop_view"), addon("scene.portrait_crop")
    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200)
    before = len(bpy.data.images)
    with pytest.raises(Exception, match="Blender cannot show it"):
        view.load_portrait(heic, crops.seen(broad))
    assert len(bpy.data.images) == before


def test_the_file_browser_offers_what_phones_save(addon: Any) -> None:
    assert "heic" in addon("ui.character.create").UNKNOWN_PICTURES
    assert ".exr" in addon("ui.character.create").PICTURES
    for operator in (bpy.ops.edtalk.new_character, bpy.ops.edtalk.choose_voice):
        assert "filter_glob" in operator.get_rna_type().properties


def test_further_pictures_are_listed_sent_and_part_of_the_take(
    addon: Any, broad: bpy.types.Object, wide: Path
) -> None:
    """They reach the server, change source and signature, and go again; the list never holds more than four."""
    signature = addon("scene.keys.signature").Signature
    other = wide.with_name("laughing.png")
    other.write_bytes(wide.read_bytes())
    alone, before = broad.edtalk.source, signature(broad).at(1)
    assert bpy.ops.edtalk.add_picture(filepath=str(other)) == {"FINISHED"}
    assert Path(bpy.path.abspath(broad.edtalk.also_1)).name == "laughing.png" and not broad.edtalk.also_2
    assert signature(broad).at(1) != before
    follow(addon, broad)
    bpy.ops.edtalk.bake()
    both = broad.edtalk.source
    assert both != alone, "the server knows a source with both"
    assert addon("scene.portrait_crop").gives(broad) == ("",), "the stand-in takes nothing from it"
    for _ in range(3):
        bpy.ops.edtalk.add_picture(filepath=str(other))
    assert broad.edtalk.also_4 and not bpy.ops.edtalk.add_picture.poll()
    for _ in range(4):
        bpy.ops.edtalk.remove_picture(index=0)
    assert not broad.edtalk.also_1 and signature(broad).at(1) != before
    bpy.ops.edtalk.bake()
    assert broad.edtalk.source == alone and signature(broad).at(1) == before


def test_a_further_picture_that_is_missing_is_named(addon: Any, broad: bpy.types.Object, wide: Path) -> None:
    """Instead of a picture without it."""
    other = wide.with_name("gone.png")
    with pytest.raises(RuntimeError, match=r"gone\.png"):
        bpy.ops.edtalk.add_picture(filepath=str(other))
    broad.edtalk.also_2 = str(other)
    with pytest.raises(RuntimeError, match=r"gone\.png"):
        bpy.ops.edtalk.bake()


def test_a_portrait_is_read_on_when_an_undo_has_removed_its_character(
    addon: Any, broad: bpy.types.Object, wide: Path
) -> None:
    reading = addon("scene.character").prepared_content(broad)
    bpy.data.objects.remove(broad)
    contents = addon("core.tasks").run_to_end(reading)
    assert [content.size for content in contents] == [wide.stat().st_size]
