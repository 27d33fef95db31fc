"""Clips of rendered people, rendered on demand: smooth in time, and with exact swaps of factors."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from edtalk_server.engine.tensors import to_tensor
from edtalk_server.synthetic.controls import EXPRESSION, MOUTH, POSE, FloatArray
from edtalk_server.synthetic.data import sampling
from edtalk_server.synthetic.data.clips import FLOW_SIZE, as_shown, identity_seed, jittered_camera
from edtalk_server.synthetic.renderer.camera import Camera
from edtalk_server.synthetic.renderer.frame import ByteArray, Render, Renderer
from edtalk_server.synthetic.renderer.identity import Identity
from edtalk_server.synthetic.renderer.scene import Light, make_background, make_light
from edtalk_server.training.datasets import tracks
from edtalk_server.training.datasets.interface import ClipBatch, Motion, Random, SwapBatch

_REMEMBERED_PEOPLE = 16  # of 16 MiB each


@dataclass(frozen=True)
class _Sitting:
    """One person under one light, in front of one camera."""

    person: Identity
    light: Light
    background: FloatArray
    camera: Camera
    first: FloatArray


class RenderedClips:
    """Endless clips of `people` people, in pictures of `size` pixels. Different seeds (1 to 19; from 21 on hold-out)
    never share people. A new person costs a fifth of a second, unless drawn recently: sets of few people are faster."""

    has_truth = True
    consecutive = True

    def __init__(self, facekit: Path, size: int, seed: int = 1, people: int = 20_000) -> None:
        self.size = size
        self.seed = seed
        self.people = people
        self._flow_size = min(size, FLOW_SIZE)
        self._renderer = Renderer(facekit)
        self._known: OrderedDict[int, Identity] = OrderedDict()

    def clips(self, rng: Random, count: int, length: int) -> ClipBatch:
        sittings = [self._sit(rng, int(rng.integers(self.people))) for _ in range(count)]
        sources = [self._draw(sitting, sitting.first) for sitting in sittings]
        clips = [self._perform(rng, sitting, length) for sitting in sittings]
        motions = [
            Motion.stack([self._motion(frame, source) for frame in clip])
            for clip, source in zip(clips, sources, strict=True)
        ]
        return ClipBatch(
            source=_pictures(sources),
            frames=torch.stack([_pictures(clip) for clip in clips]),
            landmarks=torch.stack([_landmarks(clip) for clip in clips]),
            identity=torch.tensor([sitting.person.seed for sitting in sittings]),
            weights=torch.stack([_weights(clip) for clip in clips]),
            source_weights=_weights(sources),
            motion=Motion.stack(motions),
            parts=torch.stack([self._parts(clip) for clip in clips]),
        )

    def factor_swaps(
        self, rng: Random, count: int, cross: float = 0.5, keep_expression: bool = False
    ) -> SwapBatch:
        """Draw `count` swaps. A mouth may meet a smile that it was not sampled for, as in any true swap."""
        sources, drivers, targets = [], [], []
        for _ in range(count):
            who = int(rng.integers(self.people))
            other = int(rng.integers(self.people)) if rng.random() < cross else who
            sitting, model = self._sit(rng, who), self._sit(rng, other)
            source = self._draw(sitting, sitting.first)
            driving = [self._draw(model, sampling.sample_free(rng, model.first)) for _ in range(3)]
            if keep_expression:
                driving[2] = source
            sources.append(source)
            drivers.append(driving)
            targets.append(self._draw(sitting, _swapped([render.weights for render in driving])))
        pairs = zip(targets, sources, strict=True)
        return SwapBatch(
            source=_pictures(sources),
            mouth=_pictures([mouth for mouth, _, _ in drivers]),
            pose=_pictures([pose for _, pose, _ in drivers]),
            expression=_pictures([expression for _, _, expression in drivers]),
            target=_pictures(targets),
            landmarks=_landmarks(targets),
            source_weights=_weights(sources),
            weights=_weights(targets),
            motion=Motion.stack([self._motion(target, source) for target, source in pairs]),
        )

    def _sit(self, rng: Random, number: int) -> _Sitting:
        person = self._person(number)
        light, background = make_light(rng), make_background(rng, self.size * 2)
        first = sampling.sample_first(rng)
        camera = jittered_camera(rng, self._renderer, person, first)
        return _Sitting(person, light, background, camera, as_shown(camera, first))

    def _person(self, number: int) -> Identity:
        if number not in self._known:
            chosen = identity_seed(self.seed, number // 50_000, 2 * (number % 50_000))
            self._known[number] = self._renderer.identity(chosen)
        self._known.move_to_end(number)
        while len(self._known) > _REMEMBERED_PEOPLE:
            self._known.popitem(last=False)
        return self._known[number]

    def _perform(self, rng: Random, sitting: _Sitting, length: int) -> list[Render]:
        return [self._draw(sitting, row) for row in tracks.track(rng, sitting.first, length)]

    def _draw(self, sitting: _Sitting, weights: FloatArray) -> Render:
        s = sitting
        return self._renderer.render(s.person, weights, s.light, s.background, s.camera, self.size)

    def _motion(self, target: Render, source: Render) -> Motion:
        size = self._flow_size
        flow, visibility = self._renderer.flow(target, source, size)
        return Motion.from_render(flow / size, visibility, self._thinned(target))

    def _parts(self, frames: Sequence[Render]) -> torch.Tensor:
        return torch.from_numpy(np.stack([self._thinned(frame) for frame in frames])).long()

    def _thinned(self, frame: Render) -> ByteArray:
        step = len(frame.parts) // self._flow_size
        return frame.parts[step // 2 :: step, step // 2 :: step]


def _swapped(rows: Sequence[FloatArray]) -> FloatArray:
    """Return the mouth of the first row with the pose of the second and the expression of the third."""
    result = rows[0].copy()
    for bank, row in zip((MOUTH, POSE, EXPRESSION), rows, strict=True):
        result[bank] = row[bank]
    return result


def _pictures(frames: Sequence[Render]) -> torch.Tensor:
    return to_tensor(np.stack([frame.image for frame in frames]))


def _landmarks(frames: Sequence[Render]) -> torch.Tensor:
    return torch.from_numpy(np.stack([frame.landmarks for frame in frames]))


def _weights(frames: Sequence[Render]) -> torch.Tensor:
    return torch.from_numpy(np.stack([frame.weights for frame in frames]))
