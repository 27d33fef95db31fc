"""A movie's sound ends with its pictures, whatever is given; odd sizes, odd names and links work."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import OpenEXR
import pytest
from filemaker import RATE, tone, wav

from edtalk_server.media.audio.voice import load_voice
from edtalk_server.media.output_spec import linear_light_of_bytes
from edtalk_server.media.video.assemble import MovieSpec, assemble
from edtalk_server.media.video.writer import MovieWriter, mark_movie
from shared_protocol.errors import EDTalkError, ErrorCode


def write(
    path: Path, frames: int, sound: Path | None, offset: float = 0.0, fps: Fraction = Fraction(25)
) -> None:
    with MovieWriter(path, fps, (64, 48), sound, offset) as writer:
        for number in range(frames):
            writer.write(np.full((48, 64, 3), number % 256, np.uint8))


def ends(path: Path) -> tuple[Fraction, Fraction]:
    """The seconds at which pictures and sound end, by their packets."""
    with av.open(str(path)) as movie:
        found = {stream.type: Fraction(0) for stream in movie.streams}
        for packet in movie.demux():
            if packet.pts is not None:
                end = (packet.pts + (packet.duration or 0)) * packet.time_base
                found[packet.stream.type] = max(found[packet.stream.type], end)
    return found["video"], found["audio"]


@pytest.mark.parametrize(("is_cut_out", "outside"), [(True, 128), (False, 250)])
@pytest.mark.parametrize("name", ["%02d.png", "%02d.exr"])
def test_a_movie_of_a_cut_out_shows_grey_and_not_what_is_hidden(
    tmp_path: Path, name: str, is_cut_out: bool, outside: int
) -> None:
    """A matte is left out: the colours under it are complete."""
    frame = np.full((48, 64, 4), 60, np.uint8)
    frame[:, :32, :3], frame[:, 32:, 3], frame[:, :32, 3] = 250, 255, 0
    if name.endswith("png"):
        cv2.imwrite(str(tmp_path / "01.png"), frame)
    else:
        light = np.dstack([linear_light_of_bytes(frame[..., :3]), (frame[..., 3:] / 255).astype(np.float16)])
        OpenEXR.File({}, {"RGBA": np.ascontiguousarray(light)}).write(str(tmp_path / "01.exr"))
    spec = MovieSpec(tmp_path / name, 1, 1, Fraction(25), None, 0.0, tmp_path / "out.mp4", is_cut_out)
    for _ in assemble(spec):
        pass
    with av.open(str(tmp_path / "out.mp4")) as movie:
        seen = next(movie.decode(video=0)).to_ndarray(format="rgb24").astype(int)
    assert np.abs(seen[8:40, 4:24] - outside).max() <= 4
    assert np.abs(seen[8:40, 40:60] - 60).max() <= 4


@pytest.mark.parametrize("seconds", [0.3, 5.0])
@pytest.mark.parametrize("frames", [1, 30, 61])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_the_sound_ends_with_the_picture_within_a_packet(
    seconds: float, frames: int, suffix: str, tmp_path: Path
) -> None:
    sound, path = tmp_path / "voice.wav", tmp_path / f"out{suffix}"
    sound.write_bytes(wav(tone(seconds)))
    write(path, frames, sound)
    pictures, heard = ends(path)
    assert abs(float(pictures) - frames / 25) < 0.002
    assert abs(float(heard - pictures)) <= 1024 / RATE


@pytest.mark.parametrize("fps", [Fraction(24_000, 1001), Fraction(60)])
@pytest.mark.parametrize("offset", [-0.5, 0.0, 0.37, 9.0])
def test_the_sound_begins_where_it_should_to_the_sample(fps: Fraction, offset: float, tmp_path: Path) -> None:
    sound, path = tmp_path / "voice.wav", tmp_path / "out.mp4"
    voice = tone(2.0)
    sound.write_bytes(wav(voice))
    write(path, 48, sound, offset, fps)
    heard = load_voice(path).samples
    expected = np.zeros(round(48 / float(fps) * RATE), np.float32)
    start = round(offset * RATE)
    part = voice[max(0, -start) :][: max(0, len(expected) - max(0, start))]
    expected[max(0, start) : max(0, start) + len(part)] = part
    reference = load_voice(wav(expected)).samples
    count = min(len(heard), len(reference))
    assert abs(len(heard) - len(reference)) <= 32
    if part.any():
        shifts = np.fft.irfft(
            np.fft.rfft(heard[:count], 2 * count) * np.fft.rfft(reference[:count], 2 * count).conj()
        )
        assert int(shifts.argmax()) in (0, 1, 2 * count - 1)
    else:
        assert np.abs(heard).max() < 0.01


@pytest.mark.parametrize("tracks", [3, 9, 10, 24])
def test_a_recorders_tracks_are_mixed(tracks: int, tmp_path: Path) -> None:
    rows = np.zeros((tracks, RATE), np.float32)
    rows[1] = tone(1.0)
    sound, path = tmp_path / "takes.wav", tmp_path / "out.mp4"
    sound.write_bytes(wav(rows))
    write(path, 25, sound)
    heard, spoken = load_voice(path).samples, load_voice(wav(rows[1])).samples
    assert np.sqrt(np.mean(heard**2)) == pytest.approx(float(np.sqrt(np.mean(spoken**2))), rel=0.1)


@pytest.mark.parametrize("rate", [8000, 37_800, 192_000])
def test_any_rate_of_sound_is_played_at_its_speed(rate: int, tmp_path: Path) -> None:
    sound, path = tmp_path / "voice.wav", tmp_path / "out.mp4"
    sound.write_bytes(wav(np.sin(2 * np.pi * 440 * np.arange(rate) / rate).astype(np.float32) * 0.5, rate))
    write(path, 25, sound)
    heard = load_voice(path).samples
    spectrum = np.abs(np.fft.rfft(heard[:16_000]))
    assert abs(int(spectrum.argmax()) - 440) <= 2


def test_odd_sizes_repeat_their_edge(tmp_path: Path) -> None:
    frame = np.full((47, 63, 3), 200, np.uint8)
    with MovieWriter(tmp_path / "out.mp4", Fraction(25), (63, 47)) as writer:
        writer.write(frame)
    with av.open(str(tmp_path / "out.mp4")) as movie:
        picture = next(movie.decode(video=0)).to_ndarray(format="rgb24")
    assert picture.shape == (48, 64, 3)
    assert np.abs(picture.astype(int) - 200).max() <= 3


NAMES = [
    "take:1.mp4",
    "http:x.mp4",
    "%d 100%.mp4",
    "file:a.mp4",
    "-i.mp4",
    "Ä" * 120 + ".mp4",
    "a" * 240 + ".mp4",
]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
@pytest.mark.parametrize("name", NAMES)
def test_any_name_works_also_relative(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert len(os.fsencode(name)) <= 244
    sound = Path(name).with_suffix(".wav")
    sound.write_bytes(wav(tone(0.2)))
    write(Path(name), 3, sound)
    mark_movie(Path(name))
    assert sorted(os.listdir()) == sorted([name, sound.name])  # noqa: PTH208 (names as they are)
    assert ends(tmp_path / name)[0] == Fraction(3, 25)


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_movie_onto_a_link_replaces_what_it_points_to(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    target, link = tmp_path / "store" / "real.mp4", tmp_path / "out.mp4"
    target.write_bytes(b"old")
    link.symlink_to(target)
    write(link, 3, None)
    mark_movie(link)
    assert link.is_symlink()
    assert ends_of_pictures(target) == Fraction(3, 25)
    assert [path.name for path in target.parent.iterdir()] == ["real.mp4"]


def ends_of_pictures(path: Path) -> Fraction:
    with av.open(str(path)) as movie:
        return max((p.pts + p.duration) * p.time_base for p in movie.demux(video=0) if p.pts is not None)


def test_a_sound_that_names_other_files_is_refused_and_leaves_no_movie(tmp_path: Path) -> None:
    (tmp_path / "voice.wav").write_bytes(wav(tone(0.2)))
    sound = tmp_path / "list.wav"
    sound.write_text(f"ffconcat version 1.0\nfile '{tmp_path / 'voice.wav'}'\n")
    for bad in (sound, tmp_path / "missing.wav"):
        with pytest.raises(EDTalkError) as caught:
            write(tmp_path / "out.mp4", 3, bad)
        assert caught.value.code is ErrorCode.AUDIO_UNREADABLE
    assert sorted(path.name for path in tmp_path.iterdir()) == ["list.wav", "voice.wav"]


def test_the_index_lies_in_front_so_that_browsers_begin_at_once(tmp_path: Path) -> None:
    write(tmp_path / "out.mp4", 30, None)
    data = (tmp_path / "out.mp4").read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")
