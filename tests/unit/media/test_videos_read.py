"""What a second of a video shows does not depend on where reading began, and a video of one picture shows it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import filemaker
import numpy as np
import pytest
from filemaker import number_of, pictures

from edtalk_server.media.video.reader import Clip
from shared_protocol.errors import EDTalkError, ErrorCode

STALL = [0.0, 0.04, 0.08, *(3.0 + 0.04 * index for index in range(12))]


@pytest.mark.parametrize(
    ("name", "codec", "kind"),
    [
        ("a.mp4", "libx264", "mp4"),
        ("a.mkv", "libx264", "matroska"),
        ("a.webm", "libvpx", "webm"),
        ("a.ts", "libx264", "mpegts"),
    ],
)
def test_a_picture_that_holds_is_shown_until_the_next_wherever_reading_begins(
    name: str, codec: str, kind: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    filemaker.write_film(path, pictures(len(STALL)), 25, times=STALL, codec=codec, kind=kind)
    clip = Clip.open(path)
    for second in (0.09, 0.6, 1.0, 2.0, 2.8):
        picture = clip.picture_at(second)
        assert picture is not None and number_of(picture) == 2, second
    from_start = [number_of(picture) for picture in clip.pictures(fps=Fraction(25))]
    for first in (0, 1, 30, 74, 75, 80):
        begun = clip.pictures(first / 25, fps=Fraction(25))
        assert [number_of(picture) for picture in begun] == from_start[first:], first


@pytest.mark.parametrize("codec", ["libx264", "mpeg4", "mjpeg"])
@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mov"])
def test_each_picture_of_a_regular_video_is_found_at_its_second(
    codec: str, suffix: str, tmp_path: Path
) -> None:
    path = tmp_path / f"a{suffix}"
    filemaker.write_film(path, pictures(20), 25, codec=codec)
    clip = Clip.open(path)
    assert clip.fps == 25
    assert clip.duration == pytest.approx(0.8, abs=0.05)
    assert [number_of(picture) for picture in clip.pictures()][:20] == list(range(20))
    for number in (0, 1, 7, 13, 19):
        for nudge in (-0.015, 0.0, 0.015):
            picture = clip.picture_at(max(0.0, number / 25 + nudge))
            assert picture is not None and number_of(picture) == number


def test_a_video_of_one_picture_shows_it_to_its_end(tmp_path: Path, shared: Path) -> None:
    filemaker.write_film(tmp_path / "one.mp4", pictures(1), 25)
    for path in (tmp_path / "one.mp4", shared / "cases" / "files" / "one_picture.mp4"):
        clip = Clip.open(path)
        assert clip.duration == pytest.approx(0.04)
        assert all(clip.picture_at(second) is not None for second in (0.0, 0.001, 0.02, 0.039))
        assert clip.picture_at(0.041) is None


def test_the_shared_video_with_a_stalled_camera_shows_its_picture(shared: Path) -> None:
    clip = Clip.open(shared / "cases" / "files" / "stalled_camera.mp4")
    first = clip.picture_at(0.0)
    for second in (0.6, 1.0, 2.0, 2.8):
        assert np.array_equal(clip.picture_at(second), first)
    assert not np.array_equal(clip.picture_at(3.3), first)


def test_a_clip_in_memory_is_the_same_as_its_file(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    filemaker.write_film(path, pictures(9), 25)
    from_file, from_memory = Clip.open(path), Clip.open(memoryview(path.read_bytes()))
    assert (from_file.fps, from_file.duration) == (from_memory.fps, from_memory.duration)
    for one, other in zip(from_file.pictures(0.1), from_memory.pictures(0.1), strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize(("turned", "corner"), [(0, (0, 0)), (90, (-1, 0)), (180, (-1, -1)), (-90, (0, -1))])
def test_a_phone_held_upright_gives_upright_pictures(
    turned: int, corner: tuple[int, int], tmp_path: Path
) -> None:
    frame = np.zeros((48, 64, 3), np.uint8)
    frame[:16, :16] = 255
    filemaker.write_film(tmp_path / "a.mp4", [frame, frame], 25, turned=turned)
    picture = Clip.open(tmp_path / "a.mp4").picture_at(0.0)
    assert picture is not None
    assert picture.shape == ((48, 64, 3) if turned % 180 == 0 else (64, 48, 3))
    assert picture[corner].min() > 230


def test_pictures_are_scaled_down_as_a_whole(tmp_path: Path) -> None:
    filemaker.write_film(tmp_path / "a.mp4", pictures(2, 96, 128), 25)
    picture = Clip.open(tmp_path / "a.mp4").picture_at(0.0, side=32)
    assert picture is not None and picture.shape == (24, 32, 3)


@pytest.mark.parametrize("data", [b"", b"no video", filemaker.wav(filemaker.tone(0.2))])
def test_what_is_no_video_says_so(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(data)
    for source in (path, data):
        with pytest.raises(EDTalkError) as caught:
            Clip.open(source)
        assert caught.value.code is ErrorCode.VIDEO_UNREADABLE
