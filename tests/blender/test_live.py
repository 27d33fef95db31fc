"""The live picture: kept in the file when it rests, asked for again after an undo, and honest when it cannot follow."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy
import numpy as np
import pytest


def settle(addon: Any) -> None:
    """Pump as Blender's timer does in the window, until no answer is under way."""
    end = time.monotonic() + 30
    live = addon("ui.runtime.live").LIVE
    while addon.session.is_waiting or live.is_hurried:
        assert time.monotonic() < end, "no answer came"
        addon.session.pump()
        live.read_portraits()
        time.sleep(0.002)


def look(addon: Any) -> bool:
    """What the handlers do after a change; True when a picture was asked for."""
    asked = addon("ui.runtime.live").LIVE.update(bpy.context.scene, bpy.context.evaluated_depsgraph_get())
    settle(addon)
    return bool(asked)


def pixels_of(ob: bpy.types.Object) -> np.ndarray:
    pixels = np.empty(len(ob.edtalk.live_image.pixels), np.float32)
    ob.edtalk.live_image.pixels.foreach_get(pixels)
    return pixels


def turn(ob: bpy.types.Object, amount: float) -> None:
    """Change a weight that nothing animates."""
    ob.edtalk.mouth_01 = amount
    ob.update_tag()


def test_a_picture_at_rest_is_kept_and_nothing_is_left_to_save(addon: Any, resting: bpy.types.Object) -> None:
    turn(resting, 0.7)
    assert look(addon)
    image, before = resting.edtalk.live_image, pixels_of(resting)
    assert image.is_dirty
    addon("core.tasks").run_to_end(addon("scene.plane").settle_live_images())
    assert not image.is_dirty, "Blender would ask about it when it ends"
    np.testing.assert_array_equal(pixels_of(resting), before)
    turn(resting, 0.1)
    assert look(addon)
    assert not np.array_equal(pixels_of(resting), before), "it goes on following"


def test_a_picture_that_changes_while_it_is_being_kept_is_kept_later(
    addon: Any, resting: bpy.types.Object
) -> None:
    turn(resting, 0.7)
    look(addon)
    keeping = addon("scene.plane").settle_live_images()
    next(keeping)
    turn(resting, 0.1)
    assert look(addon)
    image, newest = resting.edtalk.live_image, pixels_of(resting)
    addon("core.tasks").run_to_end(keeping)
    assert image.is_dirty
    np.testing.assert_array_equal(pixels_of(resting), newest)


@pytest.mark.parametrize("moment", [0, 1])
def test_a_picture_that_is_being_kept_is_not_put_into_another_file(
    addon: Any, resting: bpy.types.Object, moment: int
) -> None:
    """Two shots of one character: their pictures have the same names."""
    bpy.ops.wm.save_mainfile()
    first, there = bpy.data.filepath, pixels_of(resting)
    bpy.ops.wm.save_as_mainfile(filepath=str(Path(first).with_name("other shot.blend")))
    turn(resting, 0.7)
    assert look(addon)
    assert not np.array_equal(pixels_of(resting), there)
    steps = addon("scene.plane").settle_live_images()
    for _ in range(moment):
        next(steps)
    bpy.ops.wm.open_mainfile(filepath=first)
    addon("core.tasks").run_to_end(steps)
    np.testing.assert_array_equal(pixels_of(bpy.data.objects["face"]), there)


def test_a_picture_that_is_deleted_while_another_is_kept_is_no_error(
    addon: Any, resting: bpy.types.Object, portrait: Path
) -> None:
    turn(resting, 0.7)
    assert look(addon)
    bpy.ops.edtalk.new_character(filepath=str(portrait))
    turn(bpy.context.object, 0.7)
    assert look(addon)
    steps = addon("scene.plane").settle_live_images()
    next(steps)
    for ob in list(bpy.data.objects):
        bpy.data.images.remove(ob.edtalk.live_image)
    addon("core.tasks").run_to_end(steps)


def test_an_undo_while_a_portrait_waits_to_be_read_is_no_error(
    addon: Any, resting: bpy.types.Object, portrait: Path
) -> None:
    live, other = addon("ui.runtime.live").LIVE, portrait.with_name("other.png")
    other.write_bytes(portrait.read_bytes() + b" ")
    bpy.ops.ed.undo_push(message="before")
    resting.edtalk.portrait = str(other)
    bpy.ops.ed.undo_push(message="another portrait")
    live.update(bpy.context.scene, bpy.context.evaluated_depsgraph_get())
    assert live.is_hurried
    bpy.ops.ed.undo()
    settle(addon)
    assert not live.is_hurried and not live.trouble(bpy.data.objects["face"])


def test_a_picture_that_was_unpacked_to_a_file_that_is_gone_comes_back(
    addon: Any, resting: bpy.types.Object
) -> None:
    turn(resting, 0.7)
    assert look(addon)
    before = pixels_of(resting)
    addon("core.tasks").run_to_end(addon("scene.plane").settle_live_images())
    bpy.ops.file.unpack_all(method="WRITE_LOCAL")
    for file in (Path(bpy.data.filepath).parent / "textures").iterdir():
        file.unlink()
    resting.edtalk.live_image.reload()
    addon("ui.runtime.live").LIVE.ask_again()
    assert look(addon)
    np.testing.assert_array_equal(pixels_of(resting), before)


