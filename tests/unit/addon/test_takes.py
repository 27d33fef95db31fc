"""What an artist can rely on when frames are baked again: only what changed is rendered, nothing finished is lost."""

from __future__ import annotations

import errno
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import numpy as np
import pytest

from blender_addon.core.takes import (
    MANIFEST,
    Take,
    TakeFormat,
    TakeUsage,
    choose_to_delete,
    folder_name,
    frame_hash,
    frame_log,
    in_order,
    new_folder,
    run_to_show,
    runs,
    takes_in,
)
from blender_addon.core.takes.frame_log import FILE as JOURNAL
from blender_addon.core.tasks import Steps, run_to_end
from shared_protocol.errors import EDTalkError, ErrorCode

FACE = TakeFormat(width=256, height=256)


def hashes(*frames: int, weight: float = 0.0) -> dict[int, str]:
    """What some frames are to be made from."""
    weights = np.full(36, weight, np.float32).tobytes()
    return {frame: frame_hash("starter", "ada", weights, FACE) for frame in frames}


def bake(take: Take, wanted: dict[int, str], stop_before: int | None = None) -> list[int]:
    """Render what is stale, as the add-on does, or up to a crash; the frames that were rendered."""
    stale = run_to_end(take.stale(wanted))
    take.begin()
    done = []
    for frame in stale:
        if frame == stop_before:
            return done
        take.store(frame, wanted[frame], f"picture of {frame}".encode())
        done.append(frame)
    return done


def stale(take: Take, wanted: dict[int, str]) -> list[int]:
    """What would be rendered."""
    return run_to_end(take.stale(wanted))


def run_at(take: Take, frame: int) -> tuple[int, int]:
    """The frames that are shown together with this one."""
    run = run_to_show(run_to_end(take.finished()), frame)
    return run[0], run[-1]


def test_hashes_are_those_of_the_first_version_so_that_its_takes_stay_fresh() -> None:
    known = "d2deee5efcade383692445eb4e7eb0a3894ad0af640bd314d702e7eefe8ee1ae"
    assert frame_hash("starter", "ada", np.zeros(36, np.float32).tobytes(), FACE) == known


def test_a_new_take_renders_every_frame_and_then_none(tmp_path: Path) -> None:
    wanted = hashes(1, 2, 3)
    assert bake(Take.open(tmp_path / "take_001"), wanted) == [1, 2, 3]
    assert (tmp_path / "take_001" / "0002.png").read_bytes() == b"picture of 2"
    assert stale(Take.open(tmp_path / "take_001"), wanted) == []


def test_only_frames_with_changed_weights_are_stale(tmp_path: Path) -> None:
    take = Take.open(tmp_path)
    bake(take, hashes(1, 2, 3, 4))
    assert stale(take, hashes(1, 2, 3, 4) | hashes(3, weight=0.5)) == [3]


@pytest.mark.parametrize(
    ("bundle", "source", "look"),
    [
        ("other", "ada", FACE),
        ("starter", "bob", FACE),
        ("starter", "ada", replace(FACE, width=512)),
        ("starter", "ada", replace(FACE, framing="full")),
        ("starter", "ada", replace(FACE, alpha=True)),
        ("starter", "ada", replace(FACE, encoding="exr")),
        ("starter", "ada", replace(FACE, cut_out=True)),
    ],
)
def test_another_bundle_portrait_or_look_is_another_picture(
    bundle: str, source: str, look: TakeFormat
) -> None:
    weights = np.zeros(36, np.float32).tobytes()
    assert frame_hash(bundle, source, weights, look) != frame_hash("starter", "ada", weights, FACE)


def test_faces_of_two_sizes_are_no_sequence_but_full_pictures_follow_the_portrait() -> None:
    assert not FACE.is_like(replace(FACE, width=512, height=512))
    assert FACE.is_like(replace(FACE, width=0, height=0)), "an old take that knows no size"
    full = replace(FACE, framing="full", width=300, height=200)
    assert full.is_like(replace(full, width=600, height=400)) and not full.is_like(FACE)


def test_manifests_without_cut_outs_are_those_of_older_versions() -> None:
    assert list(FACE.stored) == ["encoding", "framing", "alpha", "width", "height"]
    cut_out = replace(FACE, framing="full", cut_out=True)
    assert TakeFormat(**cut_out.stored) == cut_out
    assert not cut_out.is_like(replace(cut_out, cut_out=False)), "grey and transparent frames are no sequence"


