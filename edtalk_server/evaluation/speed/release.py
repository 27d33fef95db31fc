"""The official release's own schedule, computed by this project's network: what every claim of speed is compared with.

`python -m edtalk_server.evaluation.speed.release THREADS` draws a frame for each line of its input. It is a process of
its own because the release does not set how the C library keeps memory, and this
project does.

For each frame, the program for a voice and a stored expression does this, in batches of one: it encodes the portrait
again; encodes the picture that gives the pose, and runs the linear layers of its heads; factorises the banks anew,
twice; computes the enhancement whole, with its second branch whose result nobody uses; and draws with a convolution
whose weights are scaled and demodulated for this frame. It has one function for the filter and for doubling a
map, written for any factor: it inserts the zeros, pads a copy, and filters each channel as a picture of its own. On the
CPU that is half of its time (`resampled`).
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from typing import IO, Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from edtalk_server import allocator
from edtalk_server.bundles.official import convert
from edtalk_server.bundles.official_names import face_tensors
from edtalk_server.evaluation.golden import rule
from edtalk_server.networks.blocks import Fir, Upsample
from edtalk_server.networks.config import EDTalkConfig
from edtalk_server.networks.edtalk import EDTalk
from edtalk_server.networks.enhancement import Enhancement

_UNUSED_SLOPE = 0.2
_DOUBLING_PADS = 2, 1


def network() -> EDTalk:
    """Return a network of the release's exact size with random numbers that behave like trained ones."""
    config = EDTalkConfig()
    names = face_tensors(config)
    face = EDTalk(config)
    face.load_state_dict(convert(rule.checkpoint("SPEED", "edtalk", names), names, "rule"))
    return face.eval().requires_grad_(False)


def as_the_release_resamples(face: EDTalk) -> EDTalk:
    """Make a network filter and double its maps in the release's own way, which is equal up to rounding; return it."""
    for layer in face.modules():
        if isinstance(layer, Fir):
            layer.forward = partial(resampled, kernel=layer.kernel, up=1, pads=(layer.padding, layer.padding))  # type: ignore[method-assign]
        elif isinstance(layer, Upsample):
            layer.forward = partial(resampled, kernel=layer.kernel, up=2, pads=_DOUBLING_PADS)  # type: ignore[method-assign]
    return face


def resampled(x: Tensor, kernel: Tensor, up: int, pads: tuple[int, int]) -> Tensor:
    """Return maps [B, C, H, W] with zeros between their pixels (`up` 2) or none (1), padded before and after, and
    filtered by `kernel` [4, 4], one picture [1, H, W] for each channel."""
    batch, channels, rows, columns = x.shape
    apart = F.pad(x.reshape(-1, channels, rows, 1, columns, 1), (0, up - 1, 0, 0, 0, up - 1))
    padded = F.pad(apart.reshape(-1, channels, rows * up, columns * up), (*pads, *pads))
    single = padded.reshape(-1, 1, *padded.shape[2:])
    filtered = F.conv2d(single, kernel.flip(0, 1)[None, None])
    return filtered.reshape(batch, channels, *filtered.shape[2:])


def pictures(size: int) -> tuple[Tensor, Tensor]:
    """Return a portrait and a picture of a pose, [1, 3, size, size]."""
    drawn = (rule.waves(f"SPEED/{name}", (3, size, size), 4, 4.0, 0.9) for name in ("portrait", "pose"))
    portrait, pose = (torch.from_numpy(one).float()[None] for one in drawn)
    return portrait, pose


def release_frame(face: EDTalk, portrait: Tensor, pose: Tensor, weights: Tensor) -> Tensor:
    """Return one frame [1, 3, size, size] under weights [1, channels], by the release's schedule. `face` is what
    `as_the_release_resamples` returns."""
    source = face.encode(portrait)
    face.heads(face.encode(pose).latent)  # its pose weights; here all weights are given
    _, bank = (torch.linalg.qr(face.banks.directions + 1e-8)[0] for _ in range(2))
    start = face.banks.expression_start
    expression = weights[:, start:] @ bank[:, start:].T

    def enhance(size: int, feature: Tensor) -> Tensor:
        block = cast(Enhancement, face.enhancement[str(size)])
        F.leaky_relu(block.normalized(feature), _UNUSED_SLOPE)  # the branch that nobody uses
        return cast(Tensor, block(feature, expression))

    return face.generator(source.latent + weights @ bank.T, source.features, enhance)  # type: ignore[no-any-return]


class ReleaseProcess:
    """The process that draws by the release's schedule, with the C library's own settings."""

    def __init__(self, threads: int, keeps_memory: bool = False) -> None:
        environment = {name: value for name, value in os.environ.items() if name not in allocator.KEEPING}
        environment |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
        if keeps_memory:
            environment |= allocator.KEEPING
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.draw()

    def draw(self) -> float:
        """Draw a frame and return 1.0, the number of frames."""
        asking = cast(IO[str], self._process.stdin)
        asking.write("\n")
        asking.flush()
        if not cast(IO[str], self._process.stdout).readline():
            raise RuntimeError("the reference process has ended")
        return 1.0

    def end(self) -> None:
        """End the process."""
        self._process.communicate()


@torch.no_grad()  # as the release's program does
def _main(threads: int) -> None:
    torch.set_num_threads(threads)
    face = as_the_release_resamples(network())
    portrait, pose = pictures(face.size)
    weights: Any = face.weights_of(portrait)
    for _ in sys.stdin:
        release_frame(face, portrait, pose, weights)
        sys.stdout.write("drawn\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _main(int(sys.argv[1]))
