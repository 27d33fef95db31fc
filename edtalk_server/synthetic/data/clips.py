"""Clips: eight frames of one person under one light, with the correspondence to two source frames each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from edtalk_server.synthetic import controls
from edtalk_server.synthetic.controls import FloatArray
from edtalk_server.synthetic.data import sampling
from edtalk_server.synthetic.data.sampling import CLIP_LENGTH, Random
from edtalk_server.synthetic.renderer.camera import Camera, HeadPose
from edtalk_server.synthetic.renderer.frame import ByteArray, Render, Renderer
from edtalk_server.synthetic.renderer.identity import Identity
from edtalk_server.synthetic.renderer.scene import Light, make_background, make_light

if TYPE_CHECKING:  # torch is not needed to render on the CPU
    from edtalk_server.synthetic.renderer.batch.batch_frame import BatchRenderer

CLIPS_PER_IDENTITY = 2
_FRAMES = range(CLIP_LENGTH)
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
class Shown:
    """What shards keep of a frame; the fields are those of `frame.Render`."""

    image: ByteArray
    parts: ByteArray
    landmarks: FloatArray
    weights: FloatArray


@dataclass(frozen=True)
class Clip:
    """`pairs[i]` are the two correspondences of frame i: to the clip's first frame (for the first frame: to a random
    one), and to a random other one."""

    identity: int
    frames: Sequence[Render | Shown]
    pairs: list[tuple[Correspondence, Correspondence]]


def identity_seed(seed: int, worker: int, clip: int) -> int:
    """Return the seed of a clip's person. Workers and hold-out sets with different seeds never share people."""
    return (seed * 1_000 + worker) * 100_000 + clip // CLIPS_PER_IDENTITY


def jittered_camera(random: Random, renderer: Renderer, person: Identity, first: FloatArray) -> Camera:
    """Return the camera of a clip: fitted to the first frame, then moved a little (more in a tenth of the clips)."""
    spread = 2.0 if random.random() < 0.1 else 1.0
    fitted = renderer.camera(person, first, distance=float(random.uniform(60, 150)))
    crop = fitted.crop.jittered(
        scale=float(np.exp(np.clip(random.normal(0, 0.03), -0.06, 0.06) * spread)),
        turn=float(np.radians(np.clip(random.normal(0, 2), -4, 4) * spread)),
        shift=np.clip(random.normal(0, 0.02, 2), -0.04, 0.04) * spread,
    )
    return Camera(fitted.distance, crop, fitted.rest)


def as_shown(camera: Camera, first: FloatArray) -> FloatArray:
    """Return the first frame's weights in its chosen crop: the head is where it was when the crop was fitted."""
    angles = first[[controls.PITCH, controls.YAW, controls.ROLL]] * controls.POSE_ANGLE
    weights = first.copy()
    pose = HeadPose(float(angles[0]), float(angles[1]), float(angles[2]), np.zeros(3))
    weights[controls.POSE] = camera.pose_weights(pose)
    return weights


def clip_weights(random: Random, camera: Camera, first: FloatArray) -> npt.NDArray[np.float32]:
    """Return the weights of the eight frames, [8, 36]."""
    rows = [as_shown(camera, first)]
    sample = sampling.sample_speech if sampling.is_speech_clip(random) else sampling.sample_free
    rows += [sample(random, rows[0]) for _ in range(CLIP_LENGTH - 1)]
    return np.stack(rows)


@dataclass(frozen=True)
class ClipPlan:
    """All that is drawn by lot for a clip: `rows` [8, 36], and for each frame the two frames that its flows lead to."""

    person: Identity
    light: Light
    background: FloatArray
    camera: Camera
    rows: npt.NDArray[np.float32]
    sources: list[tuple[int, int]]


def plan_clip(renderer: Renderer, person: Identity, random: Random, size: int) -> ClipPlan:
    """Draw everything random about a clip of pictures of `size` pixels."""
    light, background = make_light(random), make_background(random, size * 2)
    first = sampling.sample_first(random)
    camera = jittered_camera(random, renderer, person, first)
    rows = clip_weights(random, camera, first)
    return ClipPlan(
        person, light, background, camera, rows, [_sources(random, i) for i in range(CLIP_LENGTH)]
    )


def _sources(random: Random, target: int) -> tuple[int, int]:
    others = [index for index in range(CLIP_LENGTH) if index != target]
    return (0 if target else int(random.choice(others))), int(random.choice(others))


def make_clip(renderer: Renderer, person: Identity, random: Random, size: int) -> Clip:
    """Render one clip of pictures of `size` pixels."""
    plan = plan_clip(renderer, person, random, size)
    frames = [
        renderer.render(person, row, plan.light, plan.background, plan.camera, size) for row in plan.rows
    ]

    def back(target: int, source: int) -> Correspondence:
        return Correspondence(source, *renderer.flow(frames[target], frames[source], FLOW_SIZE))

    pairs = [(back(i, near), back(i, far)) for i, (near, far) in enumerate(plan.sources)]
    return Clip(person.seed, frames, pairs)


def make_clips(renderer: BatchRenderer, plans: Sequence[ClipPlan], size: int) -> list[Clip]:
    """Render several clips together: the same pictures as `make_clip`, in one call on the renderer's device."""
    drawn = renderer.render(
        [plan.person for plan in plans for _ in plan.rows],
        np.concatenate([plan.rows for plan in plans]),
        [plan.light for plan in plans for _ in plan.rows],
        [plan.background for plan in plans for _ in plan.rows],
        [plan.camera for plan in plans for _ in plan.rows],
        size,
    )
    starts = [number * CLIP_LENGTH for number in range(len(plans))]
    pairs = [
        (start + target, start + source)
        for start, plan in zip(starts, plans, strict=True)
        for target, both in enumerate(plan.sources)
        for source in both
    ]
    flows, visible = renderer.flow(drawn, [to for to, _ in pairs], [of for _, of in pairs], FLOW_SIZE)
    flow, visibility = flows.cpu().numpy(), visible.cpu().numpy()
    ways = [
        Correspondence(source % CLIP_LENGTH, flow[row], visibility[row])
        for row, (_, source) in enumerate(pairs)
    ]
    couples = list(zip(ways[0::2], ways[1::2], strict=True))
    image, parts, landmarks = (x.cpu().numpy() for x in (drawn.image, drawn.parts, drawn.landmarks))
    return [
        Clip(
            plan.person.seed,
            [Shown(image[start + i], parts[start + i], landmarks[start + i], plan.rows[i]) for i in _FRAMES],
            couples[start : start + CLIP_LENGTH],
        )
        for start, plan in zip(starts, plans, strict=True)
    ]
