"""Any sound that Blender's file browser offers becomes the same voice as its WAV, and nothing else is opened."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import filemaker
import numpy as np
import pytest
from filemaker import RATE, sound_file, tag, tone, wav

from edtalk_server.media.audio.mel import SAMPLE_RATE
from edtalk_server.media.audio.soundtrack import extract_sound
from edtalk_server.media.audio.voice import load_voice
from edtalk_server.media.containers import NotMediaError, open_media
from shared_protocol.errors import EDTalkError, ErrorCode

SECONDS = 2.0


@pytest.fixture(scope="module")
def voice() -> np.ndarray:
    return tone(SECONDS)


@pytest.fixture(scope="module")
def mp3(voice: np.ndarray) -> bytes:
    return sound_file(voice, "mp3", "libmp3lame")


def loudness(samples: np.ndarray) -> np.ndarray:
    """Root mean square in frames of 40 ms: what the mouth follows."""
    frames = samples[: len(samples) // 640 * 640].reshape(-1, 640)
    return np.sqrt(np.mean(frames**2, axis=1))


def same(data: bytes | Path, reference: np.ndarray, tolerance: float = 0.03) -> None:
    """As long as the reference, and as loud at each frame."""
    samples, expected = load_voice(data).samples, load_voice(wav(reference)).samples
    assert abs(len(samples) - len(expected)) <= 0.07 * SAMPLE_RATE
    assert len(samples) // 640 >= len(expected) // 640, "no frame may be lost"
    count = len(expected) // 640
    assert np.abs(loudness(samples)[:count] - loudness(expected)[:count]).max() < tolerance


@pytest.mark.parametrize(
    ("kind", "codec"),
    [
        ("ipod", "aac"),
        ("ipod", "alac"),
        ("mov", "pcm_s24le"),
        ("matroska", "flac"),
        ("matroska", "aac"),
        ("webm", "libopus"),
        ("ogg", "libopus"),
        ("caf", "pcm_s16be"),
        ("aiff", "pcm_s16be"),
        ("w64", "pcm_s16le"),
        ("au", "pcm_s16be"),
        ("flac", "flac"),
        ("wav", "pcm_f32le"),
        ("wav", "pcm_u8"),
        ("avi", "pcm_s16le"),
    ],
)
def test_a_container_gives_the_same_voice_as_wav(kind: str, codec: str, voice: np.ndarray) -> None:
    rate = 48_000 if codec == "libopus" else RATE
    reference = tone(SECONDS, rate)
    data = sound_file(reference, kind, codec, rate)
    samples, expected = load_voice(data).samples, load_voice(wav(reference, rate)).samples
    assert abs(len(samples) - len(expected)) <= 0.025 * SAMPLE_RATE
    count = min(len(samples), len(expected)) // 640
    assert count == len(expected) // 640
    assert np.abs(loudness(samples)[:count] - loudness(expected)[:count]).max() < 0.03


@pytest.mark.parametrize(
    ("kind", "codec"), [("adts", "aac"), ("asf", "wmav2"), ("ac3", "ac3"), ("eac3", "eac3")]
)
def test_formats_that_cannot_tell_their_delay_are_read_to_the_end(
    kind: str, codec: str, voice: np.ndarray
) -> None:
    samples = load_voice(sound_file(voice, kind, codec)).samples
    assert abs(len(samples) / SAMPLE_RATE - SECONDS) < 0.06
    assert (
        abs(float(loudness(samples).mean()) - float(loudness(load_voice(wav(voice)).samples).mean())) < 0.02
    )


@pytest.mark.parametrize("sizes", [(0, 0), (0xFFFFFFFF, 0xFFFFFFFF), (0, 0xFFFFFFFF), (36, 0)])
def test_a_wav_whose_sizes_were_never_written_is_read_to_its_end(
    sizes: tuple[int, int], voice: np.ndarray
) -> None:
    data = bytearray(wav(voice))
    data[4:8], data[40:44] = (struct.pack("<I", size) for size in sizes)
    assert np.array_equal(load_voice(bytes(data)).samples, load_voice(wav(voice)).samples)


def test_a_flac_that_does_not_know_its_length_is_read_to_its_end(voice: np.ndarray) -> None:
    data = bytearray(sound_file(voice, "flac", "flac"))
    data[21] &= 0xF0
    data[22:26] = bytes(4)  # STREAMINFO's total samples, 36 bits
    same(bytes(data), voice, 1e-3)


@pytest.mark.parametrize(
    "junk",
    [
        bytes(1000),
        bytes(400_000),
        tag(2000) + tag(300_000),
        tag(90_000) + bytes(3000),
        bytes(5000) + tag(2000) + bytes(70),
        tag(1_500_000),
    ],
    ids=["zeros", "many zeros", "two tags", "tag and zeros", "zeros, tag, zeros", "a large tag"],
)
def test_junk_in_front_of_an_mp3_changes_nothing(junk: bytes, mp3: bytes, tmp_path: Path) -> None:
    path = tmp_path / "voice.mp3"
    path.write_bytes(junk + mp3)
    for source in (path, junk + mp3):
        assert np.array_equal(load_voice(source).samples, load_voice(mp3).samples)


@pytest.mark.parametrize("gain", [1.0, 0.6])
def test_channels_that_cancel_each_other_give_the_louder_one(gain: float, voice: np.ndarray) -> None:
    same(wav(np.stack([-gain * voice, voice])), voice, 1e-3)


@pytest.mark.parametrize("tracks", [2, 9, 10, 32])
def test_one_speaking_track_of_a_recorder_is_the_voice(tracks: int, voice: np.ndarray) -> None:
    rows = np.zeros((tracks, len(voice)), np.float32)
    rows[tracks // 2] = voice
    same(wav(rows), voice, 1e-3)


def test_two_speakers_on_two_tracks_are_averaged(voice: np.ndarray) -> None:
    other = np.roll(voice, 7000)
    same(wav(np.stack([voice, other])), (voice + other) / 2, 1e-3)


def test_the_shared_cases_are_read_as_their_table_says(shared: Path) -> None:
    folder = shared / "cases" / "files"
    voice = load_voice(folder / "voice.wav").samples
    for name, tolerance in (
        ("streamed.flac", 1e-6),
        ("opposite_channels.wav", 1e-6),
        ("recorder_10_tracks.wav", 1e-5),
        ("phone_memo.m4a", 0.05),
    ):
        samples = load_voice(folder / name).samples
        assert len(samples) == len(voice)
        assert np.abs(samples - voice).max() < tolerance
    plain, tagged = (load_voice(folder / name).samples for name in ("plain.mp3", "two_tags.mp3"))
    assert np.array_equal(plain, tagged)


def test_gaps_in_a_recording_are_silence_so_that_the_rest_stays_in_time(tmp_path: Path) -> None:
    import av

    path, whole = tmp_path / "call.mka", tone(3.0)
    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream("pcm_s16le", rate=RATE, layout="mono")
        for start in range(0, len(whole), RATE // 10):
            if RATE <= start < 2 * RATE:
                continue
            part = np.round(whole[None, start : start + RATE // 10] * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(part, "s16", "mono")
            frame.sample_rate, frame.pts = RATE, start
            container.mux(stream.encode(frame))
    samples, expected = load_voice(path).samples, load_voice(wav(whole)).samples
    assert len(samples) == len(expected)
    assert not samples[17_000:31_000].any()
    assert np.abs(samples[33_000:] - expected[33_000:]).max() < 1e-3


def test_the_sound_of_a_video_is_a_voice_and_its_track(tmp_path: Path) -> None:
    path, sound = tmp_path / "film.mp4", tone(1.0)
    filemaker.write_film(path, filemaker.pictures(30), 25, sound)
    same(path, sound)
    assert extract_sound(path, tmp_path / "voice.flac", 1.2)
    assert len(load_voice(tmp_path / "voice.flac").samples) == round(1.2 * SAMPLE_RATE)
    filemaker.write_film(tmp_path / "silent.mp4", filemaker.pictures(3), 25)
    assert not extract_sound(tmp_path / "silent.mp4", tmp_path / "none.flac", 1.0)
    with pytest.raises(EDTalkError, match="no sound in it"):
        load_voice(tmp_path / "silent.mp4")


LISTS = {
    "concat.wav": "ffconcat version 1.0\nfile '{0}'\n",
    "list.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{0}\n#EXT-X-ENDLIST\n",
    "stream.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
    "dash.mpd": "<?xml version='1.0'?><MPD><Period><AdaptationSet><Representation><BaseURL>{0}</BaseURL>"
    "</Representation></AdaptationSet></Period></MPD>",
}


@pytest.mark.parametrize("name", LISTS)
def test_a_file_that_names_other_files_opens_none(name: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret.wav"
    secret.write_bytes(wav(tone(0.5)))
    path = tmp_path / name
    path.write_text(LISTS[name].format(secret))
    with pytest.raises(NotMediaError), open_media(path):
        pass
    with pytest.raises(EDTalkError) as caught:
        load_voice(path)
    assert caught.value.code is ErrorCode.AUDIO_UNREADABLE


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_what_never_ends_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    for path in (tmp_path / "pipe.wav", Path("/dev/zero"), tmp_path):
        with pytest.raises(EDTalkError) as caught:
            load_voice(path)
        assert caught.value.code is ErrorCode.AUDIO_UNREADABLE


def test_ten_minutes_of_sound_need_no_more_memory_than_their_samples(tmp_path: Path) -> None:
    import tracemalloc

    path, rate = tmp_path / "long.wav", 16_000
    path.write_bytes(wav(np.zeros(600 * rate, np.float32), rate))
    tracemalloc.start()
    samples = load_voice(path).samples
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(samples) == 600 * rate
    assert peak < 2.2 * samples.nbytes + 2_000_000, "the row and its pieces, while they are joined"
