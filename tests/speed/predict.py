"""How many times as fast as it plays a voice becomes a performance: docs/performance.md. Not a test.

.venv/bin/python tests/speed/predict.py --voice speech.wav --transcript speech.txt [--seconds 60] [--threads 1]

The voice and its words are repeated up to that length. It predicts lips, head, lids and feelings, twice each, and tells
of the second run: from the voice alone, with words, and with the words' visemes.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch

from edtalk_server import api, bundles
from edtalk_server.media.audio.voice import SAMPLE_RATE, Waveform
from edtalk_server.motion import IdleMotion, PredictOptions, perform
from shared_protocol.transcripts import Transcript, parse


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--voice", type=Path, required=True)
    parser.add_argument("--transcript", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    spoken = api.load_voice(arguments.voice)
    times = max(1, int(arguments.seconds * SAMPLE_RATE // len(spoken.samples)))
    voice = Waveform(np.tile(spoken.samples, times))
    text = parse(" ".join([arguments.transcript.read_text(encoding="utf-8").strip()] * times))
    for name, said, visemes in (
        ("voice", Transcript(), False),
        ("voice, words", text, False),
        ("voice, words, visemes", text, True),
    ):
        ratio = float(voice.duration) / _seconds(voice, said, visemes)
        told = f"{name}: {ratio:.1f} times as fast as it plays ({float(voice.duration):.0f} s)"
        sys.stdout.write(told + "\n")
    return 0


def _seconds(voice: Waveform, said: Transcript, visemes: bool) -> float:
    """Return how long the second of two predictions takes."""
    bundle = bundles.load()
    own = np.zeros(len(bundle.layout), np.float32)
    options = PredictOptions(
        IdleMotion(blinks=12.0, head=1.0), said, emotion_gain=1.0, pose="flow", visemes=visemes
    )
    for _ in range(2):
        begun = time.perf_counter()
        perform(bundle, own, voice, options=options)
    return time.perf_counter() - begun


if __name__ == "__main__":
    sys.exit(main())
