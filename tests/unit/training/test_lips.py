"""The stages `sync` and `lips`, at the size of a stamp: what learns, what stays frozen, what a bundle gets."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from cartoons import Cartoons, SpeakingCartoons, SwappingCartoons
from safetensors.torch import load_file
from torch import nn

from edtalk_server import bundles
from edtalk_server.bundles import kinds
from edtalk_server.bundles.load import load_exactly
from edtalk_server.cli import main
from edtalk_server.evaluation.measures.sync_offsets import SHIFTS, OffsetReport, measure_offsets
from edtalk_server.media.audio.voice import Waveform
from edtalk_server.networks.audio2lip import Audio2Lip
from edtalk_server.networks.config import Audio2LipConfig, EDTalkConfig, SyncConfig
from edtalk_server.networks.edtalk import EDTalk
from edtalk_server.networks.sync import SyncExpert
from edtalk_server.training.datasets.film.cache import ClipRecord, ClipWriter, FilmCache
from edtalk_server.training.datasets.interface import Mixed, SpokenBatch, spoken_sets
from edtalk_server.training.loop.processes import ProcessGroup
from edtalk_server.training.paper.config import (
    Critic,
    Judging,
    LossWeights,
    Optimization,
    StageConfig,
    StageName,
)
from edtalk_server.training.paper.export import export
from edtalk_server.training.paper.lips.lips_stage import Frozen, LipStage
from edtalk_server.training.paper.lips.losses import LipVelocity, Synchrony
from edtalk_server.training.paper.lips.sync_stage import FARTHEST, SyncStage
from edtalk_server.training.paper.trainer import PaperTrainer
from shared_protocol.errors import EDTalkError

ALONE = ProcessGroup()
CONFIG = StageConfig(
    network=EDTalkConfig(size=32, style_dim=40, width_base=256, width_max=16, enhancement_hidden=8),
    audio=Audio2LipConfig((4, 4, 6, 6, 8), 20),
    sync=SyncConfig((4, 6, 8, 8, 8), (4, 4, 6, 6, 8), 32),
    batch=2,
    steps=40,
    critic=Critic(width=4, depth=1, scales=1),
    judging=Judging(scales=1),
    optimization=Optimization(generator_rate=3e-3, generator_memory=0.99, average=0.5),
    tensorboard=False,
)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class OneBatch(SpeakingCartoons):
    def spoken(self, rng: np.random.Generator, count: int, length: int, reach: int = 0) -> SpokenBatch:
        return super().spoken(np.random.default_rng(0), count, length, reach)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the face and the expert have taken a step."""
    folder = tmp_path_factory.mktemp("run")
    PaperTrainer(StageName.MOUTH_POSE, CONFIG, SwappingCartoons(), folder, ALONE).train(until_step=1)
    PaperTrainer(StageName.SYNC, CONFIG, SpeakingCartoons(), folder, ALONE).train(until_step=1)
    return folder


def copied(folder: Path, target: Path, *names: StageName) -> Path:
    for name in names:
        (target / f"{name}.pt").write_bytes((folder / f"{name}.pt").read_bytes())
    return target


def lip_stage(weights: LossWeights | None = None) -> tuple[LipStage, EDTalk, SyncExpert]:
    torch.manual_seed(0)
    face, expert = EDTalk(CONFIG.network), SyncExpert(CONFIG.sync)
    stage = LipStage(replace(CONFIG, weights=weights or CONFIG.weights), Frozen(face, expert))
    return stage, face, expert


def touched(network: nn.Module) -> set[str]:
    return {
        name for name, p in network.named_parameters() if p.grad is not None and bool((p.grad != 0).any())
    }


# --- the expert ---


