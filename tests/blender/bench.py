"""How fast the add-on is in Blender, with a Python that has bpy. Not a test; docs/bench.md says how to read it.

.venv-bpy-5.0.1/bin/python tests/blender/bench.py [writing] [ticks] [slider]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import staging

staging.set_aside()
import bench_slider  # noqa: E402
import bench_ticks  # noqa: E402
import bench_writing  # noqa: E402

BENCHES = {"writing": bench_writing.measured, "ticks": bench_ticks.measured, "slider": bench_slider.measured}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("which", nargs="*", choices=[[], *BENCHES], help="default: all")
    parser.add_argument("--seconds", type=int, default=bench_ticks.SECONDS, help="of the shot and its voice")
    parser.add_argument("--video", type=int, default=bench_ticks.VIDEO_BYTES, help="bytes of the video")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="edtalk-bench-") as name:
        folder = Path(name)
        staging.install(staging.built(folder / "dist"))
        texts = [BENCHES[which](folder, arguments) for which in arguments.which or BENCHES]
    sys.stdout.write("\n" + "\n\n".join(texts) + "\n")


if __name__ == "__main__":
    main()
