"""Head pose from a voice by a normalizing flow (paper section 3.3, Eq. 5; Glow, Kingma and Dhariwal 2018).

A flow is a bijection between movements of the head and normal noise, given what the voice does: training makes real
movements likely, and other noise gives other movements that are as likely. The paper's flow sees one frame at a time
and jitters from frame to frame. Ours sees hops of a lapped transform (`squeeze` = "mdct"): 0.64 seconds as 16
frequencies of each movement, seamless and of log-determinant 0. `squeeze` = "none" keeps the paper's form.

Shapes: B sequences of T frames (25 fps) or H hops; C channels of a hop.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edtalk_server.networks.config import _Config, _require_positive_integers
from edtalk_server.networks.voice.pose_response import REACH, PoseResponse

POSE = 6
"""Movements: pitch, yaw, roll, two shifts, scale."""
STRESS = 0.2
"""How much performances differ in how far they follow the voice: deviation of the logarithm, at temperature 1."""
CHOICE, RESERVE = 3.0, 1.2
"""How clearly a performance chooses which of the voice's nods it makes, and how many it leaves out: a speaker nods at
about half of the accents (Graf et al. 2002), another one at others."""
_MOST = 4096
"""Largest size in a config: a bundle is read from strangers."""


@dataclass(frozen=True)
class PoseFlowConfig(_Config):
    """Sizes of the flow. `squeeze`: "mdct" (hops of `hop` frames) or "none" (every frame by itself, hop 1).

    A row of the condition has `prosody` and `emotions` numbers for each frame, and `features` of an audio encoder
    (0: none); a `style` belongs to the whole sequence. `prior`: a first step shifts and scales all channels by the
    condition alone, which learns most of what the voice says about the head. `response` (0: none) is the width of a
    `PoseResponse`: what it expects is taken off the movements before the flow, and added after it. `radius` is how
    many hops attention sees each way, `kernel` the width of the convolution in hops.
    """

    squeeze: str = "mdct"
    hop: int = 16
    steps: int = 8
    width: int = 96
    heads: int = 2
    radius: int = 6
    kernel: int = 5
    prosody: int = 8
    emotions: int = 8
    features: int = 0
    style: int = 8
    prior: bool = True
    response: int = 0

    def __post_init__(self) -> None:
        sizes = {
            "hop": self.hop,
            "steps": self.steps,
            "width": self.width,
            "heads": self.heads,
            "radius": self.radius,
            "kernel": self.kernel,
            "prosody": self.prosody,
        }
        _require_positive_integers(**sizes)
        optional = {
            "emotions": self.emotions,
            "features": self.features,
            "style": self.style,
            "response": self.response,
        }
        _require_positive_integers(**{name: value for name, value in optional.items() if value != 0})
        if max(*sizes.values(), *optional.values()) > _MOST:
            raise ValueError(f"no size may be above {_MOST}")
        if not isinstance(self.prior, bool):
            raise ValueError(f"prior must be true or false, not {self.prior!r}")
        if self.squeeze not in ("mdct", "none") or (self.squeeze == "none") != (self.hop == 1):
            raise ValueError(
                f"squeeze {self.squeeze!r} with hop {self.hop} is neither mdct nor none with hop 1"
            )
        if self.width % self.heads or self.kernel % 2 == 0:
            raise ValueError("heads must divide width, and kernel must be odd")

    @property
    def channels(self) -> int:
        """Return the numbers of a hop."""
        return POSE * self.hop

    @property
    def window(self) -> int:
        """Return the frames that a hop spans."""
        return 2 * self.hop if self.squeeze == "mdct" else 1

    @property
    def condition(self) -> int:
        """Return the numbers that a hop's condition has, without what the response expects."""
        return self.window * (self.prosody + self.emotions + self.features) + self.style

    @property
    def reach(self) -> int:
        """Return how many hops each way a hop depends on: more make no difference."""
        steps = self.steps * (
            self.radius + self.kernel // 2
        )  # the prior sees the condition alone, within the same
        return steps + (-(-REACH // self.hop) if self.response else 0)


# --- the lapped transform --------------------------------------------------------------------------------------------


class LappedTransform(nn.Module):
    """The modified discrete cosine transform (Princen and Bradley 1987) with a sine window: orthonormal, so its
    log-determinant is 0.

    Of an endless sequence, H hops lie in (H + 1) · hop frames and give back the (H - 1) · hop frames in their middle.
    """

    basis: Tensor

    def __init__(self, hop: int) -> None:
        super().__init__()
        self.hop = hop
        n, k = torch.arange(2 * hop, dtype=torch.float64), torch.arange(hop, dtype=torch.float64)
        taper = torch.sin(math.pi / (2 * hop) * (n + 0.5))
        waves = torch.cos(math.pi / hop * (n[:, None] + 0.5 + hop / 2) * (k + 0.5))
        self.register_buffer("basis", math.sqrt(2 / hop) * taper[:, None] * waves, persistent=False)

    def forward(self, frames: Tensor) -> Tensor:
        """Transform [B, (H + 1) · hop, P] into [B, H, hop · P]: the slowest movements first."""
        windows = frames.unfold(1, 2 * self.hop, self.hop)  # [B, H, P, 2 hop]
        return torch.einsum("bhpn,nk->bhkp", windows, self.basis.to(frames.dtype)).flatten(2)

    def inverse(self, hops: Tensor) -> Tensor:
        """Return the frames [B, (H - 1) · hop, P] that lie under two hops each."""
        spectrum = hops.unflatten(2, (self.hop, -1))
        halves = torch.einsum("bhkp,nk->bhnp", spectrum, self.basis.to(hops.dtype))
        return (halves[:, :-1, self.hop :] + halves[:, 1:, : self.hop]).flatten(1, 2)


# --- the steps of the flow -------------------------------------------------------------------------------------------


class ActNorm(nn.Module):
    """y = (x + shift) · exp(log_scale) for each channel; the first data make it zero mean and unit variance."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(channels))
        self.log_scale = nn.Parameter(torch.zeros(channels))

    @torch.no_grad()
    def initialize(self, x: Tensor) -> None:
        """Normalise these data [B, H, C]."""
        rows = x.flatten(0, 1)
        self.shift.copy_(-rows.mean(0))
        self.log_scale.copy_(-rows.std(0).clamp_min(1e-4).log())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return (x + self.shift) * self.log_scale.exp(), self.log_scale.sum()

    def inverse(self, y: Tensor) -> Tensor:
        return y * (-self.log_scale).exp() - self.shift


class Invertible1x1(nn.Module):
    """Mixes channels by a matrix P · L · U (Glow, section 3.2): its log-determinant is the sum over U's diagonal."""

    order: Tensor
    sign: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        rotation, _ = torch.linalg.qr(torch.randn(channels, channels))
        permutation, lower, upper = torch.linalg.lu(rotation)
        self.register_buffer("order", permutation.argmax(1))
        self.register_buffer("sign", upper.diagonal().sign())
        self.lower = nn.Parameter(lower.tril(-1))
        self.upper = nn.Parameter(upper.triu(1))
        self.log_diagonal = nn.Parameter(upper.diagonal().abs().log())

    def _triangles(self) -> tuple[Tensor, Tensor]:
        lower = self.lower.tril(-1) + torch.eye(
            len(self.order), dtype=self.lower.dtype, device=self.lower.device
        )
        return lower, self.upper.triu(1) + torch.diag(self.sign * self.log_diagonal.exp())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        lower, upper = self._triangles()
        return x @ (lower @ upper)[self.order].T, self.log_diagonal.sum()

    def inverse(self, y: Tensor) -> Tensor:
        lower, upper = self._triangles()
        rows = torch.empty_like(y.flatten(0, 1))
        rows[:, self.order] = y.flatten(0, 1)
        solved = torch.linalg.solve_triangular(lower, rows.T, upper=False, unitriangular=True)
        return torch.linalg.solve_triangular(upper, solved, upper=True).T.reshape(y.shape)


class LocalAttention(nn.Module):
    """Attention over the hops at most `radius` away, with a learned bias for each distance."""

    def __init__(self, width: int, heads: int, radius: int) -> None:
        super().__init__()
        self.heads, self.radius = heads, radius
        self.queries_keys_values = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)
        self.distance = nn.Parameter(torch.zeros(heads, 2 * radius + 1))

    def forward(self, x: Tensor) -> Tensor:
        count, hops, width = x.shape
        split = self.queries_keys_values(x).reshape(count, hops, 3, self.heads, width // self.heads)
        query, key, value = split.unbind(2)
        near = 2 * self.radius + 1
        pad = (0, 0, 0, 0, self.radius, self.radius)
        keys = F.pad(key, pad).unfold(1, near, 1)  # [B, H, heads, d, near]
        values = F.pad(value, pad).unfold(1, near, 1)
        scores = torch.einsum("bhnd,bhndk->bhnk", query, keys) / math.sqrt(width // self.heads)
        scores = scores + self.distance
        inside = F.pad(torch.ones(hops, dtype=torch.bool, device=x.device), (self.radius, self.radius))
        scores = scores.masked_fill(~inside.unfold(0, near, 1)[None, :, None], -torch.inf)
        mixed = torch.einsum("bhnk,bhndk->bhnd", scores.softmax(-1), values)
        return self.output(mixed.flatten(2))  # type: ignore[no-any-return]


class Conditioner(nn.Module):
    """One half of the channels and the condition -> what the other half is shifted and scaled by, [B, H, outputs].

    Linear, depthwise convolution over hops, one pre-norm transformer block, and an output that begins at zero.
    """

    def __init__(self, inputs: int, outputs: int, config: PoseFlowConfig) -> None:
        super().__init__()
        width, kernel = config.width, config.kernel
        self.input = nn.Linear(inputs + config.condition, width)
        self.along = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width)
        self.norm_attention, self.norm_mix = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = LocalAttention(width, config.heads, config.radius)
        self.mix = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.output = nn.Linear(width, outputs)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, half: Tensor, condition: Tensor) -> Tensor:
        x = self.input(torch.cat([half, condition], dim=2))
        x = F.gelu(x + self.along(x.transpose(1, 2)).transpose(1, 2))
        x = x + self.attention(self.norm_attention(x))
        x = x + self.mix(self.norm_mix(x))
        return self.output(x)  # type: ignore[no-any-return]


class Coupling(nn.Module):
    """One half stays; the other becomes (x + t) · s, s = exp(2 tanh(· / 2)), of the first and the condition."""

    def __init__(self, config: PoseFlowConfig) -> None:
        super().__init__()
        self.kept = config.channels // 2
        changed = config.channels - self.kept
        self.conditioner = Conditioner(self.kept, 2 * changed, config)

    def forward(self, x: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        kept, changed = x[..., : self.kept], x[..., self.kept :]
        shift, log_scale = self._affine(kept, condition)
        return torch.cat([kept, (changed + shift) * log_scale.exp()], dim=-1), log_scale.sum(-1)

    def inverse(self, y: Tensor, condition: Tensor) -> Tensor:
        kept, changed = y[..., : self.kept], y[..., self.kept :]
        shift, log_scale = self._affine(kept, condition)
        return torch.cat([kept, changed * (-log_scale).exp() - shift], dim=-1)

    def _affine(self, kept: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        shift, raw = self.conditioner(kept, condition).chunk(2, dim=-1)
        return shift, 2 * torch.tanh(raw / 2)


class Prior(nn.Module):
    """Actnorm, then all channels become (x + t) · s of the condition alone: what the voice says of each frequency."""

    def __init__(self, config: PoseFlowConfig) -> None:
        super().__init__()
        self.norm = ActNorm(config.channels)
        self.conditioner = Conditioner(0, 2 * config.channels, config)

    def forward(self, x: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        x, scaled = self.norm(x)
        shift, log_scale = self._affine(condition)
        return (x + shift) * log_scale.exp(), log_scale.sum(-1) + scaled

    def inverse(self, y: Tensor, condition: Tensor) -> Tensor:
        shift, log_scale = self._affine(condition)
        return self.norm.inverse(y * (-log_scale).exp() - shift)

    def _affine(self, condition: Tensor) -> tuple[Tensor, Tensor]:
        shift, raw = self.conditioner(condition[..., :0], condition).chunk(2, dim=-1)
        return shift, 3 * torch.tanh(raw / 3)


class FlowStep(nn.Module):
    """Actnorm, invertible 1x1 convolution, affine coupling (Glow, figure 2a)."""

    def __init__(self, config: PoseFlowConfig) -> None:
        super().__init__()
        self.norm, self.turn = ActNorm(config.channels), Invertible1x1(config.channels)
        self.coupling = Coupling(config)

    def forward(self, x: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        x, scaled = self.norm(x)
        x, turned = self.turn(x)
        x, coupled = self.coupling(x, condition)
        return x, coupled + scaled + turned

    def inverse(self, y: Tensor, condition: Tensor) -> Tensor:
        return self.norm.inverse(self.turn.inverse(self.coupling.inverse(y, condition)))  # type: ignore[no-any-return]


class PoseFlow(nn.Module):
    """Natural pose (pitch, yaw, roll / 20 degrees, shifts, scale) <-> normal noise, given the voice.

    The buffers `pose_mean`, `pose_deviation` [6] and `prosody_mean`, `prosody_deviation` [8] standardise; `limit` [6]
    is the largest movement of the training data, in natural units. With a response, samples are what it
    expects times `emphasis` plus chance times `chance` ([C] each). In the data, chance also says which accents nod and
    when; the flow's chance knows no accents, and would hide the nods that the voice decides. So quick nods are given
    less chance and more voice, about as powerful as in the data together.
    """

    pose_mean: Tensor
    pose_deviation: Tensor
    prosody_mean: Tensor
    prosody_deviation: Tensor
    limit: Tensor
    emphasis: Tensor
    chance: Tensor

    def __init__(self, config: PoseFlowConfig | None = None) -> None:
        super().__init__()
        self.config = config or PoseFlowConfig()
        self.squeeze = LappedTransform(self.config.hop) if self.config.squeeze == "mdct" else None
        self.prior = Prior(self.config) if self.config.prior else None
        self.steps = nn.ModuleList(FlowStep(self.config) for _ in range(self.config.steps))
        for name, size in (("pose", POSE), ("prosody", self.config.prosody)):
            self.register_buffer(f"{name}_mean", torch.zeros(size))
            self.register_buffer(f"{name}_deviation", torch.ones(size))
        self.register_buffer("limit", torch.full((POSE,), 3.0))
        self.response = self._make_response()

    def _make_response(self) -> PoseResponse | None:
        if not self.config.response:
            return None
        self.register_buffer("emphasis", torch.ones(self.config.channels))
        self.register_buffer("chance", torch.ones(self.config.channels))
        inputs = self.config.prosody + self.config.emotions + self.config.features
        return PoseResponse(inputs, self.config.style, POSE, self.config.response)

    @classmethod
    def from_config(cls, values: Mapping[str, Any]) -> PoseFlow:
        """Return the untrained network of a bundle's config; raises `ValueError` that names a wrong field."""
        return cls(PoseFlowConfig.from_dict(values))

    # --- frames and hops ---

    def hops(self, pose: Tensor) -> Tensor:
        """Return the hops [B, H, C] of natural pose [B, T, 6]: T is (H + 1) · hop, or H without squeeze."""
        standard = (pose - self.pose_mean) / self.pose_deviation
        return standard if self.squeeze is None else self.squeeze(standard)  # type: ignore[no-any-return]

    def frames(self, hops: Tensor) -> Tensor:
        """Return natural pose [B, T, 6] from hops [B, H, C]: T is (H - 1) · hop, or H without squeeze."""
        return self._standard(hops) * self.pose_deviation + self.pose_mean

    def sampled(self, noise: Tensor, condition: Tensor) -> Tensor:
        """Return the pose [B, T, 6] that noise [B, H, C] stands for, as varied as the data; T as in `frames`.

        With a response, that alone says what the voice does to the head.
        """
        if self.response is None:
            return self.frames(self.inverse(noise, condition))
        _, expected = self._split(condition)
        chance = self._standard(self.chance * self.left_to_chance(noise, condition))
        voice = self._standard(self.emphasis * expected) * self._stress(noise)
        return (chance + voice) * self.pose_deviation + self.pose_mean

    def left_to_chance(self, noise: Tensor, condition: Tensor) -> Tensor:
        """Return the hops [B, H, C] of noise less those of no noise: slow turns that all seeds share."""
        both = torch.cat([noise, torch.zeros_like(noise)])
        drawn, usual = self.inverse(both, torch.cat([condition, condition])).chunk(2)
        return drawn - usual

    def _standard(self, hops: Tensor) -> Tensor:
        return hops if self.squeeze is None else self.squeeze.inverse(hops)

    def _stress(self, noise: Tensor) -> Tensor:
        """Return how strongly each frame [B, T, 1] follows the voice, from 0 to about 3: no two performances stress the
        same. Its mean is 0.9 at temperature 1; where nothing is left to chance, it is 1 everywhere."""
        if self.squeeze is None:
            return torch.ones_like(noise[..., :1])
        levels = noise.sum(-1, keepdim=True) / math.sqrt(self.config.channels)  # normal at temperature 1
        reserve = RESERVE * noise.square().mean(-1, keepdim=True).sqrt()
        stress = 2 * torch.sigmoid(CHOICE * levels - reserve) * (STRESS * levels).exp()
        at = (torch.arange(self.config.hop, dtype=noise.dtype, device=noise.device) + 0.5) / self.config.hop
        share = 0.5 - 0.5 * torch.cos(math.pi * at)
        between = stress[:, :-1] * (1 - share) + stress[:, 1:] * share  # [B, H - 1, hop]
        return between.flatten(1)[..., None]

    def condition(
        self, prosody: Tensor, emotions: Tensor, style: Tensor, features: Tensor | None = None
    ) -> Tensor:
        """Return the condition [B, H, ·] of each hop from rows [B, T, 8], [B, T, 8], a style [B, 8] and, where the
        config has them, an audio encoder's features [B, T, ·]. T as in `hops`. With a response, the hops [B, H, C] that
        it expects follow."""
        rows = self._rows(prosody, emotions, features)
        windows = rows.unfold(1, self.config.window, self.config.hop).flatten(2)
        condition = torch.cat([windows, style[:, None].expand(-1, windows.shape[1], -1)], dim=2)
        if self.response is None:
            return condition
        expected = self.response(rows, style)
        hops = expected if self.squeeze is None else self.squeeze(expected)
        return torch.cat([condition, hops], dim=2)

    def _rows(self, prosody: Tensor, emotions: Tensor, features: Tensor | None) -> Tensor:
        rows = [(prosody - self.prosody_mean) / self.prosody_deviation, emotions]
        return torch.cat(rows if features is None else [*rows, features], dim=2)

    def _split(self, condition: Tensor) -> tuple[Tensor, Tensor | float]:
        """Return what the steps see of a condition, and the hops that the response expects (0 without one)."""
        if self.response is None:
            return condition, 0.0
        known = self.config.condition
        return condition[..., :known], condition[..., known:]

    # --- the bijection ---

    def forward(self, hops: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Return noise [B, H, C] and the log-determinant [B, H] of hops [B, H, C] (Eq. 5)."""
        condition, expected = self._split(condition)
        hops, total = hops - expected, hops.new_zeros(hops.shape[:2])
        if self.prior is not None:
            hops, total = self.prior(hops, condition)
        for step in self.steps:
            hops, change = step(hops, condition)
            total = total + change
        return hops, total

    def inverse(self, noise: Tensor, condition: Tensor) -> Tensor:
        """Return hops [B, H, C] of noise [B, H, C]."""
        condition, expected = self._split(condition)
        for step in reversed(self.steps):
            noise = cast(FlowStep, step).inverse(noise, condition)
        hops = noise if self.prior is None else self.prior.inverse(noise, condition)
        return hops + expected

    @torch.no_grad()
    def initialize(self, hops: Tensor, condition: Tensor) -> None:
        """Let each step's actnorm normalise what reaches it of the first batch."""
        condition, expected = self._split(condition)
        hops = hops - expected
        if self.prior is not None:
            self.prior.norm.initialize(hops)
            hops, _ = self.prior(hops, condition)
        for step in self.steps:
            cast(FlowStep, step).norm.initialize(hops)
            hops, _ = step(hops, condition)


def negative_log_likelihood(noise: Tensor, log_determinant: Tensor) -> Tensor:
    """Return the mean negative log-likelihood in nats for each dimension (Eq. 5)."""
    logs = -0.5 * (noise.square() + math.log(2 * math.pi)).sum(-1) + log_determinant
    return -logs.mean() / noise.shape[-1]
