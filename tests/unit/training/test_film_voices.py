"""The stages `pose` and `semantics` on film: a cache of clips with sound becomes what they learn from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from edtalk_server.cli import main
from edtalk_server.engine import Engine
from edtalk_server.media.audio.prosody import FRAMES_PER_SECOND
from edtalk_server.networks.voice.hubert_roberta import HubertRoberta
from edtalk_server.networks.voice.pose_flow import PoseFlow, PoseFlowConfig
from edtalk_server.training.datasets.film.cache import ClipRecord, ClipWriter, FilmCache
from edtalk_server.training.head import film, stage
from edtalk_server.training.semantics import heads, utterances
from edtalk_server.training.semantics.heads import SemanticsPlan
from shared_protocol.banks import Bank
from shared_protocol.emotions import EMOTIONS
from shared_protocol.errors import EDTalkError
from tests.unit.training import films

FRAMES, SIDE = 60, 96
PEOPLE = {"M003": "happy", "W009": "sad", "W011": ""}


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine.open("starter", "cpu")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory, shared: Path, engine: Engine) -> Path:
    """Three clips with sound, in which a head turns, and one without."""
    import cv2
    import soundfile

    folder = tmp_path_factory.mktemp("cache")
    cache = FilmCache(folder)
    cache.begin(SIDE, engine.bundle.digest)
    source = engine.prepare(films.load_portrait(shared / "data" / "astronaut.png"))
    rows = source.weights + films.performance(engine, FRAMES)
    drawn = [
        cv2.resize(one, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for one in engine.render(source, rows)
    ]
    noise = np.random.default_rng(0).normal(0, 0.1, FRAMES * 640).astype(np.float32)
    for number, (person, emotion) in enumerate([*PEOPLE.items(), ("Silent", "")]):
        has_sound = person != "Silent"
        record = ClipRecord(
            f"{person}/{number}.mp4",
            person,
            emotion,
            number + 1,
            FRAMES,
            ((0, FRAMES, 0),),
            has_sound,
            (),
            "1",
        )
        with ClipWriter(cache, record.name) as writer:
            writer.add(drawn)
            if has_sound:
                soundfile.write(writer.folder / "voice.flac", noise, 16000)
            writer.finish(record, np.zeros((FRAMES, 68, 2), np.float32))
    return folder


def test_a_filmed_head_becomes_takes(cache: Path, engine: Engine) -> None:
    train, held_out = film.build(cache, "starter", "cpu", 2.0)
    assert (len(train), len(held_out)) == (2, 1), "the silent one is left out"
    take = train[0]
    yaw = films.performance(engine, FRAMES)[:, engine.bundle.layout.index("yaw")]
    assert np.corrcoef(take.pose[:, 1], yaw)[0, 1] > 0.9
    assert np.abs(np.median(take.pose, axis=0)).max() < 0.02
    assert take.prosody.shape == (FRAMES, 8) and not len(take.accents)
    assert take.emotions[0, EMOTIONS.index("happy")] == pytest.approx(1 / 3)
    assert train[0].style.tolist() != train[1].style.tolist()
    assert film.style_of("M003").tolist() == train[0].style.tolist()
    with pytest.raises(EDTalkError, match="fewer than two stretches"):
        film.build(cache, "starter", "cpu", 2.0 + 60 / FRAMES_PER_SECOND)


def test_weights_without_names_are_read_through_the_pose_map(engine: Engine) -> None:
    layout = engine.bundle.layout

    class Unnamed:
        slice_of = staticmethod(layout.slice_of)

        @staticmethod
        def has(*_names: str) -> bool:
            return False

    class Reader:
        class bundle:  # noqa: N801
            layout = Unnamed()
            pose_map: Any = None

    pose_map = np.random.default_rng(1).standard_normal((6, 6))
    natural = np.random.default_rng(0).standard_normal((9, 6))
    weights = np.zeros((9, len(layout)))
    weights[:, layout.slice_of(Bank.POSE)] = natural @ pose_map.T
    with pytest.raises(EDTalkError, match="does not say what its pose weights mean"):
        film.natural_pose(weights, Reader)  # type: ignore[arg-type]
    Reader.bundle.pose_map = pose_map
    found = film.natural_pose(weights, Reader)  # type: ignore[arg-type]
    moved = natural @ pose_map.T
    np.testing.assert_allclose(found @ pose_map.T, moved - np.median(moved, axis=0), atol=1e-8)


def test_the_pose_stage_learns_from_film(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = PoseFlowConfig("mdct", 16, steps=1, width=8, radius=1, kernel=3, response=4)
    monkeypatch.setattr(stage, "PoseFlowConfig", lambda *_, **__: small)
    plan = {"film": str(cache), "steps": 2, "hops": 2, "batch": 2, "perturbed": 1}
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    run = ["train", "stage", "pose", "--config", str(tmp_path / "plan.json"), "--out", str(tmp_path)]
    assert main([*run, "--device", "cpu"]) == 0
    flow = PoseFlow(small)
    flow.load_state_dict(load_file(tmp_path / "audio_to_pose.safetensors"))
    assert 0 < float(flow.limit[1]) < 3, "as far as the filmed heads turned"


class Ears(HubertRoberta):
    """Encoders whose features are told beforehand."""

    asked: int = 0

    def sound_feature(self, samples: np.ndarray[Any, Any]) -> torch.Tensor:
        self.asked += 1
        return torch.full((self.config.sound,), float(len(samples)) / 1e5)

    def text_feature(self, text: str) -> torch.Tensor:
        return torch.full((self.config.text,), float(len(text)) / 10)


def heard(cache: Path, engine: Engine, out: Path) -> tuple[utterances.Utterances, Ears]:
    words = out / "words" / "M003"
    words.mkdir(parents=True, exist_ok=True)
    (words / "0.txt").write_text("[happy] Good morning.")
    network = heads.new_network(SemanticsPlan(film="x", encoders="y"), engine.bundle, 8, 6)
    ears = Ears(network.config)
    ears.load_state_dict(network.state_dict())
    return utterances.read(cache, out / "words", engine, ears, out / "kept"), ears


def test_clips_become_utterances_and_are_heard_once(cache: Path, engine: Engine, tmp_path: Path) -> None:
    data, ears = heard(cache, engine, tmp_path)
    assert data.sound.shape == (3, 8) and ears.asked == 3
    assert data.has_text.tolist() == [True, False, False]
    assert data.text[0, 0] == pytest.approx(len("Good morning.") / 10)
    assert data.expression.shape == (3, 10) and np.ptp(data.expression, axis=0).max() < 1e-5
    again, ears = heard(cache, engine, tmp_path)
    assert ears.asked == 0 and (again.expression == data.expression).all()


def test_the_networks_between_learn_and_stop_and_go_on(cache: Path, engine: Engine, tmp_path: Path) -> None:
    data, _ = heard(cache, engine, tmp_path)
    data = utterances.Utterances(
        np.repeat(data.sound, 4, 0), np.repeat(data.text, 4, 0), np.repeat(data.has_text, 4, 0),
        np.random.default_rng(0).random((12, 10)).astype(np.float32),
    )  # fmt: skip
    plan = SemanticsPlan(steps=30, batch=8, learning_rate=3e-3, film="x", encoders="y", every_steps=10)

    def trainer() -> heads.SemanticsTrainer:
        return heads.SemanticsTrainer(tmp_path, plan, heads.new_network(plan, engine.bundle, 8, 6), data)

    first = trainer()
    before = float(first.loss().total.detach())
    assert not first.train(until_step=10)
    second = trainer()
    assert second.state.step == 10 and second.train()
    assert float(second.loss().total.detach()) < before
    assert set(second.validate()) == {"expression", "usual"}
    second.finish()
    part = json.loads((tmp_path / "semantics.json").read_text())
    assert part["kind"] == "hubert_roberta" and part["config"]["outputs"] == 10
    stored = load_file(tmp_path / "semantics.safetensors")
    assert not any("hubert" in name or "roberta" in name for name in stored)
    happy = engine.bundle.manifest.presets["happy"]
    assert stored["presets"][EMOTIONS.index("happy")].float().abs().max() == pytest.approx(
        max(abs(value) for name, value in happy.items() if _is_expression(engine, name)), abs=1e-2
    )


def _is_expression(engine: Engine, name: str) -> bool:
    bank = engine.bundle.layout.slice_of(Bank.EXPRESSION)
    return bank.start <= engine.bundle.layout.index(name) < bank.stop


def test_an_utterance_without_words_keeps_its_sound() -> None:
    draws = torch.tensor([0.1, 0.3, 0.9, 0.3])
    masked = heads.masked_draws(draws, np.array([True, True, True, False]))
    assert masked[:3].tolist() == draws[:3].tolist()
    assert masked[3] < 0.25, "below .25 it is the text that is masked"


def test_the_command_says_what_it_lacks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "stage", "semantics", "--print-config"]) == 0
    assert '"encoders": ""' in capsys.readouterr().out
    assert main(["train", "stage", "semantics", "--out", str(tmp_path)]) == 1
    assert "'film' is missing" in capsys.readouterr().err
    (tmp_path / "plan.json").write_text(json.dumps({"film": str(tmp_path), "encoders": str(tmp_path)}))
    run = ["train", "stage", "semantics", "--config", str(tmp_path / "plan.json"), "--out", str(tmp_path)]
    assert main(run) == 1
    assert "hubert/ and RoBERTa into roberta/" in capsys.readouterr().err
