"""Without a window: `blender -b FILE --command edtalk ...` does what the buttons do."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

import bpy
import pytest


@pytest.mark.versions
def test_baking_by_command_makes_the_frames_that_the_button_makes(
    addon: Any, talking: bpy.types.Object, capsys: pytest.CaptureFixture[str]
) -> None:
    batch = addon("ui.batch")
    assert batch.run(["bake", "--character", "face", "--frames", "3-6"]) == 0
    folder = Path(bpy.path.abspath(talking.edtalk.take))
    made = {path.name: path.read_bytes() for path in folder.glob("000[3-6].png")}
    assert len(made) == 4
    said = capsys.readouterr()
    assert "face: begin" in said.out
    assert said.out.splitlines()[-1].startswith("edtalk: face: done: 4 frames rendered, 0 still fresh, in ")
    assert said.out.splitlines()[-1].endswith(str(folder)), "how many, and where"
    assert said.err == ""
    bpy.context.view_layer.objects.active = talking
    bpy.ops.edtalk.bake_range(first=3, last=6, again=True)
    assert made == {path.name: path.read_bytes() for path in folder.glob("000[3-6].png")}


def test_a_baked_file_can_be_saved_so_that_render_nodes_find_the_frames(
    addon: Any, talking: bpy.types.Object
) -> None:
    assert addon("ui.batch").run(["bake", "--frames", "1-3", "--save"]) == 0
    bpy.ops.wm.open_mainfile(filepath=bpy.data.filepath)
    again = bpy.data.objects["face"]
    assert (again.edtalk.show, again.edtalk.take_last) == ("TAKE", 3)
    assert (Path(bpy.path.abspath(again.edtalk.take)) / "0003.png").is_file()


def test_predicting_by_command_saves_a_file(addon: Any, talking: bpy.types.Object, tmp_path: Path) -> None:
    batch, copy = addon("ui.batch"), tmp_path / "copy.blend"
    assert batch.run(["predict", "--frames", "1-4", "-o", str(copy)]) == 0
    assert copy.stat().st_size > 0


def test_another_scene_is_baked_and_becomes_a_movie_by_command(
    addon: Any, talking: bpy.types.Object, tmp_path: Path
) -> None:
    batch, movie, scene = addon("ui.batch"), tmp_path / "face.mp4", bpy.context.scene
    other = bpy.data.scenes.new("Other")
    other.collection.objects.link(talking)
    other.frame_start, other.frame_end, other.render.fps = 4, 9, 25
    scene.collection.objects.unlink(talking)
    assert batch.run(["bake"]) == batch.Exit.NO_CHARACTER
    assert batch.run(["bake", "--scene", "Other"]) == 0
    assert (talking.edtalk.take_first, talking.edtalk.take_last) == (4, 9)
    assert batch.run(["export", "--scene", "Other", "--character", "face", "-o", str(movie)]) == 0
    clip = bpy.data.movieclips.load(str(movie))
    assert clip.frame_duration == 6 and clip.fps == 25


def test_the_page_on_farms_lists_every_exit_code(addon: Any) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "farm.md").read_text("utf-8")
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)] == list(
        addon("ui.batch").Exit
    )


def test_a_wrong_name_or_a_wrong_range_has_a_code_of_its_own(
    addon: Any, talking: bpy.types.Object, capsys: pytest.CaptureFixture[str]
) -> None:
    batch = addon("ui.batch")
    assert batch.run(["bake", "--character", "Nobody"]) == batch.Exit.NO_CHARACTER
    assert "'face'" in capsys.readouterr().err, "it says who is there"
    for wrong in ("9-3", "some", "1-", "1-2-3", "1-99999999999"):
        assert batch.run(["bake", "--frames", wrong]) == batch.Exit.USAGE, wrong
        assert repr(wrong) in capsys.readouterr().err
    for arguments in (["dance"], [], ["export"]):
        assert batch.run(arguments) == batch.Exit.USAGE, arguments
    assert batch.run(["bake", "--scene", "Elsewhere"]) == batch.Exit.FAILED


def test_help_is_no_failure(addon: Any, server: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert addon("ui.batch").run(["--help"]) == 0
    assert "predict" in capsys.readouterr().out


def test_what_fails_is_said_on_standard_error(
    addon: Any, talking: bpy.types.Object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    talking.edtalk.portrait = str(tmp_path / "gone.png")
    assert addon("ui.batch").run(["bake"]) == addon("ui.batch").Exit.FAILED
    assert "gone.png" in capsys.readouterr().err


def test_what_fails_before_a_server_is_needed_does_not_blame_it(
    addon: Any, talking: bpy.types.Object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    batch, movie = addon("ui.batch"), str(tmp_path / "face.mp4")
    addon.session.close()
    assert batch.run(["export", "-o", movie]) == batch.Exit.FAILED
    assert capsys.readouterr().err == "edtalk: Bake first: a movie is made from baked frames\n"
    talking.edtalk.voice = str(tmp_path / "gone.wav")
    assert batch.run(["predict"]) == batch.Exit.FAILED
    assert "gone.wav" in capsys.readouterr().err


def test_a_machine_without_a_server_has_a_code_of_its_own(
    addon: Any, talking: bpy.types.Object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    addon.session.close()
    monkeypatch.delenv("EDTALK_SERVER_PYTHON")
    monkeypatch.setenv("EDTALK_DATA_DIR", str(tmp_path / "no data"))
    monkeypatch.setenv("EDTALK_RUNTIME_DIR", str(tmp_path / "no run"))
    assert addon("ui.batch").run(["bake"]) == addon("ui.batch").Exit.NO_SERVER


@pytest.mark.parametrize("where", [".", "nowhere/shot.blend", "/proc/shot.blend"])
def test_a_file_that_cannot_be_saved_is_a_failure_in_words(
    addon: Any, talking: bpy.types.Object, capsys: pytest.CaptureFixture[str], where: str
) -> None:
    assert addon("ui.batch").run(["predict", "-o", where]) == addon("ui.batch").Exit.FAILED
    assert "cannot be written" in capsys.readouterr().err


def test_one_character_that_cannot_be_baked_does_not_stop_the_others(
    addon: Any, talking: bpy.types.Object, portrait: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    batch = addon("ui.batch")
    bpy.ops.edtalk.new_character(filepath=str(portrait))
    other = bpy.context.object
    talking.edtalk.portrait = str(portrait.with_name("gone.png"))
    assert batch.run(["bake", "--frames", "1-3"]) == batch.Exit.FAILED
    assert "gone.png" in capsys.readouterr().err
    assert (Path(bpy.path.abspath(other.edtalk.take)) / "0003.png").is_file()


def test_a_character_that_is_linked_is_not_among_every_character(
    addon: Any, talking: bpy.types.Object, portrait: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    batch, library = addon("ui.batch"), str(portrait.with_name("library.blend"))
    bpy.ops.wm.save_as_mainfile(filepath=library, copy=True)
    talking.name = "own"
    with bpy.data.libraries.load(library, link=True) as (_, wanted):
        wanted.objects = ["face"]
    bpy.context.scene.collection.objects.link(wanted.objects[0])
    assert batch.run(["bake", "--frames", "1-3"]) == batch.Exit.DONE
    assert batch.run(["bake", "--character", "face"]) == batch.Exit.FAILED
    assert "linked from another file" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no way to ask a process to terminate")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_bake_that_is_asked_to_end_keeps_what_is_finished_and_goes_on_later(
    addon: Any,
    talking: bpy.types.Object,
    number: signal.Signals,
    renders: list[int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    batch, take = addon("ui.batch"), addon("core.takes").Take
    store, before = take.store, signal.getsignal(number)
    last = bpy.context.scene.frame_end = 400  # more than can be on their way

    def store_and_be_told(self: Any, frame: int, *rest: Any) -> None:
        store(self, frame, *rest)
        if frame == 5:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(take, "store", store_and_be_told)
    assert batch.run(["bake"]) == batch.Exit.STOPPED
    assert "face: stopped" in capsys.readouterr().out
    assert signal.getsignal(number) == before
    monkeypatch.setattr(take, "store", store)
    (folder,) = (Path(bpy.data.filepath).parent / "edtalk" / "face").iterdir()
    kept = len(take.open(folder).hashes)
    assert 5 <= kept < last
    assert batch.run(["bake"]) == batch.Exit.DONE
    assert renders == [last, last - kept]


def told(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The last line of standard output, for programs."""
    found: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return found


