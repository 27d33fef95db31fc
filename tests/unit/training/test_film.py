"""Real videos as training data: two people filmed (made with the starter bundle), laid out as HDTF and as MEAD."""

from __future__ import annotations

import contextlib
import io
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import films
import numpy as np
import pytest
import soundfile
import torch
from test_datasets import keeps_promises
from test_training_run import write_shard

from edtalk_server import bundles, samples
from edtalk_server.cli import main
from edtalk_server.networks.config import EDTalkConfig
from edtalk_server.training.datasets.film.cache import FilmCache, StoredClip
from edtalk_server.training.datasets.film.clips import FilmedClips
from edtalk_server.training.datasets.film.layout import EMOTIONS, Layout, find_footage, recognised
from edtalk_server.training.datasets.film.prepare import LandmarkEstimator, prepare_all
from edtalk_server.training.datasets.opening import open_sets
from edtalk_server.training.loop.processes import ProcessGroup
from edtalk_server.training.paper.config import Critic, Judging, StageConfig, StageName
from edtalk_server.training.paper.trainer import PaperTrainer
from shared_protocol.errors import EDTalkError

SAMPLES = Path(samples.__file__).parent
FRAMES, SIZE = 26, 128


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@dataclass(frozen=True)
class Films:
    """Folders in both layouts."""

    hdtf: Path
    mead: Path


@pytest.fixture(scope="module")
def estimator() -> LandmarkEstimator:
    return LandmarkEstimator(bundles.load(), "cpu")


@pytest.fixture(scope="module")
def filmed(tmp_path_factory: pytest.TempPathFactory, shared: Path, estimator: LandmarkEstimator) -> Films:
    folder, engine = tmp_path_factory.mktemp("films"), estimator.engine
    astronaut, voice = shared / "data" / "astronaut.png", SAMPLES / "voice.flac"
    hdtf, mead = folder / "hdtf", folder / "mead"
    talks = films.write(hdtf / "WRA_Astronaut_000.mp4", films.faces(engine, astronaut, FRAMES), voice)
    sample = films.faces(engine, SAMPLES / "portrait.png", FRAMES, 0.6)
    smiles = films.write(hdtf / "WDA_Sample_001.mp4", sample)
    for target, source in (
        ("W009/video/front/neutral/level_1/001.mp4", talks),
        ("W009/video/left_30/neutral/level_1/001.mp4", talks),
        ("M003/video/front/happy/level_3/001.mp4", smiles),
    ):
        (mead / target).parent.mkdir(parents=True)
        shutil.copy2(source, mead / target)
    films.write(mead / "W009/video/front/happy/level_3/001.mp4", films.faces(engine, astronaut, FRAMES, 0.7))
    sound = mead / "W009/audio/happy/level_3/001.m4a"
    sound.parent.mkdir(parents=True)
    _sound_alone(talks, sound)
    return Films(hdtf, mead)


def _sound_alone(movie: Path, target: Path) -> None:
    with av.open(str(movie)) as source, av.open(str(target), "w", format="ipod") as container:
        stream = container.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(audio=0):
            if packet.size:
                packet.stream = stream
                container.mux(packet)


@pytest.fixture(scope="module")
def mead_cache(tmp_path_factory: pytest.TempPathFactory, filmed: Films, estimator: LandmarkEstimator) -> Path:
    folder = tmp_path_factory.mktemp("mead")
    cache = FilmCache(folder)
    cache.begin(SIZE, estimator.digest)
    prepare_all(find_footage(filmed.mead), cache, estimator)
    return folder


@pytest.fixture(scope="module")
def hdtf_cache(tmp_path_factory: pytest.TempPathFactory, filmed: Films) -> tuple[Path, str]:
    """The cache, and what the command said."""
    films.write(
        filmed.hdtf / "RD_Nobody_000.mp4", np.random.default_rng(0).integers(0, 255, (9, 64, 64, 3), np.uint8)
    )
    (filmed.hdtf / "RD_Broken_000.mp4").write_bytes(b"no video")
    folder, said = tmp_path_factory.mktemp("hdtf"), io.StringIO()
    with contextlib.redirect_stdout(said):
        assert main(["train", "video-data", str(filmed.hdtf), "--out", str(folder), *_options()]) == 0
    return folder, said.getvalue()


def _options() -> list[str]:
    return ["--size", str(SIZE), "--device", "cpu"]


# --- what names say ---


def test_layouts_are_known_by_their_names() -> None:
    assert recognised(["M003/video/front/happy/level_3/001.mp4"]) is Layout.MEAD
    assert recognised(["WDA_BarackObama_000.mp4", "RD_Radio1_001.mp4"]) is Layout.HDTF
    assert recognised(["holiday.mov", "anna/one.mp4"]) is Layout.FOLDER


