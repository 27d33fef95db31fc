"""The synthesiser flite as an external program: fewer voices than espeak-ng, but made from recordings of people.

`flite -psdur` prints every phone with its end time while it writes the sound file.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from edtalk_server.media.audio.mono import read_mono
from edtalk_server.training.speech.utterance import Segment, Utterance

VOICES = ("slt", "rms", "awb", "kal16")


@dataclass(frozen=True)
class Manner:
    """A way to speak: a flite voice, its slowness (1 is usual), mean pitch and its spread in Hz."""

    voice: str = "slt"
    stretch: float = 1.0
    pitch: float = 150.0
    spread: float = 20.0


def available() -> bool:
    """Return whether the program is installed."""
    return shutil.which("flite") is not None


def speak(text: str, manner: Manner) -> Utterance:
    """Return 16 kHz samples in [-1, 1] and ARPABET phones; raises `subprocess.CalledProcessError`."""
    settings = {
        "duration_stretch": manner.stretch,
        "int_f0_target_mean": manner.pitch,
        "int_f0_target_stddev": manner.spread,
    }
    options = [word for name, value in settings.items() for word in ("--setf", f"{name}={value:.3f}")]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "voice.wav"
        command = ["flite", "-voice", manner.voice, *options, "-psdur", "-t", text, str(path)]
        printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
        samples = read_mono(path, lambda _: None)
    return Utterance(samples, _segments(printed))


def _segments(printed: str) -> tuple[Segment, ...]:
    start, segments = 0.0, []
    for word in printed.split():
        symbol, _, end = word.rpartition(":")
        segments.append(Segment(symbol, start, float(end)))
        start = float(end)
    return tuple(segments)
