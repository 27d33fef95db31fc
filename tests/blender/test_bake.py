"""Bakes: what is stale and what is said of it, ranges, all characters, formats, takes, crashes, movies."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest

FIRST, LAST = 1, 12


def folder_of(ob: bpy.types.Object) -> Path:
    return Path(bpy.path.abspath(ob.edtalk.take))


def move_key(addon: Any, ob: bpy.types.Object, frame: int, by: float = 0.8) -> None:
    """Move the mouth's key at a frame as an animator would, in the Graph Editor."""
    curve = addon("scene.keys.actions").find(ob, "edtalk.mouth_01")
    key = next((key for key in curve.keyframe_points if key.co[0] == frame), None)
    if key is None:
        key = curve.keyframe_points.insert(frame, curve.evaluate(frame))
    key.co[1] += by
    key.interpolation = "CONSTANT"
    curve.update()


def look(addon: Any) -> Any:
    """Let the timer tick until all frames were looked at; what is known of them."""
    watch = addon("ui.bake.watch").WATCH
    watch._looked_at_files = 0.0
    watch.unsettle()
    for _ in range(1000):
        watch._next_look = 0.0
        watch.tick()
        if watch.map is None or watch.map.is_settled:
            return watch.map
    raise AssertionError("the frames are never all looked at")


def finished_in(addon: Any, folder: Path) -> set[int]:
    """The frames of a take that are whole on disk."""
    return addon("core.tasks").run_to_end(addon("core.takes").Take.open(folder).finished())


def refused(operator: Any, **options: Any) -> str:
    with pytest.raises(RuntimeError) as caught:
        operator(**options)
    return str(caught.value)


# --- what is stale ---------------------------------------------------------------------------------------------------


def test_the_panel_says_what_is_to_bake(addon: Any, talking: bpy.types.Object) -> None:
    assert look(addon).words == "No frame is baked"
    bpy.ops.edtalk.bake(first=1, last=8)
    assert look(addon).words == "4 of 12 frames to bake: 9–12"
    bpy.ops.edtalk.bake()
    assert look(addon).words == "All 12 frames are baked"


def test_a_longer_range_has_only_its_new_frames_to_bake(addon: Any, talking: bpy.types.Object) -> None:
    bpy.ops.edtalk.bake()
    assert look(addon).words == "All 12 frames are baked"
    bpy.context.scene.frame_end = 20
    watch = addon("ui.bake.watch").WATCH
    for _ in range(100):  # no more than ticks, as in the window
        watch._next_look = 0.0
        watch.tick()
    assert watch.map.words == "8 of 20 frames to bake: 13–20"


def test_an_edited_key_makes_its_frames_stale_and_baking_them_fresh(
    addon: Any, talking: bpy.types.Object, renders: list[int]
) -> None:
    bpy.ops.edtalk.bake()
    before = bpy.context.scene.frame_current
    move_key(addon, talking, 6)
    words = look(addon).words
    assert "6" in words and "frames to bake" in words
    stale = look(addon).count(2)
    assert bpy.context.scene.frame_current == before, "looking does not step the scene"
    bpy.ops.edtalk.bake()
    assert look(addon).words == "All 12 frames are baked"
    assert renders[1] <= stale, "all that is rendered was shown as stale"


def test_an_edit_undone_is_fresh_again(addon: Any, talking: bpy.types.Object) -> None:
    bpy.ops.edtalk.bake()
    talking.edtalk.gain.mouth = 0.5
    assert look(addon).words == "12 of 12 frames to bake: 1–12"
    talking.edtalk.gain.mouth = 1.0
    assert look(addon).words == "All 12 frames are baked"


