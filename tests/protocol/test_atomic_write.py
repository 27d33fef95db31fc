"""Files are written whole or not at all."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

from shared_protocol import atomic_write


@pytest.mark.parametrize(
    "options", [{}, {"private": True}, {"durable": True}, {"private": True, "durable": True}]
)
def test_a_file_appears_whole_and_nothing_is_left_beside_it(tmp_path: Path, options: dict[str, bool]) -> None:
    path = tmp_path / "pose.json"
    path.write_bytes(b"old")
    with atomic_write.replacing(path, **options) as partial:
        partial.write_bytes(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new" and list(tmp_path.iterdir()) == [path]


def test_a_writer_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "pose.json"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), atomic_write.replacing(path) as partial:
        partial.write_bytes(b"half")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_a_private_file_is_private_from_its_first_byte_also_after_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "key"
    left_over = atomic_write.partial_path(path)
    left_over.write_bytes(b"of a process that had our number")
    left_over.chmod(0o644)
    with atomic_write.replacing(path, private=True) as partial:
        assert stat.S_IMODE(partial.stat().st_mode) == 0o600 and partial.read_bytes() == b""
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_writers_that_go_by_the_suffix_get_theirs(tmp_path: Path) -> None:
    with atomic_write.replacing(tmp_path / "film.mp4", suffix=".part.mp4") as partial:
        assert partial.suffix == ".mp4"
        partial.touch()
    assert (tmp_path / "film.mp4").exists()
