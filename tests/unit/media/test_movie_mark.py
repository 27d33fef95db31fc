"""A movie that Blender rendered says afterwards that its face is synthetic, and is otherwise the same movie."""

from __future__ import annotations

import subprocess
from pathlib import Path

import imageio_ffmpeg
import pytest

from edtalk_server.media.provenance import NOTICE
from edtalk_server.media.video.writer import mark_movie
from shared_protocol.errors import EDTalkError, ErrorCode

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()


@pytest.fixture
def movie(tmp_path: Path) -> Path:
    path = tmp_path / "Film à moi.mp4"
    sources = ["-f", "lavfi", "-i", "testsrc=s=64x64:r=25:d=0.4", "-f", "lavfi", "-i", "sine=d=0.4"]
    subprocess.run([FFMPEG, "-loglevel", "error", *sources, "-pix_fmt", "yuv420p", str(path)], check=True)
    return path


def packets(path: Path) -> str:
    """A hash for each stream's packets: equal only when nothing was encoded again."""
    command = [
        FFMPEG,
        "-loglevel",
        "error",
        "-i",
        str(path),
        "-map",
        "0",
        "-c",
        "copy",
        "-f",
        "streamhash",
        "-",
    ]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_a_marked_movie_carries_the_notice_and_the_same_streams(movie: Path) -> None:
    before = packets(movie)
    mark_movie(movie)
    described = subprocess.run([FFMPEG, "-i", str(movie)], capture_output=True, text=True, check=False).stderr
    assert NOTICE in described
    assert packets(movie) == before
    assert [path.name for path in movie.parent.iterdir()] == [movie.name]


def test_what_is_no_movie_is_named_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.mp4"
    path.write_text("not a movie", encoding="utf-8")
    with pytest.raises(EDTalkError) as caught:
        mark_movie(path)
    assert caught.value.code is ErrorCode.DISK
    assert "notes.mp4" in caught.value.cause
    assert path.read_text(encoding="utf-8") == "not a movie"
