"""Distances between pictures, uint8 RGB [..., S, S, 3] of the network's size."""

from __future__ import annotations

import warnings

import cv2
import numpy as np
import numpy.typing as npt
from torch import Tensor

from edtalk_server.engine.tensors import to_tensor

Picture = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

BEST_PSNR = 60.0
"""Decibels: the limit for equal pictures, whose ratio would be infinite."""

_SSIM_BORDER = 5
"""Pixels at each edge whose window of 11 would need pixels from outside the picture."""


def coarse(frames: Picture, size: int = 64) -> npt.NDArray[np.float32]:
    """Average pictures [N, S, S, 3] down to [N, size, size, 3] in grey levels, so that position counts and sharpness
    does not."""
    shrunk = [
        cv2.resize(frame, (size, size), interpolation=cv2.INTER_AREA) for frame in frames.astype(np.float32)
    ]
    return np.stack(shrunk)


def psnr(a: Picture, b: Picture) -> float:
    """Return the peak signal-to-noise ratio of two 8-bit pictures in dB, at most 60."""
    error = float(np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2))
    return float(min(BEST_PSNR, 10 * np.log10(255.0**2 / max(error, 1e-9))))


def difference(a: Picture, b: Picture) -> float:
    """Return the mean absolute difference in grey levels of 255."""
    return float(np.abs(a.astype(np.int16) - b.astype(np.int16)).mean())


def ssim(drawn: Picture, true: Picture) -> list[float]:
    """Return the structural similarity of each frame of [N, S, S, 3] (Wang et al. 2004: Gaussian window of 11, sigma
    1.5), the mean over channels and over the places where the window lies within the picture."""
    with warnings.catch_warnings():
        # torchmetrics looks for packages that it does not need here, in ways that newer ones warn about
        warnings.simplefilter("ignore")
        from torchmetrics.functional.image import structural_similarity_index_measure

    def similar(ours: Tensor, theirs: Tensor) -> float:
        _, everywhere = structural_similarity_index_measure(
            ours, theirs, data_range=1.0, reduction="none", return_full_image=True
        )
        return float(everywhere[..., _SSIM_BORDER:-_SSIM_BORDER, _SSIM_BORDER:-_SSIM_BORDER].mean())

    # one at a time: a hundred pictures of 256 pixels at once would take 31 GB
    pairs = zip(*((to_tensor(pictures).double() + 1) / 2 for pictures in (drawn, true)), strict=True)
    return [similar(ours[None], theirs[None]) for ours, theirs in pairs]


def gradients(frames: Picture) -> list[float]:
    """Return how sharp each frame of [N, S, S, 3] is: the mean difference of luma between neighbouring pixels, along
    rows and columns, in grey levels of 255."""
    luma = frames.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    across, down = (np.abs(np.diff(luma, axis=axis)).mean((1, 2)) for axis in (2, 1))
    return [float(value) for value in (across + down) / 2]


def flicker(frames: Picture, still: Mask) -> float:
    """Return the flicker of still pixels [S, S]: the mean of |x(t+1) − 2 x(t) + x(t−1)| in grey levels of 255.

    `frames` [T, S, S, 3] are consecutive at 25 a second; T > 2.
    """
    values = frames[:, still].astype(np.int16)
    return float(np.abs(values[2:] - 2 * values[1:-1] + values[:-2]).mean()) if still.any() else 0.0