def test_the_expert_learns_which_sound_belongs_to_which_lips(tmp_path: Path) -> None:
    trainer = PaperTrainer(StageName.SYNC, CONFIG, OneBatch(), tmp_path, ALONE)
    outcomes = [trainer.advance() for _ in range(16)]
    assert set(outcomes[0].values) == {"positive", "shifted", "other", "contrast"}
    contrast = [float(outcome.values["contrast"]) for outcome in outcomes]
    assert np.mean(contrast[-5:]) < 0.9 * np.mean(contrast[:3]), contrast


def test_both_of_its_encoders_learn_and_silence_teaches_nothing_wrong() -> None:
    torch.manual_seed(0)
    stage = SyncStage(CONFIG)
    batch = SyncStage.batch(CONFIG, SpeakingCartoons(), np.random.default_rng(1))
    assert batch.reach == FARTHEST
    stage(batch, adversarial=False).total.backward()
    assert touched(stage) == {name for name, _ in stage.named_parameters()}
    silent = replace(batch, voice=torch.full_like(batch.voice, -4.0))
    values = stage(silent, adversarial=False).values
    assert (float(values["shifted"]), float(values["other"])) == (0, 0), "moments of silence do not differ"
    assert float(values["positive"]) > 0


def test_the_expert_can_hear_with_a_bundles_ear_which_stays_as_it_is() -> None:
    starter = bundles.load("starter").audio_to_lip
    config = replace(CONFIG, ear="starter", sync=replace(CONFIG.sync, sound_widths=starter.config.widths))
    stage = SyncStage(config)
    batch = SyncStage.batch(config, SpeakingCartoons(), np.random.default_rng(1))
    stage(batch, adversarial=False).total.backward()
    assert {name.split(".")[1] for name in touched(stage)} == {"lips", "sound"}
    kept = starter.encoder.state_dict()
    assert all(torch.equal(value, kept[name]) for name, value in stage.model.hearing.state_dict().items())
    with pytest.raises(EDTalkError, match="widths"):
        SyncStage(replace(CONFIG, ear="starter"))


# --- the lips ---


def test_only_the_audio_encoder_and_its_map_learn() -> None:
    stage, face, expert = lip_stage(replace(CONFIG.weights, lip_velocity=0.1))
    before = [copy.deepcopy(network.state_dict()) for network in (face, expert)]
    outcome = stage(LipStage.batch(CONFIG, SpeakingCartoons(), np.random.default_rng(1)), adversarial=False)
    assert set(outcome.values) == {"lip_feature", "lip_velocity", "reconstruction", "sync"}
    outcome.total.backward()
    learns = {name for name in touched(stage) if "conv.bias" not in name}
    assert learns == {
        n for n, _ in stage.named_parameters() if "conv.bias" not in n
    }  # the norm takes those away
    assert touched(face) == touched(expert) == set()
    assert not face.training
    assert not expert.training
    for network, state in zip((face, expert), before, strict=True):
        assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize("name", ["lip_feature", "reconstruction", "sync"])
def test_every_loss_alone_teaches_it(name: str) -> None:
    off = dict.fromkeys(("lip_feature", "reconstruction", "sync"), 0.0)
    stage, _, _ = lip_stage(replace(CONFIG.weights, **{**off, name: 1.0}))
    outcome = stage(LipStage.batch(CONFIG, SpeakingCartoons(), np.random.default_rng(1)), adversarial=False)
    assert set(outcome.values) == {name}
    outcome.total.backward()
    assert {"model.mapping.weight", "model.encoder.0.conv.weight"} <= touched(stage)


def test_the_losses_say_what_the_paper_says() -> None:
    assert float(Synchrony()(torch.tensor([1.0, 1.0]))) == 0
    assert float(Synchrony()(torch.tensor([0.0]))) == pytest.approx(-np.log(1e-7), rel=1e-5)
    still, moving = torch.zeros(1, 3, 2), torch.tensor([[[0.0, 0], [1, 1], [2, 2]]])
    assert float(LipVelocity()(moving, moving + 5)) == 0
    assert float(LipVelocity()(moving, still)) == 1


