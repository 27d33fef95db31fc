"""SyncNet (Chung and Zisserman 2016), the judge of LSE-C and LSE-D in the literature, with the user's own weights.

The file is that of the authors' program, `syncnet_v2.model`: nothing is downloaded, and no code in it runs. Pictures
are this project's crops scaled to 224 pixels; the authors cut faces out a little differently.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from edtalk_server.evaluation.metrics.image_distance import Picture
from edtalk_server.evaluation.metrics.landmarks import Points
from edtalk_server.evaluation.metrics.pretrained import fill, tensors_of
from edtalk_server.evaluation.metrics.sync import FRAMES, Embeddings
from edtalk_server.media.audio.mel import SAMPLE_RATE, SAMPLES_PER_FRAME
from edtalk_server.media.audio.voice import Waveform

Doubles = npt.NDArray[np.float64]

_SIDE = 224
_BATCH = 16
_STEPS_PER_FRAME = 4
"""Sound frames of 10 ms in a picture."""
_SOUND_WINDOW = 20

# --- the network -----------------------------------------------------------------------------------------------------


def _sound_layers() -> nn.Sequential:
    plain = [_flat(a, b) for a, b in ((192, 384), (384, 256), (256, 256))]
    return nn.Sequential(
        *_flat(1, 64),
        nn.MaxPool2d((1, 1), (1, 1)),
        *_flat(64, 192),
        nn.MaxPool2d((3, 3), (1, 2)),
        *(layer for layers in plain for layer in layers),
        nn.MaxPool2d((3, 3), (2, 2)),
        nn.Conv2d(256, 512, (5, 4)),
        nn.BatchNorm2d(512),
        nn.ReLU(),
    )


def _flat(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()]


def _lip_layers() -> nn.Sequential:
    same = [_deep(256, 256, (1, 3, 3), 1, (0, 1, 1)) for _ in range(3)]
    return nn.Sequential(
        *_deep(3, 96, (5, 7, 7), (1, 2, 2), 0),
        nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
        *_deep(96, 256, (1, 5, 5), (1, 2, 2), (0, 1, 1)),
        nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
        *(layer for layers in same for layer in layers),
        nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
        *_deep(256, 512, (1, 6, 6), 1, 0),
    )


def _deep(
    inputs: int,
    outputs: int,
    kernel: tuple[int, int, int],
    stride: int | tuple[int, int, int],
    padding: int | tuple[int, int, int],
) -> list[nn.Module]:
    return [nn.Conv3d(inputs, outputs, kernel, stride, padding), nn.BatchNorm3d(outputs), nn.ReLU()]


def _last() -> nn.Sequential:
    return nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, 1024))


class SyncNet(nn.Module):
    """Both encoders, named as in the file: faces [N, 3, 5, 224, 224] (BGR, 0..255) and cepstra [N, 1, 13, 20]."""

    def __init__(self) -> None:
        super().__init__()
        self.netcnnaud, self.netfcaud = _sound_layers(), _last()
        self.netcnnlip, self.netfclip = _lip_layers(), _last()

    def embed_lips(self, faces: Tensor) -> Tensor:
        """Return [N, 1024]."""
        return self.netfclip(self.netcnnlip(faces).flatten(1))  # type: ignore[no-any-return]

    def embed_sound(self, cepstra: Tensor) -> Tensor:
        """Return [N, 1024]."""
        return self.netfcaud(self.netcnnaud(cepstra).flatten(1))  # type: ignore[no-any-return]


class SyncNetJudge:
    """A `sync.SyncJudge`; it needs no landmarks."""

    padded = True

    def __init__(self, network: SyncNet) -> None:
        self.network = network.eval().requires_grad_(requires_grad=False)

    @classmethod
    def from_file(cls, path: Path) -> SyncNetJudge:
        """Load the user's weights. Raises `EDTalkError(BUNDLE_INVALID)` when the file holds something else."""
        network = SyncNet()
        fill(network, tensors_of(path), path)
        return cls(network)

    @torch.inference_mode()
    def lips(self, frames: Picture, landmarks: Points | None) -> Embeddings:
        faces = np.stack([cv2.resize(frame[..., ::-1], (_SIDE, _SIDE)) for frame in frames])
        clip = torch.from_numpy(np.ascontiguousarray(faces)).permute(3, 0, 1, 2).float()  # [3, T, S, S]
        starts = torch.arange(clip.shape[1] - FRAMES + 1)
        rows = [
            self.network.embed_lips(torch.stack([clip[:, i : i + FRAMES] for i in part.tolist()]))
            for part in starts.split(_BATCH)
        ]
        return np.asarray(torch.cat(rows).numpy(), np.float32)

    @torch.inference_mode()
    def sound(self, voice: Waveform, frames: int) -> Embeddings:
        cepstra = mfcc(voice.samples[: frames * SAMPLES_PER_FRAME]).T
        runs = frames - FRAMES + 1
        needed = (runs - 1) * _STEPS_PER_FRAME + _SOUND_WINDOW
        cepstra = np.pad(cepstra, ((0, 0), (0, max(0, needed - cepstra.shape[1]))), mode="edge")
        windows = [cepstra[:, 4 * i : 4 * i + _SOUND_WINDOW] for i in range(runs)]
        rows = torch.from_numpy(np.stack(windows).astype(np.float32))[:, None]
        return np.asarray(
            torch.cat([self.network.embed_sound(part) for part in rows.split(64)]).numpy(), np.float32
        )


