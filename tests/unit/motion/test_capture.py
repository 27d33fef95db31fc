"""A driving video becomes a performance: real videos, the shipped bundle, curves that are known."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch

from edtalk_server.arrays import Weights
from edtalk_server.cli import main
from edtalk_server.engine import Engine, Source
from edtalk_server.media.faces.portrait import cut, load_portrait
from edtalk_server.media.steps import Step, run_to_end
from edtalk_server.media.video.reader import Clip
from edtalk_server.media.video.writer import MovieWriter
from edtalk_server.motion import Captured, capture
from edtalk_server.motion.capture import CaptureSettings
from edtalk_server.networks.config import EDTalkConfig
from edtalk_server.networks.edtalk import EDTalk
from shared_protocol.banks import Bank, numbered_layout
from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.timebase import TimeBase

PORTRAIT = Path(__file__).resolve().parents[3] / "edtalk_server" / "samples" / "portrait.png"
FPS = Fraction(25)
COUNT = 75
READ = CaptureSettings(follow=False)
"""Estimates alone: quick. Following them has tests of its own."""
CAREFUL = CaptureSettings(zero="calmest", follow=False)
Curves = dict[str, npt.NDArray[np.float64]]


@pytest.fixture(scope="module")
def engine() -> Engine:
    """The shipped bundle."""
    return Engine.open(device="cpu")


@pytest.fixture(scope="module")
def source(engine: Engine) -> Source:
    """The sample portrait."""
    return engine.prepare(load_portrait(PORTRAIT))


def moving(seconds: npt.NDArray[np.float64]) -> Curves:
    """What the driver does: after half a second of rest turns, speaks and blinks."""
    active = np.clip((seconds - 0.5) * 4, 0, 1)
    return {
        "yaw": 0.6 * np.sin(2 * np.pi * (seconds - 0.5) / 2) * active,
        "jaw_open": 0.35 * (1 - np.cos(2 * np.pi * (seconds - 0.5) / 0.8)) * active,
        "blink_left": np.exp(-0.5 * ((seconds - 1.5) / 0.06) ** 2),
        "blink_right": np.exp(-0.5 * ((seconds - 1.5) / 0.06) ** 2),
    }


@pytest.fixture(scope="module")
def faces(engine: Engine, source: Source) -> npt.NDArray[np.uint8]:
    """The driver's face, 75 pictures at 25 a second, drawn with `moving`."""
    rows = np.tile(source.weights, (COUNT, 1))
    for name, curve in moving(np.arange(COUNT) / 25).items():
        rows[:, engine.bundle.layout.index(name)] += curve.astype(np.float32)
    return engine.render(source, rows)


def film(path: Path, pictures: Iterator[npt.NDArray[np.uint8]] | list[npt.NDArray[np.uint8]]) -> Clip:
    """Write a real video."""
    iterator = iter(pictures)
    first = next(iterator)
    with MovieWriter(path, FPS, (first.shape[1], first.shape[0])) as writer:
        for picture in itertools.chain([first], iterator):
            writer.write(picture)
    return Clip.open(path)


def staged(face: npt.NDArray[np.uint8], x: int = 200, y: int = 60) -> npt.NDArray[np.uint8]:
    """The face somewhere in a wider picture, its borders softened into the background."""
    stage = np.full((400, 640, 3), face[:8].mean(axis=(0, 1)), np.float32)
    edge = np.minimum(np.arange(256), np.arange(256)[::-1]) / 24
    mask = np.clip(np.minimum(edge[:, None], edge[None]), 0, 1)[..., None]
    part = stage[y : y + 256, x : x + 256]
    part[:] = mask * face + (1 - mask) * part
    return stage.round().astype(np.uint8)


@pytest.fixture(scope="module")
def clip(faces: npt.NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory) -> Clip:
    """The driver in a real video file."""
    return film(tmp_path_factory.mktemp("Video é 日本") / "driver.mp4", (staged(face) for face in faces))


def captured(
    engine: Engine,
    source: Source,
    clip: Clip,
    fps: Fraction = FPS,
    frames: int = 0,
    offset: float = 0.0,
    settings: CaptureSettings = READ,
) -> Captured:
    """The whole capture."""
    times = TimeBase(fps, 0, Fraction(offset))
    return run_to_end(capture(engine, engine.bundle.layout, source.weights, clip, times, frames, settings))


@pytest.fixture(scope="module")
def whole(engine: Engine, source: Source, clip: Clip) -> Captured:
    """All of the driver's video at its own rate."""
    return captured(engine, source, clip)


def alike(a: npt.NDArray[np.floating], b: npt.NDArray[np.floating]) -> float:
    return float(np.corrcoef(a, b)[0, 1])