def test_a_deleted_frame_is_rendered_again(tmp_path: Path) -> None:
    take = Take.open(tmp_path)
    bake(take, hashes(1, 2, 3))
    take.path(2).unlink()
    assert stale(Take.open(tmp_path), hashes(1, 2, 3)) == [2]


def test_after_a_crash_every_finished_frame_is_kept(tmp_path: Path) -> None:
    wanted = hashes(*range(1, 40))
    bake(Take.open(tmp_path), wanted, stop_before=33)
    assert stale(Take.open(tmp_path), wanted) == list(range(33, 40))
    bake(Take.open(tmp_path), wanted)
    assert stale(Take.open(tmp_path), wanted) == []


def test_a_note_that_a_crash_cut_off_counts_as_not_finished(tmp_path: Path) -> None:
    wanted = hashes(1, 2, 3)
    bake(Take.open(tmp_path), wanted, stop_before=3)
    journal = tmp_path / JOURNAL
    journal.write_text(journal.read_text()[:-20])
    assert stale(Take.open(tmp_path), wanted) == [2, 3]


def test_a_crash_while_rendering_again_never_passes_old_frames_for_new_ones(tmp_path: Path) -> None:
    bake(Take.open(tmp_path), hashes(1, 2, 3))
    changed = hashes(1, 2, 3, weight=1.0)
    bake(Take.open(tmp_path), changed, stop_before=2)
    assert stale(Take.open(tmp_path), changed) == [2, 3]
    assert stale(Take.open(tmp_path), hashes(1, 2, 3)) == [1], "the others are still the old pictures, whole"
    journal = tmp_path / JOURNAL
    journal.write_text("".join(journal.read_text().splitlines(keepends=True)[:-1]))
    for wanted in (hashes(1), changed):
        assert 1 in stale(Take.open(tmp_path), wanted), "its file was replaced, by what nobody noted"


def test_after_a_note_that_was_cut_off_the_next_ones_count(tmp_path: Path) -> None:
    bake(Take.open(tmp_path), hashes(1, 2))
    journal = tmp_path / JOURNAL
    journal.write_text(journal.read_text()[:-20])
    bake(Take.open(tmp_path), hashes(1, 2, 3))
    assert stale(Take.open(tmp_path), hashes(1, 2, 3)) == []


def test_a_note_that_was_cut_off_stays_cut_off_when_others_follow(tmp_path: Path) -> None:
    take = Take.open(tmp_path)
    take.begin()
    take.store(1, hashes(1)[1], b"picture", "a" * 64)
    journal = tmp_path / JOURNAL
    journal.write_text(journal.read_text()[:-20])
    bake(Take.open(tmp_path), hashes(2))
    assert stale(Take.open(tmp_path), hashes(1, 2)) == [1]


def test_a_note_that_a_full_disk_cut_off_does_not_swallow_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = Take.open(tmp_path)
    bake(take, hashes(1))
    is_full = [True]
    opened = Path.open

    def filling(path: Path, *arguments: Any, **options: Any) -> Any:
        file = opened(path, *arguments, **options)
        if path.name != JOURNAL or not is_full.pop():
            return file
        file.write("+ 2 cut")
        file.close()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "open", filling)
    with pytest.raises(EDTalkError, match="No space left"):
        take.store(2, hashes(2)[2], b"picture")
    is_full.append(False)
    take.store(3, hashes(3)[3], b"picture")
    monkeypatch.undo()
    assert stale(Take.open(tmp_path), hashes(1, 2, 3)) == [2]


def test_the_log_is_written_anew_when_most_of_it_is_outdated(tmp_path: Path) -> None:
    take = Take.open(tmp_path)
    bake(take, hashes(1, 2))
    for number in range(1100):
        run_to_end(take.sign([(2, f"curves-{number}")]))
    before = (tmp_path / JOURNAL).stat().st_size
    broken_off = take.tidy()
    next(broken_off)
    broken_off.close()
    assert (tmp_path / JOURNAL).stat().st_size == before, "whole or not at all"
    run_to_end(take.tidy())
    assert (tmp_path / JOURNAL).read_text().count("\n") == 2
    again = Take.open(tmp_path)
    assert stale(again, hashes(1, 2)) == [] and again.signatures[2] == take.signatures[2]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0001.png", "0002.png", MANIFEST, JOURNAL]


