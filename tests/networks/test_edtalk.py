"""The paper's network: its shortcuts, what they cost, its sizes, and what training needs of it."""

from __future__ import annotations

from unittest.mock import patch

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from edtalk_server.bundles.official import convert
from edtalk_server.bundles.official_names import face_tensors
from edtalk_server.evaluation.golden import rule
from edtalk_server.networks.audio2lip import Audio2Lip, ConvBlock
from edtalk_server.networks.config import Audio2LipConfig, EDTalkConfig
from edtalk_server.networks.edtalk import EDTalk
from edtalk_server.networks.fast import FastEDTalk, accelerate

SMALL = EDTalkConfig(size=64, style_dim=64, width_base=1024, width_max=32, enhancement_hidden=16)
SMALL_LIP_POSE = EDTalkConfig(size=64, style_dim=64, width_base=1024, width_max=32, expression=0)


def filled(config: EDTalkConfig) -> EDTalk:
    """A network whose weights have the sizes of trained ones."""
    names = face_tensors(config)
    network = EDTalk(config)
    network.load_state_dict(convert(rule.checkpoint("TEST", "edtalk", names), names, "rule"))
    return network.eval().requires_grad_(requires_grad=False)


def pictures(count: int, size: int) -> torch.Tensor:
    fields = [rule.waves(f"TEST/{i}", (3, size, size), 4, 5.0, 0.95) for i in range(count)]
    return torch.stack([torch.from_numpy(field) for field in fields])


def rows(count: int, channels: int) -> torch.Tensor:
    return torch.randn(count, channels, generator=torch.Generator().manual_seed(3)) * 2.0


@pytest.mark.parametrize("config", [SMALL, SMALL_LIP_POSE], ids=["with expression", "lip-pose"])
def test_the_shortcuts_draw_the_same_picture_as_the_equations(config: EDTalkConfig) -> None:
    network, source, weights = filled(config), pictures(1, config.size), rows(5, config.channels)
    fast = FastEDTalk(network)
    direct = network(source.expand(5, -1, -1, -1), weights)
    short = fast.decode(fast.prepare(source), weights)
    assert float((direct - short).square().mean().sqrt()) < 1e-5
    assert float(direct.std()) > 0.1


@pytest.mark.parametrize("config", [SMALL, SMALL_LIP_POSE], ids=["with expression", "lip-pose"])
def test_the_equations_alone_serve_an_engine_with_the_same_pictures(config: EDTalkConfig) -> None:
    network, source, weights = filled(config), pictures(1, config.size), rows(5, config.channels)
    fast = accelerate(network)
    assert isinstance(fast, FastEDTalk)
    plain, short = network.prepare(source), fast.prepare(source)
    assert torch.allclose(plain.weights, short.weights, atol=5e-5)
    difference = network.decode(plain, weights) - fast.decode(short, weights)
    assert float(difference.square().mean().sqrt()) < 1e-5


def test_a_held_expression_and_a_changing_one_give_the_same_frames() -> None:
    network, weights = FastEDTalk(filled(SMALL)), rows(4, 36)
    prepared = network.prepare(pictures(1, 64))
    together = network.decode(prepared, weights)
    one_by_one = torch.cat([network.decode(prepared, weights[i : i + 1]) for i in (0, 1, 1, 2, 3)])
    assert torch.allclose(together, one_by_one[[0, 1, 3, 4]], atol=1e-3)
    assert float((together - one_by_one[[0, 1, 3, 4]]).square().mean().sqrt()) < 1e-5
    assert torch.equal(one_by_one[1], one_by_one[2])


def test_the_portraits_own_weights_come_from_the_same_single_encoding() -> None:
    network, source = filled(SMALL), pictures(1, 64)
    with patch.object(network.encoder, "forward", wraps=network.encoder.forward) as encode:
        own = FastEDTalk(network).prepare(source).weights
    assert encode.call_count == 1
    assert torch.allclose(own, network.weights_of(source), atol=5e-5)


def test_a_clip_of_a_hundred_frames_encodes_once_and_never_recomputes_the_bank() -> None:
    network, weights = filled(SMALL), rows(100, 36)
    convolutions = [block.conv for block in network.enhancement.values()]
    fast = FastEDTalk(network)
    counted = {"conv": 0}
    for convolution in convolutions:
        convolution.register_forward_hook(lambda *_: counted.__setitem__("conv", counted["conv"] + 1))
    with (
        patch.object(network.encoder, "forward", wraps=network.encoder.forward) as encode,
        patch("torch.linalg.qr", wraps=torch.linalg.qr) as factorise,
    ):
        prepared = fast.prepare(pictures(1, 64))
        for row in weights:
            fast.decode(prepared, row[None])
        assert encode.call_count == 1
        assert factorise.call_count == 1
        assert counted["conv"] == len(convolutions)
        fast.prepare(pictures(2, 64)[1:])
        assert factorise.call_count == 1


@pytest.mark.slow
def test_a_frame_of_the_official_size_costs_at_most_31_gflop() -> None:
    network = FastEDTalk(EDTalk().eval().requires_grad_(requires_grad=False))
    prepared = network.prepare(torch.zeros(1, 3, 256, 256))
    weights = rows(2, 36)
    weights[1, :26] += 1.0
    weights[1, 26:] = weights[0, 26:]
    network.decode(prepared, weights[:1])
    with FlopCounterMode(display=False) as held:
        network.decode(prepared, weights[1:])
    with FlopCounterMode(display=False) as changed:
        network.decode(prepared, weights[1:] + 1.0)
    assert held.get_total_flops() <= 31e9
    assert changed.get_total_flops() <= 31e9


