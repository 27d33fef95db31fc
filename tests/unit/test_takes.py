"""What an artist can rely on when frames are baked again: only what changed is rendered, nothing finished is lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from blender_addon.core.takes import FLUSH_EVERY, MANIFEST, Take, folder_name, frame_hash
from shared_protocol.errors import EDTalkError, ErrorCode


def hashes(*frames: int, weight: float = 0.0) -> dict[int, str]:
    """What some frames are to be made from."""
    weights = np.full(36, weight, np.float32).tobytes()
    return {frame: frame_hash("starter", "ada", weights, 256, 256) for frame in frames}


def bake(take: Take, wanted: dict[int, str], stop_before: int | None = None) -> list[int]:
    """Render what is stale, as the add-on does, or up to a crash; the frames that were rendered."""
    stale = take.stale(wanted)
    take.begin(stale)
    done = []
    for frame in stale:
        if frame == stop_before:
            return done
        take.store(frame, wanted[frame], f"picture of {frame}".encode())
        done.append(frame)
    take.flush()
    return done


def test_a_new_take_renders_every_frame_and_then_none(tmp_path: Path) -> None:
    wanted = hashes(1, 2, 3)
    assert bake(Take.open(tmp_path / "take_001"), wanted) == [1, 2, 3]
    assert (tmp_path / "take_001" / "0002.png").read_bytes() == b"picture of 2"
    assert Take.open(tmp_path / "take_001").stale(wanted) == []


def test_only_frames_with_changed_weights_are_stale(tmp_path: Path) -> None:
    take = Take.open(tmp_path)
    bake(take, hashes(1, 2, 3, 4))
    assert take.stale(hashes(1, 2, 3, 4) | hashes(3, weight=0.5)) == [3]


@pytest.mark.parametrize("change", [("other", "ada", 256), ("starter", "bob", 256), ("starter", "ada", 512)])
def test_another_bundle_portrait_or_size_is_another_picture(change: tuple[str, str, int]) -> None:
    weights = np.zeros(36, np.float32).tobytes()
    bundle, source, size = change
    assert frame_hash(bundle, source, weights, size, size) != frame_hash("starter", "ada", weights, 256, 256)


def test_a_deleted_frame_is_rendered_again(tmp_path: Path) -> None:
    take = Take.open(tmp_path)
    bake(take, hashes(1, 2, 3))
    take.path(2).unlink()
    assert Take.open(tmp_path).stale(hashes(1, 2, 3)) == [2]


def test_after_a_crash_finished_frames_are_kept_and_the_rest_is_rendered(tmp_path: Path) -> None:
    wanted = hashes(*range(1, 3 * FLUSH_EVERY))
    crash_at = 2 * FLUSH_EVERY + 1
    bake(Take.open(tmp_path), wanted, stop_before=crash_at)
    assert Take.open(tmp_path).stale(wanted) == list(range(crash_at, 3 * FLUSH_EVERY))


def test_a_crash_while_rendering_again_never_passes_old_frames_for_new_ones(tmp_path: Path) -> None:
    bake(Take.open(tmp_path), hashes(1, 2, 3))
    changed = hashes(1, 2, 3, weight=1.0)
    bake(Take.open(tmp_path), changed, stop_before=2)
    assert 2 in Take.open(tmp_path).stale(changed)
    assert Take.open(tmp_path).stale(hashes(2)) == [2], "its file is about to be replaced: not to be trusted"


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "[" * 100_000, '{"format": 1}', '{"format": 99, "frames": {"1": "x"}}']
)
def test_a_damaged_manifest_means_that_all_is_stale(tmp_path: Path, content: str) -> None:
    bake(Take.open(tmp_path), hashes(1))
    (tmp_path / MANIFEST).write_text(content)
    assert Take.open(tmp_path).stale(hashes(1)) == [1]


def test_no_part_of_a_file_is_ever_left_behind(tmp_path: Path) -> None:
    bake(Take.open(tmp_path), hashes(1, 2))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0001.png", "0002.png", MANIFEST]


def test_a_folder_that_cannot_be_written_is_an_error_with_a_fix(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(EDTalkError) as caught:
        Take.open(tmp_path / "file" / "take_001").begin([1])
    assert caught.value.code == ErrorCode.DISK
    assert "finished frames are kept" in caught.value.fix


def test_frames_baked_elsewhere_come_along(tmp_path: Path) -> None:
    old, new = Take.open(tmp_path / "old"), Take.open(tmp_path / "new")
    bake(old, hashes(1, 2))
    bake(new, hashes(2, weight=1.0))
    new.adopt(old)
    assert Take.open(new.folder).stale(hashes(1) | hashes(2, weight=1.0)) == []
    assert old.stale(hashes(1, 2)) == [], "the old take is untouched"


def test_the_frame_before_the_first_shows_the_first(tmp_path: Path) -> None:
    take = Take.open(tmp_path)
    bake(take, hashes(10, 11))
    take.hold_before(10)
    assert (tmp_path / "0009.png").read_bytes() == b"picture of 10"
    assert take.span(10) == (10, 11)
    bake(take, hashes(9, 10, 11))
    assert (tmp_path / "0009.png").read_bytes() == b"picture of 9", (
        "once it is baked it is a frame of its own"
    )


def test_a_deleted_frame_ends_the_run_that_is_shown(tmp_path: Path) -> None:
    take = Take.open(tmp_path)
    bake(take, hashes(*range(1, 8)))
    take.path(4).unlink()
    assert take.span(2) == (1, 3)
    assert take.span(6) == (5, 7)
    take.hold_before(5)
    assert Take.open(tmp_path).stale(hashes(4)) == [4], "the held picture does not pass for the deleted frame"


def test_pictures_of_somebody_else_are_not_overwritten(tmp_path: Path) -> None:
    assert Take.open(tmp_path / "new").is_free_for("a.blend")
    (tmp_path / "0001.png").write_bytes(b"mine")
    assert not Take.open(tmp_path).is_free_for("a.blend")


def test_two_files_in_one_folder_do_not_share_a_take(tmp_path: Path) -> None:
    take = Take.open(tmp_path)
    assert take.is_free_for("a.blend")
    take.owner = "a.blend"
    bake(take, hashes(1))
    assert Take.open(tmp_path).is_free_for("a.blend")
    assert not Take.open(tmp_path).is_free_for("b.blend")


@pytest.mark.parametrize(
    ("name", "folder"),
    [("Ada", "Ada"), ("Ädä 日本", "Ädä 日本"), ("a/b:c", "a_b_c"), ("..", "character"), ("con.", "con_")],
)
def test_any_name_of_a_character_makes_a_folder(name: str, folder: str) -> None:
    assert folder_name(name) == folder
