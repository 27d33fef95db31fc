"""The head's movements from a voice by the bundle's normalizing flow (paper section 3.3).

The flow's noise belongs to hops of the shot's clock and to a seed. So the same seed gives the same movements, another
seed others that fit the voice as well, and a part of a shot gets those of the whole, in memory that does not grow.
Movements are in natural units (`banks.NATURAL_POSE`); a bundle's own pose weights are those of these names, else what
its `pose_map` makes of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edtalk_server.arrays import Doubles, Floats, Weights
from edtalk_server.media.audio.prosody import FRAMES_PER_SECOND, Prosody, prosody
from edtalk_server.media.audio.voice import Waveform
from edtalk_server.media.steps import Checkpoint, unwatched
from edtalk_server.motion.chance import normal_rows
from edtalk_server.motion.curves import interpolate
from shared_protocol.banks import HEAD, NATURAL_POSE, Bank, BankLayout
from shared_protocol.emotions import EMOTIONS
from shared_protocol.messages import NATURAL_TEMPERATURE

if TYPE_CHECKING:  # a server says that it is there before torch is loaded
    from edtalk_server.networks.voice.pose_flow import PoseFlow

EmotionsAt = Callable[[Doubles], Floats]
"""Seconds of the voice [T], also beyond its ends -> intensities [T, 8] in the order of `EMOTIONS`."""

EYES = {"gaze_left": "yaw", "gaze_up": "pitch"}
STAY = 20.0 / 25.0 * 0.8
"""Share of a turn that the eyes compensate: a unit of the head is 20 degrees, of the eyes 25; they do 80 % of it."""

_CHUNK = 4000
"""Frames that are computed together: 160 seconds."""
_EDGE_S = 0.06
"""Standard deviation of the edges between speech and pauses."""
_CATCH_UP, _CATCH_UP_RESTING = 2.5, 0.13
"""Share of its distance to the flow's movement that the head makes good in a second, in speech and in pauses: the
latter at less than a degree a second from distances of up to 7.7 degrees."""
_MARGIN = 2400
"""Frames before a stretch after which nothing before them matters: 0.13 in a second for 96 seconds are 4e-6."""
_MOST_STYLE = 1.5
_DEEPEST = 0.7
"""Most of pitch, 14 degrees: 99 of 100 moments of what the starter's flow learned lie within. Faces that are turned
further look lunging, and are drawn badly."""


@dataclass(frozen=True)
class HeadMotion:
    """How a head moves: random `seed`, `temperature` (0: its one most usual movement, 1: as varied as what the flow
    learned from), `gain` (0: not at all, 1: as people do), `clock`: the
    second of the shot at which the voice begins."""

    seed: int = 0
    temperature: float = NATURAL_TEMPERATURE
    gain: float = 1.0
    clock: float = 0.0


USUAL_MOTION = HeadMotion()


def can_move(layout: BankLayout, pose_map: Floats | None) -> bool:
    """Return whether natural movements can be told to a bundle's pose weights."""
    return layout.has(*HEAD) or pose_map is not None


def add_head_pose(rows: Weights, layout: BankLayout, pose_map: Floats | None, pose: Floats) -> Weights:
    """Return `rows` [frames, channels] with natural movements [frames, 6] added, within the ranges of the weights.

    Eyes with names stay on whom they look at. A row beyond a range keeps to where it was.
    """
    moved = rows.copy()
    for channel, change in _changes(layout, pose_map, pose):
        basis, own = layout.bases[channel], rows[:, channel]
        low, high = np.minimum(own, basis.minimum), np.maximum(own, basis.maximum)
        moved[:, channel] = np.clip(own + change, low, high)
    return moved


def _changes(layout: BankLayout, pose_map: Floats | None, pose: Floats) -> Iterator[tuple[int, Floats]]:
    """Yield channels and their changes [frames]."""
    if layout.has(*HEAD):
        for name, column in zip(NATURAL_POSE, pose.T, strict=True):
            if layout.has(name):
                yield layout.index(name), column
    elif pose_map is not None:
        first = layout.slice_of(Bank.POSE).start
        for offset, column in enumerate(pose_map @ pose.T):
            yield first + offset, column
    for eyes, head in EYES.items():
        if layout.has(eyes):
            yield layout.index(eyes), -STAY * pose[:, NATURAL_POSE.index(head)]


