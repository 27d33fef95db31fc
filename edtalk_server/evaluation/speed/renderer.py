"""Speed of the renderer of training faces: numba frame by frame, and torch in batches."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
import torch

from edtalk_server.evaluation.speed.timing import Line, Work, ratio, speeds, with_threads
from edtalk_server.synthetic.controls import FloatArray
from edtalk_server.synthetic.data import sampling
from edtalk_server.synthetic.renderer.batch.batch_frame import BatchRenderer
from edtalk_server.synthetic.renderer.camera import Camera
from edtalk_server.synthetic.renderer.frame import Renderer
from edtalk_server.synthetic.renderer.identity import Identity
from edtalk_server.synthetic.renderer.scene import Light, make_background, make_light

_SIZE = 256
_CPU_FRAMES, _CARD_FRAMES = 4, 128
_PEOPLE = 4
_FIRST_SEED = 700_001


@dataclass(frozen=True)
class _Scene:
    """The same frames for all renderers: person, weights, light, background and camera of each."""

    frames: list[tuple[Identity, FloatArray, Light, FloatArray, Camera]]

    def one_by_one(self, renderer: Renderer) -> float:
        for frame in self.frames:
            renderer.render(*frame, _SIZE)
        return float(len(self.frames))

    def draw_batch(self, batch: BatchRenderer) -> float:
        people, weights, lights, backgrounds, cameras = zip(*self.frames, strict=True)
        batch.render(people, np.stack(weights), lights, backgrounds, cameras, _SIZE)
        if batch.device.type == "cuda":
            torch.cuda.synchronize()
        return float(len(self.frames))


def _scene(renderer: Renderer, frames: int) -> _Scene:
    frames_of_people = []
    for seed in range(_FIRST_SEED, _FIRST_SEED + _PEOPLE):
        random = np.random.default_rng(seed)
        person, light = renderer.identity(seed), make_light(random)
        background, first = make_background(random, 2 * _SIZE), sampling.sample_first(random)
        camera = renderer.camera(person, first)
        rows = [sampling.sample_free(random, first) for _ in range(frames // _PEOPLE)]
        frames_of_people += [(person, row, light, background, camera) for row in rows]
    return _Scene(frames_of_people)


def renderer_lines(facekit: Path, rounds: int) -> list[Line]:
    """Measure both renderers on the CPU, and the batched one on a CUDA device where there is one.

    Raises `EDTalkError` (DISK) when the face kit cannot be read.
    """
    renderer = Renderer(facekit)
    scene, batch, seeds = _scene(renderer, _CPU_FRAMES), BatchRenderer(renderer, "cpu"), count()

    def paint() -> float:
        renderer.identity(_FIRST_SEED + _PEOPLE + next(seeds))
        return 1.0

    kinds: dict[str, tuple[str, Work]] = {
        "numba": ("one by one by numba, 1 thread", lambda: scene.one_by_one(renderer)),
        "torch": ("the same frames by batched torch, CPU, 1 thread", lambda: scene.draw_batch(batch)),
    }
    if torch.cuda.is_available():
        card, many = BatchRenderer(renderer, "cuda"), _scene(renderer, _CARD_FRAMES)
        what = f"{_CARD_FRAMES} such frames by batched torch, {torch.cuda.get_device_name()}"
        kinds["cuda"] = what, lambda: many.draw_batch(card)
    works = {name: with_threads(1, work) for name, (_, work) in kinds.items()}
    measured = speeds({"person": paint, **works}, rounds)
    lines = {
        name: Line.of(f"renderer_{name}", measured[name], "frames/s", f"training faces of {_SIZE} px, {what}")
        for name, (what, _) in kinds.items()
    }
    person = Line.of(
        "renderer_person", measured["person"], "people/s", "a new person from a seed: shape and atlas, CPU"
    )
    ratios = [
        ratio(f"renderer_{name}_to_numba", line, lines["numba"], f"training faces, {name} / numba")
        for name, line in lines.items()
        if name != "numba"
    ]
    return [*lines.values(), person, *ratios]
