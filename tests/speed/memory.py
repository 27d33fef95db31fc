"""How much memory ten minutes of audio and 15,000 frames cost the server: docs/performance.md. Not a test.

.venv/bin/python tests/speed/memory.py [--seconds 600]

It predicts the weights of a voice of that length, renders all of its frames (25 a second) to PNG in memory, as a bake
does, and says how far the process has grown since its first frame.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from edtalk_server.engine import Engine
from edtalk_server.media.audio.voice import SAMPLE_RATE, Waveform, load_voice
from edtalk_server.media.faces.portrait import load_portrait
from edtalk_server.media.output_spec import DEFAULT_OUTPUT
from edtalk_server.media.video.sequence import encode_png
from edtalk_server.motion import predict
from edtalk_server.service.memory import memory_in_use
from shared_protocol.timebase import MODEL_FPS, TimeBase

_SAMPLES = Path(__file__).parents[2] / "edtalk_server" / "samples"
_MIB = 1024 * 1024
_STEP = 250


def main() -> None:
    """Print the growth after predicting, and after each thousand frames."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=int, default=600)
    seconds = parser.parse_args().seconds
    engine = Engine.open("starter", "cpu")
    source = engine.prepare(load_portrait(_SAMPLES / "portrait.png"))
    engine.render(source, source.weights[None])
    start = memory_in_use()
    samples = np.resize(load_voice(_SAMPLES / "voice.flac").samples, seconds * SAMPLE_RATE)
    weights = predict(engine.bundle, source.weights, Waveform(samples), TimeBase(MODEL_FPS))
    _tell("predicted", memory_in_use() - start)
    most = 0
    for first in range(0, len(weights), _STEP):
        engine.render_each(
            source, weights[first : first + _STEP], DEFAULT_OUTPUT, lambda frame: len(encode_png(frame))
        )
        most = max(most, memory_in_use() - start)
        if first % 1000 == 0:
            _tell(f"{first + _STEP} frames", memory_in_use() - start)
    _tell(f"the most, over {len(weights)} frames", most)


def _tell(what: str, size: int) -> None:
    sys.stdout.write(f"{what}: {size / _MIB:+.0f} MiB\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
