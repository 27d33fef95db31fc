"""How long a performance takes to be written: 36 curves, 1000 frames. A part of bench.py."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from staging import module

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


def measured(_folder: Path, _arguments: argparse.Namespace) -> str:
    """The numbers, as text."""
    curves, layers, run_to_end = (
        module("core.weights.curves"),
        module("scene.keys.layers"),
        module("core.tasks").run_to_end,
    )
    layout = module("core.weights.layouts").starter_layout()
    ob = bpy.data.objects.new("face", None)
    bpy.context.scene.collection.objects.link(ob)
    module("scene.character").set_source(ob, "", "Starter", layout, np.zeros(CHANNELS, np.float32), [])
    weights = performance()
    ranges = [basis.maximum - basis.minimum for basis in layout.bases]
    dense = [curves.dense(1, column) for column in weights.T]

    def reduce() -> list[Any]:
        return [
            run_to_end(curves.reduce(1, c, 0.01 * span)) for c, span in zip(weights.T, ranges, strict=True)
        ]

    def write(keys: list[Any]) -> float:
        return median_ms(lambda: run_to_end(layers.write_performance(ob, range(1, FRAMES + 1), keys)))

    few = reduce()
    share = sum(len(keys) for keys in few) / weights.size
    return "\n".join(
        (
            f"Blender {bpy.app.version_string}, {FRAMES} frames x {CHANNELS} curves, "
            f"milliseconds of processor time, median of {TIMES}",
            f"write a key on every frame: {write(dense):8.1f}",
            f"choose few keys (1 %):      {median_ms(reduce):8.1f}",
            f"write those ({share:.0%} of them): {write(few):8.1f}",
        )
    )
