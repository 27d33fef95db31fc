"""How long a performance takes to be written: 36 curves, 1000 frames. Not a test: run it with a Python that has bpy.

.venv-bpy50/bin/python tests/blender/bench_writing.py
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ["BLENDER_USER_RESOURCES"] = tempfile.mkdtemp(prefix="edtalk-bench-")  # read when bpy is imported
import bpy
import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
from blender_addon.core import curves, layouts  # noqa: E402
from blender_addon.scene import character, layers  # noqa: E402

FRAMES, CHANNELS, TIMES = 1000, 36, 7


def median_ms(work: Callable[[], object]) -> float:
    """The median of the processor time of some runs, in milliseconds (other work may run beside)."""
    durations = []
    for _ in range(TIMES):
        start = time.process_time()
        work()
        durations.append((time.process_time() - start) * 1000)
    return statistics.median(durations)


def performance() -> np.ndarray:
    """Weights [frames, channels] that move about as speech does."""
    window = np.hanning(9)
    noise = np.random.default_rng(0).normal(size=(CHANNELS, FRAMES))
    return np.stack([np.convolve(row, window / window.sum(), "same") / 2 for row in noise], axis=1)


def main() -> None:
    character.register()
    ob = bpy.data.objects.new("face", None)
    bpy.context.scene.collection.objects.link(ob)
    layout = layouts.starter_layout()
    character.set_source(ob, "", "Starter", layout, np.zeros(CHANNELS, np.float32), [])
    weights = performance()
    ranges = [basis.maximum - basis.minimum for basis in layout.bases]
    dense = [curves.dense(1, column) for column in weights.T]

    def reduce() -> list[curves.Keys]:
        return [curves.reduce(1, column, 0.01 * span) for column, span in zip(weights.T, ranges, strict=True)]

    few = reduce()
    frames = range(1, FRAMES + 1)
    say = sys.stdout.write
    say(
        f"Blender {bpy.app.version_string}, {FRAMES} frames x {CHANNELS} curves, processor time, median of {TIMES}\n"
    )
    say(
        f"write a key on every frame: {median_ms(lambda: layers.write_performance(ob, frames, dense)):8.1f} ms\n"
    )
    say(f"choose few keys (1 %):      {median_ms(reduce):8.1f} ms\n")
    share = sum(len(keys) for keys in few) / weights.size
    say(
        f"write those ({share:.0%} of them): {median_ms(lambda: layers.write_performance(ob, frames, few)):8.1f} ms\n"
    )


if __name__ == "__main__":
    main()