def test_the_known_curves_come_back(engine: Engine, whole: Captured) -> None:
    got = whole
    assert got.weights.shape == (COUNT, 36) and got.weights.dtype == np.float32
    assert got.notes == ()
    for name, floor in (("yaw", 0.97), ("jaw_open", 0.97), ("blink_left", 0.85), ("blink_right", 0.85)):
        column = got.weights[:, engine.bundle.layout.index(name)]
        curve = moving(np.arange(COUNT) / 25)[name]
        assert alike(column, curve) > floor, name
        assert 0.5 < np.ptp(column) / np.ptp(curve) < 1.3, name


def test_at_rest_the_portrait_keeps_its_own_face(engine: Engine, source: Source, clip: Clip) -> None:
    calmest = CaptureSettings(zero="calmest", follow=False)
    got = captured(engine, source, clip, settings=calmest)
    resting = got.weights[2:10] - source.weights
    assert np.abs(resting).mean() < 0.03
    other = np.linspace(0.0, 0.3, 36, dtype=np.float32)
    times = TimeBase(FPS)
    moved = run_to_end(capture(engine, engine.bundle.layout, other, clip, times, settings=calmest))
    yaw = engine.bundle.layout.index("yaw")
    assert np.abs((moved.weights - other)[:, yaw] - (got.weights - source.weights)[:, yaw]).max() < 1e-5


def test_the_zero_is_the_moment_that_looks_like_the_portrait_or_the_named_one(
    engine: Engine, source: Source, clip: Clip
) -> None:
    read = captured(engine, source, clip, settings=CaptureSettings(absolute=True, follow=False)).weights
    like_the_portrait = run_to_end(
        capture(engine, engine.bundle.layout, read[25], clip, TimeBase(FPS), 0, READ)
    )
    assert like_the_portrait.weights[25] == pytest.approx(read[25], abs=0.02), "at 1 s it looks like this"
    assert np.abs(like_the_portrait.weights[5] - read[25]).max() > 0.3, "the driver looked ahead then"
    named = captured(engine, source, clip, settings=CaptureSettings(zero=1.0, follow=False))
    assert named.weights[25] == pytest.approx(source.weights, abs=0.02)


def test_a_still_of_the_film_goes_where_the_film_goes(engine: Engine, clip: Clip) -> None:
    """Its own crop is the clip's, whichever part is captured and wherever the head is at other times."""
    first = clip.picture_at(0.0)
    assert first is not None
    still = engine.prepare(first)
    weights = captured(engine, still, clip).weights
    pictures = list(itertools.islice(clip.pictures(), 40, 60, 10))
    true = engine.estimate(np.stack([cut(picture, still.crop, engine.size) for picture in pictures]))
    assert np.abs(weights[40:60:10] - true)[:, 20:26].max() < 0.05
    part = captured(engine, still, clip, frames=10, offset=1.6).weights
    assert np.abs(part - weights[40:50]).max() < 0.05
    assert not np.array_equal(captured(engine, still, clip, settings=CAREFUL).weights, weights)


def test_an_absolute_capture_takes_the_drivers_own_weights(
    engine: Engine, source: Source, clip: Clip
) -> None:
    yaw = engine.bundle.layout.index("yaw")
    other = source.weights.copy()
    other[yaw] -= 0.5
    settings = CaptureSettings(absolute=True, follow=False)
    absolute = run_to_end(capture(engine, engine.bundle.layout, other, clip, TimeBase(FPS), 0, settings))
    expected = captured(engine, source, clip, settings=settings)
    assert absolute.weights[:, yaw] == pytest.approx(expected.weights[:, yaw], abs=1e-5)


def test_each_bank_has_a_strength_and_no_weight_leaves_its_range(
    engine: Engine, source: Source, clip: Clip
) -> None:
    layout = engine.bundle.layout
    strength = {Bank.POSE: 0.0, Bank.EXPRESSION: 1.0, Bank.MOUTH: 50.0}
    weights = captured(
        engine, source, clip, settings=CaptureSettings(strength=strength, follow=False)
    ).weights
    pose = layout.slice_of(Bank.POSE)
    assert np.array_equal(weights[:, pose], np.tile(source.weights[pose], (COUNT, 1)))
    lowest = np.minimum([basis.minimum for basis in layout.bases], source.weights)
    highest = np.maximum([basis.maximum for basis in layout.bases], source.weights)
    assert (weights >= lowest - 1e-6).all() and (weights <= highest + 1e-6).all()
    jaw = layout.index("jaw_open")
    assert weights[:, jaw].max() == pytest.approx(layout.bases[jaw].maximum), "fifty times is cut off"


def test_the_clip_does_not_jitter(
    engine: Engine, source: Source, faces: npt.NDArray[np.uint8], tmp_path: Path
) -> None:
    noise = np.random.default_rng(3)
    still = [
        np.clip(staged(faces[0]) + noise.normal(0, 6, (400, 640, 3)), 0, 255).astype(np.uint8)
        for _ in range(20)
    ]
    got = captured(engine, source, film(tmp_path / "still.mp4", still))
    assert np.abs(np.diff(got.weights, axis=0)).max() < 0.02


