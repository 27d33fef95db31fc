"""How much memory ten minutes of audio and 15,000 frames cost the server: docs/performance.md. Not a test.

.venv/bin/python tests/speed/memory.py [--seconds 600]

It predicts the weights of a voice of that length as the server does, renders all of its frames (25 a second) to PNG in
memory, as a bake does, and says how far the process has grown since its first frame. Start it with the settings of
memory that a server has (`edtalk_server/allocator.py`) to measure with these.
"""

from __future__ import annotations

import argparse
import io
import sys
import wave
from pathlib import Path

import numpy as np

from edtalk_server.media.audio.voice import SAMPLE_RATE, load_voice
from edtalk_server.media.output_spec import DEFAULT_OUTPUT
from edtalk_server.media.steps import run_to_end, unwatched
from edtalk_server.media.video.sequence import encode_png
from edtalk_server.service.memory import memory_in_use
from edtalk_server.service.model import EngineBackend
from shared_protocol.messages import Predict

_SAMPLES = Path(__file__).parents[2] / "edtalk_server" / "samples"
_MIB = 1024 * 1024
_STEP = 250


def main() -> None:
    """Print the growth after predicting, and after each thousand frames."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=int, default=600)
    seconds = parser.parse_args().seconds
    backend = EngineBackend("starter", "cpu")
    backend.open()
    source = run_to_end(backend.prepare((_SAMPLES / "portrait.png").read_bytes(), None))
    backend.render(source, source.weights[None], DEFAULT_OUTPUT, encode_png)
    start = memory_in_use()
    request = Predict(voice="ten minutes", fps_numerator=25, fps_denominator=1)
    weights = backend.predict(source, _voice(seconds), request, unwatched).weights
    _tell("predicted", memory_in_use() - start)
    most = 0
    for first in range(0, len(weights), _STEP):
        rows = weights[first : first + _STEP]
        backend.render(source, rows, DEFAULT_OUTPUT, lambda frame: len(encode_png(frame)))
        most = max(most, memory_in_use() - start)
        if first % 1000 == 0:
            _tell(f"{first + _STEP} frames", memory_in_use() - start)
    _tell(f"the most, over {len(weights)} frames", most)


def _voice(seconds: int) -> bytes:
    """Return the sample's voice, again and again, as a WAV file."""
    samples = np.resize(load_voice(_SAMPLES / "voice.flac").samples, seconds * SAMPLE_RATE)
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(SAMPLE_RATE)
        writer.writeframes((samples * 32767).astype("<i2").tobytes())
    return file.getvalue()


def _tell(what: str, size: int) -> None:
    sys.stdout.write(f"{what}: {size / _MIB:+.0f} MiB\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
