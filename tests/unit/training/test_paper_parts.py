"""What the paper's stages are made of: mouth swaps, judges, truth about motion."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from cartoons import BROWS, JAW, SIZE, Cartoons, draw, landmarks, motion
from safetensors.torch import save_file

from edtalk_server.networks.generator import sample
from edtalk_server.synthetic.controls import CHANNELS, SHIFT_X
from edtalk_server.training.paper import perceptual
from edtalk_server.training.paper.composites import paste_mouths
from edtalk_server.training.paper.config import Judging, LossWeights
from edtalk_server.training.paper.features import FeatureNetwork
from edtalk_server.training.paper.losses import (
    FeatureConsistency,
    MotionReconstruction,
    MouthConsistency,
    Reconstruction,
)
from edtalk_server.training.paper.model import DrawnLevel, MotionLatents
from edtalk_server.training.paper.perceptual import (
    Perceptual,
    Vgg19,
    open_feature_network,
    open_perceptual_network,
)
from edtalk_server.training.paper.supervision import FlowLoss, LinearProbes, MaskLoss, true_grid
from shared_protocol.errors import EDTalkError


def weights(**values: float) -> torch.Tensor:
    row = torch.zeros(1, CHANNELS)
    for index, name in ((JAW, "jaw"), (BROWS, "brows"), (SHIFT_X, "shift")):
        row[0, index] = values.get(name, 0.0)
    return row


SKIN = torch.tensor([[0.4, 0.1, 0.0]])


# --- mouth swaps ---


def test_a_face_takes_over_the_others_mouth_and_keeps_its_own_pose_and_brows() -> None:
    here, there = weights(shift=-0.8, brows=1.0), weights(shift=0.8, jaw=1.0)
    wanted = draw(SKIN, weights(shift=-0.8, brows=1.0, jaw=1.0))
    face = draw(SKIN, here)
    pasted = paste_mouths(face, landmarks(here), draw(SKIN, there), landmarks(there))
    mouth = (slice(None), slice(None), slice(20, 26), slice(9, 18))
    assert (pasted - wanted)[mouth].abs().mean() < 0.35 * (face - wanted)[mouth].abs().mean()
    assert torch.allclose(pasted[:, :, :18], face[:, :, :18], atol=1e-4)


def test_only_the_mouth_is_pasted_however_far_away_the_others_is() -> None:
    here, there = weights(shift=-0.8), weights(shift=0.8, jaw=1.0)
    face = draw(SKIN, here)
    pasted = paste_mouths(face, landmarks(here), draw(-SKIN, there), landmarks(there))
    assert torch.equal(pasted[..., 20:], face[..., 20:])
    assert torch.equal(pasted[:, :, :18], face[:, :, :18])
    assert not torch.equal(pasted[:, :, 18:, :20], face[:, :, 18:, :20])


def test_a_turned_and_larger_face_lends_its_mouth_upright() -> None:
    """The other picture is the same face, turned by 20 degrees and enlarged: its mouth must come back as it was."""
    face, points = draw(SKIN, weights(jaw=1.0)), landmarks(weights(jaw=1.0))
    angle, scale = np.radians(20.0), 1.2
    turn = torch.tensor(
        [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]], dtype=torch.float32
    )
    turned_points = (points - 0.5) @ turn.T * scale + 0.5
    line = (torch.arange(SIZE) + 0.5) / SIZE
    y, x = torch.meshgrid(line, line, indexing="ij")
    places = (torch.stack([x, y], -1) - 0.5) @ turn / scale * 2
    turned = torch.nn.functional.grid_sample(face, places[None], align_corners=False, padding_mode="border")
    shut = draw(SKIN, weights())
    pasted = paste_mouths(shut, landmarks(weights()), turned, turned_points)
    box = (slice(None), slice(None), slice(21, 24), slice(12, 20))
    assert (pasted - face)[box].abs().mean() < 0.3 * (shut - face)[box].abs().mean()


def test_each_picture_of_a_batch_has_its_own_swap() -> None:
    rows = torch.cat([weights(jaw=0.2), weights(jaw=0.9, shift=0.5)])
    other = torch.cat([weights(jaw=1.0), weights(shift=-0.5)])
    colours = SKIN.expand(2, -1)
    both = paste_mouths(draw(colours, rows), landmarks(rows), draw(colours, other), landmarks(other))
    one = paste_mouths(draw(SKIN, rows[1:]), landmarks(rows[1:]), draw(SKIN, other[1:]), landmarks(other[1:]))
    assert torch.allclose(both[1:], one, atol=1e-5)


# --- truth ---


def test_the_true_grid_samples_the_target_out_of_the_source() -> None:
    source, target = weights(shift=0.6), weights(shift=-0.4)
    moved = motion(target, source)
    grid, _ = true_grid(moved, SIZE)
    drawn = sample(draw(SKIN, source), grid.permute(0, 2, 3, 1))
    wanted = draw(SKIN, target)
    inner = (slice(None), slice(None), slice(4, 28), slice(4, 28))
    assert (drawn - wanted)[inner].abs().mean() < 0.1 * (draw(SKIN, source) - wanted)[inner].abs().mean()


def _level(grid: torch.Tensor, mask: float = 0.5) -> DrawnLevel:
    return DrawnLevel(grid, torch.full((len(grid), 1, grid.shape[-1], grid.shape[-1]), mask))


def test_the_flow_loss_is_zero_at_the_truth_and_counts_trusted_spots_only() -> None:
    moved = motion(weights(shift=-0.4), weights(shift=0.6))
    loss = FlowLoss()
    grid, _ = true_grid(moved, SIZE)
    assert float(loss([_level(grid)], moved)) < 1e-5
    wrong = grid.clone()
    wrong[..., :5] += 0.5
    assert float(loss([_level(wrong)], moved)) > 0.05
    trust = moved.trust.clone()
    trust[..., :5] = 0
    assert float(loss([_level(wrong)], type(moved)(moved.flow, moved.visible, trust))) < 1e-5


@pytest.mark.parametrize("size", [8, 64])
def test_coarser_and_finer_levels_are_compared_with_the_same_truth(size: int) -> None:
    moved = motion(weights(shift=-0.4), weights(shift=0.6))
    line = (torch.arange(size) * 2 + 1) / size - 1
    rest = torch.stack(torch.meshgrid(line, line, indexing="xy"))[None]
    shifted = rest + torch.tensor([0.2, 0.0])[None, :, None, None]
    at_rest, moving = (float(FlowLoss()([_level(g)], moved)) for g in (rest, shifted))
    assert moving < 0.05 < at_rest


def test_the_mask_loss_wants_the_drawn_where_the_source_hides() -> None:
    moved = motion(weights(), weights())
    visible = moved.visible.clone()
    visible[..., :16] = 0
    half = type(moved)(moved.flow, visible, moved.trust)
    good = DrawnLevel(moved.flow, visible.clamp(0.02, 0.98))
    loss = MaskLoss()
    assert float(loss([good], half)) < 0.1 < float(loss([_level(moved.flow)], half))


def test_probes_read_each_bank_off_its_own_latent() -> None:
    probes = LinearProbes(40, (20, 6, 10))
    latents = MotionLatents(*(torch.randn(3, 40, requires_grad=True) for _ in range(3)))
    probes.loss(latents, torch.randn(3, 36), (0, 2)).backward()
    assert latents.mouth.grad is not None and latents.expression.grad is not None
    assert latents.pose.grad is None


# --- losses and judges ---


def test_consistency_is_least_when_latents_point_the_same_way() -> None:
    one, other = torch.randn(4, 40), torch.randn(4, 40)
    for loss, pairs in (
        (MouthConsistency(), ((one, one * 3), (one, other))),
        (FeatureConsistency(), (((one, one), (other, other)), ((one, other), (other, one)))),
    ):
        same, different = (float(loss(*pair)) for pair in pairs)  # type: ignore[operator]
        assert same < different
    assert float(MouthConsistency()(one, one)) == pytest.approx(np.exp(-1), abs=1e-5)


def test_losses_fall_as_pictures_come_nearer() -> None:
    true, far = draw(SKIN, weights(jaw=1.0)), draw(SKIN, weights(shift=1.0))
    near = 0.8 * true + 0.2 * far
    reader = open_feature_network(Judging())
    for loss in (Reconstruction(), Perceptual(reader, scales=2), MotionReconstruction(reader)):
        assert 0.0 == float(loss(true, true)) < float(loss(near, true)) < float(loss(far, true))


class _Pixels:
    """Sees every pixel as geometry and every column's mean as expression."""

    def describe(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return pictures.flatten(1), pictures.mean((1, 2))


def test_the_motion_loss_is_the_papers_sum_of_norms_with_weight_ten() -> None:
    true, drawn = torch.randn(3, 3, 8, 8), torch.randn(3, 3, 8, 8)
    loss = MotionReconstruction(_Pixels())
    geometry = (drawn - true).flatten(1).norm(dim=1)
    expression = (drawn - true).mean((1, 2)).norm(dim=1)
    assert torch.allclose(loss(drawn, true), (geometry + expression).mean())
    assert LossWeights().motion == 10


def test_the_motion_losss_pull_does_not_fade_near_the_truth_and_ends_there() -> None:
    true, away = torch.randn(2, 3, 8, 8), torch.randn(2, 3, 8, 8)

    def pull(distance: float) -> float:
        drawn = (true + distance * away).requires_grad_()
        MotionReconstruction(_Pixels())(drawn, true).backward()
        assert drawn.grad is not None
        return float(drawn.grad.norm())

    assert pull(1e-3) == pytest.approx(pull(1.0), rel=1e-3)
    assert pull(0.0) == 0.0


def test_gradients_pass_through_the_judges_but_judges_do_not_learn() -> None:
    reader = open_feature_network(Judging())
    drawn = draw(SKIN, weights()).requires_grad_()
    (
        Perceptual(reader, 1)(drawn, draw(SKIN, weights(jaw=1))) + MotionReconstruction(reader)(drawn, -drawn)
    ).backward()
    assert drawn.grad is not None and bool(drawn.grad.abs().sum() > 0)
    assert all(p.grad is None for p in reader.parameters())


def test_an_untrained_judge_is_called_one(caplog: pytest.LogCaptureFixture) -> None:
    open_perceptual_network(Judging())
    assert "untrained" in caplog.text


@pytest.mark.parametrize("kind", ["vgg.safetensors", "vgg19.pth"])
def test_vgg_weights_under_torchvisions_names_are_taken(kind: str, tmp_path: Path) -> None:
    small = {
        name.replace("layers", "features"): torch.randn_like(value) * 0.02
        for name, value in Vgg19().state_dict().items()
    }
    assert list(small)[-1] == "features.28.bias"
    stored = {**small, "features.30.weight": torch.zeros(1), "classifier.0.weight": torch.zeros(1)}
    path = tmp_path / kind
    save_file(stored, path) if path.suffix == ".safetensors" else torch.save(stored, path)
    eye = open_perceptual_network(Judging(vgg=str(path)))
    assert isinstance(eye, Vgg19)
    assert torch.equal(eye.state_dict()["layers.28.bias"], small["features.28.bias"])
    maps = eye.features(torch.zeros(1, 3, 32, 32))
    assert [m.shape[1:] for m in maps] == [(64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4), (512, 2, 2)]


def test_files_that_are_no_vgg_are_named(tmp_path: Path) -> None:
    path = tmp_path / "vgg.pt"
    with pytest.raises(EDTalkError, match=r"vgg\.pt"):
        open_perceptual_network(Judging(vgg=str(path)))
    torch.save({"features.0.weight": torch.zeros(3)}, path)
    with pytest.raises(EDTalkError, match=r"features\.0\.weight"):
        open_perceptual_network(Judging(vgg=str(path)))
    path.write_bytes(b"no file of tensors")
    with pytest.raises(EDTalkError, match=r"vgg\.pt"):
        open_perceptual_network(Judging(features=str(path)))


def test_a_feature_checkpoint_that_hides_code_runs_none(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str, str]]:
            return (open, (str(tmp_path / "sprung"), "w"))

    torch.save({"average": Trap()}, tmp_path / "trap.pt")
    with pytest.raises(EDTalkError):
        perceptual.read_tensors(tmp_path / "trap.pt", "average")
    assert not (tmp_path / "sprung").exists()


def test_the_feature_network_is_as_small_as_promised_and_takes_any_size() -> None:
    network = FeatureNetwork()
    assert 1.0e6 < sum(p.numel() for p in network.parameters()) < 2.0e6
    for size in (32, 64, 256):
        said = network(torch.zeros(2, 3, size, size))
        assert said.parts.shape == (2, 32, size // 4, size // 4)
        assert (said.landmarks.shape, said.weights.shape) == ((2, 68, 2), (2, 36))


def test_pictures_do_not_change_each_others_features() -> None:
    network, frames = FeatureNetwork(), Cartoons().clips(np.random.default_rng(0), 3, 1).frames[:, 0]
    together, alone = network.features(frames)[-1][1:2], network.features(frames[1:2])[-1]
    assert torch.allclose(together, alone, atol=1e-5)
