"""A frame of `fast` written for a compiler: the same function in a form that fuses, in float32 or partly in bfloat16.

`draw` is pure: tensors in, a frame out, no branch on values. Five things differ from `fast._draw`:

* Sampling is a weighted sum of four rows (`embedding_bag`), which reads whole pixels of all channels at once, and
  the mask is multiplied into the four weights.
* Wide 3x3 convolutions in float32 are Winograd's (`winograd`): a quarter of the products, and three times the rounding.
* Flow and RGB heads are matrix products over pixels, and their maps are doubled by sums.
* In bfloat16 a doubling convolution and its low-pass filter are one convolution with the four phases of the doubled
  map as channels: no rounding in between, and made for matrix units.
* Only maps of `FIRST_HALF_SIZE` pixels and more use bfloat16. A wrong flow on a coarse map moves whole features.

Flow, mask, sampling, RGB and every sum stay in float32.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from edtalk_server.engine.compiled import winograd
from edtalk_server.engine.compiled.settings import Precision
from edtalk_server.networks.blocks import DEMODULATION_EPSILON, GAIN, SLOPE, leaky
from edtalk_server.networks.fast import Constants, FoldedConv, FoldedLevel

FIRST_HALF_SIZE = 64
"""Side in pixels of the coarsest maps that bfloat16 may compute: with coarser ones frames of random networks on a photo
fall below 50 dB against float32 (docs/performance.md)."""

_WINOGRAD_SIZE = 16
"""Side of the smallest maps that are worth it: the weights are four times as large, and each frame reads them once."""
_WINOGRAD_WIDTH = 256
"""Fewest channels: with fewer, to change and restore the maps takes as long as the products save."""


class FusedLevel(NamedTuple):
    """A level of the generator, with its convolutions in the numbers that they are computed in."""

    level: FoldedLevel
    up: FoldedConv
    conv: FoldedConv


class FusedConstants(NamedTuple):
    """What `draw` needs of a network: as in `fast.Constants`, with its levels."""

    bank: Tensor
    style_matrix: Tensor
    style_offset: Tensor
    constant: Tensor
    start: FoldedConv
    levels: tuple[FusedLevel, ...]


def fuse(constants: Constants, precision: Precision) -> FusedConstants:
    """Return what `draw` needs, in a precision."""
    return FusedConstants(
        constants.bank,
        constants.style_matrix,
        constants.style_offset,
        constants.constant,
        constants.start,
        tuple(_fuse_level(level, precision) for level in constants.levels),
    )


def _fuse_level(level: FoldedLevel, precision: Precision) -> FusedLevel:
    if precision is Precision.FLOAT32 or level.size < FIRST_HALF_SIZE:
        return FusedLevel(level, level.up, _fuse_wide(level))
    conv = level.conv._replace(weight=_half(level.conv.weight))
    return FusedLevel(level, level.up._replace(weight=_half(phases(level.up)), fir=None), conv)


def _fuse_wide(level: FoldedLevel) -> FoldedConv:
    if level.size < _WINOGRAD_SIZE or len(level.conv.weight) < _WINOGRAD_WIDTH:
        return level.conv
    return level.conv._replace(weight=winograd.transformed(level.conv.weight))


def _half(weight: Tensor) -> Tensor:
    return weight.to(torch.bfloat16, memory_format=torch.channels_last)


def phases(up: FoldedConv) -> Tensor:
    """Return the weight [4 * O, I, 3, 3] of a convolution that gives the doubled and filtered map as four phases.

    A transposed convolution of stride 2 and the FIR filter are one kernel G of 6 taps each way, and the pixels 2j and
    2j + 1 see every second tap of it: y[2j + r] = sum over t of x[j + t] G[r - 2t], t = -1, 0, 1. Channels are ordered
    by phase (row, then column), then by output.
    """
    if up.fir is None:
        raise ValueError("this convolution does not double the size")
    weight, fir = up.weight.transpose(0, 1), up.fir[:1]  # [O, I, 3, 3], [1, 1, 4, 4]
    outputs, inputs = weight.shape[:2]
    whole = F.conv2d(weight.reshape(outputs * inputs, 1, 3, 3), fir, padding=3)  # taps -2 to 3, [.., 1, 6, 6]
    whole = whole.reshape(outputs, inputs, 6, 6)
    parts = [whole[:, :, row::2, column::2].flip(2, 3) for row in (0, 1) for column in (0, 1)]
    return torch.cat(parts)


def draw(fused: FusedConstants, latent: Tensor, features: dict[int, Tensor], weights: Tensor) -> Tensor:
    """Return the frame [1, 3, size, size] under weights [1, channels]; not clamped. `latent` [1, style_dim] and
    `features` (enhanced) are the source's."""
    style = latent + weights @ fused.bank.T
    joint = torch.addmm(fused.style_offset, style, fused.style_matrix.T)
    styles = joint.split(_style_sizes(fused), dim=1)
    x = _styled(fused.start, fused.constant, styles[0])
    logits: Tensor | None = None
    rgb: Tensor | None = None
    for i, (level, up, conv) in enumerate(fused.levels):
        to_up, to_conv, to_flow = styles[1 + 3 * i : 4 + 3 * i]
        x = _styled(conv, _raised(up, x, to_up), to_conv)
        logits = _accumulate(_flow_logits(level, x, to_flow), logits)
        mask = torch.sigmoid(logits[:, 2:])
        warped = sample_rows(features[level.size], torch.tanh(logits[:, :2]), level.grid, mask)
        rgb = _accumulate(_to_rgb(level, warped), rgb)
        x = warped + x * (1.0 - mask)
    if rgb is None:
        raise ValueError("a generator needs at least one level")
    return rgb


