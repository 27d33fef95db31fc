"""How long the window stands still at a time: the longest step of everything that takes long. A part of bench.py.

The real operators run as in the window, step by step; what counts is the processor time of the main thread in each step
(the server is another process, other programs do not count). The shot has ten minutes at 25 frames a second, the voice
ten minutes, the video 200 MB.
"""

from __future__ import annotations

import argparse
import gc
import re
import statistics
import subprocess
import time
import wave
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import staging
from staging import module

FPS, SECONDS, RATE = 25, 600, 48000
VIDEO_BYTES = 200 * 10**6
LIMIT_MS = 4.0


class Steps:
    """Processor times of the main thread, in milliseconds, by the name of what was done."""

    def __init__(self) -> None:
        self.times: dict[str, list[float]] = {}
        self._begun = 0.0
        gc.callbacks.append(self._collected)

    def _collected(self, phase: str, info: dict[str, int]) -> None:
        """Python clears up, in the middle of whatever it was doing."""
        if phase == "start":
            self._begun = time.thread_time()
        elif info["generation"] == 2:
            took = (time.thread_time() - self._begun) * 1000
            self.times.setdefault("(in any of these: Python's garbage collection)", []).append(took)

    def timed(self, name: Callable[[], str] | str, work: Callable[[], Any]) -> Any:
        """Do something, and note how long it took; the name may only be known beforehand."""
        label = name if isinstance(name, str) else name()
        begun = time.thread_time()
        try:
            return work()
        finally:
            self.times.setdefault(label, []).append((time.thread_time() - begun) * 1000)

    def rows(self) -> list[str]:
        """A line for each name, in the order in which they came."""
        rows = []
        for name, times in self.times.items():
            over = sum(one > LIMIT_MS for one in times)
            numbers = f"{max(times):9.1f} {statistics.median(times):9.2f} {len(times):7d} {over or '':>5}"
            rows.append(f"{name[:60]:60} {numbers}")
        return rows


def watch_operators(steps: Steps) -> None:
    """Note each step of every operator that takes long, by its title and stage."""
    base = module("ui.runtime.task_operator").TaskOperator
    advance = base._advance

    def timed(self: Any, task: Any) -> Any:
        def name() -> str:
            return f"{task.title}: {re.sub(r' ?[(]?[0-9].*', '', task.progress.stage) or 'beginning'}"

        return steps.timed(name, lambda: advance(self, task))

    base._advance = timed


def ticks(steps: Steps, name: str, count: int = 400) -> None:
    """Let Blender's timer come so often, as it does in the window."""
    runtime = module("ui.runtime.runtime").current()
    for _ in range(count):
        steps.timed(f"timer: {name}", runtime.tick)
        time.sleep(0.005)


# --- material --------------------------------------------------------------------------------------------------------


def write_voice(path: Path, seconds: int) -> Path:
    """Speech-like noise, stereo, 16 bits."""
    time_, noise = np.arange(RATE) / RATE, np.random.default_rng(0)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(RATE)
        for _ in range(seconds):
            swell = np.abs(np.sin(2 * np.pi * (time_ * noise.uniform(2, 5) + noise.uniform())))
            mono = (noise.normal(size=RATE) * swell * 6000).astype("<i2")
            file.writeframes(np.repeat(mono, 2).tobytes())
    return path


MOVIE = """
import sys
from fractions import Fraction
from pathlib import Path
import numpy as np
from edtalk_server.media.video import MovieWriter
with MovieWriter(Path(sys.argv[1]), Fraction(25), (64, 64)) as writer:
    for number in range(250):
        writer.write(np.full((64, 64, 3), number, np.uint8))
"""


def write_video(path: Path, python: Path, size: int) -> Path:
    """A short movie in a large file: after the pictures comes a box that readers skip."""
    subprocess.run([str(python), "-c", MOVIE, str(path)], cwd=staging.ROOT, check=True)
    room = size - path.stat().st_size
    with path.open("ab") as file:
        file.write(room.to_bytes(4, "big") + b"free")
        for _ in range((room - 8) // 10**6):
            file.write(np.random.default_rng(0).bytes(10**6))
        file.write(bytes((room - 8) % 10**6))
    return path


def write_transcript(path: Path) -> Path:
    """As long as transcripts may be."""
    lines, second = [], 0
    while sum(map(len, lines)) < 120_000:
        stamp = f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"
        lines.append(f"{stamp},000 --> {stamp},900\n[happy 0.{second % 9 + 1}] And so it went on and on.\n\n")
        second += 1
    path.write_text("".join(lines))
    return path


# --- the way of a shot -----------------------------------------------------------------------------------------------


def begin(folder: Path, frames: int) -> bpy.types.Object:
    """A saved file with a character."""
    from conftest import png

    x, y = np.meshgrid(np.arange(96), np.arange(96))
    (folder / "face.png").write_bytes(png(np.stack([x * 2, y * 2, x + y], axis=-1).astype(np.uint8)))
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "shot.blend"))
    scene = bpy.context.scene
    scene.render.fps, scene.frame_start, scene.frame_end = FPS, 1, frames
    bpy.ops.edtalk.new_character(filepath=str(folder / "face.png"))
    return bpy.context.object