LARGE, HASH = 15_000, "f" * 64
"""Frames of ten minutes."""
MOST_PAUSES, FEWEST_PAUSES = 200, 50


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Take:
    """A take of ten minutes."""
    take = Take(tmp_path_factory.mktemp("large") / "take_001", FACE)
    take.begin()
    (take.folder / JOURNAL).write_text("".join(f"+ {frame} {HASH} {'c' * 16}\n" for frame in range(LARGE)))
    for frame in range(LARGE):
        take.path(frame).touch()
    return take


def pauses(work: Steps[object]) -> int:
    return sum(1 for _ in work)


def test_nothing_looks_at_all_frames_of_a_long_take_in_one_go(large: Take) -> None:
    take = Take.open(large.folder)
    counts = {
        "read": pauses(Take.open_in_steps(large.folder)),
        "listed": pauses(take.finished()),
        "compared": pauses(take.stale(dict.fromkeys(range(LARGE), HASH))),
        "signed": pauses(take.sign((frame, "anew") for frame in range(LARGE))),
        "counted": pauses(take.size()),
    }
    assert all(count >= FEWEST_PAUSES for count in counts.values()), counts
    assert all(count <= MOST_PAUSES for count in counts.values()), f"each pause may last a tick: {counts}"
    assert Take.open(large.folder).signatures[LARGE - 1] == "anew"


def test_a_long_take_is_chosen_by_its_head_alone(large: Take) -> None:
    (head,) = takes_in(large.folder.parent)
    assert (head.format, head.is_empty, head.hashes) == (FACE, False, {})


def test_runs_of_frames() -> None:
    assert runs({3, 1, 2, 9, 7}) == [range(1, 4), range(7, 8), range(9, 10)]
    assert runs(set()) == []
    assert run_to_show({1, 2, 3, 9}, 9) == range(9, 10)
    assert run_to_show({1, 2, 3, 9}, 5) == range(1, 4), "else the longest"
    assert not run_to_show(set(), 5)


NO_PICTURE = '{"format": 3, "owner": "", "look": {"encoding": "/../x"}}'


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "[" * 100_000, '{"format": 3}', '{"format": 99, "owner": "", "look": {}}', NO_PICTURE],
)
def test_a_damaged_manifest_means_that_all_is_stale(tmp_path: Path, content: str) -> None:
    bake(Take.open(tmp_path), hashes(1))
    (tmp_path / MANIFEST).write_text(content)
    take = Take.open(tmp_path)
    assert stale(take, hashes(1)) == [1]
    take.begin()
    assert stale(Take.open(tmp_path), hashes(1)) == [1], "its old log is not believed later either"


def test_no_part_of_a_file_is_ever_left_behind(tmp_path: Path) -> None:
    bake(Take.open(tmp_path), hashes(1, 2))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0001.png", "0002.png", MANIFEST, JOURNAL]


def test_what_another_blender_is_writing_is_not_disturbed(tmp_path: Path) -> None:
    """Two that render one file, as on a farm, bake into one take. What a crash left goes with the take."""
    bake(Take.open(tmp_path), hashes(1))
    others = [tmp_path / f"{name}.4711.part" for name in ("0001.png", "0002.png", JOURNAL, MANIFEST)]
    for path in [*others, tmp_path / "0003.png.part", tmp_path / "notes.part"]:
        path.write_bytes(b"half a file")
    bake(Take.open(tmp_path), hashes(1, 2, 3, weight=1.0))
    assert all(path.read_bytes() == b"half a file" for path in others)
    run_to_end(Take.open(tmp_path).delete())
    assert [path.name for path in tmp_path.iterdir()] == ["notes.part"]