def test_lips_come_nearer_to_what_the_reader_sees(trained: Path, tmp_path: Path) -> None:
    folder = copied(trained, tmp_path, StageName.MOUTH_POSE, StageName.SYNC)
    trainer = PaperTrainer(StageName.LIPS, CONFIG, OneBatch(), folder, ALONE)
    feature = [float(trainer.advance().values["lip_feature"]) for _ in range(12)]
    assert feature[-1] < 0.9 * feature[0]


def test_lips_go_on_from_a_bundle_and_keep_what_it_knows_of_voices(trained: Path, tmp_path: Path) -> None:
    folder = copied(trained, tmp_path, StageName.MOUTH_POSE)
    spoken = bundles.load("starter").audio_to_lip
    config = replace(CONFIG, start="starter", audio=spoken.config, weights=replace(CONFIG.weights, sync=0.0))
    trainer = PaperTrainer(StageName.LIPS, config, SpeakingCartoons(), folder, ALONE)
    begun = {name: value.clone() for name, value in trainer.stage.model.state_dict().items()}
    assert all(torch.equal(value, spoken.state_dict()[name]) for name, value in begun.items())
    trainer.advance()
    after = trainer.stage.model.state_dict()
    changed = {name for name, value in after.items() if not torch.equal(value, begun[name])}
    assert "mapping.weight" in changed
    assert not any("running" in name for name in changed), "five neighbouring frames are few sounds"


def test_a_bundle_without_such_an_audio_part_is_explained(trained: Path, tmp_path: Path) -> None:
    folder = copied(trained, tmp_path, StageName.MOUTH_POSE)
    config = replace(CONFIG, start="starter", weights=replace(CONFIG.weights, sync=0.0))
    with pytest.raises(EDTalkError, match="no audio part like the config's"):
        PaperTrainer(StageName.LIPS, config, SpeakingCartoons(), folder, ALONE)


# --- the run ---


def test_a_bundles_expert_may_judge_the_lips(trained: Path, tmp_path: Path) -> None:
    folder = copied(trained, tmp_path, StageName.MOUTH_POSE)
    bundle = bundles.load("starter")
    if bundle.sync is None:
        pytest.skip("the starter of this checkout has no sync expert")
    trainer = PaperTrainer(
        StageName.LIPS, replace(CONFIG, expert="starter"), SpeakingCartoons(), folder, ALONE
    )
    assert float(trainer.advance().values["sync"]) > 0
    with pytest.raises(EDTalkError, match="nobody"):
        PaperTrainer(StageName.LIPS, replace(CONFIG, expert="nobody"), SpeakingCartoons(), folder, ALONE)


def test_lips_need_a_face_and_an_expert_but_no_expert_without_their_loss(
    trained: Path, tmp_path: Path
) -> None:
    with pytest.raises(EDTalkError, match="no trained stage"):
        PaperTrainer(StageName.LIPS, CONFIG, SpeakingCartoons(), tmp_path, ALONE)
    folder = copied(trained, tmp_path, StageName.MOUTH_POSE)
    with pytest.raises(EDTalkError, match="starts from a trained sync"):
        PaperTrainer(StageName.LIPS, CONFIG, SpeakingCartoons(), folder, ALONE)
    without = replace(CONFIG, weights=replace(CONFIG.weights, sync=0.0))
    assert PaperTrainer(StageName.LIPS, without, SpeakingCartoons(), folder, ALONE).advance().total > 0
    other = replace(without, audio=Audio2LipConfig((4, 4, 6, 6, 8), 7))
    with pytest.raises(EDTalkError, match="20 mouth weights"):
        PaperTrainer(StageName.LIPS, other, SpeakingCartoons(), folder, ALONE)


def test_a_config_without_sound_is_explained(trained: Path, tmp_path: Path) -> None:
    assert spoken_sets(Mixed([(Cartoons(), 1.0), (SpeakingCartoons(), 1.0)]))
    trainer = PaperTrainer(StageName.SYNC, CONFIG, Cartoons(), tmp_path, ALONE)
    with pytest.raises(EDTalkError, match="clips with sound") as caught:
        trainer.advance()
    assert "spoken-data" in caught.value.fix