@pytest.mark.parametrize(
    "config",
    [
        EDTalkConfig(size=128, style_dim=64, width_base=2048, width_max=32),
        EDTalkConfig(size=256, style_dim=64, width_base=2048, width_max=32),
        EDTalkConfig(size=512, style_dim=64, width_base=4096, width_max=32),
        EDTalkConfig(size=128, style_dim=48, width_base=1024, width_max=16, mouth=4, pose=6, expression=3),
        EDTalkConfig(size=16, style_dim=64, width_base=1024, width_max=16),
    ],
    ids=lambda config: f"{config.size}px-{config.channels}",
)
def test_other_sizes_and_widths_run(config: EDTalkConfig) -> None:
    network = FastEDTalk(filled(config))
    frame = network.decode(network.prepare(pictures(1, config.size)), rows(2, config.channels))
    assert frame.shape == (2, 3, config.size, config.size)
    assert bool(torch.isfinite(frame).all())


def test_the_official_512_network_has_one_more_level_of_32_channels() -> None:
    config = EDTalkConfig(size=512)
    assert config.levels == (8, 16, 32, 64, 128, 256, 512)
    assert [config.width(size) for size in (32, 64, 128, 256, 512)] == [512, 256, 128, 64, 32]


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"size": 200}, "power of two"),
        ({"size": 8}, "power of two"),
        ({"mouth": 0}, "mouth"),
        ({"style_dim": "512"}, "style_dim"),
        ({"expression": -1}, "expression"),
        ({"style_dim": 30}, "orthonormal"),
        ({"width_base": 100}, "width_base"),
        ({"colour": 3}, "colour"),
    ],
)
def test_an_impossible_config_says_what_is_wrong(values: dict[str, object], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        EDTalk.from_config(values)


def test_the_banks_are_orthonormal_with_the_signs_of_lapack() -> None:
    network = filled(SMALL)
    bank = network.banks.orthonormal()
    assert torch.allclose(bank.T @ bank, torch.eye(36), atol=1e-6)
    # LAPACK's reflectors give the first column the sign opposite to its leading entry.
    directions = network.banks.directions
    assert torch.allclose(
        bank[:, 0], -directions[:, 0].sign()[0] * directions[:, 0] / directions[:, 0].norm(), atol=1e-6
    )
    alone = torch.linalg.qr(directions[:, :26])[0]
    assert torch.allclose(bank[:, :26], alone, atol=1e-5)


def test_weights_move_the_latent_by_exactly_their_directions() -> None:
    network, source = filled(SMALL), pictures(1, 64)
    seen: dict[str, torch.Tensor] = {}
    weights = torch.zeros(1, 36)
    weights[0, 5] = 2.0
    network.generate(network.encode(source), weights, seen.setdefault)
    moved = seen["latent"] - network.encode(source).latent
    assert torch.allclose(moved[0], 2.0 * network.banks.orthonormal()[:, 5], atol=1e-5)


def test_changed_parameters_are_noticed_by_the_shortcuts() -> None:
    network, source, weights = filled(SMALL), pictures(1, 64), rows(1, 36)
    fast = FastEDTalk(network)
    before = fast.decode(fast.prepare(source), weights)
    with torch.no_grad():
        network.generator.start.bias.add_(1.0)
        network.banks.directions[:, 0].mul_(-1.0)
    after = fast.decode(fast.prepare(source), weights)
    assert not torch.allclose(before, after, atol=1e-3)
    assert torch.allclose(after, network(source, weights), atol=1e-3)


def test_every_parameter_that_the_picture_depends_on_can_be_trained() -> None:
    network = filled(SMALL).train().requires_grad_(requires_grad=True)
    source = pictures(1, 64)
    network(source, network.weights_of(source)).square().mean().backward()
    without = [name for name, parameter in network.named_parameters() if parameter.grad is None]
    assert without == []


def test_only_one_source_can_be_prepared_at_a_time() -> None:
    network = filled(SMALL)
    for face in (network, FastEDTalk(network)):
        with pytest.raises(ValueError, match="one picture of 64 pixels"):
            face.prepare(pictures(2, 64))


def test_audio_to_lip_hears_windows_at_any_width() -> None:
    network = Audio2Lip(Audio2LipConfig(widths=(4, 8, 8, 16, 16), outputs=7)).eval()
    assert network(torch.zeros(3, 1, 80, 16)).shape == (3, 7)
    with pytest.raises(ValueError, match="widths"):
        Audio2Lip.from_config({"widths": [1, 2, 3]})


def test_norms_folded_into_convolutions_change_nothing() -> None:
    torch.manual_seed(0)
    block = ConvBlock(6, 6, residual=True)
    block.norm.running_mean.uniform_(-1, 1)  # type: ignore[union-attr]
    block.norm.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
    torch.nn.init.uniform_(block.norm.weight, 0.5, 2)
    torch.nn.init.uniform_(block.norm.bias, -1, 1)
    x = torch.randn(2, 6, 9, 5)
    whole = torch.relu(block.eval().norm(block.conv(x)) + x)
    assert torch.allclose(block(x), whole, atol=1e-5)
    block(x).sum().backward()
    assert block.conv.weight.grad is not None, "a frozen encoder is looked through, too"