def test_a_dry_run_counts_the_frames_to_bake_and_json_tells_programs(
    addon: Any, talking: bpy.types.Object, capsys: pytest.CaptureFixture[str]
) -> None:
    batch = addon("ui.batch")
    assert batch.run(["bake", "--dry-run"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "edtalk: face: 12 of 12 frames to bake"
    assert not talking.edtalk.take, "nothing was baked"
    assert batch.run(["bake", "--frames", "1-9", "--json"]) == 0
    answer = told(capsys)
    assert answer["exit"] == 0 and answer["errors"] == []
    (face,) = answer["characters"]
    assert (face["name"], face["rendered"], face["fresh"], face["frames"]) == ("face", 9, 0, [1, 9])
    assert (Path(face["folder"]) / "0009.png").is_file()
    assert batch.run(["bake", "--dry-run", "--json"]) == 0
    assert told(capsys)["characters"][0]["stale"] == [10, 11, 12]
    assert batch.run(["bake", "--character", "Nobody", "--json"]) == batch.Exit.NO_CHARACTER
    assert "Nobody" in told(capsys)["errors"][0]


def test_waiting_is_one_line_and_an_error_is_said_once(
    addon: Any,
    talking: bpy.types.Object,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    batch, tasks = addon("ui.batch"), addon("core.tasks")
    batch.OUTCOME.begin(False)
    monkeypatch.setattr(batch, "EVERY_SECONDS", 0.0)
    lines, task = batch._Lines(), tasks.Task("Bake", iter(()), tasks.Progress())
    for second in range(34):
        task.progress.begin(f"Server: starting ({second} s)")
        lines(task)
    task.progress.begin("Rendering", 3)
    for task.progress.done in range(3):
        lines(task)
    assert len(capfd.readouterr().out.splitlines()) == 1 + 3
    talking.edtalk.portrait = str(tmp_path / "gone.png")
    assert batch.run(["bake"]) == batch.Exit.FAILED
    said = capfd.readouterr()
    assert (said.out + said.err).count("gone.png is not there") == 1


def test_a_file_that_blender_did_not_open_is_a_failure_and_bakes_nothing(
    addon: Any, talking: bpy.types.Object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    batch = addon("ui.batch")
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)  # what Blender goes on with
    command = ["blender", "-b", "gone.blend", "--command", "edtalk", "bake"]
    monkeypatch.setattr(sys, "argv", command)
    assert batch.run(["bake"]) == batch.Exit.FAILED
    assert "gone.blend is not there" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["blender", "-b", "--command", "edtalk", "predict", "-o", "new.blend"])
    assert batch.run(["bake"]) == batch.Exit.NO_CHARACTER, "no file was named"


def test_another_file_is_replaced_only_when_told(
    addon: Any, talking: bpy.types.Object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    batch, copy = addon("ui.batch"), tmp_path / "copy.blend"
    copy.write_bytes(b"hours of work")
    assert batch.run(["predict", "-o", str(copy)]) == batch.Exit.FAILED
    assert "is there already" in capsys.readouterr().err and copy.read_bytes() == b"hours of work"
    assert batch.run(["predict", "--frames", "1-2", "-o", str(copy), "--overwrite"]) == 0
    assert copy.read_bytes() != b"hours of work"