def test_names_say_who_it_is_and_what_is_felt(tmp_path: Path) -> None:
    for name in (
        "hdtf/WDA_BarackObama_000_2.mp4",
        "mead/M003/video/front/happy/level_3/001.mp4",
        "mead/M003/video/down/happy/level_3/001.mp4",
        "any/anna/one.mp4",
        "any/anna/two.mp4",
        "any/bert.mov",
        "any/notes.txt",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [one.person for one in find_footage(tmp_path / "hdtf")] == ["WDA_BarackObama"]
    (happy,) = find_footage(tmp_path / "mead")
    assert (happy.person, happy.emotion, happy.level, happy.sound) == ("M003", "happy", 3, None)
    assert [one.person for one in find_footage(tmp_path / "any")] == ["anna", "anna", "bert"]
    with pytest.raises(EDTalkError, match="layout mead"):
        find_footage(tmp_path / "any", Layout.MEAD)


# --- what is prepared ---


def test_what_cannot_be_used_is_left_out_with_the_reason(hdtf_cache: tuple[Path, str]) -> None:
    folder, said = hdtf_cache
    assert "2 clips of 2 people" in said
    reasons = {one.name: one.reason for one in FilmCache(folder).skipped()}
    assert set(reasons) == {"RD_Nobody_000.mp4", "RD_Broken_000.mp4"}
    assert "face" in reasons["RD_Nobody_000.mp4"]
    assert all(f"{name}: {reason}" in said for name, reason in reasons.items())
    assert (folder / "skipped.txt").read_text().count("\n") == 2


def test_faces_are_framed_as_portraits_are_and_their_landmarks_lie_on_them(
    hdtf_cache: tuple[Path, str], estimator: LandmarkEstimator
) -> None:
    records = FilmCache(hdtf_cache[0]).records()
    for folder, record in records.items():
        stored, numbers = StoredClip(folder), range(record.frames)
        assert record.frames == FRAMES
        pictures, marks = stored.pictures(numbers), stored.landmarks(numbers)
        assert pictures.shape == (FRAMES, SIZE, SIZE, 3)
        again = estimator.estimate(list(pictures))
        assert np.abs(again - marks).max() < 0.03  # JPEG costs next to nothing
        eyes, chin = marks[:, 36:48, 1].mean(), marks[:, 8, 1].mean()
        assert 0.36 < eyes < 0.52, "the eyes stand where the template has them"
        assert 0.75 < chin < 1.0
        opening = marks[:, 66, 1] - marks[:, 62, 1]
        assert opening.max() - opening.min() > 0.02, "the mouth opens and closes"


def test_the_sound_lies_beside_the_pictures(hdtf_cache: tuple[Path, str], mead_cache: Path) -> None:
    by_name = {r.name: (f, r) for c in (hdtf_cache[0], mead_cache) for f, r in FilmCache(c).records().items()}
    for name, has_sound in (
        ("WRA_Astronaut_000.mp4", True),
        ("WDA_Sample_001.mp4", False),
        ("W009/video/front/happy/level_3/001.mp4", True),  # from the file beside
        ("M003/video/front/happy/level_3/001.mp4", False),
    ):
        folder, record = by_name[name]
        assert record.has_sound == has_sound == (folder / "voice.flac").is_file()
        if has_sound:
            about = soundfile.info(folder / "voice.flac")
            assert (about.samplerate, about.channels) == (16_000, 1)
            assert about.duration == pytest.approx(FRAMES / 25, abs=0.01)


def test_a_second_run_changes_nothing_and_a_new_video_is_done(
    hdtf_cache: tuple[Path, str], filmed: Films, tmp_path: Path
) -> None:
    cache, source = tmp_path / "cache", tmp_path / "films"
    shutil.copytree(hdtf_cache[0], cache)
    shutil.copytree(filmed.hdtf, source)
    times = {path: path.stat().st_mtime_ns for path in (cache / "clips").rglob("*")}
    films.write(source / "RD_Dark_000.mp4", np.zeros((9, 64, 64, 3), np.uint8))
    assert main(["train", "video-data", str(source), "--out", str(cache), *_options()]) == 0
    assert {path: path.stat().st_mtime_ns for path in (cache / "clips").rglob("*")} == times
    assert "RD_Dark_000.mp4" in {one.name for one in FilmCache(cache).skipped()}
    with pytest.raises(EDTalkError, match="another size"):
        FilmCache(cache).begin(64, "other")


def test_a_run_that_is_killed_leaves_no_half_clip_and_goes_on(
    filmed: Films, tmp_path: Path, estimator: LandmarkEstimator, monkeypatch: pytest.MonkeyPatch
) -> None:
    footage = find_footage(filmed.mead)[-1:]
    cache = FilmCache(tmp_path)
    cache.begin(SIZE, estimator.digest)
    estimate, calls = estimator.estimate, 0

    def killed(pictures: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return estimate(pictures)

    monkeypatch.setattr(estimator, "estimate", killed)
    with pytest.raises(KeyboardInterrupt):
        prepare_all(footage, cache, estimator)
    assert (cache.records(), cache.skipped()) == ({}, [])
    monkeypatch.setattr(estimator, "estimate", estimate)
    prepare_all(footage, cache, estimator)
    assert [record.name for record in cache.records().values()] == [footage[0].name]
    assert list((tmp_path / "clips").glob(".*")) == []


# --- what stages get ---


def test_film_keeps_the_promises_of_clip_sets(hdtf_cache: tuple[Path, str], mead_cache: Path) -> None:
    for folder in (hdtf_cache[0], mead_cache):
        data = FilmedClips(folder, 64)
        batch = keeps_promises(data, count=12, length=5)
        assert not batch.has_truth
        assert batch.weights is None
        assert batch.motion is None
        assert set(batch.identity.tolist()) == {0, 1}
        steps = (batch.frames[:, 1:] - batch.frames[:, :-1]).abs().mean()
        apart = (batch.frames[:, 0] - batch.source).abs().mean()
        assert 0 < steps < apart, "frames follow each other; the source is from another moment"
        with pytest.raises(ValueError, match="frames"):
            data.clips(np.random.default_rng(0), 1, FRAMES + 1)


def test_mead_tells_emotion_and_level_and_gives_neutral_sources(mead_cache: Path) -> None:
    data = FilmedClips(mead_cache, SIZE)
    batch = data.clips(np.random.default_rng(1), 24, 1)
    assert batch.emotion is not None
    assert batch.level is not None
    woman = torch.tensor([data.people[i] == "W009" for i in batch.identity])
    happy = batch.emotion == EMOTIONS.index("happy")
    assert set(batch.emotion[woman].tolist()) == {EMOTIONS.index("happy"), EMOTIONS.index("neutral")}
    assert bool((batch.level[happy] == 3).all())
    assert bool((batch.level[~happy] == 1).all())
    neutral = next(f for f, r in FilmCache(mead_cache).records().items() if r.emotion == "neutral")
    stored = torch.from_numpy(StoredClip(neutral).pictures(range(FRAMES)).astype(np.float32) / 127.5 - 1)
    for source in batch.source[woman & happy].permute(0, 2, 3, 1):
        assert float((stored - source).abs().amax((1, 2, 3)).min()) < 1e-5


TINY = {"size": 32, "style_dim": 40, "width_base": 256, "width_max": 16, "enhancement_hidden": 8}


def test_the_papers_stages_learn_from_film_and_renders_mixed(
    hdtf_cache: tuple[Path, str], mead_cache: Path, tmp_path: Path
) -> None:
    write_shard(tmp_path / "shards")
    lines = (
        {"kind": "filmed", "folder": str(hdtf_cache[0])},
        {"kind": "filmed", "folder": str(mead_cache), "share": 2},
        {"kind": "cached", "folder": str(tmp_path / "shards")},
    )
    config = StageConfig(
        network=EDTalkConfig.from_dict(TINY),
        data=lines,
        batch=2,
        steps=6,
        window=3,
        critic=Critic(width=8, depth=2, scales=1),
        judging=Judging(scales=1),
        tensorboard=False,
    )
    for name in (StageName.MOUTH_POSE, StageName.EXPRESSION):
        trainer = PaperTrainer(name, config, open_sets(lines, 32), tmp_path, ProcessGroup())
        outcomes = [trainer.advance() for _ in range(config.steps)]
        assert all(bool(torch.isfinite(one.total)) for one in outcomes)
        with_truth = ["flow" in one.values for one in outcomes]
        assert set(with_truth) == {True, False}, "film as well as renders"
        trainer.save()


def test_film_alone_is_taken_in_windows_of_consecutive_frames(mead_cache: Path) -> None:
    data = open_sets([{"kind": "filmed", "folder": str(mead_cache)}], 32)
    assert data.consecutive
    with pytest.raises(EDTalkError, match="not a cache"):
        open_sets([{"kind": "filmed", "folder": str(mead_cache / "clips")}], 32)
