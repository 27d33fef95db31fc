"""The interface between data and stages: batches of clips, and the sets that draw them.

All pictures are RGB in [-1, 1], [3, S, S]. Landmarks are the 68 points as x, y in 0..1 of the picture (y down); points
outside the picture lie beyond it. Tensors are float32 on the CPU until `to` moves them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

Random = np.random.Generator

FRAME_RATE = 25
"""Frames a second of every clip."""
HIDDEN, VISIBLE, BOTH_BACKGROUND = 0, 1, 2
"""The renderer's codes of visibility."""
BACKGROUND_PART = 255
"""The part id of the background."""
_BACKGROUND_TRUST = 0.3
"""Trust in the flow of still background: true, but there is nothing to learn from it."""
_HIDDEN_TRUST = 0.15
"""Trust in the flow of skin that the source hides a little: a fair guess."""


@dataclass(frozen=True)
class _Tensors:
    """Shared by the batches: all fields are tensors, batches, or None."""

    def to(self, device: torch.device) -> Self:
        """Return the batch on another device."""
        moved = {f.name: _moved(getattr(self, f.name), device) for f in fields(self)}
        return type(self)(**moved)


def _moved(value: Any, device: torch.device) -> Any:
    return value if value is None else value.to(device)


@dataclass(frozen=True)
class Motion(_Tensors):
    """True motion of pixels, from a target picture back to a source picture; maps may be smaller than the pictures
    ([..., f, f]). `...` is [B, T] in clips, [B] in swaps."""

    flow: Tensor
    """[..., 2, f, f] target to source, x and y, in units of which the picture has 2."""
    visible: Tensor
    """[..., 1, f, f]: 1 where the source shows the target's spot, 0 where it hides it."""
    trust: Tensor
    """[..., 1, f, f]: how much an error of `flow` counts, 0..1."""

    @classmethod
    def from_render(
        cls, flow: npt.NDArray[Any], visibility: npt.NDArray[Any], parts: npt.NDArray[Any]
    ) -> Self:
        """Return the renderer's truth in these units: `flow` [..., f, f, 2] in parts of the picture's width, codes of
        `visibility` and ids of `parts` (both [..., f, f])."""
        hidden = (visibility == HIDDEN) & (parts != BACKGROUND_PART)
        trust = (visibility == VISIBLE) + _BACKGROUND_TRUST * (visibility == BOTH_BACKGROUND)
        trust = trust + _HIDDEN_TRUST * hidden
        return cls(
            flow=torch.from_numpy(np.moveaxis(flow * 2.0, -1, -3).astype(np.float32)),
            visible=torch.from_numpy((visibility != HIDDEN).astype(np.float32)[..., None, :, :]),
            trust=torch.from_numpy(trust.astype(np.float32)[..., None, :, :]),
        )

    @classmethod
    def stack(cls, motions: Sequence[Motion]) -> Self:
        """Return several motions as one, along a new first dimension."""
        names = ("flow", "visible", "trust")
        return cls(**{name: torch.stack([getattr(motion, name) for motion in motions]) for name in names})

    def frame(self, number: int) -> Motion:
        """Return the motion of one frame of each clip."""
        return Motion(self.flow[:, number], self.visible[:, number], self.trust[:, number])


@dataclass(frozen=True)
class ClipBatch(_Tensors):
    """B clips of T frames each, and a source picture for each: the same person at another moment, well apart from the
    clip (in the MEAD layout: with a neutral face), in the same crop."""

    source: Tensor
    """[B, 3, S, S]"""
    frames: Tensor
    """[B, T, 3, S, S]"""
    landmarks: Tensor
    """[B, T, 68, 2] of the frames."""
    identity: Tensor
    """[B] int64: the person's number within the set."""
    weights: Tensor | None = None
    """[B, T, 36] of the frames in the natural units of `synthetic.controls`; None for filmed clips."""
    source_weights: Tensor | None = None
    """[B, 36]"""
    motion: Motion | None = None
    """From every frame back to the source; None where it is not known."""
    parts: Tensor | None = None
    """[B, T, f, f] int64: `renderer.mesh.Part` of every pixel, 255 for the background; None where it is not known."""
    emotion: Tensor | None = None
    """[B] int64: the index in `film.layout.EMOTIONS`, -1 where it is not known; None for rendered clips."""
    level: Tensor | None = None
    """[B] int64: how strong the emotion is, from 1; 0 where it is not known; None for rendered clips."""

    @property
    def has_truth(self) -> bool:
        """Whether weights and motion are known."""
        return None not in (self.weights, self.source_weights, self.motion)


