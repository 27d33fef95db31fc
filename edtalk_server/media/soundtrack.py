"""The sound of a video (or of any file that ffmpeg reads) as a file of mono samples at 16 kHz."""

from __future__ import annotations

import subprocess
from pathlib import Path

from edtalk_server.media.clip import opening
from edtalk_server.media.mel import SAMPLE_RATE


def extract_sound(source: Path, target: Path) -> bool:
    """Write the sound of `source` to `target` (its ending names the format); False when there is none.

    Second 0 of the sound is second 0 of the pictures: a late start is filled with silence.
    """
    aligned = f"aresample={SAMPLE_RATE}:async=1:first_pts=0"
    form = ["-map", "0:a:0", "-ac", "1", "-af", aligned, "-map_metadata", "-1"]
    done = subprocess.run([*opening(source), *form, "-y", str(target)], capture_output=True, check=False)
    if done.returncode != 0:
        target.unlink(missing_ok=True)
        return False
    return True