def test_another_view_transform_leaves_a_picture_at_rest_as_it_is(
    addon: Any, resting: bpy.types.Object
) -> None:
    turn(resting, 0.7)
    look(addon)
    plane, before = addon("scene.plane"), pixels_of(resting)
    addon("core.tasks").run_to_end(plane.settle_live_images())
    bpy.context.scene.view_settings.view_transform = "AgX"
    plane.follow_view_transform(resting, bpy.context.scene)
    np.testing.assert_allclose(pixels_of(resting), before, atol=1e-6)


def test_after_an_undo_the_picture_is_asked_for_again(addon: Any, resting: bpy.types.Object) -> None:
    bpy.ops.ed.undo_push(message="before")
    turn(resting, 0.7)
    assert look(addon) and not look(addon), "nothing changed: nothing is asked"
    bpy.ops.ed.undo_push(message="after")
    bpy.ops.ed.undo()
    assert look(addon)


def test_a_lost_portrait_is_named_over_the_plane(
    addon: Any, talking: bpy.types.Object, portrait: Path
) -> None:
    reason = addon("ui.character.overlay").reason
    assert reason(talking) == []
    portrait.unlink()
    addon("ui.runtime.live").LIVE.forget()
    look(addon)
    assert any("face.png is not there" in line for line in reason(talking))


def test_without_a_server_the_plane_says_what_to_do(addon: Any, own_server: Any, portrait: Path) -> None:
    bpy.ops.edtalk.new_character(filepath=str(portrait))
    ob, reason = bpy.context.object, addon("ui.character.overlay").reason
    before = pixels_of(ob)
    bpy.ops.edtalk.stop_server()
    assert "Start the server in the EDTalk panel" in reason(ob)
    np.testing.assert_array_equal(pixels_of(ob), before)
    ob.edtalk.show = "TAKE"
    assert reason(ob) == [], "baked frames need no server"


@pytest.mark.parametrize("times", [1, 3])
def test_of_many_wishes_only_the_newest_is_shown(addon: Any, resting: bpy.types.Object, times: int) -> None:
    live = addon("ui.runtime.live").LIVE
    for step in range(20 * times):
        turn(resting, step / (20 * times))
        live.update(bpy.context.scene, bpy.context.evaluated_depsgraph_get())
    settle(addon)
    shown = pixels_of(resting)
    live.forget()
    look(addon)
    np.testing.assert_array_equal(pixels_of(resting), shown)


def test_a_character_of_another_bundle_says_whose_weights_it_has(
    addon: Any, resting: bpy.types.Object
) -> None:
    layout = addon("core.weights.layouts").layout_from_rows(
        [{"identifier": "nod", "name": "Nod", "bank": "pose"}]
    )
    addon("scene.character").set_source(resting, "", "Nodders 2", layout, [0.0], ())
    resting.update_tag()
    look(addon)
    words = addon("ui.runtime.live").LIVE.trouble(resting)
    assert "the 1 weights of Nodders 2" in words and "No model 1 with 36" in words


def test_a_linked_character_follows_too_also_beside_an_override_of_it(
    addon: Any, talking: bpy.types.Object, voice: Path, tmp_path: Path
) -> None:
    bpy.ops.wm.save_mainfile()
    library = bpy.data.filepath
    bpy.ops.wm.read_homefile(use_factory_startup=False, use_empty=True)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "first.blend"))
    with bpy.data.libraries.load(library, link=True, relative=True) as (there, here):
        here.objects = there.objects
    scene, linked = bpy.context.scene, here.objects[0]
    own = linked.override_create()
    both = {"linked": linked, "overridden": own}
    for ob in both.values():
        scene.collection.objects.link(ob)
    look(addon)
    before = {name: pixels_of(ob) for name, ob in both.items()}
    scene.frame_set(6)
    look(addon)
    node = addon("scene.plane").texture_node
    for name, ob in both.items():
        assert not np.array_equal(pixels_of(ob), before[name]), name
        assert node(ob).image == ob.edtalk.live_image, name
    assert own.edtalk.live_image != linked.edtalk.live_image
    bpy.context.view_layer.objects.active = linked
    for operator, options in (("predict", {}), ("choose_voice", {"filepath": str(voice)})):
        with pytest.raises(RuntimeError, match="make a library override"):
            getattr(bpy.ops.edtalk, operator)(**options)


def edited(addon: Any) -> bool:
    """What the handlers do after an edit; True when a picture was asked for."""
    live, depsgraph = addon("ui.runtime.live").LIVE, bpy.context.evaluated_depsgraph_get()
    return bool(live.update(bpy.context.scene, depsgraph, is_edit=True))