@dataclass(frozen=True)
class SwapBatch(_Tensors):
    """Exact factor swaps: the person of `source` with the mouth, pose and expression of three other pictures."""

    source: Tensor
    """[B, 3, S, S]"""
    mouth: Tensor
    """[B, 3, S, S] whose mouth the target has; may show another person."""
    pose: Tensor
    """[B, 3, S, S] whose pose the target has."""
    expression: Tensor
    """[B, 3, S, S] whose expression the target has."""
    target: Tensor
    """[B, 3, S, S] the true picture."""
    landmarks: Tensor
    """[B, 68, 2] of the target."""
    source_weights: Tensor
    """[B, 36]"""
    weights: Tensor
    """[B, 36] of the target: banks of the three drivers."""
    motion: Motion
    """From the target back to the source."""


@dataclass(frozen=True)
class SpokenBatch(_Tensors):
    """B clips of T frames with their sound, and a source picture for each, as in `ClipBatch`."""

    source: Tensor
    """[B, 3, S, S]"""
    frames: Tensor
    """[B, T, 3, S, S]"""
    landmarks: Tensor
    """[B, T, 68, 2] of the frames."""
    voice: Tensor
    """[B, T + 2 * reach, 80, 16]: the mel window of every frame (`media.audio.mel.windows`), and of `reach` frames
    before and after the clip. The window of frame i is row i + reach."""
    identity: Tensor
    """[B] int64: the person's number within the set."""

    @property
    def reach(self) -> int:
        """Frames before and after the clip whose sound is known."""
        return (self.voice.shape[1] - self.frames.shape[1]) // 2


class ClipSet(Protocol):
    """A set of clips to learn from."""

    @property
    def size(self) -> int:
        """Side of the pictures in pixels."""

    @property
    def has_truth(self) -> bool:
        """Whether every batch carries weights and motion."""

    @property
    def consecutive(self) -> bool:
        """Whether a clip's frames follow each other in time (25 a second); otherwise they are moments in random
        order."""

    def clips(self, rng: Random, count: int, length: int) -> ClipBatch:
        """Draw `count` clips of `length` frames and their sources; the same state of `rng` gives the same clips.

        `EDTalkError(NOT_READY)` when there is nothing (yet), `ValueError` for more frames than clips have.
        """


@runtime_checkable
class SwapSet(Protocol):
    """A set that can also combine factors of several pictures in one. Only sets that render on demand can."""

    def factor_swaps(
        self, rng: Random, count: int, cross: float = 0.5, keep_expression: bool = False
    ) -> SwapBatch:
        """Draw `count` swaps; in a share `cross` of them the drivers are other people than the source. With
        `keep_expression` the target has the source's own expression, for models that cannot change it yet."""


@runtime_checkable
class SpokenSet(Protocol):
    """A set of clips with sound."""

    def spoken(self, rng: Random, count: int, length: int, reach: int = 0) -> SpokenBatch:
        """Draw `count` clips of `length` frames with the sound of them and of `reach` frames before and after.

        `EDTalkError(NOT_READY)` when no clip with sound is long enough.
        """


class Mixed:
    """Several sets as one, each with its share of the batches. A batch comes from one set, so that it has either all of
    the truth or none."""

    def __init__(self, parts: Sequence[tuple[ClipSet, float]]) -> None:
        if not parts or any(share <= 0 for _, share in parts):
            raise ValueError("a mixture needs sets with shares above 0")
        sizes = {data.size for data, _ in parts}
        if len(sizes) > 1:
            raise ValueError(f"sets of one mixture must have pictures of one size, not {sorted(sizes)}")
        self.sets = [data for data, _ in parts]
        total = sum(share for _, share in parts)
        self.shares = [share / total for _, share in parts]

    @property
    def size(self) -> int:
        return self.sets[0].size

    @property
    def has_truth(self) -> bool:
        return all(data.has_truth for data in self.sets)

    @property
    def consecutive(self) -> bool:
        return all(data.consecutive for data in self.sets)

    def clips(self, rng: Random, count: int, length: int) -> ClipBatch:
        return self.sets[int(rng.choice(len(self.sets), p=self.shares))].clips(rng, count, length)


def resized(pictures: Tensor, size: int) -> Tensor:
    """Return pictures [N, 3, S, S] with `size` pixels a side."""
    if pictures.shape[-1] == size:
        return pictures
    if pictures.shape[-1] > size:
        return F.adaptive_avg_pool2d(pictures, size)
    return F.interpolate(pictures, size=size, mode="bilinear", align_corners=False)


def swap_sets(data: ClipSet) -> list[SwapSet]:
    """Return the sets that can swap factors: the set itself, or those of a mixture."""
    parts = data.sets if isinstance(data, Mixed) else [data]
    return [part for part in parts if isinstance(part, SwapSet)]


def spoken_sets(data: ClipSet) -> list[SpokenSet]:
    """Return the sets that have sound: the set itself, or those of a mixture."""
    parts = data.sets if isinstance(data, Mixed) else [data]
    return [part for part in parts if isinstance(part, SpokenSet)]
