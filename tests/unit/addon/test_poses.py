"""Poses by name in a file: what goes in comes out, two people's files can be merged, and other files are named."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from blender_addon.core.weights import poses
from shared_protocol.errors import EDTalkError

SMIRK = {"expression_01": 0.4, "expression_08": 0.35}


def test_what_goes_in_comes_out(tmp_path: Path) -> None:
    given = {"Smirk": SMIRK, "驚き – große Augen": {"pose_02": -0.123456}}
    poses.write_file(tmp_path / "poses.json", given)
    assert poses.read_file(tmp_path / "poses.json") == given
    assert [path.name for path in tmp_path.iterdir()] == ["poses.json"], "nothing is left over"


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "poses.json").symlink_to(tmp_path / "shared" / "poses.json")
    poses.write_file(tmp_path / "poses.json", {"A": SMIRK})
    assert (tmp_path / "poses.json").is_symlink()
    assert poses.read_file(tmp_path / "shared" / "poses.json") == {"A": SMIRK}


def test_the_same_poses_make_the_same_file_in_any_order(tmp_path: Path) -> None:
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    poses.write_file(first, {"A": SMIRK, "B": {}})
    poses.write_file(second, {"B": {}, "A": dict(reversed(SMIRK.items()))})
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git here")
def test_git_merges_what_two_people_added(tmp_path: Path) -> None:
    both = {"Mild": SMIRK, "Wild": SMIRK}
    files = {
        "base": both,
        "mine": both | {"Angry": {"mouth_01": 1.0}},
        "theirs": both | {"Pout": {"mouth_02": 2.0}},
    }
    for name, content in files.items():
        poses.write_file(tmp_path / name, content)
    subprocess.run(["git", "merge-file", "mine", "base", "theirs"], cwd=tmp_path, check=True)
    assert poses.read_file(tmp_path / "mine") == files["mine"] | files["theirs"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe\x00",
        b"[]",
        b"{}",
        b'{"edtalk_poses": 1}',
        b'{"edtalk_poses": 1, "poses": {"A": 3}}',
        b'{"edtalk_poses": 1, "poses": {"A": {"b": "c"}}}',
        b'{"edtalk_pose": 1, "weights": {}}',
        b"[" * 100_000,
        b'{"edtalk_poses": 1, "poses": {"A": {"b": 1' + b"0" * 400 + b"}}}",
        b'{"edtalk_poses": 1, "poses": {"\\ud800": {"b": 1}}}',
    ],
)
def test_other_files_are_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "other.json").write_bytes(content)
    with pytest.raises(EDTalkError, match=r"other\.json is no file of poses"):
        poses.read_file(tmp_path / "other.json")


@pytest.mark.parametrize(
    "content",
    [
        '{"edtalk_poses": 2, "poses": {}}',
        '{"edtalk_poses": 1, "poses": {"A": {"b": NaN}}}',
        '{"edtalk_poses": 1, "poses": {"A": {"b": 1e400}}}',
        '{"edtalk_poses": 1, "poses": {"A": {"b": -1e39}}}',
    ],
)
def test_files_of_later_versions_and_odd_values_are_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "later.json").write_text(content, "utf-8")
    with pytest.raises(EDTalkError, match="this version cannot read"):
        poses.read_file(tmp_path / "later.json")


def test_a_file_of_a_windows_editor_is_read_and_no_finer_than_it_would_be_written(tmp_path: Path) -> None:
    text = '{"edtalk_poses": 1,\r\n "poses": {"A": {"b": 0.33333333}}}'
    (tmp_path / "notepad.json").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert poses.read_file(tmp_path / "notepad.json") == {"A": {"b": 0.333333}}


@pytest.mark.parametrize("inside", ['"Pout": {"b": 1}, "Pout": {"b": 2}', '"A": {"Pout": 1, "Pout": 2}'])
def test_what_a_merge_left_twice_is_named_and_not_lost(tmp_path: Path, inside: str) -> None:
    (tmp_path / "merged.json").write_text('{"edtalk_poses": 1, "poses": {' + inside + "}}", "utf-8")
    with pytest.raises(EDTalkError, match=r"merged\.json holds two of the name Pout"):
        poses.read_file(tmp_path / "merged.json")


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "huge.json").open("wb") as file:
        file.truncate(poses.LARGEST + 1)
    with pytest.raises(EDTalkError, match="no file of poses"):
        poses.read_file(tmp_path / "huge.json")


def test_a_missing_file_and_a_full_place_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(EDTalkError, match="cannot be read"):
        poses.read_file(tmp_path / "none.json")
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(EDTalkError, match=r"folder\.json cannot be written"):
        poses.write_file(tmp_path / "folder.json", {"A": SMIRK})
    assert [path.name for path in tmp_path.iterdir()] == ["folder.json"]