@pytest.fixture
def baked(addon: Any, resting: bpy.types.Object) -> bpy.types.Object:
    """A character that shows baked frames, which the handlers have seen."""
    bpy.ops.edtalk.bake()
    look(addon)
    assert resting.edtalk.show == "TAKE" and not edited(addon)
    return resting


def test_touching_a_weight_while_baked_frames_show_brings_the_live_picture(
    addon: Any, baked: bpy.types.Object
) -> None:
    before = pixels_of(baked)
    turn(baked, 0.7)
    assert edited(addon) and baked.edtalk.show == "LIVE"
    settle(addon)
    assert not np.array_equal(pixels_of(baked), before)
    node = addon("scene.plane").texture_node(baked)
    assert node.image == baked.edtalk.live_image


def test_baked_frames_stay_while_only_the_frame_changes_or_they_are_chosen(
    addon: Any, baked: bpy.types.Object
) -> None:
    for frame, value in ((1, 0.0), (9, 1.0)):
        baked.edtalk.mouth_02 = value
        baked.keyframe_insert("edtalk.mouth_02", frame=frame)
    baked.edtalk.show = "TAKE"
    for frame in (3, 6):
        bpy.context.scene.frame_set(frame)
        look(addon)
        edited(addon)  # Blender may report the new frame as an edit too
        assert baked.edtalk.show == "TAKE"
    baked.edtalk.show = "LIVE"
    turn(baked, 0.4)
    assert edited(addon)
    baked.edtalk.show = "TAKE"
    baked.update_tag()
    assert not edited(addon) and baked.edtalk.show == "TAKE", "the artist's own choice"


def test_without_a_server_baked_frames_stay_and_the_view_says_so(addon: Any, baked: bpy.types.Object) -> None:
    reason = addon("ui.character.overlay").reason
    bpy.ops.edtalk.stop_server()
    assert reason(baked) == []
    turn(baked, 0.7)
    assert not edited(addon) and baked.edtalk.show == "TAKE"
    assert reason(baked) == ["Baked frames are shown", "Start the server to see what you edit"]
    bpy.context.scene.frame_set(4)
    look(addon)
    assert reason(baked) == []


# --- sizes -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def large(addon: Any, server: Any, portrait: Path) -> bpy.types.Object:
    """A character whose portrait holds three times the model's size, in a scene of two frames."""
    from conftest import png

    pixels = np.random.default_rng(1).integers(0, 255, (200, 200, 3), np.uint8)
    portrait.write_bytes(png(pixels))
    bpy.context.scene.frame_start, bpy.context.scene.frame_end = 1, 2
    bpy.ops.edtalk.new_character(filepath=str(portrait))
    return bpy.context.object


def shown_size(ob: bpy.types.Object) -> tuple[int, int]:
    return tuple(ob.edtalk.live_image.size)


def test_a_new_characters_picture_is_coarser_while_it_moves_and_fine_at_rest(
    addon: Any, large: bpy.types.Object, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = addon("ui.runtime.live")
    live, clock = module.LIVE, [100.0]
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    assert large.edtalk.bake.size == "512" and shown_size(large) == (192, 192)

    def tick() -> None:
        live.tick()
        while addon.session.is_waiting or live._portraits:
            addon.session.pump()
            live.read_portraits()

    tick()  # it notices the server
    for amount in (0.2, 0.4):
        turn(large, amount)
        assert live.update(bpy.context.scene, bpy.context.evaluated_depsgraph_get())
        tick()
        assert shown_size(large) == (64, 64), "quick, while something is dragged"
    clock[0] += 1.0
    tick()
    assert shown_size(large) == (192, 192) and not live.is_hurried


def test_baked_faces_are_as_fine_as_the_portrait_and_no_finer(
    large: bpy.types.Object, renders: list[int]
) -> None:
    for size in ("512", "256"):
        large.edtalk.bake.size = size
        bpy.ops.edtalk.bake()
        frame = bpy.data.images.load(str(Path(bpy.path.abspath(large.edtalk.take)) / "0001.png"))
        assert tuple(frame.size) == (192, 192)
    assert renders == [2], "both are the same pictures"


def test_another_size_is_another_take_and_that_of_old_files_leaves_their_frames_fresh(
    addon: Any, large: bpy.types.Object
) -> None:
    from shared_protocol.messages import Prepared

    places, signature = addon("scene.takes.take_places"), addon("scene.keys.signature").Signature
    prepared, seen = Prepared(width=256, height=256, sizes=(256, 512, 768)), {}
    for size, side in (("256", 256), ("512", 512), ("768", 768), ("1024", 768)):
        large.edtalk.bake.size = size
        assert places.format_of(large, prepared, True).width == side
        assert places.format_of(large, Prepared(width=256, height=256), True).width == 256, "an older server"
        seen[size] = signature(large).at(1)
    assert len(set(seen.values())) == 4
    large.edtalk.bake.framing = "FULL"
    full = signature(large).at(1)
    large.edtalk.bake.size = "256"
    assert signature(large).at(1) == full, "full pictures have no size"
