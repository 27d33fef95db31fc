"""The official release's own schedule, computed by this project's network: what every claim of speed is compared with.

`python -m edtalk_server.evaluation.speed.release THREADS` draws a frame for each line of its input. It is a process of
its own because the release does not set how the C library keeps memory, and this
project does.

For each frame, the program for a voice and a stored expression does this, in batches of one: it encodes the portrait
again; encodes the picture that gives the pose, and runs all linear layers of its heads; factorises the banks anew;
computes the enhancement whole, with its second branch whose result nobody uses; and draws with a convolution whose
weights are scaled and demodulated for this frame.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import IO, Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from edtalk_server import allocator
from edtalk_server.bundles.official import convert
from edtalk_server.bundles.official_names import face_tensors
from edtalk_server.evaluation.golden import rule
from edtalk_server.networks.config import EDTalkConfig
from edtalk_server.networks.edtalk import EDTalk
from edtalk_server.networks.enhancement import Enhancement

_UNUSED_SLOPE = 0.2


def network() -> EDTalk:
    """Return a network of the release's exact size with random numbers that behave like trained ones."""
    config = EDTalkConfig()
    names = face_tensors(config)
    face = EDTalk(config)
    face.load_state_dict(convert(rule.checkpoint("SPEED", "edtalk", names), names, "rule"))
    return face.eval().requires_grad_(False)


def pictures(size: int) -> tuple[Tensor, Tensor]:
    """Return a portrait and a picture of a pose, [1, 3, size, size]."""
    drawn = (rule.waves(f"SPEED/{name}", (3, size, size), 4, 4.0, 0.9) for name in ("portrait", "pose"))
    portrait, pose = (torch.from_numpy(one).float()[None] for one in drawn)
    return portrait, pose


def release_frame(face: EDTalk, portrait: Tensor, pose: Tensor, weights: Tensor) -> Tensor:
    """Return one frame [1, 3, size, size] under weights [1, channels], by the release's schedule."""
    source = face.encode(portrait)
    face.heads(face.encode(pose).latent)  # its pose weights; here all weights are given
    bank = torch.linalg.qr(face.banks.directions + 1e-8)[0]
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


@torch.inference_mode()
def _main(threads: int) -> None:
    torch.set_num_threads(threads)
    face = network()
    portrait, pose = pictures(face.size)
    weights: Any = face.weights_of(portrait)
    for _ in sys.stdin:
        release_frame(face, portrait, pose, weights)
        sys.stdout.write("drawn\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _main(int(sys.argv[1]))
