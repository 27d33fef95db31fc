"""Synthetic heads move as the literature says, are different for every seed, and teach the flow."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from edtalk_server import bundles
from edtalk_server.arrays import Floats
from edtalk_server.bundles import NetworkPart, kinds
from edtalk_server.cli import main
from edtalk_server.evaluation.measures import head_motion
from edtalk_server.media.audio.prosody import COLUMNS, Prosody
from edtalk_server.networks.voice.pose_flow import PoseFlow, PoseFlowConfig
from edtalk_server.training.head import corpus, movement, stage, stress
from edtalk_server.training.head.corpus import Take
from edtalk_server.training.speech.espeak import Espeak
from edtalk_server.training.speech.utterance import Segment
from shared_protocol.emotions import EMOTIONS
from shared_protocol.errors import EDTalkError

FPS = 25


@pytest.fixture(scope="module")
def takes() -> list[Take]:
    try:
        Espeak.shared()
    except EDTalkError:
        pytest.skip("espeak-ng is not installed")
    return [corpus.make_take(np.random.default_rng([1, number])) for number in range(2)]


def spoken(seconds: float = 40.0) -> movement.Voice:
    """Syllables every quarter of a second, each third one louder; speech of 3 s, pauses of 1 s."""
    frames = int(seconds * FPS)
    rows = np.zeros((frames, COLUMNS), np.float32)
    time = np.arange(frames) / FPS
    speaks = time % 4 < 3
    rows[:, Prosody.SINCE_PAUSE] = np.where(speaks, time % 4 + 0.04, 0)
    rows[:, Prosody.ENERGY] = np.where(speaks, -1.5, -4)
    starts = [s for s in np.arange(0.1, seconds - 1, 0.25) if s % 4 < 2.8]
    for number, start in enumerate(starts):
        rows[int(start * FPS) : int((start + 0.1) * FPS) + 1, Prosody.ENERGY] = (
            -0.5 if number % 3 == 0 else -1.0
        )
    segments = [Segment("a", start, start + 0.1) for start in starts]
    said = stress.syllables(segments, rows)
    return movement.Voice(rows, said, stress.accents(said))


def moved(emotion: str | None = None, seed: int = 0) -> Floats:
    voice = spoken()
    emotions = np.zeros((len(voice.rows), len(EMOTIONS)), np.float32)
    if emotion:
        emotions[:, EMOTIONS.index(emotion)] = 1.0
    return movement.move(voice, emotions, np.zeros(movement.HABITS), np.random.default_rng(seed))


def test_louder_syllables_are_the_accents_and_none_crowd() -> None:
    voice = spoken()
    levels = [voice.rows[int(one.middle * FPS), Prosody.ENERGY] for one in voice.accents]
    assert np.mean(np.array(levels) == -0.5) > 0.8
    assert np.diff([one.middle for one in voice.accents]).min() >= 0.4


def test_phrases_lie_between_pauses_and_know_them() -> None:
    found = stress.phrases(spoken().rows)
    assert [round(one.start) for one in found] == list(range(0, 40, 4))
    assert all(one.end - one.start == pytest.approx(3, abs=0.1) for one in found)
    assert found[1].pause == pytest.approx(1, abs=0.1)


def test_a_seed_is_one_movement_and_another_seed_another() -> None:
    assert (moved(seed=3) == moved(seed=3)).all()
    assert np.abs(moved(seed=3) - moved(seed=4)).max() > 0.05


def test_people_nod_far_more_than_they_turn() -> None:
    deviation = np.mean([moved(seed=seed)[:, :3].std(0) * 20 for seed in range(8)], axis=0)
    assert deviation == pytest.approx([3.3, 0.9, 0.8], rel=0.5)
    assert deviation[0] > 2.5 * deviation[1]


def test_the_head_rests_in_pauses() -> None:
    speed = np.linalg.norm(np.diff(moved()[:, :3] * 20, axis=0), axis=1) * FPS
    second = np.arange(1, 1000) / FPS % 4
    assert (speed[(second > 3.4) & (second < 3.65)] > 1).mean() < 0.2 < (speed[second < 2.8] > 1).mean()


def test_happy_heads_are_about_twice_as_fast_and_sad_ones_slow() -> None:
    happy, neutral, sad = (
        np.mean([np.abs(np.diff(moved(emotion, seed)[:, :3], axis=0)).mean() for seed in range(6)])
        for emotion in ("happy", None, "sad")
    )
    assert happy / neutral == pytest.approx(2.0, abs=0.6)
    assert sad < 0.75 * neutral


def test_nods_are_lowest_at_accents() -> None:
    voice, near = spoken(), []
    accents = np.array([one.middle for one in voice.accents])
    for seed in range(8):
        near.append(head_motion.nods_near_accents(moved(seed=seed)[:, 0].astype(np.float64) * 20, accents))
    assert np.concatenate(near).mean() > 0.6


def test_a_take_is_a_minute_of_somebody(takes: list[Take]) -> None:
    take = takes[0]
    assert 55 * FPS < len(take.pose) < 80 * FPS
    assert len(take.prosody) == len(take.emotions) == len(take.pose)
    assert np.isfinite(take.pose).all() and np.abs(take.pose).max() < 1.5
    assert takes[1].pose[:100].tolist() != take.pose[:100].tolist()


def test_a_corpus_is_made_once(tmp_path: Path, takes: list[Take], monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[bool] = []

    def make(_rng: object, _share: float, held_out: bool) -> Take:
        made.append(held_out)
        return takes[0]

    monkeypatch.setattr(corpus, "make_take", make)
    config = corpus.HeadCorpusConfig(takes=2, held_out=1)
    train, held_out = corpus.build(tmp_path, config)
    assert (len(train), len(held_out), made) == (2, 1, [True, False, False])
    corpus.build(tmp_path, config)
    assert len(made) == 3
    corpus.build(tmp_path, replace(config, seed=9))
    assert len(made) == 6, "another recipe makes another corpus"


@pytest.mark.parametrize(("squeeze", "response"), [("mdct", 8), ("none", 8), ("mdct", 0)])
def test_training_goes_on_where_it_stopped_and_exports_a_part(
    tmp_path: Path, takes: list[Take], squeeze: str, response: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    hop = 16 if squeeze == "mdct" else 1
    small = PoseFlowConfig(squeeze, hop, steps=2, width=16, radius=2, kernel=3, response=response)
    monkeypatch.setattr(stage, "PoseFlowConfig", lambda *_, **__: small)
    plan = stage.PosePlan(
        steps=6, batch=3, hops=8, perturbed=1, squeeze=squeeze, response=response, response_steps=3
    )
    first = stage.PoseTrainer(tmp_path, plan, takes[:1], takes[1:])
    assert not first.train(until_step=3)
    again = stage.PoseTrainer(tmp_path, plan, takes[:1], takes[1:])
    assert again.state.step == 3
    outcome = again.loss()
    outcome.total.backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in again.parameters())
    if again.network.response is not None:
        kept = {name: value.clone() for name, value in again.network.response.state_dict().items()}
        assert any(value.abs().max() > 0 for name, value in kept.items() if name.startswith("output"))
        assert not any(p.requires_grad for p in again.network.response.parameters())
    assert set(outcome.values) == {"nll", "reconstruction", "temporal"}
    assert again.train()
    if again.network.response is not None:
        now = again.network.response.state_dict()
        assert all(torch.equal(value, now[name]) for name, value in kept.items()), "the flow alone learns"
    again.finish()
    part = NetworkPart("pose_flow", small.to_dict(), "audio_to_pose.safetensors")
    assert isinstance(kinds.build("audio_to_pose", part), PoseFlow)
    assert (tmp_path / "audio_to_pose.safetensors").is_file()


def test_the_most_prominent_accents_nod() -> None:
    said = [stress.Syllable(0.5 * n, 0.5 * n + 0.1, n / 50) for n in range(50)]
    gestures = [movement.gestures_of(said, np.random.default_rng(seed)) for seed in range(20)]
    nods = np.array([[g in (movement.Gesture.NOD, movement.Gesture.NOD_UP) for g in one] for one in gestures])
    assert nods.mean() == pytest.approx(0.6)
    assert nods[:, 40:].mean() > 0.9 > 0.3 > nods[:, :10].mean()
    assert np.mean([g is movement.Gesture.SWING for one in gestures for g in one]) == pytest.approx(0.2)


def test_the_head_sinks_with_loudness() -> None:
    rows = spoken().rows
    nodding = np.mean(
        [
            head_motion.nodding_with_loudness(moved(seed=seed)[:, 0].astype(np.float64), rows)
            for seed in range(4)
        ]
    )
    assert nodding < -0.2


def test_a_response_learns_where_in_a_phrase_the_head_goes_down() -> None:
    torch.manual_seed(0)
    flow = PoseFlow(PoseFlowConfig(steps=1, width=16, response=8))
    rows = np.random.default_rng(0).standard_normal((4, 16 * 20, COLUMNS)).astype(np.float32)
    pose = np.zeros((4, 16 * 20, 6), np.float32)
    pose[:, 5:, 0] = -rows[:, :-5, Prosody.ENERGY]  # five frames after each loud one
    batch = stage.Batch(*map(torch.from_numpy, (pose, rows, np.zeros_like(rows))), style=torch.zeros(4, 8))
    hops, deviation = flow.hops(batch.pose), torch.ones(flow.config.channels)
    optimizer = torch.optim.Adam(flow.parameters(), 0.01)
    losses = []
    for _ in range(60):
        loss = stage.expected_loss(flow, stage.condition_of(flow, batch), hops, deviation)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]


def calibrated(told: float) -> tuple[PoseFlow, stage.Stretches]:
    """A flow that draws plain noise, for movements of deviation 1.2; `told` is what its response expects."""
    flow = PoseFlow(PoseFlowConfig(steps=1, width=16, response=8)).eval()
    assert flow.response is not None and flow.response.output.bias is not None
    torch.nn.init.constant_(flow.response.output.bias, told)
    still = np.zeros((400, COLUMNS), np.float32)
    pose = 1.2 * np.random.default_rng(0).standard_normal((400, 6)).astype(np.float32)
    stretches = stage.Stretches([Take(still, still, pose, np.zeros(8, np.float32), np.zeros(0))], 16 * 10)
    stage.calibrate(flow, stretches)
    return flow, stretches


def test_samples_are_as_strong_as_the_data_at_each_frequency() -> None:
    flow, stretches = calibrated(0.0)
    pitch, others = flow.chance[::6], flow.chance.unflatten(0, (16, 6))[:, 1:]
    assert pitch.mean() == pytest.approx(1.2, rel=0.05) and others.mean() == pytest.approx(1.08, rel=0.05)
    assert (flow.emphasis == 1).all()
    batch = stretches.draw(np.random.default_rng(1), 8)
    condition = stage.condition_of(flow, batch)
    drawn = flow.sampled(torch.randn(8, condition.shape[1], flow.config.channels), condition)
    assert drawn[..., 0].detach().std().item() == pytest.approx(1.2, rel=0.05)


def test_quick_nods_get_less_chance_and_more_voice() -> None:
    flow, _ = calibrated(0.1)
    quick = torch.zeros(flow.config.channels, dtype=torch.bool)
    quick[6::6] = True  # pitch but its slowest frequency
    assert (flow.emphasis[~quick] == 1).all() and (flow.emphasis[quick] > 1).all()
    assert flow.chance[quick].mean() == pytest.approx(0.09 * 1.2, rel=0.1)
    assert flow.chance[~quick].mean() == pytest.approx(1.08, rel=0.05)


def test_a_run_can_start_from_a_bundles_flow() -> None:
    starter = bundles.load("starter").audio_to_pose
    if starter is None:
        pytest.skip("the starter has no flow")
    network = PoseFlow(PoseFlowConfig(response=starter.config.response or 8))
    stage.start_from(network, "starter")
    assert (network.steps[0].coupling.kept, float(network.pose_mean.abs().max())) == (48, 0.0)
    assert torch.equal(network.steps[3].norm.shift, starter.steps[3].norm.shift)
    with pytest.raises(EDTalkError, match="of the plan's sizes"):
        stage.start_from(PoseFlow(PoseFlowConfig(steps=2)), "starter")


def test_the_flows_own_noise_teaches_nothing_and_noise_nearby_does(takes: list[Take]) -> None:
    torch.manual_seed(0)
    flow = PoseFlow(PoseFlowConfig(steps=2, width=16))
    batch = stage.Stretches(takes, 16 * 6).draw(np.random.default_rng(0), 2)
    hops, condition = flow.hops(batch.pose), stage.condition_of(flow, batch)
    noise, _ = flow(hops, condition)
    own = stage.perturbed_losses(flow, flow.inverse(stage.perturb(noise, 0.0), condition), hops)
    near = stage.perturbed_losses(flow, flow.inverse(stage.perturb(noise, 0.3), condition), hops)
    assert max(part.item() for part in own) < 1e-4
    assert min(part.item() for part in near) > 0.01


def test_the_report_of_a_flow_compares_it_with_the_truth(takes: list[Take]) -> None:
    torch.manual_seed(0)
    flow = PoseFlow(PoseFlowConfig(steps=2, width=16)).eval().requires_grad_(False)
    lines = head_motion.report(flow, takes[:1], 1.0, 1)
    assert lines[0].startswith("| temperature 1 |") and len(lines) == 11
    compared = head_motion.report(flow, takes[:1], 1.0, 2)
    assert len(compared) == 12 and "two seeds' correlation" in compared[9]
    part = head_motion.cut(takes[0], head_motion.usable(flow, takes[0]))
    true = head_motion.measure([part.pose], [part])
    assert f"{true.voice:.2f}" in lines[7]
    assert head_motion.sample(flow, takes[0], 0, 1.0).shape == part.pose.shape


def test_slow_movements_are_left_where_nods_are_taken_away() -> None:
    seconds = np.arange(500) / 25
    slow, nods = np.sin(seconds / 2), 0.3 * np.sin(2 * np.pi * 2.5 * seconds)
    pose = np.stack([slow + nods] * 6, axis=1).astype(np.float32)
    left = head_motion.without_nods(pose)
    assert left.shape == pose.shape
    assert np.abs(left[25:-25, 0] - slow[25:-25]).max() < 0.03


def test_the_command_shows_its_plan_and_refuses_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "stage", "pose", "--print-config"]) == 0
    assert '"tau": 0.3' in capsys.readouterr().out
    (tmp_path / "plan.json").write_text('{"depth": 3}')
    assert (
        main(["train", "stage", "pose", "--config", str(tmp_path / "plan.json"), "--out", str(tmp_path)]) == 1
    )
    assert "depth" in capsys.readouterr().err
