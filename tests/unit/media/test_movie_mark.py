"""A movie that Blender rendered says afterwards that its face is synthetic, and is otherwise the same movie."""

from __future__ import annotations

from pathlib import Path

import av
import filemaker
import pytest

from edtalk_server.media.provenance import NOTICE
from edtalk_server.media.video.writer import mark_movie
from shared_protocol.errors import EDTalkError, ErrorCode


@pytest.fixture
def movie(tmp_path: Path) -> Path:
    path = tmp_path / "Film à moi.mp4"
    filemaker.write_film(path, filemaker.pictures(10), 25, filemaker.tone(0.4))
    return path


def packets(path: Path) -> list[bytes]:
    """The bytes of all packets: equal only when nothing was encoded again."""
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux() if packet.size]


def test_a_marked_movie_carries_the_notice_and_the_same_streams(movie: Path) -> None:
    before = packets(movie)
    mark_movie(movie)
    with av.open(str(movie)) as container:
        assert NOTICE in container.metadata["comment"]
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
