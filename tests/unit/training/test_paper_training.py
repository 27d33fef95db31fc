"""The paper's stages, at the size of a stamp: they learn, freeze what they promise to freeze, and can be killed."""

from __future__ import annotations

import copy
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cartoons import Cartoons, SwappingCartoons
from torch import Tensor

from edtalk_server.networks.config import EDTalkConfig
from edtalk_server.networks.interface import Encoding
from edtalk_server.training.datasets.interface import ClipBatch, ClipSet, Mixed, SwapBatch
from edtalk_server.training.loop import checkpoint
from edtalk_server.training.loop.processes import ProcessGroup
from edtalk_server.training.paper.composites import paste_mouths
from edtalk_server.training.paper.config import (
    Ablation,
    AdversarialKind,
    Critic,
    Judging,
    LossWeights,
    Optimization,
    StageConfig,
    StageName,
    path_of,
)
from edtalk_server.training.paper.losses import MouthConsistency
from edtalk_server.training.paper.model import Drawing, MotionLatents, PaperModel
from edtalk_server.training.paper.stage import DrawingStage
from edtalk_server.training.paper.trainer import PaperTrainer
from shared_protocol.errors import EDTalkError

ALONE = ProcessGroup()
TINY = EDTalkConfig(size=32, style_dim=40, width_base=256, width_max=16, enhancement_hidden=8)
CONFIG = StageConfig(
    network=TINY,
    batch=2,
    steps=30,
    window=3,
    critic=Critic(width=8, depth=2, scales=1),
    judging=Judging(scales=1),
    optimization=Optimization(generator_rate=3e-3, generator_memory=0.99, average=0.9),
    tensorboard=False,
)
DRAWING = (StageName.RECONSTRUCTION, StageName.MOUTH_POSE, StageName.EXPRESSION)
SPEAKING = (StageName.SYNC, StageName.LIPS)  # tests/unit/training/test_lips.py


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Repeating:
    """Another set's first batch, again and again."""

    def __init__(self, data: ClipSet) -> None:
        self.size, self.has_truth, self.consecutive = data.size, data.has_truth, data.consecutive
        self._data = data

    def clips(self, rng: np.random.Generator, count: int, length: int) -> ClipBatch:
        return self._data.clips(np.random.default_rng(0), count, length)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the first two stages have taken a few steps."""
    folder = tmp_path_factory.mktemp("run")
    for name in (StageName.RECONSTRUCTION, StageName.MOUTH_POSE):
        PaperTrainer(name, CONFIG, SwappingCartoons(), folder, ALONE).train(until_step=2)
    return folder


def begun(trained: Path, tmp_path: Path, *names: StageName) -> Path:
    """A new folder with the checkpoints of those stages."""
    for name in names:
        (tmp_path / f"{name}.pt").write_bytes((trained / f"{name}.pt").read_bytes())
    return tmp_path


def parameters(trainer: PaperTrainer) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in trainer.stage.named_parameters()}


def changed(before: dict[str, Tensor], trainer: PaperTrainer) -> set[str]:
    return {name for name, value in parameters(trainer).items() if not torch.equal(value, before[name])}


# --- learning ---


@pytest.mark.parametrize("name", [name for name in StageName if name not in SPEAKING])
@pytest.mark.parametrize("truth", [True, False], ids=["rendered", "filmed"])
def test_a_stage_learns_a_batch_that_it_sees_again_and_again(
    name: StageName, truth: bool, trained: Path, tmp_path: Path
) -> None:
    if name is StageName.FEATURES and not truth:
        pytest.skip("feature networks learn from renders only")
    folder = begun(trained, tmp_path, *DRAWING[:2])
    (folder / f"{name}.pt").unlink(missing_ok=True)
    quiet = replace(CONFIG.weights, adversarial=0.0)
    trainer = PaperTrainer(name, replace(CONFIG, weights=quiet), Repeating(Cartoons(truth)), folder, ALONE)
    totals = [float(trainer.advance().total) for _ in range(12)]
    assert min(totals[-3:]) < 0.97 * max(totals[:2]), totals
    if name is not StageName.FEATURES:
        assert ("flow" in trainer.advance().values) == truth


def test_pictures_of_swaps_come_nearer_the_truth(trained: Path, tmp_path: Path) -> None:
    class OneSwap(SwappingCartoons):
        def factor_swaps(self, rng: np.random.Generator, *rest: Any, **more: Any) -> Any:
            return super().factor_swaps(np.random.default_rng(0), *rest, **more)

    only = LossWeights(perceptual=0.0, adversarial=0.0, feature=0.0, flow=0.0, mask=0.0, probe=0.0)
    config = replace(CONFIG, weights=only, swap_share=1.0)
    trainer = PaperTrainer(
        StageName.MOUTH_POSE, config, OneSwap(), begun(trained, tmp_path, DRAWING[0]), ALONE
    )
    errors = [float(trainer.advance().values["reconstruction"]) for _ in range(15)]
    assert errors[-1] < 0.9 * errors[0]


def test_adversaries_work_against_each_other(tmp_path: Path) -> None:
    for kind in AdversarialKind:
        config = replace(CONFIG, critic=replace(CONFIG.critic, kind=kind, first_step=1))
        trainer = PaperTrainer(
            StageName.RECONSTRUCTION, config, Repeating(Cartoons()), tmp_path / kind, ALONE
        )
        before = copy.deepcopy(trainer.critic.state_dict())
        assert "adversarial" not in trainer.advance().values
        assert all(torch.equal(v, before[k]) for k, v in trainer.critic.state_dict().items())
        losses = [trainer.advance().values for _ in range(6)]
        assert float(losses[-1]["critic"]) < float(losses[0]["critic"])


def test_the_averaged_network_follows_more_slowly(tmp_path: Path) -> None:
    trainer = PaperTrainer(StageName.RECONSTRUCTION, CONFIG, Repeating(Cartoons()), tmp_path, ALONE)
    first = copy.deepcopy(trainer.stage.model.state_dict())
    for _ in range(5):
        trainer.advance()
    name = "network.generator.constant"
    moved = (trainer.stage.model.state_dict()[name] - first[name]).norm()
    followed = (trainer.average.state_dict()[name] - first[name]).norm()
    assert 0 < followed < moved


# --- what is trained, what is frozen ---


def test_every_part_of_the_first_stages_is_reached_by_a_gradient(tmp_path: Path) -> None:
    for name in DRAWING[:2]:
        trainer = PaperTrainer(name, CONFIG, Cartoons(), tmp_path / name, ALONE)
        before = parameters(trainer)
        trainer.advance()
        trainer.advance()
        still = {n for n in before if before[n].requires_grad} - changed(before, trainer)
        untaught = [
            n for n, p in trainer.stage.named_parameters() if p.requires_grad and not _has_gradient(p)
        ]
        assert (still, untaught) == (set(), [])
        frozen = set(before) - changed(before, trainer)
        assert all("enhancement" in n or "heads.banks.2" in n or "probes.maps.2" in n for n in frozen)


def test_with_a_frozen_backbone_the_mouth_pose_stage_changes_heads_and_banks_alone(
    trained: Path, tmp_path: Path
) -> None:
    frozen = replace(CONFIG, freeze_backbone=True)
    trainer = PaperTrainer(
        StageName.MOUTH_POSE, frozen, SwappingCartoons(), begun(trained, tmp_path, DRAWING[0]), ALONE
    )
    before = parameters(trainer)
    for _ in range(4):
        trainer.advance()
    heads = ("shared", "banks.0", "banks.1")
    learning = [n for n in before if n.startswith(tuple(f"model.network.heads.{part}." for part in heads))]
    moved = changed(before, trainer)
    assert {*learning, "model.network.banks.directions"} <= moved
    assert not any(
        part in name for name in moved for part in ("encoder", "generator", "enhancement", "banks.2")
    )


def test_a_frozen_backbone_that_nobody_trained_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EDTalkError, match="reconstruction"):
        PaperTrainer(StageName.MOUTH_POSE, replace(CONFIG, freeze_backbone=True), Cartoons(), tmp_path, ALONE)


def _no_losses() -> dict[str, float]:
    return {field.name: 0.0 for field in fields(LossWeights)}


def _has_gradient(parameter: Tensor) -> bool:
    return parameter.grad is not None and bool((parameter.grad != 0).any())


@pytest.mark.parametrize("data", [SwappingCartoons(), Cartoons(truth=False)], ids=["rendered", "filmed"])
def test_the_expression_stage_changes_expression_head_bank_and_enhancement_only(
    data: ClipSet, trained: Path, tmp_path: Path
) -> None:
    trainer = PaperTrainer(StageName.EXPRESSION, CONFIG, data, begun(trained, tmp_path, DRAWING[1]), ALONE)
    before, q_before = parameters(trainer), _basis(trainer)
    for _ in range(4):
        trainer.advance()
    moved = changed(before, trainer)
    allowed = ("model.network.heads.banks.2.", "model.network.enhancement.", "probes.maps.2.")
    directions = "model.network.banks.directions"
    assert all(name == directions or name.startswith(allowed) for name in moved)
    learned = {name for name in before if name.startswith(allowed[:2])}
    assert learned <= moved
    assert torch.equal(before[directions][:, :26], parameters(trainer)[directions][:, :26])
    assert not torch.equal(before[directions][:, 26:], parameters(trainer)[directions][:, 26:])
    assert torch.allclose(q_before[:, :26], _basis(trainer)[:, :26], atol=1e-6)


def _basis(trainer: PaperTrainer) -> Tensor:
    basis = trainer.stage.model.basis()  # type: ignore[operator]
    return basis.detach()  # type: ignore[no-any-return]


def test_the_expression_stage_begins_with_the_pictures_of_the_stage_before(
    trained: Path, tmp_path: Path
) -> None:
    trainer = PaperTrainer(
        StageName.EXPRESSION, CONFIG, Cartoons(), begun(trained, tmp_path, DRAWING[1]), ALONE
    )
    model = trainer.stage.model
    assert isinstance(model, PaperModel)
    batch = Cartoons().clips(np.random.default_rng(5), 2, 1)
    with torch.no_grad():
        source, motion = model.encode(batch.source), model.estimate(model.encode(batch.frames[:, 0]).latent)
        before = model.draw(source, motion.mouth + motion.pose).picture
        now = model.draw(source, torch.stack(motion).sum(0), motion.expression).picture
    assert float((now - before).abs().mean()) < 0.15 * float(before.std())


def test_expression_without_the_stages_before_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EDTalkError, match="mouth_pose"):
        PaperTrainer(StageName.EXPRESSION, CONFIG, Cartoons(), tmp_path, ALONE)


def test_expression_is_the_mean_over_the_window(trained: Path, tmp_path: Path) -> None:
    trainer = PaperTrainer(
        StageName.EXPRESSION, CONFIG, Cartoons(), begun(trained, tmp_path, DRAWING[1]), ALONE
    )
    asked: list[tuple[int, int]] = []

    class Watching(Cartoons):
        def clips(self, rng: np.random.Generator, count: int, length: int) -> ClipBatch:
            asked.append((count, length))
            return super().clips(rng, count, length)

    batch = trainer.stage.batch(CONFIG, Watching(), np.random.default_rng(0))
    assert isinstance(batch, ClipBatch)
    assert asked == [(2, CONFIG.window)]
    shuffled = replace(batch, frames=batch.frames[:, [2, 1, 0]])
    outcomes = [trainer.stage(one, adversarial=False) for one in (batch, shuffled)]
    assert torch.allclose(outcomes[0].drawn, outcomes[1].drawn, atol=1e-5)
    frames = batch.frames.clone()
    frames[:, 0] = frames[:, 0].flip(-2)
    other = trainer.stage(replace(batch, frames=frames), adversarial=False)
    assert not torch.allclose(outcomes[0].drawn, other.drawn, atol=1e-5)


# --- who lends what to whom ---


def styles_drawn(
    trainer: PaperTrainer, batch: ClipBatch | SwapBatch, monkeypatch: pytest.MonkeyPatch
) -> list[Tensor]:
    """The motion latents that the generator is given for a batch, in order."""
    model = trainer.stage.model
    assert isinstance(model, PaperModel)
    given: list[Tensor] = []
    draw = model.draw

    def watched(source: Encoding, motion: Tensor, expression: Tensor | None = None) -> Drawing:
        given.append(motion.detach())
        return draw(source, motion, expression)

    monkeypatch.setattr(model, "draw", watched)
    trainer.stage(batch, adversarial=False)
    return given


def estimated(trainer: PaperTrainer, pictures: Tensor) -> MotionLatents:
    model = trainer.stage.model
    assert isinstance(model, PaperModel)
    with torch.no_grad():
        return model.estimate(model.encode(pictures).latent)


def test_filmed_people_are_redrawn_with_mouth_and_pose_from_two_composites(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = PaperTrainer(
        StageName.MOUTH_POSE, CONFIG, Cartoons(truth=False), begun(trained, tmp_path, DRAWING[0]), ALONE
    )
    batch = Cartoons(truth=False).clips(np.random.default_rng(0), 2, 1)
    a, b = batch.frames[:1, 0], batch.frames[1:, 0]
    marks_a, marks_b = batch.landmarks[:1, 0], batch.landmarks[1:, 0]
    a_with_mouth_of_b = paste_mouths(a, marks_a, b, marks_b)
    b_with_mouth_of_a = paste_mouths(b, marks_b, a, marks_a)
    for_a = estimated(trainer, b_with_mouth_of_a).mouth + estimated(trainer, a_with_mouth_of_b).pose
    for_b = estimated(trainer, a_with_mouth_of_b).mouth + estimated(trainer, b_with_mouth_of_a).pose
    crossed, itself = styles_drawn(trainer, batch, monkeypatch)
    assert torch.allclose(crossed, torch.cat([for_a, for_b]), atol=1e-4)
    own = estimated(trainer, torch.cat([a, b]))
    assert torch.allclose(itself, own.mouth + own.pose, atol=1e-4)


def test_swaps_take_each_factor_from_its_driver(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    swap = SwappingCartoons().factor_swaps(np.random.default_rng(0), 2)
    folder = begun(trained, tmp_path, DRAWING[1])
    trainer = PaperTrainer(StageName.MOUTH_POSE, CONFIG, SwappingCartoons(), folder, ALONE)
    mouth, pose = estimated(trainer, swap.mouth).mouth, estimated(trainer, swap.pose).pose
    assert torch.allclose(styles_drawn(trainer, swap, monkeypatch)[0], mouth + pose, atol=1e-4)
    trainer = PaperTrainer(StageName.EXPRESSION, CONFIG, SwappingCartoons(), folder, ALONE)
    whole = (
        estimated(trainer, swap.mouth).mouth
        + estimated(trainer, swap.pose).pose
        + estimated(trainer, swap.expression).expression
    )
    assert torch.allclose(styles_drawn(trainer, swap, monkeypatch)[0], whole, atol=1e-4)


@pytest.mark.parametrize("data", [SwappingCartoons(), Cartoons()], ids=["swaps", "pairs"])
def test_without_the_self_branch_it_is_neither_drawn_nor_taught(
    data: Cartoons, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = replace(CONFIG, swap_share=1.0, weights=replace(CONFIG.weights, self_reconstruction=0.0))
    trainer = PaperTrainer(StageName.MOUTH_POSE, without, data, begun(trained, tmp_path, DRAWING[0]), ALONE)
    batch = trainer.stage.batch(without, data, np.random.default_rng(0))
    assert len(styles_drawn(trainer, batch, monkeypatch)) == 1
    outcome = trainer.stage(batch, adversarial=True)
    assert [len(one) for one in (outcome.source, outcome.drawn, outcome.true)] == [
        2,
        2,
        2,
    ]  # one branch of two
    trainer.stage.config = replace(without, weights=CONFIG.weights)
    both = trainer.stage(batch, adversarial=True)
    for name in ("flow", "mask", "probe"):  # losses of one name add up over the branches
        assert 0 < float(outcome.values[name]) < float(both.values[name])


def test_mouth_consistency_reads_the_target_also_where_another_person_lends_the_mouth(
    trained: Path, tmp_path: Path
) -> None:
    only = LossWeights(**{**_no_losses(), "mouth_consistency": 1.0})
    trainer = PaperTrainer(
        StageName.EXPRESSION,
        replace(CONFIG, weights=only),
        SwappingCartoons(),
        begun(trained, tmp_path, DRAWING[1]),
        ALONE,
    )
    swap = SwappingCartoons().factor_swaps(np.random.default_rng(0), 2)
    outcome = trainer.stage(swap, adversarial=False)
    drawn, target, driver = (
        estimated(trainer, one).mouth for one in (outcome.drawn, swap.target, swap.mouth)
    )
    wanted, other = (float(MouthConsistency()(drawn, mouth)) for mouth in (target, driver))
    assert wanted != pytest.approx(other, rel=1e-3)
    assert float(outcome.total.detach()) == pytest.approx(wanted, rel=1e-4)


# --- orthogonality and ablations ---


def test_banks_stay_orthonormal_within_and_between(trained: Path, tmp_path: Path) -> None:
    for name in DRAWING:
        folder = (
            begun(trained, tmp_path / name, *()) if name is DRAWING[0] else _copied(trained, tmp_path / name)
        )
        trainer = PaperTrainer(name, CONFIG, SwappingCartoons(), folder, ALONE)
        for _ in range(3):
            trainer.advance()
        q = _basis(trainer)
        assert float((q.T @ q - torch.eye(36)).abs().max()) < 1e-5


def _copied(trained: Path, folder: Path) -> Path:
    folder.mkdir()
    return begun(trained, folder, *DRAWING[:2])


def test_without_orthogonality_directions_are_as_learned(tmp_path: Path) -> None:
    config = replace(CONFIG, ablation=Ablation(orthogonal=False))
    trainer = PaperTrainer(StageName.RECONSTRUCTION, config, Cartoons(), tmp_path, ALONE)
    trainer.advance()
    q = _basis(trainer)
    assert float((q.T @ q - torch.eye(36)).abs().max()) > 1e-2
    assert torch.allclose(q.norm(dim=0), torch.ones(36), atol=1e-5)


def test_without_banks_the_heads_say_style_latents(tmp_path: Path) -> None:
    config = replace(CONFIG, ablation=Ablation(bank=False))
    for name in DRAWING:
        trainer = PaperTrainer(name, config, SwappingCartoons(), tmp_path, ALONE)
        before = parameters(trainer)
        trainer.train(until_step=2)
        assert trainer.stage.model.basis() is None  # type: ignore[operator]
        assert "model.network.banks.directions" not in changed(before, trainer)
        assert any("heads.banks" in one for one in changed(before, trainer))
    model = trainer.stage.model
    assert isinstance(model, PaperModel)
    motion = model.estimate(torch.randn(64, TINY.style_dim))
    assert int(torch.linalg.matrix_rank(motion.pose)) > TINY.pose


def test_without_enhancement_the_features_stay_as_they_are(trained: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, ablation=Ablation(enhancement=False))
    trainer = PaperTrainer(
        StageName.EXPRESSION, config, Cartoons(), begun(trained, tmp_path, DRAWING[1]), ALONE
    )
    before = parameters(trainer)
    trainer.advance()
    assert changed(before, trainer)
    assert not any("enhancement" in name for name in changed(before, trainer))
    model = trainer.stage.model
    assert isinstance(model, PaperModel)
    source = model.encode(Cartoons().clips(np.random.default_rng(0), 1, 1).source)
    style, expression = torch.zeros(1, 40), torch.ones(1, 40)
    assert torch.equal(model.draw(source, style).picture, model.draw(source, style, expression).picture)


LOSSES_OF = {
    StageName.RECONSTRUCTION: {"reconstruction", "perceptual", "adversarial", "flow", "mask", "probe"},
    StageName.MOUTH_POSE: {
        "reconstruction",
        "perceptual",
        "adversarial",
        "feature",
        "self_reconstruction",
        "flow",
        "mask",
        "probe",
    },
    StageName.EXPRESSION: {
        "reconstruction",
        "perceptual",
        "adversarial",
        "motion",
        "mouth_consistency",
        "flow",
        "mask",
        "probe",
    },
}


@pytest.mark.parametrize("name", DRAWING)
def test_a_loss_of_weight_zero_is_gone_and_changes_the_step(
    name: StageName, trained: Path, tmp_path: Path
) -> None:
    def stage_with(weights: LossWeights, folder: str) -> PaperTrainer:
        config = replace(CONFIG, weights=weights)
        place = _copied(trained, tmp_path / folder) if name is not DRAWING[0] else tmp_path / folder
        (place / f"{name}.pt").unlink(missing_ok=True)
        return PaperTrainer(name, config, Cartoons(), place, ALONE)

    whole = stage_with(CONFIG.weights, "whole").advance()
    assert set(whole.values) - {"critic"} == LOSSES_OF[name]
    for number, loss in enumerate(sorted(LOSSES_OF[name])):
        outcome = stage_with(replace(CONFIG.weights, **{loss: 0.0}), str(number)).advance()
        assert set(outcome.values) - {"critic"} == LOSSES_OF[name] - {loss}
        assert float(outcome.total) < float(whole.total)


@pytest.mark.parametrize("name", DRAWING)
def test_each_loss_alone_teaches_the_network_something(
    name: StageName, trained: Path, tmp_path: Path
) -> None:
    folder = begun(trained, tmp_path, *DRAWING[:2])
    trainer = PaperTrainer(name, CONFIG, Cartoons(), folder, ALONE)
    batch = trainer.stage.batch(CONFIG, Cartoons(), np.random.default_rng(0))
    nothing = dict.fromkeys(LOSSES_OF[StageName.MOUTH_POSE] | LOSSES_OF[StageName.EXPRESSION], 0.0)
    for loss in LOSSES_OF[name]:
        factors = {**nothing, loss: 1.0}
        if loss == "self_reconstruction":
            factors["reconstruction"] = 1.0  # what it is made of
        trainer.stage.config = replace(CONFIG, weights=LossWeights(**factors))
        trainer.stage.zero_grad()
        trainer.stage(batch, adversarial=True).total.backward()
        taught = [n for n, p in trainer.stage.model.named_parameters() if _has_gradient(p)]
        assert taught, loss
        assert all(p.grad is None for p in trainer.critic.parameters())


# --- being killed, and going on ---


@pytest.mark.parametrize("name", [StageName.MOUTH_POSE, StageName.EXPRESSION])
def test_a_run_that_was_stopped_ends_like_one_that_was_not(
    name: StageName, trained: Path, tmp_path: Path
) -> None:
    data = Mixed([(SwappingCartoons(), 1.0), (Cartoons(truth=False), 1.0)])
    folders = [_copied(trained, tmp_path / which) for which in ("whole", "parts")]
    for folder in folders:
        (folder / f"{name}.pt").unlink(missing_ok=True)
    PaperTrainer(name, CONFIG, data, folders[0], ALONE).train(until_step=5)
    for until in (1, 3, 5):
        PaperTrainer(name, CONFIG, data, folders[1], ALONE).train(until_step=until)
    whole, parts = (checkpoint.load(path_of(folder, name)) for folder in folders)
    assert whole["progress"]["step"] == parts["progress"]["step"] == 5
    for part in ("network", "average", "critic"):
        assert all(torch.equal(value, parts[part][key]) for key, value in whole[part].items()), part


def test_batches_prepared_ahead_are_the_same_batches(tmp_path: Path) -> None:
    ends = []
    for workers in (0, 1):
        trainer = PaperTrainer(
            StageName.RECONSTRUCTION,
            replace(CONFIG, workers=workers),
            Cartoons(),
            tmp_path / str(workers),
            ALONE,
        )
        ends.append([float(trainer.advance().total) for _ in range(2)])
    assert ends[0] == ends[1]


def test_an_interrupt_saves_what_was_learned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = PaperTrainer(StageName.RECONSTRUCTION, CONFIG, Cartoons(), tmp_path, ALONE)
    step = trainer.advance

    def interrupted() -> Any:
        if trainer.state.step == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return step()

    monkeypatch.setattr(trainer, "advance", interrupted)
    assert trainer.train() is False
    assert checkpoint.load(trainer.path)["progress"]["step"] == 3


def test_a_run_that_blew_up_leaves_its_last_good_checkpoint(tmp_path: Path) -> None:
    trainer = PaperTrainer(StageName.RECONSTRUCTION, CONFIG, Cartoons(), tmp_path, ALONE)
    trainer.train(until_step=1)
    good = trainer.path.read_bytes()
    with torch.no_grad():
        trainer.stage.model.network.generator.constant.fill_(torch.nan)  # type: ignore[union-attr,operator]
    with pytest.raises(EDTalkError, match="not finite"):
        trainer.save()
    assert trainer.path.read_bytes() == good


@pytest.mark.parametrize(
    "other",
    [
        {"network": replace(TINY, style_dim=48)},
        {"ablation": Ablation(orthogonal=False)},
        {"ablation": Ablation(enhancement=False)},
    ],
)
def test_a_run_cannot_go_on_as_another_network(other: dict[str, Any], tmp_path: Path) -> None:
    PaperTrainer(StageName.RECONSTRUCTION, CONFIG, Cartoons(), tmp_path, ALONE).train(until_step=1)
    with pytest.raises(EDTalkError, match="trained with another"):
        PaperTrainer(StageName.RECONSTRUCTION, replace(CONFIG, **other), Cartoons(), tmp_path, ALONE)


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    (tmp_path / "reconstruction.pt").write_bytes(b"nothing of the kind")
    with pytest.raises(EDTalkError, match=r"reconstruction\.pt"):
        PaperTrainer(StageName.RECONSTRUCTION, CONFIG, Cartoons(), tmp_path, ALONE)


def test_half_precision_learns_and_keeps_positions_exact(tmp_path: Path) -> None:
    trainer = PaperTrainer(
        StageName.RECONSTRUCTION, replace(CONFIG, bf16=True), Repeating(Cartoons()), tmp_path, ALONE
    )
    totals = [float(trainer.advance().total) for _ in range(12)]
    assert min(totals[-3:]) < totals[0]
    model = trainer.stage.model
    assert isinstance(model, PaperModel)
    source = model.encode(Cartoons().clips(np.random.default_rng(0), 1, 1).source)
    drawing = model.draw(source, torch.zeros(1, 40))
    rounded = drawing.levels[-1].grid.to(torch.bfloat16).float()
    assert not torch.equal(drawing.levels[-1].grid, rounded)


def test_a_batch_costs_the_mean_of_its_halves(trained: Path, tmp_path: Path) -> None:
    trainer = PaperTrainer(
        StageName.EXPRESSION, CONFIG, Cartoons(), begun(trained, tmp_path, DRAWING[1]), ALONE
    )
    stage = trainer.stage
    assert isinstance(stage, DrawingStage)
    whole = Cartoons().clips(np.random.default_rng(0), 4, 3)
    halves = [_rows(whole, slice(0, 2)), _rows(whole, slice(2, 4))]
    together = stage(whole, adversarial=True)
    apart = [stage(half, adversarial=True) for half in halves]
    for name, value in together.values.items():
        assert float(value) == pytest.approx(np.mean([float(one.values[name]) for one in apart]), rel=1e-4), (
            name
        )


def _rows(batch: ClipBatch, rows: slice) -> ClipBatch:
    assert batch.motion is not None
    cut: Callable[[Tensor | None], Any] = lambda t: None if t is None else t[rows]  # noqa: E731
    motion = type(batch.motion)(*(cut(getattr(batch.motion, n)) for n in ("flow", "visible", "trust")))
    names = ("source", "frames", "landmarks", "identity", "weights", "source_weights", "parts")
    return ClipBatch(**{n: cut(getattr(batch, n)) for n in names}, motion=motion)
