"""Clips: eight frames of one person under one light, with the correspondence to two source frames each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edtalk_server.training import controls
from edtalk_server.training.controls import FloatArray
from edtalk_server.training.data import sampling
from edtalk_server.training.data.sampling import CLIP_LENGTH, Random
from edtalk_server.training.renderer.camera import Camera, HeadPose
from edtalk_server.training.renderer.frame import ByteArray, Render, Renderer
from edtalk_server.training.renderer.identity import Identity
from edtalk_server.training.renderer.scene import make_background, make_light

CLIPS_PER_IDENTITY = 2
FLOW_SIZE = 128
"""Side of flow, visibility and part maps, whatever the picture's size."""


@dataclass(frozen=True)
class Correspondence:
    """One target's way back to one source: `source` counts frames of the clip."""

    source: int
    flow: FloatArray
    """[128, 128, 2] pixels at 128, target to source."""
    visible: ByteArray


@dataclass(frozen=True)
class Clip:
    """`pairs[i]` are the two correspondences of frame i: to the clip's first frame (for the first frame: to a random
    one), and to a random other one."""

    identity: int
    frames: list[Render]
    pairs: list[tuple[Correspondence, Correspondence]]


def identity_seed(seed: int, worker: int, clip: int) -> int:
    """The person of a clip. Workers and hold-out sets with different seeds never share people."""
    return (seed * 1_000 + worker) * 100_000 + clip // CLIPS_PER_IDENTITY


def jittered_camera(random: Random, renderer: Renderer, person: Identity, first: FloatArray) -> Camera:
    """The crop of the clip: fitted to the first frame, then moved a little (a tenth of the clips: moved more)."""
    spread = 2.0 if random.random() < 0.1 else 1.0
    fitted = renderer.camera(person, first, distance=float(random.uniform(60, 150)))
    crop = fitted.crop.jittered(
        scale=float(np.exp(np.clip(random.normal(0, 0.03), -0.06, 0.06) * spread)),
        turn=float(np.radians(np.clip(random.normal(0, 2), -4, 4) * spread)),
        shift=np.clip(random.normal(0, 0.02, 2), -0.04, 0.04) * spread,
    )
    return Camera(fitted.distance, crop, fitted.rest)


def as_shown(camera: Camera, first: FloatArray) -> FloatArray:
    """The first frame's weights once its crop is chosen: the head is where it was when the crop was fitted."""
    angles = first[[controls.PITCH, controls.YAW, controls.ROLL]] * controls.POSE_ANGLE
    shown = first.copy()
    pose = HeadPose(float(angles[0]), float(angles[1]), float(angles[2]), np.zeros(3))
    shown[controls.POSE] = camera.pose_weights(pose)
    return shown


def clip_weights(random: Random, camera: Camera, first: FloatArray) -> npt.NDArray[np.float32]:
    """What the eight frames show, [8, 36]."""
    rows = [as_shown(camera, first)]
    sample = sampling.sample_speech if sampling.is_speech_clip(random) else sampling.sample_free
    rows += [sample(random, rows[0]) for _ in range(CLIP_LENGTH - 1)]
    return np.stack(rows)


def make_clip(renderer: Renderer, person: Identity, random: Random, size: int) -> Clip:
    """Renders one clip of pictures of `size` pixels."""
    light, background = make_light(random), make_background(random, size * 2)
    first = sampling.sample_first(random)
    camera = jittered_camera(random, renderer, person, first)
    frames = [
        renderer.render(person, row, light, background, camera, size)
        for row in clip_weights(random, camera, first)
    ]
    return Clip(
        person.seed, frames, [_pairs(renderer, random, frames, index) for index in range(CLIP_LENGTH)]
    )


def _pairs(
    renderer: Renderer, random: Random, frames: list[Render], target: int
) -> tuple[Correspondence, Correspondence]:
    others = [index for index in range(len(frames)) if index != target]
    first = 0 if target else int(random.choice(others))
    return (
        _correspondence(renderer, frames, target, first),
        _correspondence(renderer, frames, target, int(random.choice(others))),
    )


def _correspondence(renderer: Renderer, frames: list[Render], target: int, source: int) -> Correspondence:
    return Correspondence(source, *renderer.flow(frames[target], frames[source], FLOW_SIZE))
