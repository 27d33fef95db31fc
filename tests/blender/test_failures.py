"""What goes wrong is said with its cause and what to do, and nothing that was there is lost."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import bpy
import numpy as np
import pytest


def everything() -> dict[str, list[str]]:
    """The names of all that a failed operator could have left behind."""
    kinds = ("objects", "meshes", "materials", "images", "actions")
    return {kind: sorted(item.name for item in getattr(bpy.data, kind)) for kind in kinds}


def refused(operator: Any, **options: Any) -> str:
    """Run an operator that must fail; its words."""
    with pytest.raises(RuntimeError) as caught:
        operator(**options)
    return str(caught.value)


def test_a_text_file_named_png_is_no_portrait(addon: Any, server: Any, tmp_path: Path) -> None:
    path = tmp_path / "notes.png"
    path.write_text("these are my notes")
    before = everything()
    words = refused(bpy.ops.edtalk.new_character, filepath=str(path))
    assert "cannot be read" in words or "not a picture" in words or "image" in words.lower()
    assert everything() == before
    assert addon.session.failure is not None and all(addon.session.failure)


def test_a_portrait_that_is_not_there(addon: Any, server: Any) -> None:
    words = refused(bpy.ops.edtalk.new_character, filepath="/nowhere/face.png")
    assert "is not there" in words and "choose another portrait" in words


def test_a_corrupt_voice_keeps_the_curves(addon: Any, talking: bpy.types.Object, voice: Path) -> None:
    actions = addon("scene.keys.actions")
    before = [key.co[1] for key in actions.find(talking, "edtalk.mouth_01").keyframe_points]
    voice.write_bytes(b"RIFF\0\0\0\0WAVEfmt " + bytes(range(200)))
    words = refused(bpy.ops.edtalk.predict)
    assert "voice" in words.lower() or "sound" in words.lower() or "audio" in words.lower()
    assert [key.co[1] for key in actions.find(talking, "edtalk.mouth_01").keyframe_points] == before


def test_no_voice_chosen(addon: Any, resting: bpy.types.Object) -> None:
    assert "No voice is chosen. Choose a voice file." in refused(bpy.ops.edtalk.predict)


def test_a_scene_without_sound(addon: Any, resting: bpy.types.Object) -> None:
    resting.edtalk.voice_from = "SCENE"
    words = refused(bpy.ops.edtalk.predict)
    assert "plays no sound" in words and "Add a sound strip" in words


@pytest.mark.parametrize("operator", ["predict", "bake"])
def test_an_empty_range(addon: Any, talking: bpy.types.Object, operator: str) -> None:
    words = refused(getattr(bpy.ops.edtalk, operator), first=10, last=5)
    assert "from frame 10 to 5 holds no frame" in words
    assert len(addon("scene.keys.actions").curves(talking)) == 36


def test_without_a_character_the_buttons_are_grey(addon: Any) -> None:
    assert not bpy.ops.edtalk.predict.poll()
    assert "Select a character" in refused(bpy.ops.edtalk.bake)


def silent() -> list[str]:
    """Our operators that are grey now and do not say why."""
    found = []
    for name in dir(bpy.ops.edtalk):
        operator = getattr(bpy.ops.edtalk, name)
        if not operator.poll() and "context is incorrect" in refused(
            operator
        ):  # Blender's words without ours
            found.append(name)
    return found


def test_every_grey_button_says_why(addon: Any, talking: bpy.types.Object) -> None:
    layer = bpy.context.view_layer
    bpy.ops.wm.save_mainfile()
    library = bpy.data.filepath
    assert silent() == [], "on a character"
    bpy.ops.object.mode_set(mode="EDIT")
    assert silent() == [], "in edit mode"
    bpy.ops.object.mode_set(mode="OBJECT")
    bpy.ops.edtalk.edit_performance()
    assert silent() == [], "while a strip is edited"
    bpy.ops.edtalk.edit_on_top()
    addon.session.task = mock.Mock(title="Bake")
    assert silent() == [], "while something runs"
    addon.session.task = None
    layer.objects.active = None
    assert silent() == [], "without a character"
    addon.session.close()
    bpy.ops.wm.read_homefile(use_factory_startup=False, use_empty=True)
    assert silent() == [], "without a server, in a new file"
    with bpy.data.libraries.load(library, link=True) as (there, here):
        here.objects = there.objects
    bpy.context.scene.collection.objects.link(here.objects[0])
    bpy.context.view_layer.objects.active = here.objects[0]
    assert silent() == [], "on a linked character"


def test_a_server_that_is_not_installed(
    addon: Any, portrait: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("EDTALK_SERVER_PYTHON", raising=False)
    monkeypatch.setenv("EDTALK_DATA_DIR", str(tmp_path / "nothing here"))
    before = everything()
    words = refused(bpy.ops.edtalk.new_character, filepath=str(portrait))
    assert "not installed" in words and "Install Server" in words
    assert everything() == before


def test_a_server_that_cannot_start(
    addon: Any, portrait: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EDTALK_RUNTIME_DIR", str(tmp_path / "run"))
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho 'error: the model is damaged' >&2\nexit 78\n")
    broken.chmod(0o755)
    monkeypatch.setenv("EDTALK_SERVER_PYTHON", str(broken))
    words = refused(bpy.ops.edtalk.new_character, filepath=str(portrait))
    assert "the model is damaged" in words, "the server's own words are quoted"


@pytest.mark.parametrize("deaths", [1, 2])
def test_a_server_that_dies_while_baking_loses_no_finished_frame(
    addon: Any, own_server: Any, portrait: Path, voice: Path, monkeypatch: pytest.MonkeyPatch, deaths: int
) -> None:
    """It is started again once, and the bake goes on; the second time the bake says so."""
    bpy.context.scene.frame_start, bpy.context.scene.frame_end = 1, 60
    bpy.ops.edtalk.new_character(filepath=str(portrait))
    bpy.ops.edtalk.choose_voice(filepath=str(voice))
    bpy.ops.edtalk.predict()
    ob, take = bpy.context.object, addon("core.takes").Take
    store = take.store
    stored: list[int] = []

    def store_then_kill(self: Any, frame: int, *rest: Any) -> None:
        store(self, frame, *rest)
        stored.append(frame)
        if frame in (5, 20)[:deaths]:
            own_server()

    monkeypatch.setattr(take, "store", store_then_kill)
    folder = Path(bpy.data.filepath).parent / "edtalk" / "face" / "take_001"
    if deaths == 1:
        bpy.ops.edtalk.bake()
    else:
        assert "server" in refused(bpy.ops.edtalk.bake).lower()
        finished = take.open(folder).hashes
        assert set(range(1, 21)) <= set(finished)
        monkeypatch.setattr(take, "store", store)
        bpy.ops.edtalk.bake()
        assert take.open(folder).hashes | finished == take.open(folder).hashes
    assert len(stored) == len(set(stored)), "no frame is rendered twice"
    assert len(addon("scene.keys.actions").curves(ob)) == 36
    assert len(list(folder.glob("*.png"))) == 60 + 1


def test_a_lost_portrait_is_named_and_the_weights_stay(
    addon: Any, talking: bpy.types.Object, portrait: Path
) -> None:
    portrait.unlink()
    weights = addon("scene.character").read_weights(talking)
    assert "face.png is not there" in refused(bpy.ops.edtalk.bake)
    np.testing.assert_array_equal(addon("scene.character").read_weights(talking), weights)


def test_a_character_that_is_not_evaluated_is_not_baked_standing_still(
    addon: Any, talking: bpy.types.Object
) -> None:
    talking.hide_viewport = True
    bpy.context.view_layer.objects.active = talking
    words = refused(bpy.ops.edtalk.bake)
    assert "disabled in viewports" in words and "Enable it in the Outliner" in words
    assert talking.edtalk.take == ""
    talking.hide_viewport = False
    talking.hide_set(True)  # with the eye: it still moves
    bpy.context.view_layer.objects.active = talking
    bpy.ops.edtalk.bake()
    assert talking.edtalk.take_last == 12


def test_in_tweak_mode_predict_says_what_to_leave(addon: Any, talking: bpy.types.Object) -> None:
    data = talking.animation_data
    track = data.nla_tracks[0]
    track.strips[0].select = True
    track.select, data.nla_tracks.active = True, track
    data.use_tweak_mode = True
    assert "Tweaks" in refused(bpy.ops.edtalk.predict)
    assert bpy.ops.edtalk.edit_on_top() == {"FINISHED"} and not data.use_tweak_mode
    assert bpy.ops.edtalk.predict() == {"FINISHED"}


def test_frames_before_zero_are_refused(addon: Any, talking: bpy.types.Object) -> None:
    assert "before frame 0" in refused(bpy.ops.edtalk.bake, first=-5, last=2)


def test_a_scene_and_a_character_may_be_renamed_while_baking(addon: Any, talking: bpy.types.Object) -> None:
    scene = bpy.context.scene
    tasks, ref = addon("core.tasks"), addon("scene.references").CharacterRef.of(talking, scene)
    steps = addon("ui.bake.bake").sample_weights(ref, range(1, 13), tasks.Progress())
    next(steps)
    scene.name, talking.name = "another scene", "another name"
    while True:
        try:
            next(steps)
        except StopIteration as end:
            assert end.value.shape == (12, 36)
            break


def test_a_colour_configuration_without_our_spaces_stops_nothing(
    addon: Any, talking: bpy.types.Object, monkeypatch: pytest.MonkeyPatch
) -> None:
    plane, scene = addon("scene.plane"), bpy.context.scene
    monkeypatch.setitem(plane.COLOR_SPACES, "Standard", "a studio's own space")
    scene.view_settings.view_transform = "Standard"
    before = talking.edtalk.live_image.colorspace_settings.name
    bpy.ops.edtalk.bake()
    assert talking.edtalk.live_image.colorspace_settings.name == before
    assert "changes the picture's colours" in plane.color_remark(scene)


def test_a_button_is_about_the_character_on_which_it_was_pressed(
    addon: Any, talking: bpy.types.Object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the next click, before Blender's first timer event, selects or deletes something."""
    operators, said = addon("ui.runtime.task_operator"), list[str]()

    class Named(operators.TaskOperator):
        def steps(self, context: Any, _progress: Any) -> Any:
            name = context.object.name
            yield
            return name

        def report(self, _kind: set[str], words: str) -> None:
            said.append(words)

    window = SimpleNamespace(app=SimpleNamespace(background=False), data=bpy.data)
    monkeypatch.setattr(operators, "bpy", window)
    context = mock.MagicMock(object=talking)
    context.window_manager.windows = []
    context.workspace.name = "no workspace"
    pressed = Named()
    assert pressed.invoke(context, None) == {"RUNNING_MODAL"}
    context.object = None
    assert pressed.modal(context, SimpleNamespace(type="TIMER", value="NOTHING")) == {"FINISHED"}
    assert said == ["face"] and addon.session.task is None


def test_a_full_disk_ends_the_small_pictures_and_not_in_a_circle(
    addon: Any, resting: bpy.types.Object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The panel would want the same picture again at once."""
    module, cache = addon("ui.runtime.face_pictures"), addon("core.picture_cache").PictureCache(tmp_path)
    pictures, asked = module.FacePictures(), list[Any]()
    pictures._cache, pictures._icons = cache, {}
    monkeypatch.setattr(cache, "put", lambda *_: (_ for _ in ()).throw(OSError("full")))
    monkeypatch.setattr(addon.session, "submit", lambda request, take, slot: asked.append(take))
    for _ in range(2):
        assert pictures.icon(resting, module.REST) == 0
        pictures.tick()
        for take in asked[-1:]:
            take(module.PreviewFrame(width=4, height=4, pixels=bytes(64)))
            take(module.events.Done())
            pictures._next = 0.0
    assert len(asked) == 1