def show(steps: Steps, ob: bpy.types.Object) -> None:
    """Live pictures, as they come and as they are kept."""
    plane = module("scene.plane")
    for side in (256, 512, 1024):
        pixels = np.random.default_rng(0).bytes(side * side * 4)
        for _ in range(5):
            steps.timed(f"live picture, {side} x {side}", partial(plane.show_live, ob, side, side, pixels))
            keeping, name = plane.settle_live_images(), f"live picture, {side} x {side}, kept in the file"
            while steps.timed(name, partial(next, keeping, True)) is None:
                pass


def perform(steps: Steps, ob: bpy.types.Object, folder: Path, seconds: int) -> None:
    """Voice, transcript, and the performances from them."""
    scene, voice = bpy.context.scene, write_voice(folder / "voice.wav", seconds)
    bpy.ops.edtalk.choose_voice(filepath=str(voice), add_strip=True)
    ob.edtalk.speech.transcript_from = "FILE"
    ob.edtalk.transcript = str(write_transcript(folder / "words.srt"))
    module("ui.performance.predict").Predict.title = "Predict (few keys)"
    bpy.ops.edtalk.predict()
    ob.edtalk.writing.reduce, ob.edtalk.voice_from = False, "SCENE"
    module("ui.performance.predict").Predict.title = "Predict (a key a frame, scene's sound)"
    bpy.ops.edtalk.predict()
    panel, script = module("ui.performance.voice_panel"), module("scene.speech.script")
    for _ in range(5):
        steps.timed("panel: transcript's summary", lambda: panel._summary(script.transcript_of(ob, scene)))
    cues = module("scene.speech.cues")  # (the model-less server has no expressions, so the button is grey)
    steps.timed(
        "click: emotions from transcript", lambda: cues.write(ob, scene, script.emotion_cues(ob, scene))
    )


def capture(folder: Path, size: int) -> None:
    """A large video as a performance."""
    path = write_video(folder / "actor.mp4", staging.server_python(), size)
    bpy.ops.edtalk.capture(filepath=str(path), mouth=False)


def bake(steps: Steps, ob: bpy.types.Object) -> None:
    """The whole shot; nothing; after an edit; into a new take; then other takes are shown and deleted."""
    operators = module("ui.bake.bake_operators")
    for operators.Bake.title in ("Bake (all)", "Bake (nothing changed)"):
        bpy.ops.edtalk.bake()
    ticks(steps, "after a bake")
    ob.edtalk.gain.mouth = 0.9
    ob.update_tag()
    ticks(steps, "after an edit")
    operators.Bake.title = "Bake (all changed)"
    bpy.ops.edtalk.bake()
    operators.BakeRange.title = "Bake (into a new take)"
    bpy.ops.edtalk.bake_range(new_take=True)
    ticks(steps, "two takes")
    first = Path(bpy.path.abspath(ob.edtalk.take)).with_name("take_001")
    steps.timed("click: show take (all of it)", lambda: bpy.ops.edtalk.use_take(folder=str(first)))
    bpy.ops.edtalk.purge_takes()
    bpy.context.scene.frame_end = 50
    bpy.ops.edtalk.export_movie(filepath=str(first.with_name("movie.mp4")))


def measured(folder: Path, arguments: argparse.Namespace) -> str:
    """The numbers, as a table."""
    steps, frames = Steps(), arguments.seconds * FPS
    with staging.serving(staging.server_python(), "--fake"):
        watch_operators(steps)
        ob = begin(folder, frames)
        show(steps, ob)
        perform(steps, ob, folder, arguments.seconds)
        capture(folder, arguments.video)
        bake(steps, ob)
        bpy.ops.preferences.addon_disable(module=staging.MODULE)
    return "\n".join(
        (
            f"Blender {bpy.app.version_string}, {frames} frames, {arguments.seconds} s of voice, "
            f"{arguments.video / 1e6:.0f} MB of video: milliseconds of the main thread's processor time",
            f"{'':60} {'longest':>9} {'median':>9} {'steps':>7} {f'>{LIMIT_MS:g}':>5}",
            *steps.rows(),
        )
    )