@pytest.mark.parametrize("fps", [Fraction(24_000, 1001), Fraction(60)])
def test_other_frame_rates_get_the_same_movement_at_the_same_seconds(
    engine: Engine, source: Source, clip: Clip, whole: Captured, fps: Fraction
) -> None:
    reference = whole.weights[:, engine.bundle.layout.index("yaw")]
    got = captured(engine, source, clip, fps, frames=int(2.9 * fps))
    seconds = np.arange(len(got.weights)) / float(fps)
    expected = np.interp(seconds, np.arange(COUNT) / 25, reference)
    assert np.abs(got.weights[:, engine.bundle.layout.index("yaw")] - expected).max() < 0.03


def test_outside_the_video_its_ends_hold(engine: Engine, source: Source, clip: Clip, whole: Captured) -> None:
    got = captured(engine, source, clip, frames=COUNT + 50, offset=-1.0).weights
    assert np.ptp(got[:24], axis=0).max() < 1e-5, "a second before it begins"
    assert np.ptp(got[-24:], axis=0).max() < 1e-5, "a second after its end"
    assert np.abs(got[25 : 25 + COUNT] - whole.weights).max() < 0.02


def test_a_part_is_the_same_as_that_part_of_the_whole(
    engine: Engine, source: Source, clip: Clip, whole: Captured
) -> None:
    jaw = engine.bundle.layout.index("jaw_open")
    part = captured(engine, source, clip, frames=25, offset=1.0).weights[:, jaw]
    assert alike(part, whole.weights[25:50, jaw]) > 0.98


def test_a_range_beyond_the_video_is_its_last_picture(engine: Engine, source: Source, clip: Clip) -> None:
    got = captured(engine, source, clip, frames=5, offset=30.0).weights
    assert got.shape == (5, 36) and np.ptp(got, axis=0).max() < 1e-5


def test_moments_without_a_face_are_bridged_and_told(
    engine: Engine, source: Source, faces: npt.NDArray[np.uint8], tmp_path: Path
) -> None:
    pictures = [staged(face) for face in faces]
    for index in range(30, 45):
        pictures[index] = np.random.default_rng(index).integers(0, 255, pictures[0].shape, np.uint8)
    got = captured(engine, source, film(tmp_path / "gap.mp4", pictures))
    (note,) = got.notes
    assert "No face was seen in seconds 1." in note
    jaw = got.weights[:, engine.bundle.layout.index("jaw_open")]
    within = jaw[31:44]
    assert np.abs(np.diff(within, 2)).max() < 0.01, "a straight way over it"
    assert alike(jaw[:27], moving(np.arange(27) / 25)["jaw_open"]) > 0.9


def test_a_face_that_walks_through_the_picture_is_followed(
    engine: Engine, source: Source, faces: npt.NDArray[np.uint8], tmp_path: Path
) -> None:
    walk = np.linspace(10, 370, COUNT).astype(int)
    pictures = [staged(face, x) for face, x in zip(faces, walk, strict=True)]
    got = captured(engine, source, film(tmp_path / "walk.mp4", pictures))
    assert any("follows" in note for note in got.notes)
    jaw = got.weights[:, engine.bundle.layout.index("jaw_open")]
    assert alike(jaw, moving(np.arange(COUNT) / 25)["jaw_open"]) > 0.9


def test_of_two_people_the_larger_is_captured(
    engine: Engine, source: Source, faces: npt.NDArray[np.uint8], tmp_path: Path
) -> None:
    small = cv2.resize(faces[0], (160, 160), interpolation=cv2.INTER_AREA)
    pictures = []
    for face in faces:
        picture = staged(face, 20)
        picture[120:280, 430:590] = small
        pictures.append(picture)
    got = captured(engine, source, film(tmp_path / "two.mp4", pictures))
    assert any("Several people" in note for note in got.notes)
    yaw = got.weights[:, engine.bundle.layout.index("yaw")]
    assert alike(yaw, moving(np.arange(COUNT) / 25)["yaw"]) > 0.9


def test_a_video_without_a_face_is_refused_in_words(engine: Engine, source: Source, tmp_path: Path) -> None:
    grey = [np.full((120, 160, 3), 100 + i, np.uint8) for i in range(10)]
    with pytest.raises(EDTalkError) as caught:
        captured(engine, source, film(tmp_path / "grey.mp4", grey))
    assert caught.value.code is ErrorCode.NO_FACE


