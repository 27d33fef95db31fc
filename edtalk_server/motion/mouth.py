"""Mouth weights from a voice at the model's own 25 frames a second (paper section 3.3, Audio2Lip).

Inside the voice the windows are the release's, whose outer mel frames are repeated. Outside it the mouth follows the
network's output for silence; zeros around a recording would make its noise begin like a plosive. A frame depends only
on the 0.3 seconds around it, so a part of a voice gives the same weights as the whole (up to float rounding), in little
memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from edtalk_server.arrays import Floats, Weights
from edtalk_server.media.audio.mel import (
    BANDS,
    HOP,
    SAMPLES_PER_FRAME,
    WINDOW_FRAMES,
    mel_spectrogram,
    smoothing_kernel,
    whole_frames,
    window_starts,
)
from edtalk_server.media.audio.voice import Waveform
from edtalk_server.media.steps import Checkpoint, unwatched

if TYPE_CHECKING:  # a server says that it is there before torch is loaded
    from torch import Tensor

FrameNumbers = npt.NDArray[np.int64]
AudioToLip = Callable[["Tensor"], "Tensor"]
"""Mel windows [N, 1, 80, 16] -> mouth weights [N, mouth]."""

CHUNK = 64
"""Frames that go through the network together: about a tenth of a second of work."""

_SILENT_MEL = -4.0
"""The mel value of silence."""
_MARGIN = 4
"""Mel frames around a piece of sound that are computed and dropped: the STFT reaches over 400 samples, 2 frames."""


def mouth_weights(
    network: AudioToLip, voice: Waveform, first: int, last: int, checkpoint: Checkpoint = unwatched
) -> Weights:
    """Return smoothed mouth weights [last - first, mouth] of the frames `first` to `last - 1` (frame 0 is second 0).

    `checkpoint` is called between pieces of work; an exception from it ends the work.
    """
    raw = np.concatenate([*_raw(network, voice, first - 1, last + 1, checkpoint)]).astype(np.float64)
    before, center, after = smoothing_kernel()
    return (before * raw[:-2] + center * raw[1:-1] + after * raw[2:]).astype(np.float32)


def _raw(
    network: AudioToLip, voice: Waveform, first: int, last: int, checkpoint: Checkpoint
) -> Iterator[Weights]:
    """Yield the network's output in chunks; beyond the voice, its one row for silence."""
    start, stop = (min(max(edge, first), last) for edge in (0, whole_frames(len(voice.samples))))
    silence = _infer(network, np.full((1, BANDS, WINDOW_FRAMES), _SILENT_MEL, np.float32))
    yield np.repeat(silence, start - first, axis=0)
    for begin in range(start, stop, CHUNK):
        checkpoint(begin - start, stop - start, "moving the mouth")
        yield _infer(network, _windows(voice, np.arange(begin, min(begin + CHUNK, stop))))
    yield np.repeat(silence, last - stop, axis=0)


def _infer(network: AudioToLip, windows: Floats) -> Weights:
    import torch

    with torch.inference_mode():
        return np.asarray(network(torch.from_numpy(windows)[:, None]).float().numpy(), np.float32)


def _windows(voice: Waveform, frames: FrameNumbers) -> Floats:
    """Return the mel windows [len(frames), 80, 16] of consecutive model frames inside the voice."""
    samples = voice.samples[: whole_frames(len(voice.samples)) * SAMPLES_PER_FRAME]
    columns = window_starts(frames)[:, None] + np.arange(WINDOW_FRAMES)
    columns = np.clip(columns, 0, len(samples) // HOP)
    first = int(columns.min())
    mel = _mel(samples, first, int(columns.max()) + 1)
    return np.ascontiguousarray(mel[columns - first].transpose(0, 2, 1))


def _mel(samples: Floats, first: int, last: int) -> Floats:
    """Return the mel frames `first` to `last - 1` [n, 80] of the whole voice, from the samples around them."""
    begin = max(first - _MARGIN, 0)
    piece = samples[begin * HOP : (last + _MARGIN) * HOP]
    return mel_spectrogram(piece)[first - begin : last - begin]