def test_a_folder_that_cannot_be_written_is_an_error_with_a_fix(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(EDTalkError) as caught:
        Take.open(tmp_path / "file" / "take_001").begin()
    assert caught.value.code == ErrorCode.DISK
    assert "finished frames are kept" in caught.value.fix


def test_frames_baked_elsewhere_come_along(tmp_path: Path) -> None:
    old, new = Take.open(tmp_path / "old"), Take.open(tmp_path / "new")
    bake(old, hashes(1, 2))
    bake(new, hashes(2, weight=1.0))
    list(new.adopt(old))
    assert stale(Take.open(new.folder), hashes(1) | hashes(2, weight=1.0)) == []
    assert stale(old, hashes(1, 2)) == [], "the old take is untouched"


def test_a_frame_that_is_gone_meanwhile_does_not_come_along_and_is_rendered(tmp_path: Path) -> None:
    old, new = Take.open(tmp_path / "old"), Take.open(tmp_path / "new")
    bake(old, hashes(1, 2, 3))
    coming = new.adopt(old)
    next(coming)
    old.path(2).unlink()
    run_to_end(coming)
    assert stale(Take.open(tmp_path / "new"), hashes(1, 2, 3)) == [2]


def test_the_frame_before_the_first_shows_the_first(tmp_path: Path) -> None:
    take = Take.open(tmp_path)
    bake(take, hashes(10, 11))
    take.hold_before(10)
    assert (tmp_path / "0009.png").read_bytes() == b"picture of 10"
    assert run_at(take, 10) == (10, 11)
    bake(take, hashes(9, 10, 11))
    assert (tmp_path / "0009.png").read_bytes() == b"picture of 9", (
        "once it is baked it is a frame of its own"
    )


def test_a_take_in_a_folder_that_may_only_be_read_can_be_shown_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = Take.open(tmp_path)
    bake(take, hashes(5))
    take.hold_before(5)

    def refusing(path: Path, data: bytes) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "write_bytes", refusing)
    Take.open(tmp_path).hold_before(5)
    assert (tmp_path / "0004.png").read_bytes() == b"picture of 5"
    (tmp_path / "0004.png").unlink()
    with pytest.raises(EDTalkError, match="Permission denied"):
        Take.open(tmp_path).hold_before(5)


def test_a_deleted_frame_ends_the_run_that_is_shown(tmp_path: Path) -> None:
    take = Take.open(tmp_path)
    bake(take, hashes(*range(1, 8)))
    take.path(4).unlink()
    assert run_at(take, 2) == (1, 3)
    assert run_at(take, 6) == (5, 7)
    take.hold_before(5)
    assert stale(Take.open(tmp_path), hashes(4)) == [4], (
        "the held picture does not pass for the deleted frame"
    )


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


def test_frames_of_another_look_do_not_come_along(tmp_path: Path) -> None:
    old, new = Take.open(tmp_path / "old"), Take(tmp_path / "new", replace(FACE, alpha=True))
    bake(old, hashes(1, 2))
    list(new.adopt(old))
    assert not new.folder.exists()


def test_a_take_remembers_its_look_and_what_its_curves_were_like(tmp_path: Path) -> None:
    take = Take(tmp_path / "take_001", replace(FACE, encoding="exr"), "shot.blend")
    take.begin()
    take.store(7, "hash", b"picture", "curves")
    again = Take.open(take.folder)
    assert (again.format, again.owner, again.signatures) == (take.format, "shot.blend", {7: "curves"})
    assert again.path(7).name == "0007.exr"


def test_a_picture_in_another_format_is_not_the_frame(tmp_path: Path) -> None:
    take = Take(tmp_path, FACE)
    bake(take, hashes(1))
    take.path(1).rename(tmp_path / "0001.exr")
    assert stale(take, hashes(1)) == [1]


def test_deleting_a_take_leaves_what_is_not_its_own(tmp_path: Path) -> None:
    first, second = Take(tmp_path / "take_001", FACE), Take(tmp_path / "take_002", FACE)
    for take in (first, second):
        bake(take, hashes(1, 2, 3))
        take.hold_before(1)
    (second.folder / "notes.txt").write_text("keep me")
    for take in (first, second):
        list(take.delete())
    assert not first.folder.exists()
    assert [path.name for path in second.folder.iterdir()] == ["notes.txt"]


def test_takes_are_listed_with_their_size(tmp_path: Path) -> None:
    assert list(takes_in(tmp_path / "nowhere")) == []
    bake(Take(tmp_path / "take_002", FACE), hashes(1, 2))
    (tmp_path / "my own folder").mkdir()
    (listed,) = takes_in(tmp_path)
    assert listed.folder.name == "take_002" and sorted(Take.open(listed.folder).hashes) == [1, 2]
    size = run_to_end(listed.size())
    assert size == sum(path.stat().st_size for path in listed.folder.iterdir())