def head_pose(
    flow: PoseFlow,
    voice: Waveform,
    emotions: EmotionsAt | None,
    seconds: Doubles,
    motion: HeadMotion = USUAL_MOTION,
    checkpoint: Checkpoint = unwatched,
) -> Floats:
    """Return natural pose [len(seconds), 6] at rising seconds of the voice; silence lies around it.

    `emotions` (None: neutral) are asked also for seconds around, because the flow looks that far. `checkpoint` is
    called between pieces of work; an exception from it ends the work.
    """
    moments = np.asarray(seconds, np.float64) * FRAMES_PER_SECOND
    out = np.empty((len(moments), len(NATURAL_POSE)), np.float32)
    done = 0
    while done < len(moments):
        checkpoint(done, len(moments), "moving the head")
        first = int(np.floor(moments[done])) - 1
        upto = int(np.searchsorted(moments, first + _CHUNK))
        last = int(np.floor(moments[upto - 1])) + 3
        frames = _frames(_Sampler(flow, voice, emotions, motion, checkpoint), first, last)
        out[done:upto] = interpolate(frames, moments[done:upto] - first)
        done = upto
    return out


@dataclass(frozen=True)
class _Sampler:
    flow: Any
    voice: Waveform
    emotions: EmotionsAt | None
    motion: HeadMotion
    checkpoint: Checkpoint = unwatched

    @property
    def offset(self) -> int:
        """The frame of the shot at which the voice begins."""
        return round(self.motion.clock * FRAMES_PER_SECOND)


def _frames(sampler: _Sampler, first: int, last: int) -> Floats:
    """Return natural pose of the voice's frames `first` to `last` - 1, within limits, at rest in pauses."""
    begin = first - _MARGIN
    pose = _sampled(sampler, begin, last).astype(np.float64)
    limit = sampler.flow.limit.numpy().astype(np.float64)
    pitch = NATURAL_POSE.index("pitch")
    limit[pitch] = min(limit[pitch], _DEEPEST)
    rested = resting(limit * np.tanh(pose / limit), _speaking(sampler, begin, last))
    within = np.clip(
        rested[_MARGIN:], -limit, limit
    )  # what adds up over pauses may be more than the flow's own
    return (sampler.motion.gain * within).astype(np.float32)


def resting(pose: Doubles, gate: Doubles) -> Doubles:
    """Return movements [T, 6] that go on only while somebody speaks (`gate` [T], 0 to 1) and rest in pauses.

    After a pause, and slowly in it, the head catches up with where the movement has gone.
    """
    out = np.empty_like(pose)
    now = pose[0].copy()
    rates = (_CATCH_UP_RESTING + (_CATCH_UP - _CATCH_UP_RESTING) * gate) / FRAMES_PER_SECOND
    steps = (
        np.diff(pose, axis=0, prepend=pose[:1]) * gate[:, None] ** 3
    )  # the edges of a pause are still, too
    for index, rate in enumerate(rates):
        now = now + steps[index] + rate * (pose[index] - now)
        out[index] = now
    return out


def _sampled(sampler: _Sampler, first: int, last: int) -> Floats:
    """Return what the flow makes of its noise, for the voice's frames `first` to `last` - 1."""
    import torch

    config, motion = sampler.flow.config, sampler.motion
    hop, overlap = config.hop, config.window - config.hop
    begin = (first + sampler.offset - overlap) // hop - config.reach
    end = -(-(last + sampler.offset) // hop) + config.reach  # hops of the shot
    start = begin * hop - sampler.offset
    count = (end - begin) * hop + overlap
    noise = motion.temperature * normal_rows(motion.seed, "pose", begin, end, config.channels)
    with torch.inference_mode():
        condition = sampler.flow.condition(
            *(torch.from_numpy(part)[None] for part in _conditions(sampler, start, count))
        )
        moved = sampler.flow.sampled(torch.from_numpy(noise.astype(np.float32))[None], condition)
        frames = np.asarray(moved[0].numpy(), np.float32)
    offset = first - (start + overlap)
    return frames[offset : offset + last - first]


def _conditions(sampler: _Sampler, start: int, count: int) -> tuple[Floats, Floats, Floats]:
    rows = prosody(sampler.voice.samples, count, start, sampler.checkpoint)
    seconds = (start + np.arange(count)) / FRAMES_PER_SECOND
    neutral = np.zeros((count, len(EMOTIONS)), np.float32)
    emotions = neutral if sampler.emotions is None else np.asarray(sampler.emotions(seconds), np.float32)
    style = normal_rows(sampler.motion.seed, "style", 0, 1, sampler.flow.config.style)[0]
    return rows, emotions, np.clip(style, -_MOST_STYLE, _MOST_STYLE).astype(np.float32)


def _speaking(sampler: _Sampler, first: int, last: int) -> Doubles:
    """Return how much each frame lies in speech [last - first], 0 to 1."""
    reach = math.ceil(3 * _EDGE_S * FRAMES_PER_SECOND)
    count, begin = last - first + 2 * reach, first - reach
    rows = prosody(sampler.voice.samples, count, begin, sampler.checkpoint)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / (_EDGE_S * FRAMES_PER_SECOND)) ** 2)
    return np.convolve(rows[:, Prosody.SINCE_PAUSE] > 0, kernel / kernel.sum(), "valid")
