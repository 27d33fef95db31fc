"""Judging computed tensors against stored ones; tolerances are those of the golden set's README, section 4."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from torch import Tensor

Array = npt.NDArray[np.generic]


@dataclass(frozen=True)
class Tolerance:
    """The largest and the root-mean-square difference that are accepted, in units of the tensor."""

    largest: float
    rms: float


_EXACT = Tolerance(0.0, 0.0)
_FRAME = Tolerance(2e-3, 1e-5)
_FRAME_LIP_POSE = Tolerance(1e-3, 1e-5)
_SAME_FORMULA = Tolerance(2e-6, 1e-6)

_TOLERANCES: tuple[tuple[str, Tolerance], ...] = (
    (r"alpha_lip_in|audio2lip|audio2lip_smooth|formula_audio2lip|enc_\d+", Tolerance(1e-4, 2e-5)),
    (r"mel_reflect|mel_constant|windows", Tolerance(1e-3, 1e-5)),
    (r"window_index|bbox_cases|crop_image_cases|cropped_len|template47", _EXACT),
    (r"crop_matrix", Tolerance(1e-3, 1e-3)),
    (r"crop_output|clip_official_u8", Tolerance(1.0, 1.0)),
    (r"mel_basis|smooth_kernel|preemphasis_head", Tolerance(1e-7, 1e-8)),
    (r"wave|formula_windows|in_\w+|photo_256|frame_256_antialias[01]", _SAME_FORMULA),
    (r"h_\w+|fc_\w+", Tolerance(1e-5, 2e-6)),
    (r"alpha_\w+", Tolerance(5e-5, 1e-5)),
    (r"Q\d+", Tolerance(2e-6, 2e-7)),
    (r"latent\w*|direction", Tolerance(2e-5, 5e-6)),
    (r"feat_\d+", Tolerance(1e-5, 1e-6)),
    (r"eem_\d+", Tolerance(5e-5, 5e-6)),
    (r"styled_(up_)?\d+", Tolerance(1e-3, 1e-5)),
    (r"(flowlogit|grid|mask)_\d+", Tolerance(1e-4, 5e-6)),
    (r"(warp|blend)_\d+", Tolerance(5e-3, 2e-5)),
    (r"rgb_\w+|image\w*|test_\w+", _FRAME),
    (r"forward_source_lip|change_video_lip", _FRAME_LIP_POSE),
)


def tolerance(name: str, lip_pose: bool = False) -> Tolerance:
    """The tolerance of a quantity; `KeyError` for one that nobody set."""
    for pattern, accepted in _TOLERANCES:
        if re.fullmatch(pattern, name):
            return _FRAME_LIP_POSE if lip_pose and accepted is _FRAME else accepted
    raise KeyError(f"no tolerance for {name}")


@dataclass
class Comparison:
    """One vector file: `offer` every quantity that is computed; what the file holds of it is compared.

    A file holds a quantity thinned (every n-th row and column, some channels), as `stat/<name>` of the full
    tensor (mean, deviation, minimum, maximum, norm), or both.
    """

    stored: Mapping[str, Array]
    lip_pose: bool = False
    inputs: frozenset[str] = frozenset()
    ratios: dict[str, float] = field(default_factory=dict)

    def wants(self, name: str) -> bool:
        """Whether the file holds anything of this quantity."""
        return bool(self._keys(name)) or f"stat/{name}" in self.stored

    def offer(self, name: str, value: Tensor | Array) -> None:
        """Compare a full tensor with all that is stored of it; the worst of repeated offers counts."""
        if not self.wants(name):
            return
        full = np.asarray(value.detach().cpu().numpy() if isinstance(value, Tensor) else value)
        accepted = tolerance(name, self.lip_pose)
        for key in self._keys(name):
            self._note(key, _ratio(_thinned(full, self.stored[key].shape), self.stored[key], accepted))
        if (statistics := f"stat/{name}") in self.stored:
            self._note(statistics, _statistics_ratio(full, self.stored[statistics], accepted))

    def unchecked(self) -> list[str]:
        """The keys that nothing was compared with and that are no inputs."""
        return [key for key in self.stored if key not in self.ratios and key not in self.inputs]

    def worst(self) -> tuple[str, float]:
        """The key with the largest error in units of its tolerance, and that ratio."""
        if not self.ratios:
            return "", 0.0
        key = max(self.ratios, key=lambda one: self.ratios[one])
        return key, self.ratios[key]

    def _keys(self, name: str) -> list[str]:
        pattern = re.compile(rf"{re.escape(name)}(_f64)?(_s\d+)?")
        return [key for key in self.stored if pattern.fullmatch(key)]

    def _note(self, key: str, ratio: float) -> None:
        self.ratios[key] = max(ratio, self.ratios.get(key, 0.0))


def _thinned(full: Array, shape: tuple[int, ...]) -> Array:
    """Every n-th entry of each axis, so that `shape` remains."""
    if full.ndim != len(shape):
        raise ValueError(f"a tensor of shape {full.shape} cannot be thinned to {shape}")
    steps = [max(1, -(-have // max(1, want))) for have, want in zip(full.shape, shape, strict=True)]
    return full[tuple(slice(None, None, step) for step in steps)]


def _ratio(value: Array, reference: Array, accepted: Tolerance) -> float:
    if value.shape != reference.shape or not np.isfinite(value).all():
        return float("inf")
    difference = np.abs(value.astype(np.float64) - reference.astype(np.float64))
    if not difference.any():
        return 0.0
    rms = float(np.sqrt(np.mean(difference**2)))
    return max(_over(float(difference.max()), accepted.largest), _over(rms, accepted.rms))


def _statistics_ratio(full: Array, reference: Array, accepted: Tolerance) -> float:
    values = full.astype(np.float64)
    found = [values.mean(), values.std(), values.min(), values.max(), np.sqrt((values**2).sum())]
    # Mean and deviation move by at most the rms difference, extremes by the largest, the norm by rms *
    # sqrt(N).
    limits = [
        accepted.rms,
        accepted.rms,
        accepted.largest,
        accepted.largest,
        accepted.rms * np.sqrt(values.size),
    ]
    errors = np.abs(np.array(found) - reference.astype(np.float64))
    return max(_over(float(error), float(limit)) for error, limit in zip(errors, limits, strict=True))


def _over(error: float, limit: float) -> float:
    if not np.isfinite(error):
        return float("inf")
    if limit == 0.0:
        return float("inf") if error > 0.0 else 0.0
    return error / limit
