"""The rule that makes a golden set's weights and inputs from its name, bit for bit on every platform."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edtalk_server.bundles.official_names import OfficialTensor

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

IMAGE_SIZE = 256
SAMPLE_RATE = 16_000
_SILENCE = slice(9000, 11000)


def _raw(key: str, count: int) -> npt.NDArray[np.uint64]:
    return np.random.PCG64(zlib.crc32(key.encode())).random_raw(count)


def gauss(key: str, count: int) -> Doubles:
    """Return normal-like numbers of variance 1: sums of the four 16-bit fields of raw 64-bit numbers."""
    fields = _raw(key, count).view(np.uint16).reshape(count, 4)
    return (fields.sum(axis=1, dtype=np.int64) - 131070) * (math.sqrt(3.0) / 65536.0)


def uniform(key: str, count: int) -> Doubles:
    """Return uniform numbers in [0, 1)."""
    return (_raw(key, count) >> np.uint64(11)).astype(np.float64) * 2.0**-53


# The first matching pattern decides: (name, mean, gain, whether the gain is divided by sqrt(fan)).
_RULES: tuple[tuple[str, float, float, bool], ...] = (
    (r"\.running_var$", 1.0, 0.25, False),
    (r"\.running_mean$", 0.0, 0.1, False),
    (r"conv_block\.1\.weight$", 1.0, 0.1, False),
    (r"conv_block\.0\.weight$", 0.0, 1.0, True),
    (r"^mapping\.weight$", 0.0, 2.5, True),
    (r"modulation\.bias$", 1.0, 0.1, False),
    (r"modulation\.weight$", 0.0, 0.5, False),
    (r"noise\.weight$", 0.0, 0.1, False),
    (r"to_flows\.\d+\.conv\.weight$", 0.0, 0.25, False),
    (r"(to_rgb1|to_rgbs\.\d+)\.conv\.0\.weight$", 0.0, 0.4, False),
    (r"(to_rgb1|to_rgbs\.\d+)\.bias$", -0.1, 0.05, False),
    (r"fineadainresblock\.\d+\.conv[12]\.weight$", 0.0, 1.0, True),
    (r"fineadainresblock\.\d+\.norm[12]\.mlp_.*weight$", 0.0, 1.0, True),
    (r"mlp_gamma\.bias$", -0.75, 0.1, False),
    (r"^(lip|pose|exp)_fc\.2\.weight$", 0.0, 6.0, False),
    (r"bias$", 0.0, 0.1, False),
    (r"(weight|^dec\.input\.input)$", 0.0, 1.0, False),
)


def tensor(set_name: str, model: str, official: OfficialTensor) -> Tensor:
    """Return one tensor of a checkpoint (`model` is edtalk, edtalk_lip_pose or audio2lip)."""
    if official.constant is not None:
        return official.constant
    if official.integer:
        return torch.zeros(official.shape, dtype=torch.int64)
    for pattern, mean, gain, by_fan in _RULES:
        if re.search(pattern, official.name):
            scale = gain * math.sqrt(1.0 / math.prod(official.shape[1:])) if by_fan else gain
            values = mean + scale * gauss(f"{set_name}/{model}/{official.name}", math.prod(official.shape))
            return torch.from_numpy(values.astype(np.float32).reshape(official.shape))
    raise KeyError(f"no rule fills {official.name}")


def checkpoint(set_name: str, model: str, tensors: Sequence[OfficialTensor]) -> dict[str, Tensor]:
    """Return a whole checkpoint under its official names."""
    return {official.name: tensor(set_name, model, official) for official in tensors}


def waves(key: str, shape: tuple[int, int, int], count: int, highest: float, amplitude: float) -> Floats:
    """Return a smooth field [C, H, W] within ±`amplitude`: `count` plane waves of up to `highest` periods a side."""
    channels, height, width = shape
    parameters = uniform(key, count * (3 + channels)).reshape(count, 3 + channels)
    x, y = np.arange(width) / width, np.arange(height)[:, None] / height
    field = np.zeros(shape)
    total = 0.0
    for p in parameters:
        strength = 0.25 + 0.75 * p[0]
        phase = highest * (2.0 * p[1] - 1.0) * x + highest * (2.0 * p[2] - 1.0) * y
        field += strength * np.sin(2.0 * np.pi * (phase + p[3:, None, None]))
        total += strength
    return (field * (amplitude / total)).astype(np.float32)


def images(set_name: str, kind: str, batch: int) -> Floats:
    """Return the pictures [batch, 3, 256, 256] of one kind: source, lip, pose or exp."""
    shape = (3, IMAGE_SIZE, IMAGE_SIZE)
    return np.stack([waves(f"{set_name}/image/{kind}{i}", shape, 4, 5.0, 0.95) for i in range(batch)])


def mel_windows(set_name: str, count: int) -> Floats:
    """Return mel windows [count, 80, 16]."""
    return np.concatenate([waves(f"{set_name}/mel/win{i}", (1, 80, 16), 4, 3.0, 3.8) for i in range(count)])


def photo(set_name: str) -> npt.NDArray[np.uint8]:
    """Return the picture uint8 [420, 500, 3] that tests the crop."""
    field = waves(f"{set_name}/photo/1", (3, 420, 500), 4, 9.0, 0.95)
    return np.round((field.astype(np.float64) + 1.0) * 127.5).astype(np.uint8).transpose(1, 2, 0)


def voice(set_name: str, samples: int, name: str = "a") -> Floats:
    """Return a voice-like sound at 16 kHz: twelve harmonics of a wavering pitch, in syllables, with a little noise."""
    u = uniform(f"{set_name}/wave/{name}", 16)
    t = np.arange(samples) / SAMPLE_RATE
    pitch, depth, rate = 90.0 + 110.0 * u[0], 10.0 + 20.0 * u[1], 0.5 + u[2]
    phase = 2.0 * np.pi * pitch * t + (depth / rate) * (1.0 - np.cos(2.0 * np.pi * rate * t))
    tone = sum(np.sin(h * phase + 2.0 * np.pi * u[2 + h]) / h for h in range(1, 13))
    syllables = np.maximum(0.0, np.sin(2.0 * np.pi * 1.5 * t + 2.0 * np.pi * u[15])) ** 2
    wave = 0.25 * syllables * tone + 0.002 * gauss(f"{set_name}/noise/{name}", samples)
    wave[_SILENCE] = 0.0
    return wave.astype(np.float32)
