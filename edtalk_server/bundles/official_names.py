"""Every tensor of the published checkpoints, derived from our configs: its name, its shape and where it goes.

The names are those of the release (github.com/tanshuai0219/EDTalk, commit 06a9a96). Tensors that the release stores and
never uses (noise strengths, the first RGB head, half of the enhancement) have no target; blur kernels are constants.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from torch import Tensor

from edtalk_server.networks.blocks import fir_kernel
from edtalk_server.networks.config import Audio2LipConfig, EDTalkConfig
from edtalk_server.networks.encoder import HEAD_LAYERS, SHARED_LAYERS


class OfficialTensor(NamedTuple):
    """One stored tensor. `target` is its name in our network ("" without influence), `column` the first column that it
    fills there (-1: all), `constant` its required value."""

    name: str
    shape: tuple[int, ...]
    target: str = ""
    column: int = -1
    constant: Tensor | None = None
    integer: bool = False


def face_tensors(config: EDTalkConfig) -> list[OfficialTensor]:
    """Return the checkpoint of a generator: `EDTalk.pt`, or `EDTalk_lip_pose.pt` where `config.expression` is 0."""
    return [*_encoder(config), *_decoder(config), *_banks(config), *_heads(config)]


def audio_tensors(config: Audio2LipConfig) -> list[OfficialTensor]:
    """Return the checkpoint `Audio2Lip.pt`."""
    a, b, c, d, e = config.widths
    channels = [1, a, a, a, b, b, b, c, c, c, d, d, e, e]
    kernels = [3] * 12 + [1]
    tensors: list[OfficialTensor] = []
    for i, kernel in enumerate(kernels):
        inputs, outputs = channels[i], channels[i + 1]
        conv, norm = f"audio_encoder.{i}.conv_block.0", f"audio_encoder.{i}.conv_block.1"
        ours = f"encoder.{i}"
        tensors.append(
            OfficialTensor(f"{conv}.weight", (outputs, inputs, kernel, kernel), f"{ours}.conv.weight")
        )
        tensors.append(OfficialTensor(f"{conv}.bias", (outputs,), f"{ours}.conv.bias"))
        for name in ("weight", "bias", "running_mean", "running_var"):
            tensors.append(OfficialTensor(f"{norm}.{name}", (outputs,), f"{ours}.norm.{name}"))
        counter = "num_batches_tracked"
        tensors.append(OfficialTensor(f"{norm}.{counter}", (), f"{ours}.norm.{counter}", integer=True))
    tensors.append(OfficialTensor("mapping.weight", (config.outputs, e), "mapping.weight"))
    tensors.append(OfficialTensor("mapping.bias", (config.outputs,), "mapping.bias"))
    return tensors


def _encoder(config: EDTalkConfig) -> Iterator[OfficialTensor]:
    width = config.width
    base = "enc.net_app.convs"
    yield OfficialTensor(f"{base}.0.0.weight", (width(config.size), 3, 1, 1), "encoder.stem.conv.weight")
    yield OfficialTensor(f"{base}.0.1.bias", (1, width(config.size), 1, 1), "encoder.stem.bias")
    blocks = len(config.levels)
    for i in range(blocks):
        yield from _res_block(
            f"{base}.{i + 1}",
            f"encoder.blocks.{i}",
            width(config.size >> i),
            width(config.size >> (i + 1)),
        )
    shape = (config.style_dim, width(4), 4, 4)
    yield OfficialTensor(f"{base}.{blocks + 1}.weight", shape, "encoder.to_latent.weight")


def _res_block(theirs: str, ours: str, inputs: int, outputs: int) -> Iterator[OfficialTensor]:
    yield OfficialTensor(f"{theirs}.conv1.0.weight", (inputs, inputs, 3, 3), f"{ours}.conv1.conv.weight")
    yield OfficialTensor(f"{theirs}.conv1.1.bias", (1, inputs, 1, 1), f"{ours}.conv1.bias")
    yield _kernel(f"{theirs}.conv2.0.kernel", 1.0)
    yield OfficialTensor(f"{theirs}.conv2.1.weight", (outputs, inputs, 3, 3), f"{ours}.conv2.conv.weight")
    yield OfficialTensor(f"{theirs}.conv2.2.bias", (1, outputs, 1, 1), f"{ours}.conv2.bias")
    yield _kernel(f"{theirs}.skip.0.kernel", 1.0)
    yield OfficialTensor(f"{theirs}.skip.1.weight", (outputs, inputs, 1, 1), f"{ours}.skip.weight")


def _kernel(name: str, gain: float) -> OfficialTensor:
    return OfficialTensor(name, (4, 4), constant=fir_kernel() * gain)


def _decoder(config: EDTalkConfig) -> Iterator[OfficialTensor]:
    first, dim = config.width(4), config.style_dim
    yield OfficialTensor("dec.input.input", (1, first, 4, 4), "generator.constant")
    yield from _styled("dec.conv1", "generator.start", first, first, dim, up=False)
    yield OfficialTensor("dec.to_rgb1.bias", (1, 3, 1, 1))
    yield OfficialTensor("dec.to_rgb1.conv.0.weight", (3, first, 1, 1))
    yield OfficialTensor("dec.to_rgb1.conv.1.bias", (1, 3, 1, 1))
    for i, size in enumerate(config.levels):
        before, channels = config.width(size // 2), config.width(size)
        ours = f"generator.levels.{i}"
        yield from _styled(f"dec.convs.{2 * i}", f"{ours}.up", before, channels, dim, up=True)
        yield from _styled(f"dec.convs.{2 * i + 1}", f"{ours}.conv", channels, channels, dim, up=False)
        yield from _to_rgb(f"dec.to_rgbs.{i}", f"{ours}.to_rgb", channels)
        yield from _to_flow(f"dec.to_flows.{i}", f"{ours}.to_flow", channels, dim)
        if config.expression:
            yield from _enhancement(f"dec.fineadainresblock.{i}", f"enhancement.{size}", channels, config)


def _styled(
    theirs: str, ours: str, inputs: int, outputs: int, dim: int, up: bool
) -> Iterator[OfficialTensor]:
    yield OfficialTensor(f"{theirs}.conv.weight", (1, outputs, inputs, 3, 3), f"{ours}.conv.weight")
    if up:
        yield _kernel(f"{theirs}.conv.blur.kernel", 4.0)
    yield from _modulation(f"{theirs}.conv", f"{ours}.conv", inputs, dim)
    yield OfficialTensor(f"{theirs}.noise.weight", (1,))
    yield OfficialTensor(f"{theirs}.activate.bias", (1, outputs, 1, 1), f"{ours}.bias")


def _modulation(theirs: str, ours: str, inputs: int, dim: int) -> Iterator[OfficialTensor]:
    yield OfficialTensor(f"{theirs}.modulation.weight", (inputs, dim), f"{ours}.modulation.weight")
    yield OfficialTensor(f"{theirs}.modulation.bias", (inputs,), f"{ours}.modulation.bias")


def _to_rgb(theirs: str, ours: str, channels: int) -> Iterator[OfficialTensor]:
    yield OfficialTensor(f"{theirs}.bias", (1, 3, 1, 1), f"{ours}.bias")
    yield _kernel(f"{theirs}.upsample.kernel", 4.0)
    yield OfficialTensor(f"{theirs}.conv.0.weight", (3, channels, 1, 1), f"{ours}.conv.weight")
    yield OfficialTensor(f"{theirs}.conv.1.bias", (1, 3, 1, 1), f"{ours}.inner_bias")


def _to_flow(theirs: str, ours: str, channels: int, dim: int) -> Iterator[OfficialTensor]:
    yield OfficialTensor(f"{theirs}.bias", (1, 3, 1, 1), f"{ours}.bias")
    yield _kernel(f"{theirs}.upsample.kernel", 4.0)
    yield OfficialTensor(f"{theirs}.conv.weight", (1, 3, channels, 1, 1), f"{ours}.conv.weight")
    yield from _modulation(f"{theirs}.conv", f"{ours}.conv", channels, dim)


def _enhancement(theirs: str, ours: str, channels: int, config: EDTalkConfig) -> Iterator[OfficialTensor]:
    hidden, dim = config.enhancement_hidden, config.style_dim
    yield OfficialTensor(f"{theirs}.conv1.weight", (channels, channels, 3, 3))
    yield OfficialTensor(f"{theirs}.conv1.bias", (channels,))
    yield OfficialTensor(f"{theirs}.conv2.weight", (channels, channels, 3, 3), f"{ours}.conv.weight")
    yield OfficialTensor(f"{theirs}.conv2.bias", (channels,), f"{ours}.conv.bias")
    shapes = {"mlp_shared.0": (hidden, dim), "mlp_gamma": (channels, hidden), "mlp_beta": (channels, hidden)}
    targets = {"mlp_shared.0": "shared", "mlp_gamma": "gamma", "mlp_beta": "beta"}
    for norm in ("norm1", "norm2"):
        for name, shape in shapes.items():
            target = f"{ours}.{targets[name]}" if norm == "norm2" else ""
            yield OfficialTensor(f"{theirs}.{norm}.{name}.weight", shape, target and f"{target}.weight")
            yield OfficialTensor(f"{theirs}.{norm}.{name}.bias", shape[:1], target and f"{target}.bias")


def _banks(config: EDTalkConfig) -> Iterator[OfficialTensor]:
    dim, first = config.style_dim, config.mouth + config.pose
    yield OfficialTensor("direction_lipnonlip.weight", (dim, first), "banks.directions", column=0)
    if config.expression:
        shape = (dim, config.expression)
        yield OfficialTensor("direction_exp.weight", shape, "banks.directions", column=first)


def _heads(config: EDTalkConfig) -> Iterator[OfficialTensor]:
    dim = config.style_dim
    yield from _linears("fc", "heads.shared", [dim] * SHARED_LAYERS, dim)
    for i, (name, size) in enumerate(zip(("lip_fc", "pose_fc", "exp_fc"), config.bank_sizes, strict=True)):
        if size:
            yield from _linears(name, f"heads.banks.{i}", [dim] * (HEAD_LAYERS - 1) + [size], dim)


def _linears(theirs: str, ours: str, outputs: list[int], inputs: int) -> Iterator[OfficialTensor]:
    for i, size in enumerate(outputs):
        yield OfficialTensor(f"{theirs}.{i}.weight", (size, inputs), f"{ours}.{i}.weight")
        yield OfficialTensor(f"{theirs}.{i}.bias", (size,), f"{ours}.{i}.bias")
