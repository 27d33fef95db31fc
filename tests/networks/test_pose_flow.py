"""The flow of the head is a bijection whose log-determinant is autograd's, seamless in time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edtalk_server import bundles
from edtalk_server.networks.voice.pose_flow import (
    LappedTransform,
    LocalAttention,
    PoseFlow,
    PoseFlowConfig,
    negative_log_likelihood,
)

SMALL = PoseFlowConfig(hop=4, steps=3, width=12, radius=2, kernel=3)
PER_FRAME = PoseFlowConfig("none", 1, steps=3, width=12, radius=2, kernel=3)
RESPONDING = PoseFlowConfig(hop=4, steps=3, width=12, radius=2, kernel=3, response=6)
CONFIGS = pytest.mark.parametrize("config", [SMALL, PER_FRAME, RESPONDING], ids=["mdct", "none", "response"])


def stirred(config: PoseFlowConfig) -> PoseFlow:
    """A flow whose every part does something: its outputs begin at zero."""
    torch.manual_seed(1)
    flow = PoseFlow(config)
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return flow.eval().requires_grad_(False)


def drawn(flow: PoseFlow, hops: int = 9, count: int = 2) -> tuple[Tensor, Tensor]:
    config = flow.config
    length = (hops + 1) * config.hop if config.squeeze == "mdct" else hops
    rows = torch.randn(count, length, 8), torch.rand(count, length, 8), torch.randn(count, 8)
    condition = flow.condition(*(one.to(flow.pose_mean.dtype) for one in rows))
    return torch.randn(count, hops, config.channels), condition


@CONFIGS
@pytest.mark.parametrize(("kind", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-9)])
def test_the_flow_comes_back(config: PoseFlowConfig, kind: torch.dtype, tolerance: float) -> None:
    flow = stirred(config).to(kind)
    hops, condition = (part.to(kind) for part in drawn(flow))
    noise, _ = flow(hops, condition)
    assert (noise - hops).abs().mean() > 0.1, "it does nothing"
    assert (flow.inverse(noise, condition) - hops).abs().max() < tolerance


@CONFIGS
def test_the_log_determinant_is_that_of_the_whole_jacobian(config: PoseFlowConfig) -> None:
    flow = stirred(config).double()
    hops, condition = (part.double() for part in drawn(flow, hops=4, count=1))
    _, log_determinant = flow(hops, condition)
    jacobian = torch.autograd.functional.jacobian(lambda x: flow(x, condition)[0], hops)
    size = hops.numel()
    _, expected = torch.linalg.slogdet(jacobian.reshape(size, size))  # type: ignore[union-attr]
    assert log_determinant.sum() == pytest.approx(expected.item(), rel=1e-9)


@pytest.mark.parametrize("hop", [1, 4, 16])
def test_the_lapped_transform_is_orthonormal_and_seamless(hop: int) -> None:
    transform = LappedTransform(hop)
    frames = torch.randn(2, 9 * hop, 6, dtype=torch.float64)
    spectrum = transform(frames)
    assert spectrum.shape == (2, 8, 6 * hop)
    assert torch.allclose(transform.inverse(spectrum), frames[:, hop:-hop], atol=1e-12)
    padded = torch.zeros(1, 9 * hop, 1, dtype=torch.float64)
    padded[:, 2 * hop : -2 * hop] = torch.randn(1, 5 * hop, 1, dtype=torch.float64)
    assert transform(padded).square().sum() == pytest.approx(padded.square().sum().item())
    slow = transform(torch.ones(1, 4 * hop, 1, dtype=torch.float64))[0, 1]
    assert slow.abs().argmax() == 0


def test_the_first_batch_is_normalised() -> None:
    torch.manual_seed(0)
    flow = PoseFlow(SMALL)
    hops, condition = drawn(flow, 40, 8)
    hops = 5 * hops + 2
    flow.initialize(hops, condition)
    noise, _ = flow(hops, condition)
    assert noise.mean().abs() < 0.01
    assert noise.std().item() == pytest.approx(1.0, abs=0.02)


def test_a_hop_depends_on_those_within_reach_alone() -> None:
    config = PoseFlowConfig(hop=2, steps=2, width=8, radius=2, kernel=3)
    flow = stirred(config).double()
    noise, condition = (part.double() for part in drawn(flow, 40, 1))
    whole = flow.inverse(noise, condition)
    reach = config.reach
    assert reach == 6
    part = slice(20 - reach, 21 + reach)
    assert torch.allclose(
        flow.inverse(noise[:, part], condition[:, part])[:, reach], whole[:, 20], atol=1e-12
    )
    nearer = slice(21 - reach, 20 + reach)
    short = flow.inverse(noise[:, nearer], condition[:, nearer])[:, reach - 1]
    assert (short - whole[:, 20]).abs().max() > 1e-10, "the last hop within reach matters, a little"


def test_the_response_is_what_the_flow_adds_to_chance() -> None:
    flow = stirred(RESPONDING)
    assert flow.response is not None
    noise, condition = drawn(flow)
    expected = condition[..., RESPONDING.condition :]
    assert expected.shape == noise.shape and expected.abs().max() > 0
    silent = torch.cat([condition[..., : RESPONDING.condition], torch.zeros_like(expected)], dim=2)
    assert torch.allclose(flow.inverse(noise, condition), flow.inverse(noise, silent) + expected, atol=1e-5)
    assert RESPONDING.reach - SMALL.reach == 8, "32 frames of 4"


def test_samples_are_mixed_of_chance_and_voice() -> None:
    flow = stirred(RESPONDING)
    noise, condition = drawn(flow)
    flow.chance.fill_(0.0)
    other = torch.randn_like(noise)
    stressed = [flow.sampled(part, condition) for part in (noise, other, 0 * noise)]
    assert not torch.allclose(stressed[0], stressed[1]), "no two performances stress the same"
    told = flow.frames(condition[..., RESPONDING.condition :])
    assert torch.allclose(stressed[2], told, atol=1e-5), "the most usual one is what the voice says"
    flow.chance.fill_(1.0)
    assert torch.allclose(flow.sampled(0 * noise, condition), told, atol=1e-5), "seeds share nothing else"
    assert torch.allclose(
        flow.left_to_chance(noise, condition)[0], flow.left_to_chance(noise[:1], condition[:1])[0], atol=1e-5
    )
    assert not hasattr(PoseFlow(SMALL), "chance"), "flows without a response are those of before"


def test_a_performance_chooses_which_of_the_voices_nods_it_makes() -> None:
    flow = PoseFlow(PoseFlowConfig(response=4))
    noise = torch.randn(2, 4001, flow.config.channels, generator=torch.Generator().manual_seed(0))
    stress = flow._stress(noise)[..., 0]
    assert stress.min() >= 0
    assert stress.mean().item() == pytest.approx(0.9, abs=0.1)
    assert (stress < 0.4).float().mean() > 0.25, "some nods are left out"
    alike = torch.corrcoef(stress)[0, 1].abs()
    common = stress.mean() ** 2 / stress.square().mean()
    assert alike < 0.05, "another performance leaves out others"
    assert common < 0.75, (
        "of the voice's movements two performances share three quarters of the power at most"
    )


def test_attention_at_the_ends_looks_at_what_there_is() -> None:
    torch.manual_seed(0)
    attention = LocalAttention(8, 2, 3)
    x = torch.randn(1, 5, 8)
    one = attention(x[:, :1])
    value = attention.queries_keys_values(x[:, :1])[..., 16:]
    assert torch.allclose(one, attention.output(value), atol=1e-6)


def test_training_makes_the_data_likelier_and_reaches_every_part() -> None:
    torch.manual_seed(0)
    flow = PoseFlow(SMALL)
    angle = torch.linspace(0, 60, 13 * 4)[None, :, None]
    pose = torch.sin(angle + torch.arange(6.0)) + 0.1 * torch.randn(8, 13 * 4, 6)
    hops = flow.hops(pose)
    _, condition = drawn(flow, hops.shape[1], 8)
    flow.initialize(hops, condition)
    optimizer = torch.optim.Adam(flow.parameters(), 3e-3)
    losses = []
    for _ in range(40):
        loss = negative_log_likelihood(*flow(hops, condition))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.5
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in flow.parameters())


def test_noise_of_one_dimension_has_the_textbook_likelihood() -> None:
    noise = torch.zeros(1, 1, 1)
    assert negative_log_likelihood(noise, torch.zeros(1, 1)).item() == pytest.approx(0.5 * np.log(2 * np.pi))
    assert negative_log_likelihood(noise, torch.ones(1, 1)).item() == pytest.approx(
        0.5 * np.log(2 * np.pi) - 1
    )


def test_the_whole_flow_has_about_a_million_parameters() -> None:
    assert sum(p.numel() for p in PoseFlow().parameters()) == pytest.approx(1.4e6, rel=0.1)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"hop": 0}, "hop must be a positive"),
        ({"squeeze": "haar"}, "squeeze 'haar'"),
        ({"squeeze": "none"}, "hop 16"),
        ({"width": 95}, "heads"),
        ({"width": 10**9}, "4096"),
        ({"depth": 2}, "depth"),
    ],
)
def test_a_config_that_makes_no_flow_is_refused(change: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        PoseFlow.from_config(change)


def test_a_bundle_may_have_a_flow() -> None:
    part = bundles.NetworkPart("pose_flow", SMALL.to_dict(), "audio_to_pose.safetensors")
    network: nn.Module = bundles.kinds.build("audio_to_pose", part)
    assert isinstance(network, PoseFlow)
    assert network.config == SMALL