# --- its sound -------------------------------------------------------------------------------------------------------

_WINDOW, _HOP, _FFT = 400, 160, 512
_FILTERS, _CEPSTRA, _LIFTER = 26, 13, 22
_PREEMPHASIS = 0.97
_TINY = np.finfo(np.float64).eps


def mfcc(samples: npt.NDArray[np.float32]) -> Doubles:
    """Return the cepstra [n, 13] that SyncNet hears: every 10 ms, of 16 kHz samples in [-1, 1].

    Taken from 16-bit samples with plain windows of 25 ms, 26 mel filters, and the logarithm of the energy in the first
    place, as the Python package python_speech_features does by default.
    """
    from scipy.fft import dct

    signal = np.round(np.clip(samples, -1, 1) * 32767).astype(np.float64)
    signal = np.append(signal[:1], signal[1:] - _PREEMPHASIS * signal[:-1])
    count = 1 + max(0, -(-(len(signal) - _WINDOW) // _HOP))
    signal = np.pad(signal, (0, max(0, (count - 1) * _HOP + _WINDOW - len(signal))))
    pieces = np.lib.stride_tricks.sliding_window_view(signal, _WINDOW)[::_HOP][:count]
    power = np.abs(np.fft.rfft(pieces, _FFT)) ** 2 / _FFT
    energies = np.maximum(power @ _filters().T, _TINY)
    cepstra = dct(np.log(energies), type=2, axis=1, norm="ortho")[:, :_CEPSTRA]
    cepstra *= 1 + _LIFTER / 2 * np.sin(np.pi * np.arange(_CEPSTRA) / _LIFTER)
    cepstra[:, 0] = np.log(np.maximum(power.sum(1), _TINY))
    return np.asarray(cepstra, np.float64)


def _filters() -> Doubles:
    """Return triangular mel filters [26, 257] between whole bins of the spectrum."""
    highest = 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700)
    hertz = 700 * (10 ** (np.linspace(0, highest, _FILTERS + 2) / 2595) - 1)
    bins = np.floor((_FFT + 1) * hertz / SAMPLE_RATE)
    at = np.arange(_FFT // 2 + 1)
    left, middle, right = (bins[i : i + _FILTERS, None] for i in range(3))
    rising, falling = (at - left) / (middle - left), (right - at) / (right - middle)
    shape = np.where(at < middle, rising, falling)
    return np.asarray(np.where((at >= left) & (at < right), shape, 0.0), np.float64)