@pytest.mark.parametrize("content", [b"", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hosts\n", b"\x00" * 5000])
def test_what_is_no_video_is_refused_in_words(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "no.mp4").write_bytes(content)
    with pytest.raises(EDTalkError) as caught:
        Clip.open(tmp_path / "no.mp4")
    assert caught.value.code is ErrorCode.VIDEO_UNREADABLE and "no.mp4" in caught.value.cause


def test_a_cut_off_video_is_read_as_far_as_it_goes(
    engine: Engine, source: Source, clip: Clip, tmp_path: Path
) -> None:
    whole = tmp_path / "driver.mkv"
    film(whole, (clip.pictures()))
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    got = captured(engine, source, Clip.open(cut), frames=COUNT)
    jaw = got.weights[:, engine.bundle.layout.index("jaw_open")]
    assert alike(jaw[:30], moving(np.arange(30) / 25)["jaw_open"]) > 0.9


def test_its_steps_can_be_stopped_at_any_time(engine: Engine, source: Source, clip: Clip) -> None:
    told: list[Step] = []
    steps = capture(engine, engine.bundle.layout, source.weights, clip, TimeBase(FPS), 0, READ)
    for _ in range(30):
        told.append(next(steps))
    steps.close()
    assert {step.stage for step in told} == {"looking for the face", "reading the face"}
    assert told[-1].total >= COUNT


def test_the_command_writes_the_weights(
    clip: Clip, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "w.npz"
    command = ["capture", str(clip.path), "--portrait", str(PORTRAIT), "--fps", "30", "-o", str(target)]
    assert main([*command, "--device", "cpu", "--no-follow"]) == 0
    with np.load(target, allow_pickle=False) as data:
        assert data["weights"].shape == (90, 36)
    assert "90 frames" in capsys.readouterr().out
    assert main(["capture", str(tmp_path / "missing.mp4"), "-o", str(target), "--overwrite"]) == 1
    assert "missing.mp4" in capsys.readouterr().err


def test_reading_long_videos_keeps_only_a_few_pictures(
    engine: Engine, clip: Clip, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive: list[int] = []
    estimate = engine.estimate

    def counted(pictures: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        alive.append(len(pictures))
        return estimate(pictures)

    monkeypatch.setattr(engine, "estimate", counted)
    captured(engine, source, clip)
    assert max(alive) == engine.batch and sum(alive) == COUNT + 1, (
        "the first one is also compared with the portrait"
    )


def test_the_networks_of_the_release_are_driven_as_well(clip: Clip) -> None:
    config = EDTalkConfig(size=64, style_dim=64, width_base=1024, width_max=32, enhancement_hidden=16)
    torch.manual_seed(4)
    layout = numbered_layout()
    manifest = SimpleNamespace(size=64, sizes=(64,))
    bundle = SimpleNamespace(
        manifest=manifest, face=EDTalk(config).eval(), layout=layout, landmarks=None, digest="tiny"
    )
    engine = Engine(bundle, torch.device("cpu"))  # type: ignore[arg-type]
    own = np.linspace(-3, 3, 36, dtype=np.float32)
    got = run_to_end(capture(engine, layout, own, clip, TimeBase(FPS)))
    assert got.weights.shape == (COUNT, 36) and np.isfinite(got.weights).all()
    assert np.abs(got.weights - own).max(axis=1).min() < 1e-3, (
        "at the moment of zero it is the portrait's own face"
    )
    assert (got.weights < 0).any(), "none of its weights is one-way"
    yaw = moving(np.arange(COUNT) / 25)["yaw"]
    assert max(abs(alike(column, yaw)) for column in got.weights.T) > 0.7, "they follow the picture"


def test_following_starts_at_the_zero_and_can_be_left_out(
    engine: Engine, source: Source, clip: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The follower gets every picture with a face, in order, from the one that stands for the portrait."""
    followed: list[npt.NDArray[np.uint8]] = []
    yaw = engine.bundle.layout.index("yaw")

    class Halving:
        def follow(self, picture: npt.NDArray[np.uint8], estimate: Weights) -> Weights:
            followed.append(picture)
            return np.asarray(estimate * np.where(np.arange(36) == yaw, 0.5, 1), np.float32)

        def forget(self) -> None:
            raise AssertionError("a face is everywhere")

    references: list[npt.NDArray[np.uint8]] = []

    def follower(picture: npt.NDArray[np.uint8]) -> Halving:
        references.append(picture)
        return Halving()

    monkeypatch.setattr(engine, "follower", follower)
    read = captured(engine, source, clip, settings=CaptureSettings(zero=1.0, follow=False)).weights
    assert not references
    got = captured(engine, source, clip, settings=CaptureSettings(zero=1.0)).weights
    assert len(followed) == COUNT and np.array_equal(references[0], followed[25])
    change, half = read[:, yaw] - source.weights[yaw], got[:, yaw] - source.weights[yaw]
    assert half == pytest.approx(change / 2, abs=1e-3)
