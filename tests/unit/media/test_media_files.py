"""Voices are read whatever their format; frames and movies are written whole, in time, and marked as synthetic."""

from __future__ import annotations

import io
import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from PIL import Image

from edtalk_server.media.audio.mel import SAMPLE_RATE
from edtalk_server.media.audio.voice import Waveform, load_voice
from edtalk_server.media.video.sequence import SequenceWriter, encode_png
from edtalk_server.media.video.writer import MovieWriter
from shared_protocol.errors import EDTalkError, ErrorCode


def _tone(rate: int, seconds: float, channels: int = 1) -> np.ndarray:
    wave = 0.5 * np.sin(2 * np.pi * 440 * np.arange(int(rate * seconds)) / rate)
    return np.repeat(wave[:, None], channels, axis=1).astype(np.float32)


def _frame(number: int, height: int = 36, width: int = 64) -> np.ndarray:
    frame = np.full((height, width, 3), 40, np.uint8)
    frame[:, : 1 + number % width] = (200, 120, 30)
    return frame


# --- voices ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3", "AIFF"])
@pytest.mark.parametrize("rate", [16_000, 22_050, 48_000])
def test_any_sound_file_becomes_mono_at_16_khz(kind: str, rate: int, tmp_path: Path) -> None:
    path = tmp_path / f"voice.{kind.lower()}"
    soundfile.write(path, _tone(rate, 1.0, 2), rate, format=kind)
    voice = load_voice(path)
    assert abs(float(voice.duration) - 1.0) < (0.08 if kind == "MP3" else 1e-3)
    spectrum = np.abs(np.fft.rfft(voice.samples))
    assert abs(int(spectrum.argmax()) * SAMPLE_RATE / len(voice.samples) - 440) < 2
    assert abs(np.abs(voice.samples[2000:-2000]).max() - 0.5) < 0.03


def test_long_files_are_read_in_pieces_without_seams() -> None:
    buffer = io.BytesIO()
    soundfile.write(buffer, _tone(44_100, 25.0), 44_100, format="WAV", subtype="FLOAT")
    samples = load_voice(buffer.getvalue()).samples
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(25 * SAMPLE_RATE) / SAMPLE_RATE)
    assert len(samples) == len(expected)
    assert np.abs(samples - expected)[400:-400].max() < 1e-3


def test_stereo_is_averaged() -> None:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.column_stack([np.full(4000, 0.5), np.full(4000, -0.1)]), 16_000, format="WAV")
    assert np.allclose(load_voice(buffer.getvalue()).samples, 0.2, atol=1e-4)


def test_a_corrupt_wav_is_unreadable_and_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "voice.wav"
    path.write_bytes(b"RIFF\x24\x00\x00\x00WAVEfmt garbage" + bytes(range(200)))
    with pytest.raises(EDTalkError) as caught:
        load_voice(path)
    assert caught.value.code == ErrorCode.AUDIO_UNREADABLE
    assert "voice.wav" in caught.value.cause
    assert "WAV" in caught.value.fix


def test_text_missing_and_unusable_numbers_are_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "voice.wav"
    path.write_text("hello")
    broken = io.BytesIO()
    soundfile.write(broken, np.full(16_000, np.nan, np.float32), 16_000, format="WAV", subtype="FLOAT")
    for source in (path, tmp_path / "nowhere.wav", broken.getvalue()):
        with pytest.raises(EDTalkError) as caught:
            load_voice(source)
        assert caught.value.code == ErrorCode.AUDIO_UNREADABLE


def test_a_voice_without_sound_is_empty() -> None:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros(100), 16_000, format="WAV")
    for source in (b"", buffer.getvalue()):
        with pytest.raises(EDTalkError) as caught:
            load_voice(source)
        assert caught.value.code == ErrorCode.AUDIO_EMPTY


def test_a_waveform_cannot_be_changed() -> None:
    voice = Waveform(np.zeros(800, np.float32))
    with pytest.raises(ValueError, match="read-only"):
        voice.samples[0] = 1.0


# --- frames ----------------------------------------------------------------------------------------------------------