def test_the_exported_bundle_follows_a_voice_with_the_trained_lips(trained: Path, tmp_path: Path) -> None:
    folder = copied(trained, tmp_path, StageName.MOUTH_POSE, StageName.SYNC)
    silent = export(folder, Cartoons(), tmp_path / "silent", pictures=16)
    assert silent.audio_to_lip is None
    trainer = PaperTrainer(StageName.LIPS, CONFIG, SpeakingCartoons(), folder, ALONE)
    trainer.train(until_step=2)
    export(folder, Cartoons(), tmp_path / "bundle", pictures=16, half=False)
    audio = bundles.load(tmp_path / "bundle").audio_to_lip
    assert isinstance(audio, Audio2Lip)
    average = trainer.average.state_dict()
    assert all(torch.equal(value, average[name]) for name, value in audio.state_dict().items())


# --- what the expert is worth ---


class Listener:
    """A judge that reads the same numbers off pictures and sound."""

    padded = False

    def lips(self, frames: np.ndarray, landmarks: np.ndarray | None) -> np.ndarray:
        return _unit(frames[:-4, 0, 0].astype(np.float32) + 1)

    def sound(self, voice: Waveform, frames: int) -> np.ndarray:
        loud = voice.samples[: frames * 640].reshape(frames, 640).max(axis=1)[:-4]
        return _unit(np.stack([loud * 255, loud * 0 + 50, loud * 0 + 50], 1) + 1)


def _unit(rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def spoken_cache(folder: Path, clips: int = 4, frames: int = 60, deaf: bool = False) -> Path:
    """Clips whose red is as bright as their sound is loud."""
    rng, cache = np.random.default_rng(0), FilmCache(folder)
    cache.begin(16, "nobody")
    for number in range(clips):
        name, level = f"clip {number}", rng.integers(20, 230, frames)
        with ClipWriter(cache, name) as writer:
            pictures = np.full((frames, 16, 16, 3), 50, np.uint8)
            pictures[..., 0] = level[:, None, None]
            writer.add(list(pictures))
            sound = np.repeat(level / 255, 640).astype(np.float32)
            soundfile.write(writer.folder / "voice.flac", sound, 16_000, subtype="PCM_16")
            record = ClipRecord(name, name, "", 0, frames, ((0, frames, 0),), not deaf, (), "made")
            writer.finish(record, np.full((frames, 68, 2), 0.5, np.float32))
    return folder


def test_a_judge_that_hears_finds_every_shift_and_one_that_does_not_finds_few(tmp_path: Path) -> None:
    report = measure_offsets(Listener(), spoken_cache(tmp_path / "cache"))
    assert report.true == tuple(-shift for shift in SHIFTS[:4])
    assert report.found == report.true
    assert report.share == 1.0
    assert OffsetReport((0.0, 0.0, 0.0, 1.0), (0, 5, -3, 2), 0.0, 1.0).share == 0.5
    with pytest.raises(EDTalkError, match="has sound"):
        measure_offsets(Listener(), spoken_cache(tmp_path / "deaf", deaf=True))


def test_the_expert_is_measured_and_written_for_a_bundle(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = str(spoken_cache(tmp_path / "cache", clips=2))
    command = ["train", "export-sync", "--run", str(trained), "--data", cache, "-o", str(tmp_path / "part")]
    assert main(command) == 0
    assert "2 clips whose sound was shifted" in capsys.readouterr().out
    part = json.loads((tmp_path / "part" / "sync.json").read_text())
    network = kinds.build("sync", bundles.NetworkPart(part["kind"], part["config"], part["file"]))
    load_exactly(network, load_file(tmp_path / "part" / part["file"]), part["file"])
    assert isinstance(network, SyncExpert)