def test_another_portrait_or_format_makes_all_stale(
    addon: Any, talking: bpy.types.Object, portrait: Path
) -> None:
    bpy.ops.edtalk.bake()
    talking.edtalk.bake.encoding = "EXR"
    assert look(addon).words == "12 of 12 frames to bake: 1–12"
    talking.edtalk.bake.encoding = "PNG"
    portrait.write_bytes(portrait.read_bytes() + b"\0")
    assert look(addon).words == "12 of 12 frames to bake: 1–12"


def test_what_is_baked_is_known_after_opening_the_file_again(addon: Any, talking: bpy.types.Object) -> None:
    bpy.ops.edtalk.bake(first=1, last=8)
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.open_mainfile(filepath=bpy.data.filepath)
    assert look(addon).words == "4 of 12 frames to bake: 9–12"


@pytest.mark.versions
def test_an_nla_strip_that_is_moved_makes_its_frames_stale(addon: Any, talking: bpy.types.Object) -> None:
    data = talking.animation_data
    for track in data.nla_tracks:
        track.mute = True
    action = bpy.data.actions.new("a nod")
    data.action = action
    talking.edtalk.pose_01 = 0
    talking.keyframe_insert("edtalk.pose_01", frame=1)
    talking.edtalk.pose_01 = 1
    talking.keyframe_insert("edtalk.pose_01", frame=3)
    data.action = None
    strip = data.nla_tracks.new().strips.new("nod", 4, action)
    strip.extrapolation = "NOTHING"
    bpy.ops.edtalk.bake()
    assert look(addon).words == "All 12 frames are baked"
    strip.use_animated_influence, strip.influence = True, 0.5
    assert look(addon).words == "2 of 12 frames to bake: 5–6", "at frame 4 it adds nothing"


@pytest.mark.versions
def test_while_the_performance_is_edited_its_frames_show_as_stale_and_wait(
    addon: Any, talking: bpy.types.Object, renders: list[int]
) -> None:
    talking.edtalk.pose_02 = 0.5
    talking.keyframe_insert("edtalk.pose_02", frame=3)  # a layer of the artist's on top
    talking.animation_data.action = (
        talking.animation_data.action
    )  # from Python, Blender does not see a new action
    bpy.ops.edtalk.bake()
    bpy.ops.edtalk.edit_performance()
    assert look(addon).words == "All 12 frames are baked", "opening it changes nothing"
    move_key(addon, talking, 6)
    assert "frames to bake" in look(addon).words
    assert "Tweaks" in refused(bpy.ops.edtalk.bake)
    assert "Tweaks" in refused(bpy.ops.edtalk.bake_all)
    bpy.ops.edtalk.edit_on_top()
    stale = look(addon).count(2)
    bpy.ops.edtalk.bake()
    assert 0 < renders[1] <= stale < 12


# --- ranges, characters, formats -------------------------------------------------------------------------------------


def test_a_range_can_be_rendered_once_more(addon: Any, talking: bpy.types.Object, renders: list[int]) -> None:
    bpy.ops.edtalk.bake()
    bpy.ops.edtalk.bake_range(first=2, last=4)
    assert renders == [12], "fresh frames stay"
    bpy.ops.edtalk.bake_range(first=2, last=4, again=True)
    assert renders == [12, 3]
    assert (talking.edtalk.take_first, talking.edtalk.take_last) == (1, 12)


def test_all_characters_are_baked(addon: Any, talking: bpy.types.Object, tmp_path: Path) -> None:
    assert bpy.ops.object.duplicate() == {"FINISHED"}
    twin = bpy.context.object
    bpy.ops.edtalk.bake_all()
    for ob in (talking, twin):
        assert len(list(folder_of(ob).glob("00[01]?.png"))) == 13
        assert ob.edtalk.show == "TAKE"
    assert folder_of(talking) != folder_of(twin)