def test_a_sequence_holds_exactly_the_frames_and_says_that_they_are_synthetic(tmp_path: Path) -> None:
    with SequenceWriter(tmp_path / "new folder" / "take %04d.png", first=7) as writer:
        for number in range(3):
            writer.write(_frame(number))
    files = sorted((tmp_path / "new folder").iterdir())
    assert [file.name for file in files] == ["take 0007.png", "take 0008.png", "take 0009.png"]
    with Image.open(files[2]) as image:
        image.load()
        assert (np.asarray(image) == _frame(2)).all()
        assert "Synthetic" in image.info["Comment"]
        assert "trainedAlgorithmicMedia" in image.info["XML:com.adobe.xmp"]


@pytest.mark.parametrize("pattern", ["frame.png", "%04d_%02d.png", "%04d.jpg", "%s%04d.png"])
def test_a_pattern_must_hold_one_number_and_be_png_or_exr(pattern: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"frame number|\.png"):
        SequenceWriter(tmp_path / pattern)


def test_a_place_that_cannot_be_written_is_a_disk_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "folder.mp4").mkdir()
    for make in (
        lambda: MovieWriter(tmp_path / "folder.mp4", Fraction(25), (64, 36)),
        lambda: SequenceWriter(tmp_path / "file" / "%04d.png"),
        lambda: MovieWriter(tmp_path / "file" / "out.mp4", Fraction(25), (64, 36)),
    ):
        with pytest.raises(EDTalkError) as caught:
            make()
        assert caught.value.code == ErrorCode.DISK
    assert sorted(file.name for file in tmp_path.iterdir()) == ["file", "folder.mp4"]


def test_the_mark_survives_only_in_pngs() -> None:
    from edtalk_server.media.provenance import mark_png

    assert encode_png(_frame(0)).startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="PNG"):
        mark_png(b"not a picture")


# --- movies ----------------------------------------------------------------------------------------------------------


def _frame_times(path: Path) -> list[Fraction]:
    """The exact presentation time of every picture."""
    with av.open(str(path)) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]


@pytest.mark.parametrize("fps", [Fraction(24_000, 1001), Fraction(25), Fraction(30)])
def test_a_movie_has_the_exact_frame_rate_the_voice_and_the_mark(fps: Fraction, tmp_path: Path) -> None:
    voice = tmp_path / "voice.wav"
    soundfile.write(voice, _tone(44_100, 3.0), 44_100)
    path = tmp_path / "out.mp4"
    with MovieWriter(path, fps, (65, 36), voice) as writer:
        for number in range(30):
            writer.write(_frame(number, 36, 65))
    times = _frame_times(path)
    assert times == [number / fps for number in range(30)]
    with av.open(str(path)) as container:
        pictures, sound = container.streams.video[0].codec_context, container.streams.audio[0].codec_context
        assert (pictures.name, pictures.pix_fmt, sound.name) == ("h264", "yuv420p", "aac")
        colours = (pictures.color_range, pictures.colorspace, pictures.color_primaries, pictures.color_trc)
        assert colours == (1, 1, 1, 1), "players must not guess the colours: limited range, BT.709"
        assert "Synthetic" in container.metadata["comment"]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["out.mp4", "voice.wav"]


def test_a_movie_that_is_interrupted_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    path.write_bytes(b"older movie")
    with pytest.raises(KeyboardInterrupt), MovieWriter(path, Fraction(25), (64, 36)) as writer:
        writer.write(_frame(0))
        raise KeyboardInterrupt
    assert path.read_bytes() == b"older movie"
    assert [file.name for file in tmp_path.iterdir()] == ["out.mp4"]


def test_frames_of_another_size_are_refused(tmp_path: Path) -> None:
    with MovieWriter(tmp_path / "out.mp4", Fraction(25), (64, 36)) as writer:
        writer.write(_frame(0))
        with pytest.raises(ValueError, match="64 x 36"):
            writer.write(np.zeros((36, 60, 3), np.uint8))


def test_the_weights_of_a_csv_can_be_read_by_any_program() -> None:
    from shared_protocol.weights_file import as_csv, as_npz

    weights = np.array([[0.5, -1.0], [0.25, 2.0]], np.float32)
    lines = as_csv(weights, ["jaw", "yaw"], Fraction(24)).decode().splitlines()
    assert lines[0] == "frame,seconds,jaw,yaw"
    assert json.loads(f"[{lines[2]}]") == [1, 0.041667, 0.25, 2.0]
    packed = io.BytesIO(as_npz(weights, ["jaw", "yaw"], Fraction(24_000, 1001)))
    with np.load(packed, allow_pickle=False) as data:
        assert (data["weights"] == weights).all()
        assert data["fps"].tolist() == [24_000, 1001]
