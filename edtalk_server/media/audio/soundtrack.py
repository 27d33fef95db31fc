"""The sound of a video (or of any file that ffmpeg reads) as a file of mono samples at 16 kHz."""

from __future__ import annotations

import subprocess
from pathlib import Path

from edtalk_server.media.audio.mel import SAMPLE_RATE
from edtalk_server.media.video.reader import input_arguments

_SOUND_FILES = ("wav", "flac", "mp3", "aac")
"""Formats of sound that lies beside its video, as ffmpeg calls them."""


def extract_sound(source: Path, target: Path, seconds: float) -> bool:
    """Write the first `seconds` of `source`'s sound to `target`, whose suffix names the format. False without a sound.

    Second 0 of the sound is second 0 of the pictures: silence fills gaps at the start and the end.
    """
    placed = f"aresample={SAMPLE_RATE}:async=1:first_pts=0,apad"
    form = ["-map", "0:a:0", "-ac", "1", "-af", placed, "-sample_fmt", "s16", "-map_metadata", "-1"]
    command = [*input_arguments(source, also=_SOUND_FILES), *form, "-t", f"{seconds:.6f}", "-y", str(target)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        target.unlink(missing_ok=True)
        return False
    return True