def test_characters_whose_names_make_the_same_folder_keep_their_frames_apart(
    addon: Any, talking: bpy.types.Object, portrait: Path
) -> None:
    bpy.ops.edtalk.new_character(filepath=str(portrait))
    other = bpy.context.object
    talking.name, other.name = "who?", "who*"
    other.edtalk.mouth_01 = 0.9
    bpy.ops.edtalk.bake_all()
    assert folder_of(talking) != folder_of(other)
    bpy.context.view_layer.objects.active = talking
    before = (folder_of(talking) / "0003.png").read_bytes()
    assert before != (folder_of(other) / "0003.png").read_bytes()
    bpy.ops.edtalk.bake_all()
    assert (folder_of(talking) / "0003.png").read_bytes() == before
    assert [folder_of(one).name for one in (talking, other)] == ["take_001", "take_002"]


def test_one_that_cannot_be_baked_is_told_of_and_the_others_are(
    addon: Any, talking: bpy.types.Object
) -> None:
    assert bpy.ops.object.duplicate() == {"FINISHED"}
    spare = bpy.context.object
    spare.hide_viewport = True
    assert bpy.ops.edtalk.bake_all() == {"FINISHED"}
    assert talking.edtalk.show == "TAKE" and len(list(folder_of(talking).glob("00[01]?.png"))) == 13
    assert spare.edtalk.show == "LIVE"
    assert f"{spare.name} is disabled in viewports" in addon.session.failure[0]
    talking.hide_viewport = True
    with pytest.raises(RuntimeError, match="disabled in viewports"):
        bpy.ops.edtalk.bake_all()


def test_without_characters_the_button_says_what_to_do(addon: Any) -> None:
    assert "make one" in refused(bpy.ops.edtalk.bake_all)


def test_a_bake_into_a_new_take_keeps_the_old_one(
    addon: Any, talking: bpy.types.Object, renders: list[int]
) -> None:
    bpy.ops.edtalk.bake()
    first = folder_of(talking)
    before = {path.name: path.read_bytes() for path in first.glob("*.png")}
    move_key(addon, talking, 6)
    bpy.ops.edtalk.bake_range(new_take=True)
    second = folder_of(talking)
    assert second.name == "take_002"
    assert {path.name: path.read_bytes() for path in first.glob("*.png")} == before
    assert (second / "0001.png").read_bytes() == before["0001.png"], "it came along"
    assert (second / "0006.png").read_bytes() != before["0006.png"]
    assert renders[1] < 12


@pytest.mark.parametrize(("encoding", "suffix"), [("PNG", "png"), ("EXR", "exr")])
@pytest.mark.versions
def test_frames_in_each_format_with_a_matte(
    addon: Any, talking: bpy.types.Object, encoding: str, suffix: str
) -> None:
    bpy.ops.edtalk.bake(first=1, last=2)
    talking.edtalk.bake.encoding, talking.edtalk.bake.alpha = encoding, True
    bpy.ops.edtalk.bake(first=1, last=2)
    assert folder_of(talking).name == "take_002", "another format is another take"
    image = bpy.data.images.load(str(folder_of(talking) / f"0001.{suffix}"))
    pixels = np.array(image.pixels[:]).reshape(-1, 4)
    assert image.is_float == (encoding == "EXR")
    assert pixels[:, 3].min() < 0.1 < 0.9 < pixels[:, 3].max(), "the matte cuts the face out"
    talking.edtalk.bake.encoding, talking.edtalk.bake.alpha = "PNG", False
    bpy.ops.edtalk.bake(first=1, last=2)
    assert folder_of(talking).name == "take_001"


# --- takes -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def two_takes(addon: Any, talking: bpy.types.Object) -> list[Path]:
    """Two takes of the character; the second is shown."""
    bpy.ops.edtalk.bake()
    move_key(addon, talking, 6)
    bpy.ops.edtalk.bake_range(new_take=True)
    second = folder_of(talking)
    return [second.with_name("take_001"), second]


def listed(addon: Any) -> list[str]:
    """What the list in the panel shows after some ticks."""
    runtime = addon("ui.runtime.runtime").current()
    for _ in range(50):
        for work in runtime._ticks:
            work()
    return [row.name for row in bpy.context.window_manager.edtalk_takes.rows]


