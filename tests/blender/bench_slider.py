"""How long a touched slider takes to be seen while a bake runs, with the starter. A part of bench.py.

The real bake runs step by step, as in the window. Between its steps a weight is moved every quarter of a second; what
counts is the time until the plane's image has the picture of it (a window then draws it with its next frame).
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
import staging
from staging import module

EVERY_S = 0.25
FRAMES = 240
SAMPLE = staging.ROOT / "edtalk_server" / "samples" / "portrait.png"


class Slider:
    """A hand that moves a weight, and notes when the plane shows it. `times`: in milliseconds."""

    def __init__(self, ob: bpy.types.Object) -> None:
        self.times: list[float] = []
        self._ob, self._moved, self._waits = ob, time.perf_counter(), False

    def begin(self) -> None:
        """Forget what was seen, and what was not."""
        self.times.clear()
        self._waits = False

    def move(self) -> None:
        """Move the weight, if its last move has been seen and a quarter of a second is over."""
        if self._waits or time.perf_counter() - self._moved < EVERY_S:
            return
        self._moved, self._waits = time.perf_counter(), True
        self._ob.edtalk.mouth_01 = 0.5 - self._ob.edtalk.mouth_01
        self._ob.update_tag()
        bpy.context.view_layer.update()
        module("ui.runtime.live").LIVE.update(
            bpy.context.scene, bpy.context.evaluated_depsgraph_get(), is_edit=True
        )

    def see(self) -> None:
        """Note that the plane has a new picture."""
        if self._waits:
            self.times.append((time.perf_counter() - self._moved) * 1000)
            self._waits = False


def after(owner: Any, name: str, then: Callable[[], None]) -> None:
    """Call `then` after each call of a function."""
    function = getattr(owner, name)

    def both(*arguments: Any, **named: Any) -> Any:
        result = function(*arguments, **named)
        then()
        return result

    setattr(owner, name, both)


def measured(folder: Path, _arguments: argparse.Namespace) -> str:
    """The numbers, as lines."""
    rows = []
    with staging.serving(staging.server_python()):
        bpy.ops.wm.save_as_mainfile(filepath=str(folder / "slider.blend"))
        bpy.context.scene.frame_start, bpy.context.scene.frame_end = 1, FRAMES
        bpy.ops.edtalk.new_character(filepath=str(SAMPLE))
        slider = Slider(bpy.context.object)
        after(module("ui.runtime.task_operator").TaskOperator, "_advance", slider.move)
        after(module("scene.plane"), "show_live", slider.see)
        for size in ("256", "512"):
            slider.begin()
            bpy.context.object.edtalk.bake.size, bpy.context.object.edtalk.show = size, "LIVE"
            bpy.ops.edtalk.bake_range(first=1, last=FRAMES, again=True)
            rows.append(f"bake of {FRAMES} frames, {size} px: {_summary(slider.times)}")
        bpy.ops.preferences.addon_disable(module=staging.MODULE)
    return "\n".join((f"Blender {bpy.app.version_string}: slider to picture while a bake runs", *rows))


def _summary(times: list[float]) -> str:
    if len(times) < 2:
        return f"{len(times)} moves were seen"
    late = statistics.quantiles(times, n=20)[-1]
    return f"median {statistics.median(times):.0f} ms, 95 % within {late:.0f} ms, {len(times)} moves"