def _style_sizes(fused: FusedConstants) -> list[int]:
    """Return the lengths of the style vectors: the inputs of each convolution, in the order in which they come."""
    inside = [
        (level.up.energy.shape[1], level.conv.energy.shape[1], level.level.flow_weight.shape[1])
        for level in fused.levels
    ]
    return [fused.start.energy.shape[1], *(size for sizes in inside for size in sizes)]


def _styled(conv: FoldedConv, x: Tensor, scales: Tensor) -> Tensor:
    scaled = (x * scales[:, :, None, None]).to(conv.weight.dtype)
    if conv.weight.dim() == winograd.DIMENSIONS:
        return _finish(conv, winograd.convolve(scaled, conv.weight), scales)
    return _finish(conv, F.conv2d(scaled, conv.weight, padding=1), scales)


def _raised(up: FoldedConv, x: Tensor, scales: Tensor) -> Tensor:
    scaled = (x * scales[:, :, None, None]).to(up.weight.dtype)
    if up.fir is not None:
        y = F.conv_transpose2d(scaled, up.weight, stride=2)
        return _finish(up, F.conv2d(y, up.fir, padding=1, groups=y.shape[1]), scales)
    y = F.conv2d(scaled, up.weight, padding=1)
    batch, _, rows, columns = y.shape
    apart = y.unflatten(1, (2, 2, -1)).permute(0, 3, 4, 1, 5, 2)  # [B, O, rows, 2, columns, 2]
    return _finish(up, apart.reshape(batch, -1, 2 * rows, 2 * columns), scales)


def _finish(conv: FoldedConv, y: Tensor, scales: Tensor) -> Tensor:
    demodulation = GAIN * torch.rsqrt(scales.square() @ conv.energy.T + DEMODULATION_EPSILON)
    return F.leaky_relu(conv.bias + y.float() * demodulation[:, :, None, None], SLOPE)


def _flow_logits(level: FoldedLevel, x: Tensor, scales: Tensor) -> Tensor:
    """Return `fast.flow_logits` of one picture."""
    return _by_pixel(x, level.flow_weight * scales, level.flow_bias[:, 0])


def _to_rgb(level: FoldedLevel, warped: Tensor) -> Tensor:
    """Return `fast.to_rgb` of one picture."""
    return leaky(_by_pixel(warped, level.rgb_weight[:, :, 0, 0], level.rgb_inner_bias)) + level.rgb_bias


def _by_pixel(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return the 1x1 convolution of one picture [1, C, H, W] by weight [O, C] and bias [O]."""
    _, channels, rows, columns = x.shape
    made = torch.addmm(bias, x.permute(0, 2, 3, 1).reshape(rows * columns, channels), weight.T)
    return made.reshape(1, rows, columns, -1).permute(0, 3, 1, 2)


def _accumulate(value: Tensor, before: Tensor | None) -> Tensor:
    """Add the doubled map of the level before, as `fast.accumulate` does."""
    return value if before is None else value + _doubled(_doubled(before, 2), 3)


def _doubled(x: Tensor, axis: int) -> Tensor:
    """Return twice the size along an axis: between two pixels a quarter and three quarters of each, zero outside."""
    count = x.shape[axis]
    padded = F.pad(x, (1, 1) if axis == 3 else (0, 0, 1, 1))
    before, after = padded.narrow(axis, 0, count), padded.narrow(axis, 2, count)
    pairs = torch.stack([0.25 * before + 0.75 * x, 0.75 * x + 0.25 * after], axis + 1)
    return pairs.flatten(axis, axis + 1)


def sample_rows(feature: Tensor, flow: Tensor, identity: Tensor, mask: Tensor) -> Tensor:
    """Return `generator.sample(feature, identity + flow) * mask` for one picture: feature [1, C, n, n], flow [1, 2, n,
    n], mask [1, 1, n, n]; zero outside."""
    _, channels, rows, columns = feature.shape
    x = ((flow[:, 0] + identity[..., 0] + 1.0) * columns - 1.0) * 0.5
    y = ((flow[:, 1] + identity[..., 1] + 1.0) * rows - 1.0) * 0.5
    left, top = x.floor(), y.floor()
    places, shares = [], []
    for row, by_row in ((top, top + 1.0 - y), (top + 1.0, y - top)):
        for column, by_column in ((left, left + 1.0 - x), (left + 1.0, x - left)):
            is_inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
            place = row.clamp(0, rows - 1) * columns + column.clamp(0, columns - 1)
            places.append(place.to(torch.int32).flatten())
            shares.append((by_row * by_column * is_inside * mask[:, 0]).flatten())
    pixels = feature.permute(0, 2, 3, 1).reshape(rows * columns, channels)
    sums = F.embedding_bag(
        torch.stack(places, 1), pixels, mode="sum", per_sample_weights=torch.stack(shares, 1)
    )
    return sums.reshape(1, rows, columns, channels).permute(0, 3, 1, 2)


# --- as a list of tensors, which is what a compiled library takes ---


def tensors_of(value: object) -> list[Tensor]:
    """Return all tensors of nested tuples and dicts, in order."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        return [tensor for key in sorted(value) for tensor in tensors_of(value[key])]
    return [tensor for part in value for tensor in tensors_of(part)] if isinstance(value, tuple) else []


def with_tensors(template: Any, tensors: Iterator[Tensor]) -> Any:
    """Return a copy of `template` with other tensors, in the order of `tensors_of`."""
    if isinstance(template, Tensor):
        return next(tensors)
    if isinstance(template, dict):
        return {key: with_tensors(template[key], tensors) for key in sorted(template)}
    if isinstance(template, tuple):
        parts = [with_tensors(part, tensors) for part in template]
        return type(template)(*parts) if hasattr(template, "_fields") else tuple(parts)
    return template
