"""How a pose flow moves heads, against movements that it has not seen: held-out voices and texts.

Samples follow the same prosody and emotions as the truth, with its style. A number is compared where people would: how
far and how fast the head moves, at which frequencies, when it nods, how much it follows the voice, whether it rests.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import signal

from edtalk_server.arrays import Doubles, Floats
from edtalk_server.media.audio.prosody import FRAMES_PER_SECOND, Prosody, prosody
from edtalk_server.media.audio.voice import Waveform
from edtalk_server.motion.pose import HeadMotion, head_pose, resting
from edtalk_server.networks.voice.pose_flow import PoseFlow, negative_log_likelihood
from edtalk_server.training.head import movement, stress
from edtalk_server.training.head.corpus import Take

BANDS_HZ = ((0.1, 0.5), (0.5, 1.8), (1.8, 3.7), (3.7, 7.0))
"""Bands of movement: wander, usual, fast and very fast."""
NEAR_S = 0.08
"""Seconds between a nod and an accent that belong together."""
_DEGREES = 20.0
_NOD_DEGREES, _NOD_FRAMES = 1.5, 10
"""Least depth and most width at half of it of a nod."""
_MOVING = 1.0
"""Degrees a second above which a head moves."""
_SEGMENT = 256
"""Frames of a spectrum."""


@dataclass(frozen=True)
class HeadNumbers:
    """Movements of pitch, yaw and roll over takes.

    `deviation` [3] (degrees) and `speed` [3] (degrees a second; of phrases, in the mean), `power` [4] (decibels of
    pitch in `BANDS_HZ`), `nods` (share within 80 ms of an accent), `voice` (first canonical correlation with the
    prosody of a phrase, in the mean), `pauses` (share of their frames in which the head moves).
    """

    deviation: Doubles
    speed: Doubles
    power: Doubles
    nods: float
    voice: float
    pauses: float


def measure(poses: Sequence[Floats], takes: Sequence[Take]) -> HeadNumbers:
    """Measure natural pose [T, 6] of each take (its own or a sample)."""
    degrees = [pose[:, :3].astype(np.float64) * _DEGREES for pose in poses]
    parts = [
        (turn[part], take.prosody[part])
        for turn, take in zip(degrees, takes, strict=True)
        for part in _phrases(take)
    ]
    near = np.concatenate(
        [nods_near_accents(turn[:, 0], t.accents) for turn, t in zip(degrees, takes, strict=True)]
    )
    rest = np.concatenate(
        [_moves(turn)[~stress.is_speech(t.prosody)] for turn, t in zip(degrees, takes, strict=True)]
    )
    return HeadNumbers(
        np.mean([turn.std(axis=0) for turn, _ in parts], axis=0),
        np.mean([np.abs(np.diff(turn, axis=0)).mean(0) * FRAMES_PER_SECOND for turn, _ in parts], axis=0),
        np.mean([band_power(turn[:, 0]) for turn in degrees], axis=0),
        float(near.mean()) if len(near) else 0.0,
        float(np.mean([canonical_correlation(turn, rows) for turn, rows in parts])),
        float(rest.mean()),
    )


def _phrases(take: Take) -> Iterator[slice]:
    """Yield the stretches of at least two seconds between pauses."""
    for phrase in stress.phrases(take.prosody):
        if phrase.end - phrase.start >= 2.0:
            yield slice(round(phrase.start * FRAMES_PER_SECOND), round(phrase.end * FRAMES_PER_SECOND))


def _moves(degrees: Doubles) -> Doubles:
    speed = np.linalg.norm(np.diff(degrees, axis=0, prepend=degrees[:1]), axis=1) * FRAMES_PER_SECOND
    return np.asarray(speed > _MOVING)


def nod_times(pitch: Doubles) -> Doubles:
    """Return the seconds at which a head is lowest in a nod: a quick dip of its pitch [T] in degrees."""
    peaks, _ = signal.find_peaks(-pitch, prominence=_NOD_DEGREES, width=(None, _NOD_FRAMES))
    return np.asarray(peaks / FRAMES_PER_SECOND)


def nods_near_accents(pitch: Doubles, accents: Doubles) -> Doubles:
    """Return for each nod whether an accent is within 80 ms."""
    times = nod_times(pitch)
    if not len(accents):
        return np.zeros(len(times), bool)
    return np.asarray(np.abs(times[:, None] - accents).min(axis=1) <= NEAR_S + 1e-9)


def band_power(pitch: Doubles) -> Doubles:
    """Return the power [4] of a movement in each band, in decibels."""
    frequency, density = signal.welch(pitch, FRAMES_PER_SECOND, nperseg=min(_SEGMENT, len(pitch)))
    inside = [(frequency >= low) & (frequency < high) for low, high in BANDS_HZ]
    return np.array([10 * np.log10(density[band].sum() + 1e-12) for band in inside])


def canonical_correlation(degrees: Doubles, rows: Floats) -> float:
    """Return the first canonical correlation of turns [T, 3] with level, F0 and their changes."""
    voice = rows[:, [Prosody.ENERGY, Prosody.PITCH, Prosody.ENERGY_CHANGE, Prosody.PITCH_CHANGE]].astype(
        np.float64
    )
    bases = [
        np.linalg.qr(part - part.mean(0))[0]
        for part in (degrees, voice + 1e-9 * np.arange(len(voice))[:, None])
    ]
    return float(np.linalg.svd(bases[0].T @ bases[1], compute_uv=False)[0])


# --- samples ---------------------------------------------------------------------------------------------------------


@torch.inference_mode()
def sample(flow: PoseFlow, take: Take, seed: int, temperature: float) -> Floats:
    """Return a movement [T', 6] for a take's prosody, emotions and style, from its second hop on (`usable`), at rest in
    pauses as predictions are."""
    part = usable(flow, take)
    padded = (
        slice(part.start - flow.config.hop, part.stop + flow.config.hop) if flow.squeeze is not None else part
    )
    prosody_rows, emotions = (torch.from_numpy(rows[padded])[None] for rows in (take.prosody, take.emotions))
    condition = flow.condition(prosody_rows, emotions, torch.from_numpy(take.style)[None])
    rng = torch.Generator().manual_seed(seed)
    noise = torch.randn(1, condition.shape[1], flow.config.channels, generator=rng)
    frames = flow.sampled(temperature * noise, condition)[0].numpy().astype(np.float64)
    return np.asarray(resting(frames, movement.speaking(take.prosody[part])), np.float32)


def usable(flow: PoseFlow, take: Take) -> slice:
    """Return the frames of a take that lie under two hops each: whole hops without the outer ones."""
    hop = flow.config.hop
    if flow.squeeze is None:
        return slice(0, len(take.pose))
    return slice(hop, (len(take.pose) // hop - 1) * hop)


def cut(take: Take, part: slice) -> Take:
    """Return a part of a take."""
    accents = take.accents - part.start / FRAMES_PER_SECOND
    return Take(take.prosody[part], take.emotions[part], take.pose[part], take.style, accents)


@torch.inference_mode()
def inversion_error(flow: PoseFlow, take: Take) -> float:
    """Return the largest error of a take's hops that went to noise and back, in standard deviations."""
    hops, condition = _hops(flow, take)
    return float((flow.inverse(flow(hops, condition)[0], condition) - hops).abs().max())


@torch.inference_mode()
def likelihood(flow: PoseFlow, takes: Sequence[Take]) -> float:
    """Return the mean negative log-likelihood of takes in nats a dimension."""
    return float(np.mean([float(negative_log_likelihood(*flow(*_hops(flow, take)))) for take in takes]))


def _hops(flow: PoseFlow, take: Take) -> tuple[torch.Tensor, torch.Tensor]:
    length = len(take.pose) // flow.config.hop * flow.config.hop
    pose, prosody, emotions = (
        torch.from_numpy(part[:length])[None] for part in (take.pose, take.prosody, take.emotions)
    )
    return flow.hops(pose), flow.condition(prosody, emotions, torch.from_numpy(take.style)[None])


# --- on a real voice -------------------------------------------------------------------------------------------------


def nodding_with_loudness(pitch: Doubles, rows: Floats) -> float:
    """Return the correlation of quick pitch [T] (its second around taken away) with the level where somebody speaks."""
    smooth = np.ones(25) / 25
    quick = pitch - np.convolve(pitch, smooth, "same")
    level = rows[:, Prosody.ENERGY].astype(np.float64)
    level = level - np.convolve(level, smooth, "same")
    speaks = stress.is_speech(rows)
    return float(np.corrcoef(quick[speaks], level[speaks])[0, 1])


def likeness(moves: Sequence[Floats]) -> Doubles:
    """Return the mean absolute correlation [3] of pitch, yaw and roll between two seeds' movements [T, 6]."""
    pairs = [(a, b) for i, a in enumerate(moves) for b in moves[:i]]
    return np.array(
        [np.mean([abs(np.corrcoef(a[:, axis], b[:, axis])[0, 1]) for a, b in pairs]) for axis in range(3)]
    )


def voice_report(flow: PoseFlow, voice: Waveform, temperature: float, seeds: int = 12) -> list[str]:
    """Return the lines of a Markdown table about predictions for a real voice.

    Where a voice is short, slow movements that have nothing to do with each other correlate, too: the row "without
    nods" and yaw, which the voice hardly decides, show by how much.
    """
    frames = int(voice.duration * FRAMES_PER_SECOND)
    rows, seconds = prosody(voice.samples, frames), np.arange(frames) / FRAMES_PER_SECOND
    moves = [head_pose(flow, voice, None, seconds, HeadMotion(seed, temperature)) for seed in range(seeds)]
    nodding = np.mean([abs(nodding_with_loudness(pose[:, 0].astype(np.float64), rows)) for pose in moves])
    slow = likeness([without_nods(pose).astype(np.float32) for pose in moves])
    return [
        f"| a real voice, temperature {temperature:g} | predictions | accepted |",
        "|---|---|---|",
        f"| correlation of nods and loudness, size | {nodding:.2f} | ≥ .30 |",
        f"| two seeds' correlation of pitch, yaw, roll, size | {_text(likeness(moves))} | < .30 |",
        f"| the same without nods | {_text(slow)} | |",
    ]


def without_nods(pose: Floats) -> Doubles:
    """Return movements [T, 6] without what is quicker than a second."""
    window = np.hanning(FRAMES_PER_SECOND + 2)[1:-1]
    edge = len(window) // 2
    padded = np.pad(pose.astype(np.float64), ((edge, edge), (0, 0)), mode="edge")
    return np.stack([np.convolve(column, window / window.sum(), "valid") for column in padded.T], axis=1)


# --- the report ------------------------------------------------------------------------------------------------------


def report(flow: PoseFlow, takes: Sequence[Take], temperature: float, seeds: int = 4) -> list[str]:
    """Return the lines of a Markdown table: samples against truth, with what is accepted."""
    parts = [cut(take, usable(flow, take)) for take in takes]
    true = measure([part.pose for part in parts], parts)
    moves = [[sample(flow, take, seed, temperature) for take in takes] for seed in range(seeds)]
    drawn = [measure(one, parts) for one in moves]

    def mean(name: str) -> Doubles:
        return np.asarray(np.mean([getattr(numbers, name) for numbers in drawn], axis=0))

    rows: list[tuple[str, Doubles | float, Doubles | float, str]] = [
        ("deviation of pitch, yaw, roll (degrees)", true.deviation, mean("deviation"), "±20 %"),
        ("speed of pitch, yaw, roll (degrees/s)", true.speed, mean("speed"), "±25 %"),
        ("power of pitch in four bands (dB)", true.power, mean("power"), "±3 dB"),
        ("deviation of pitch over that of yaw", _ratio(true.deviation), _ratio(mean("deviation")), "≥ 2.5"),
        ("nods within 80 ms of an accent", true.nods, mean("nods"), "≥ .60"),
        ("first canonical correlation with the voice", true.voice, mean("voice"), "±.10"),
        ("frames of pauses above 1 degree/s", true.pauses, mean("pauses"), "≤ .20"),
    ]
    same = np.mean([likeness(of_take) for of_take in zip(*moves, strict=True)], axis=0) if seeds > 1 else None
    lines = [f"| temperature {temperature:g} | truth | samples | accepted |", "|---|---|---|---|"]
    lines += [f"| {name} | {_text(a)} | {_text(b)} | {wanted} |" for name, a, b, wanted in rows]
    if same is not None:
        lines += [f"| two seeds' correlation of pitch, yaw, roll, size | | {_text(same)} | < .30 |"]
    return [
        *lines,
        f"| nats a dimension | {likelihood(flow, takes):.3f} | | falls |",
        f"| largest error of inversion | | {max(inversion_error(flow, take) for take in takes):.1e} | ≤ 1e-4 |",
    ]


def _ratio(deviation: Doubles) -> float:
    return float(deviation[0] / deviation[1])


def _text(value: Doubles | float) -> str:
    return ", ".join(f"{number:.2f}" for number in np.atleast_1d(value))
