"""Compare computed tensors with stored ones. The tolerances are those of the golden set's README, section 4."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from torch import Tensor

Array = npt.NDArray[np.generic]


@dataclass(frozen=True)
class Tolerance:
    """The largest and the root-mean-square difference that are accepted, in the tensor's units."""

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
    """Return the tolerance of a quantity. Raises `KeyError` for an unknown one."""
    for pattern, accepted in _TOLERANCES:
        if re.fullmatch(pattern, name):
            return _FRAME_LIP_POSE if lip_pose and accepted is _FRAME else accepted
    raise KeyError(f"no tolerance for {name}")


class Finding(NamedTuple):
    """The error of a stored quantity: `ratio` = error / limit, of the measure with the largest ratio."""

    ratio: float
    measure: str
    error: float
    limit: float

    def __str__(self) -> str:
        return f"{self.measure} {self.error:.2g}, accepted {self.limit:.2g}"


@dataclass
class Comparison:
    """One vector file: `offer` every computed quantity, and it is compared with what the file holds of it.

    A file holds a quantity thinned (every n-th row and column, some channels), as `stat/<name>` of the full
    tensor (mean, deviation, minimum, maximum, norm), or both.
    """

    stored: Mapping[str, Array]
    lip_pose: bool = False
    inputs: frozenset[str] = frozenset()
    findings: dict[str, Finding] = field(default_factory=dict)

    def wants(self, name: str) -> bool:
        """Return whether the file holds anything of this quantity."""
        return bool(self._keys(name)) or f"stat/{name}" in self.stored

    def offer(self, name: str, value: Tensor | Array) -> None:
        """Compare a full tensor with everything stored of it; the worst of repeated offers counts."""
        if not self.wants(name):
            return
        full = np.asarray(value.detach().cpu().numpy() if isinstance(value, Tensor) else value)
        accepted = tolerance(name, self.lip_pose)
        for key in self._keys(name):
            self._note(key, _compare(_thinned(full, self.stored[key].shape), self.stored[key], accepted))
        if (statistics := f"stat/{name}") in self.stored:
            self._note(statistics, _compare_statistics(full, self.stored[statistics], accepted))

    def unchecked(self) -> list[str]:
        """Return the keys that were not compared and are not inputs."""
        return [key for key in self.stored if key not in self.findings and key not in self.inputs]

    def worst(self) -> tuple[str, Finding]:
        """Return the key with the largest error in units of its tolerance. Raises `ValueError` where nothing was
        compared."""
        return max(self.findings.items(), key=lambda item: item[1].ratio)

    def _keys(self, name: str) -> list[str]:
        pattern = re.compile(rf"{re.escape(name)}(_f64)?(_s\d+)?")
        return [key for key in self.stored if pattern.fullmatch(key)]

    def _note(self, key: str, finding: Finding) -> None:
        if key not in self.findings or finding.ratio > self.findings[key].ratio:
            self.findings[key] = finding


def _thinned(full: Array, shape: tuple[int, ...]) -> Array:
    """Return every n-th entry of each axis, so that `shape` remains; all of it where the number of axes differs."""
    if full.ndim != len(shape):
        return full
    steps = [max(1, -(-have // max(1, want))) for have, want in zip(full.shape, shape, strict=True)]
    return full[tuple(slice(None, None, step) for step in steps)]


def _compare(value: Array, reference: Array, accepted: Tolerance) -> Finding:
    if value.shape != reference.shape:
        return Finding(
            math.inf, f"shape {list(value.shape)}, stored {list(reference.shape)}: error", math.inf, 0.0
        )
    if not np.isfinite(value).all():
        return Finding(math.inf, "not finite: error", math.inf, accepted.largest)
    difference = np.abs(value.astype(np.float64) - reference.astype(np.float64))
    if not difference.size:
        return Finding(math.inf, "nothing stored: error", math.inf, accepted.largest)
    rms = float(np.sqrt(np.mean(difference**2)))
    return max(_finding("max", float(difference.max()), accepted.largest), _finding("rms", rms, accepted.rms))


def _compare_statistics(full: Array, reference: Array, accepted: Tolerance) -> Finding:
    values = full.astype(np.float64)
    # Mean and deviation move by at most the rms difference, extremes by the largest, the norm by rms *
    # sqrt(N).
    expected = {
        "mean": (values.mean(), accepted.rms),
        "deviation": (values.std(), accepted.rms),
        "minimum": (values.min(), accepted.largest),
        "maximum": (values.max(), accepted.largest),
        "norm": (np.sqrt((values**2).sum()), accepted.rms * math.sqrt(values.size)),
    }
    if reference.shape != (len(expected),):
        return Finding(math.inf, f"{list(reference.shape)} statistics instead of 5: error", math.inf, 0.0)
    stored = reference.astype(np.float64)
    return max(
        _finding(f"{name} off by", abs(float(value) - float(reference_value)), limit)
        for (name, (value, limit)), reference_value in zip(expected.items(), stored, strict=True)
    )


def _finding(measure: str, error: float, limit: float) -> Finding:
    if not math.isfinite(error) or (limit == 0.0 and error > 0.0):
        return Finding(math.inf, measure, error, limit)
    return Finding(error / limit if limit else 0.0, measure, error, limit)