def test_takes_are_listed_and_can_be_switched(
    addon: Any, talking: bpy.types.Object, two_takes: list[Path]
) -> None:
    assert listed(addon) == ["take_001", "take_002"]
    bpy.ops.edtalk.use_take(folder=str(two_takes[0]))
    assert folder_of(talking) == two_takes[0]
    assert bpy.path.abspath(talking.edtalk.take_image.filepath) == str(two_takes[0] / "0001.png")
    rows = bpy.context.window_manager.edtalk_takes.rows
    listed(addon)
    assert [row.is_shown for row in rows] == [True, False]
    assert rows[0].words.startswith("12 × PNG 64 px, ")


def test_a_folder_that_may_not_be_read_has_no_takes(
    addon: Any, talking: bpy.types.Object, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(path: Path) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    bpy.ops.edtalk.bake()
    library = addon("ui.bake.take_library").LIBRARY
    monkeypatch.setattr(Path, "iterdir", refusing)
    library.refresh()
    while library.is_hurried:
        library.tick()
    assert library.entries == [] and library.size == 0


def test_a_take_that_is_shown_is_not_deleted(
    addon: Any, talking: bpy.types.Object, two_takes: list[Path]
) -> None:
    assert "shows this take" in refused(bpy.ops.edtalk.delete_take, folder=str(two_takes[1]))
    bpy.ops.edtalk.delete_take(folder=str(two_takes[0]))
    assert [path.exists() for path in two_takes] == [False, True]


def test_deleting_unused_takes_spares_those_of_other_files(
    addon: Any, talking: bpy.types.Object, two_takes: list[Path], tmp_path: Path
) -> None:
    bpy.ops.wm.save_as_mainfile(filepath=str(Path(bpy.data.filepath).with_name("other.blend")))
    bpy.ops.edtalk.bake()
    mine = folder_of(talking)
    assert mine not in two_takes
    bpy.ops.edtalk.bake_range(new_take=True)
    bpy.ops.edtalk.purge_takes()
    assert not mine.exists() and folder_of(talking).exists()
    assert all(path.exists() for path in two_takes), "they belong to the other file"


def test_a_file_that_was_saved_elsewhere_under_the_same_name_leaves_the_first_ones_takes_alone(
    addon: Any, talking: bpy.types.Object
) -> None:
    """Versions of a shot in folders of their own. The copy still shows a take in the first one's."""
    bpy.ops.edtalk.bake()
    bpy.ops.edtalk.bake_range(new_take=True)
    there = folder_of(talking)
    bpy.ops.edtalk.use_take(folder="//edtalk/face/take_001")
    bpy.ops.wm.save_mainfile()
    first = Path(bpy.data.filepath)
    second = first.parent.with_name("v2") / first.name
    second.parent.mkdir()
    bpy.ops.wm.save_as_mainfile(filepath=str(second))
    bpy.ops.edtalk.purge_takes()
    assert (there / "0012.png").is_file()
    with pytest.raises(RuntimeError, match="is no take of this file"):
        bpy.ops.edtalk.delete_take(folder=str(there))
    bpy.ops.wm.open_mainfile(filepath=str(first))
    bpy.ops.edtalk.purge_takes()
    assert not there.exists(), "its own it deletes"


def test_for_the_cap_only_the_longest_unused_go(
    addon: Any, talking: bpy.types.Object, two_takes: list[Path]
) -> None:
    bpy.ops.edtalk.bake_range(new_take=True)
    sizes = sum(path.stat().st_size for path in folder_of(talking).parent.rglob("*.*") if path.is_file())
    os.utime(two_takes[0] / "take.json", (1, 1))
    preferences = addon("ui.runtime.preferences").preferences()
    preferences.take_cap = (sizes - 1000) / 1e9
    try:
        listed(addon)
        assert [take.folder for take in addon("ui.bake.take_library").LIBRARY.excess()] == [two_takes[0]]
        bpy.ops.edtalk.purge_takes(to_cap=True)
    finally:
        preferences.take_cap = 20
    assert [path.exists() for path in two_takes] == [False, True]


def test_frames_that_have_come_are_kept_when_a_bake_is_cancelled(
    addon: Any, talking: bpy.types.Object, monkeypatch: pytest.MonkeyPatch
) -> None:
    bake, progress = addon("ui.bake.bake"), addon("core.tasks").Progress()
    store, arrived = bake._store, [0]

    def slow_store(plan: Any, waiting: Any, seconds: float = 0.0) -> int:
        """A disk too slow for a single frame in a tick."""
        arrived.append(len(waiting))
        return int(store(plan, waiting, seconds))

    monkeypatch.setattr(bake, "_store", slow_store)
    monkeypatch.setattr(bake, "LAST_STORE_S", 10.0)  # however busy this machine is
    base = addon("scene.takes.take_places").default_base()
    ref = addon("scene.references").CharacterRef.of(talking, bpy.context.scene)
    steps = bake.bake(bake.BakeRequest(ref, range(FIRST, LAST + 1), base), progress)
    while max(arrived) < 6:
        next(steps)
        addon.session.pump()
    assert progress.done == 0, "what a cancel could lose is not counted as finished"
    assert not finished_in(addon, base / "face" / "take_001")
    steps.close()
    assert len(finished_in(addon, base / "face" / "take_001")) >= 6


def test_frames_that_somebody_deletes_while_they_are_baked_are_told_of(
    addon: Any, talking: bpy.types.Object, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = addon("core.takes").Take
    finished = take.finished

    def cleared(self: Any) -> Any:
        for file in self.folder.glob("*.png"):
            file.unlink()
        return finished(self)

    monkeypatch.setattr(take, "finished", cleared)
    assert "take_001 holds no finished frame. Bake again." in refused(bpy.ops.edtalk.bake)


def test_after_a_full_disk_the_panel_looks_at_the_files_again(
    addon: Any, talking: bpy.types.Object, monkeypatch: pytest.MonkeyPatch
) -> None:
    takes = addon("core.takes.take")
    write = takes._write

    def filling(path: Path, data: bytes) -> None:
        if path.suffix == ".png" and int(path.stem) >= 5:
            raise takes.disk_error(path, OSError(errno.ENOSPC, "No space left on device"))
        write(path, data)

    monkeypatch.setattr(takes, "_write", filling)
    assert "No space left" in refused(bpy.ops.edtalk.bake)
    monkeypatch.undo()
    assert finished_in(addon, Path(bpy.data.filepath).parent / "edtalk" / "face" / "take_001") == {1, 2, 3, 4}
    assert look(addon).words == "No frame is baked", "the character shows no take yet"
    bpy.ops.edtalk.bake()
    assert look(addon).words == "All 12 frames are baked"


def test_no_python_thread_is_ever_started(addon: Any, talking: bpy.types.Object) -> None:
    bpy.ops.edtalk.bake()
    addon("core.tasks").run_to_end(addon("scene.plane").settle_live_images())
    look(addon)
    assert [thread.name for thread in threading.enumerate()] == ["MainThread"]


# --- crashes ---------------------------------------------------------------------------------------------------------

BAKING = """
import sys, bpy, addon_utils
bpy.ops.wm.open_mainfile(filepath=sys.argv[-1])
addon_utils.enable(sys.argv[-2], default_set=True)
bpy.context.view_layer.objects.active = bpy.data.objects["face"]
bpy.ops.edtalk.bake()
"""


def test_after_blender_was_killed_while_baking_it_goes_on_where_it_was(
    addon: Any, talking: bpy.types.Object, renders: list[int], tmp_path: Path
) -> None:
    bpy.context.scene.frame_end = last = 400
    bpy.ops.wm.save_mainfile()
    script = tmp_path / "bake.py"
    script.write_text(BAKING)
    frames = Path(bpy.data.filepath).parent / "edtalk" / "face" / "take_001"
    with subprocess.Popen([sys.executable, str(script), addon.name, bpy.data.filepath]) as blender:
        end = time.monotonic() + 120
        while len(list(frames.glob("*.png"))) < 20 and blender.poll() is None:
            assert time.monotonic() < end, "the other Blender does not bake"
            time.sleep(0.001)
        blender.send_signal(signal.SIGKILL)
    assert not (frames / f"{last:04d}.png").exists(), "it was killed too late"
    finished = finished_in(addon, frames)
    assert len(finished) >= 19
    assert not talking.edtalk.take, "the file knows nothing of that bake"
    bpy.ops.edtalk.bake()
    assert renders == [last - len(finished)]
    assert folder_of(talking) == frames
    assert finished_in(addon, frames) == set(range(1, last + 1))


# --- movies ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["PNG", "EXR"])
def test_a_take_becomes_a_movie_with_the_voice(
    addon: Any, talking: bpy.types.Object, tmp_path: Path, encoding: str
) -> None:
    bpy.context.scene.render.fps, bpy.context.scene.render.fps_base = 24, 1.001
    talking.edtalk.bake.encoding = encoding
    bpy.ops.edtalk.bake()
    bpy.ops.edtalk.export_movie(filepath=str(tmp_path / "my movie"))
    path = tmp_path / "my movie.mp4"
    clip = bpy.data.movieclips.load(str(path))
    assert clip.frame_duration == LAST
    assert clip.fps == pytest.approx(24 / 1.001, abs=1e-3)
    assert b"mp4a" in path.read_bytes(), "it has sound"


@pytest.mark.skipif(bpy.app.version < (4, 4, 0), reason="this Blender as a module has no sound")
@pytest.mark.parametrize("offset", [0, 2])
def test_the_mouth_opens_when_the_movie_is_loud(
    addon: Any, talking: bpy.types.Object, tmp_path: Path, offset: int
) -> None:
    import aud

    scene, movie = bpy.context.scene, tmp_path / "movie.mp4"
    scene.render.fps, scene.frame_end, talking.edtalk.voice_offset = 25, 24, offset
    talking.edtalk.voice_start = 5
    bpy.ops.edtalk.predict()
    bpy.ops.edtalk.bake()
    bpy.ops.edtalk.export_movie(filepath=str(movie))
    sound = aud.Sound(str(movie)).rechannel(1).resample(16000, 3).data()[:, 0]
    frames = range(scene.frame_end)
    loud = np.array([np.abs(sound[frame * 640 : (frame + 1) * 640]).sum() for frame in frames])
    values = []
    for frame in frames:
        scene.frame_set(frame + 1)
        values.append(talking.edtalk.mouth_01)
    mouth = np.abs(np.array(values) - values[0])
    matches = {lag: float(np.roll(loud, lag) @ mouth) for lag in range(-6, 7)}
    assert abs(max(matches, key=matches.__getitem__) - offset) <= 1, matches


def test_the_voice_begins_where_it_does_in_the_scene(
    addon: Any, talking: bpy.types.Object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, asked = addon("core.server.session").Session, list[float]()
    run = session.run

    def noted(self: Any, request: Any, *rest: Any) -> Any:
        if type(request).__name__ == "Movie":
            asked.append(request.sound_offset)
        return run(self, request, *rest)

    monkeypatch.setattr(session, "run", noted)
    bpy.ops.edtalk.bake()
    scene = bpy.context.scene
    scene.render.fps = 25
    for talking.edtalk.voice_start, scene.frame_start in ((1, 1), (6, 1), (1, 6)):
        bpy.ops.edtalk.export_movie(filepath=str(tmp_path / "movie.mp4"))
    assert asked == pytest.approx([0.0, 0.2, -0.2])


@pytest.mark.versions
def test_without_a_path_a_movie_goes_beside_the_file_or_into_the_current_folder(
    addon: Any,
    talking: bpy.types.Object,
    unsaved: Callable[[], bpy.types.Object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bpy.ops.edtalk.bake()
    bpy.ops.edtalk.export_movie()
    assert (Path(bpy.data.filepath).parent / "face.mp4").is_file()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    unsaved().name = "guest"  # files that were never saved share their takes while Blender runs
    bpy.context.scene.frame_end = 2
    bpy.ops.edtalk.bake()
    bpy.ops.edtalk.export_movie()
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["guest.mp4"]


def test_a_movie_of_what_is_not_baked_is_refused(
    addon: Any, talking: bpy.types.Object, tmp_path: Path
) -> None:
    assert "Bake first" in refused(bpy.ops.edtalk.export_movie, filepath=str(tmp_path / "movie.mp4"))
    bpy.ops.edtalk.bake()
    (folder_of(talking) / "0005.png").unlink()
    words = refused(bpy.ops.edtalk.export_movie, filepath=str(tmp_path / "movie.mp4"))
    assert "Frame 5 is not baked" in words and "Bake Changes" in words
    assert not (tmp_path / "movie.mp4").exists()


# --- while it runs ---------------------------------------------------------------------------------------------------


def test_the_current_frame_and_the_preview_range_are_rendered_first(
    addon: Any, talking: bpy.types.Object, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, asked = addon("core.server.client").Client, list[tuple[int, ...]]()
    start = client.start

    def noted(self: Any, request: Any, *rest: Any) -> str:
        if type(request).__name__ == "Render":
            asked.append(request.frames)
        return start(self, request, *rest)

    monkeypatch.setattr(client, "start", noted)
    scene = bpy.context.scene
    scene.use_preview_range, scene.frame_preview_start, scene.frame_preview_end = True, 6, 8
    scene.frame_set(7)
    bpy.ops.edtalk.bake()
    assert asked == [(7, 8, 6, 9, 10, 11, 12, 1, 2, 3, 4, 5)]
    names = {path.name for path in folder_of(talking).glob("*.png")}
    assert names >= {f"{frame:04d}.png" for frame in range(FIRST, LAST + 1)}
    assert (talking.edtalk.take_first, talking.edtalk.take_last) == (FIRST, LAST)


def test_finished_frames_play_while_the_rest_is_baked(
    addon: Any, talking: bpy.types.Object, monkeypatch: pytest.MonkeyPatch
) -> None:
    meanwhile, plane = addon("ui.bake.meanwhile"), addon("scene.plane")
    bpy.ops.edtalk.bake(first=4, last=6)
    talking.edtalk.show = "LIVE"
    take = addon("core.takes").Take.open(folder_of(talking))
    ref = addon("scene.references").CharacterRef.of(talking, bpy.context.scene)
    playback, playing = meanwhile.Playback(ref, take), True
    monkeypatch.setattr(meanwhile, "is_playing", lambda _context: playing)
    monkeypatch.setattr(meanwhile, "LOOK_S", 0.0)
    user = plane.texture_node(talking).image_user

    def shown() -> tuple[int, int] | None:
        playback.look()
        lent = plane.lent_image(talking)
        return (user.frame_start, user.frame_duration) if lent is not None else None

    bpy.context.scene.frame_set(9)
    assert shown() is None, "this frame is not finished"
    bpy.context.scene.frame_set(5)
    assert shown() == (4, 3)
    take.store(7, "h", (folder_of(talking) / "0006.png").read_bytes(), "s")
    assert shown() == (4, 4)
    playing = False
    assert shown() is None and talking.edtalk.show == "LIVE"
    assert plane.texture_node(talking).image == talking.edtalk.live_image