def test_a_new_take_has_a_folder_of_its_own(tmp_path: Path) -> None:
    assert new_folder(tmp_path).name == "take_001"
    (tmp_path / "take_001").mkdir()
    assert new_folder(tmp_path).name == "take_002"


def test_the_longest_unused_takes_make_room_and_never_one_in_use(tmp_path: Path) -> None:
    old_but_shown = TakeUsage(tmp_path / "a", size=50, last_used=1.0, in_use=True)
    older, newer = TakeUsage(tmp_path / "b", 30, 2.0, False), TakeUsage(tmp_path / "c", 30, 3.0, False)
    assert choose_to_delete([newer, older, old_but_shown], cap=200) == []
    assert choose_to_delete([newer, older, old_but_shown], cap=80) == [older]
    assert choose_to_delete([newer, older, old_but_shown], cap=10) == [older, newer]


# --- crashes at any byte ---------------------------------------------------------------------------------------------


class Crash(BaseException):
    """Blender is killed."""


class Disk:
    """Takes so many bytes (and renamings, a byte each), then the process dies."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.room = 0
        self._open, self._replace = Path.open, Path.replace
        monkeypatch.setattr(Path, "write_bytes", lambda path, data: self._writing(path, data))
        monkeypatch.setattr(Path, "replace", lambda path, target: self._renaming(path, target))
        monkeypatch.setattr(
            Path, "open", lambda path, *mode, **options: self._opening(path, *mode, **options)
        )

    def _take(self, data: Any, write: Callable[[Any], object]) -> int:
        write(data[: max(self.room, 0)])
        self._spend(len(data))
        return len(data)

    def _spend(self, size: int) -> None:
        self.room -= size
        if self.room < 0:
            raise Crash

    def _writing(self, path: Path, data: bytes) -> int:
        with self._open(path, "wb", buffering=0) as file:
            return self._take(data, file.write)

    def _renaming(self, path: Path, target: Path) -> Path:
        self._spend(1)
        return self._replace(path, target)

    def _opening(self, path: Path, mode: str = "r", **options: Any) -> Any:
        if mode not in {"a", "w"}:
            return self._open(path, mode, **options)
        return self._log(self._open(path, f"{mode}b", buffering=0))

    @contextmanager
    def _log(self, opened: IO[bytes]) -> Iterator[Any]:
        with opened as file:

            def write(text: str) -> None:
                self._take(text.encode(), file.write)

            yield SimpleNamespace(write=write, writelines=lambda lines: list(map(write, lines)))


@pytest.mark.parametrize("seed", [434, 588, 980, 1737, *range(20)])
def test_whenever_blender_is_killed_no_picture_passes_for_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    disk, chance = Disk(monkeypatch), random.Random(seed)
    monkeypatch.setattr(frame_log, "_SPARE_LINES", 4)
    for _ in range(6):
        disk.room = chance.choice([10**9, chance.randrange(800)])
        weight = chance.randrange(5)
        with suppress(Crash):
            take = Take.open(tmp_path)
            take.begin()
            for frame in stale(take, wanted := dict.fromkeys(range(1, 5), f"{weight:04x}" * 16)):
                picture = f"{wanted[frame]} and what follows it."
                take.store(frame, wanted[frame], picture.encode(), "s" * chance.randrange(8))
            run_to_end(take.sign([(frame, f"curves {weight}") for frame in wanted]))
            run_to_end(take.tidy())
        disk.room = 10**9
        take = Take.open(tmp_path)
        for frame in run_to_end(take.finished()):
            assert take.path(frame).read_text() == f"{take.hashes[frame]} and what follows it."


# --- which frames come first -----------------------------------------------------------------------------------------


def test_what_the_artist_looks_at_is_baked_first() -> None:
    spans = [range(40, 45), range(30, 61)]
    order = in_order(range(1, 101), 42, spans)
    assert order[:8] == [42, 43, 44, 40, 41, 45, 46, 47], (
        "the frame, its preview range, what the timeline shows"
    )
    assert order[30:34] == [39, 61, 62, 63] and order[-1] == 29, "then on to the end, then from the beginning"
    assert sorted(order) == list(range(1, 101))


def test_only_stale_frames_are_put_in_order() -> None:
    assert in_order([3, 9, 20], 10, [range(5, 12)]) == [9, 20, 3]
    assert in_order([], 10, [range(5, 12)]) == []
