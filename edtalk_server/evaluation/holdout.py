"""How well a face network does on rendered people that it was never trained on.

All numbers are means over frames unless said otherwise; pictures are compared at the network's size as 8-bit RGB.

self_psnr      self-reenactment: the first frame of a clip driven by the weights read from each other frame, in dB
true_psnr      the same with the renderer's own weights instead of read ones
unmoved_psnr   the first frame as it is: what doing nothing would score
rest_psnr      the first frame under its own weights against itself
face_...       the same within the box of the frame's landmarks, where people look
landmark_px    distance of the read landmarks from the true ones, in pixels of the picture
effects        what moving one weight does, in pixels between the landmarks that the network's own reader finds; people
               count who move more than a pixel the way most do
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edtalk_server.networks.interface import FaceNetwork
from shared_protocol.errors import EDTalkError, ErrorCode

Picture = npt.NDArray[np.uint8]
CLIP = 8


@dataclass(frozen=True)
class Clip:
    """Eight frames of one person: uint8 [8, S, S, 3], true weights [8, C], landmarks [8, 68, 2] in 0..1."""

    frames: Picture
    weights: npt.NDArray[np.float32]
    landmarks: npt.NDArray[np.float32]
    identity: int


@dataclass(frozen=True)
class Effect:
    """A weight, how far it is moved, and what on the face tells how much happened."""

    basis: str
    amount: float
    measure: str


EFFECTS = (
    Effect("jaw_open", 0.7, "mouth_gap"),
    Effect("yaw", 0.8, "nose_x"),
    Effect("yaw", -0.8, "nose_x"),
    Effect("pitch", 0.7, "nose_y"),
    Effect("roll", 0.7, "tilt"),
    Effect("smile", 1.0, "mouth_width"),
    Effect("blink_left", 1.0, "left_eye_gap"),
    Effect("brow_raise", 1.0, "brow_gap"),
)


def measures(points: npt.NDArray[np.float32], size: int) -> dict[str, float]:
    """What the effects look at, in pixels; `points` [68, 2] in 0..1."""
    p = points * size
    eyes = p[36:48].mean(0)
    return {
        "mouth_gap": float(np.linalg.norm(p[61:64] - p[[67, 66, 65]], axis=1).mean()),
        "mouth_width": float(np.linalg.norm(p[54] - p[48])),
        "nose_x": float(p[30, 0] - 0.5 * (p[2, 0] + p[14, 0])),
        "nose_y": float(p[30, 1] - eyes[1]),
        "tilt": float(p[42:48, 1].mean() - p[36:42, 1].mean()),
        "left_eye_gap": float(np.linalg.norm(p[43:45] - p[[47, 46]], axis=1).mean()),
        "brow_gap": float(eyes[1] - p[17:27, 1].mean()),
    }


@dataclass
class Report:
    """The numbers of the module's docstring."""

    clips: int = 0
    identities: int = 0
    means: dict[str, float] = field(default_factory=dict)
    effects: dict[str, dict[str, float]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"clips": self.clips, "identities": self.identities, **self.means, "effects": self.effects}

    def lines(self) -> list[str]:
        """For people."""
        rows = [f"{self.clips} clips of {self.identities} people"]
        rows += [f"{name:18} {value:8.3f}" for name, value in self.means.items()]
        rows += [
            f"{name:18} {row['measure_change']:+8.2f} px (more than a pixel in {row['visible_share']:.0%} of people)"
            for name, row in self.effects.items()
        ]
        return rows


def clips(folder: Path) -> Iterator[Clip]:
    """All clips of a hold-out folder, with 256-pixel pictures. `EDTalkError` when there is none."""
    paths = sorted(folder.glob("*_done.npy"))
    if not paths:
        raise EDTalkError(
            ErrorCode.NOT_READY,
            f"There are no rendered clips in {folder}.",
            "Make them with `edtalk train data`.",
        )
    for path in paths:
        arrays = {
            name: np.load(path.with_name(path.name.replace("_done", f"_{name}")), mmap_mode="r")
            for name in ("img256", "weights", "lm", "identity")
        }
        for first in range(0, int(np.load(path)[0]) // CLIP * CLIP, CLIP):
            part = slice(first, first + CLIP)
            yield Clip(
                np.array(arrays["img256"][part]),
                np.array(arrays["weights"][part]),
                np.array(arrays["lm"][part]),
                int(arrays["identity"][first]),
            )


def one_per_person(all_clips: Iterator[Clip], limit: int) -> list[Clip]:
    """The first clip of each of the first `limit` people."""
    found: dict[int, Clip] = {}
    for clip in all_clips:
        found.setdefault(clip.identity, clip)
        if len(found) == limit:
            break
    return list(found.values())


def to_tensor(frames: Picture) -> Tensor:
    """uint8 [B, S, S, 3] -> float32 [B, 3, S, S] in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float() / 127.5 - 1


def to_picture(images: Tensor) -> Picture:
    """float32 [B, 3, S, S] in [-1, 1] -> uint8 [B, S, S, 3]."""
    scaled = ((images.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return np.asarray(scaled.permute(0, 2, 3, 1).numpy())


def psnr(a: Picture, b: Picture) -> float:
    """Peak signal-to-noise ratio of two 8-bit pictures in dB, at most 60."""
    error = float(np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2))
    return float(min(60.0, 10 * np.log10(255.0**2 / max(error, 1e-9))))


def _face_box(landmarks: npt.NDArray[np.float32], size: int) -> tuple[slice, slice]:
    low, high = landmarks.min(0) * size, landmarks.max(0) * size
    left, top = np.floor(low).clip(0, size - 8).astype(int)
    right, bottom = np.ceil(high).clip(8, size).astype(int)
    return slice(top, max(bottom, top + 1)), slice(left, max(right, left + 1))


class HoldoutEvaluation:
    """Measures one network; `layout_index` finds a basis by its identifier."""

    def __init__(self, network: FaceNetwork, identifiers: list[str]) -> None:
        self.network = network
        self.channel = {name: i for i, name in enumerate(identifiers)}

    @torch.no_grad()
    def run(self, chosen: list[Clip]) -> Report:
        """Over these clips; the effects on the first clip of each person."""
        rows = [row for clip in chosen for row in self._clip(clip)]
        means = {name: float(np.mean([row[name] for row in rows if name in row])) for name in rows[0]}
        people = one_per_person(iter(chosen), len(chosen))
        report = Report(len(chosen), len(people), {name: round(value, 3) for name, value in means.items()})
        if hasattr(self.network, "cropped_landmarks_of"):
            report.effects = self._effects(people)
        return report

    def _clip(self, clip: Clip) -> Iterator[dict[str, float]]:
        images = to_tensor(clip.frames)
        read = self.network.weights_of(images)
        prepared = self.network.prepare(images[:1])
        made = to_picture(self.network.decode(prepared, read))
        true = torch.from_numpy(clip.weights)
        by_truth = to_picture(self.network.decode(prepared, read[:1] + true - true[:1]))
        rest = psnr(made[0], clip.frames[0])
        for i in range(1, len(clip.frames)):
            box = _face_box(clip.landmarks[i], clip.frames.shape[1])
            row = {"rest_psnr": rest}
            for name, picture in (("self", made[i]), ("true", by_truth[i]), ("unmoved", clip.frames[0])):
                row[f"{name}_psnr"] = psnr(picture, clip.frames[i])
                row[f"face_{name}_psnr"] = psnr(picture[box], clip.frames[i][box])
            yield {**row, **self._landmarks(clip, images, i)}

    def _landmarks(self, clip: Clip, images: Tensor, i: int) -> dict[str, float]:
        read = getattr(self.network, "cropped_landmarks_of", None)
        if read is None:
            return {}
        distance = np.linalg.norm(read(images[i : i + 1])[0].numpy() - clip.landmarks[i], axis=1)
        return {"landmark_px": float(distance.mean() * clip.frames.shape[1])}

    def _effects(self, people: list[Clip]) -> dict[str, dict[str, float]]:
        changes: dict[str, list[float]] = {}
        for clip in people:
            for effect, change in zip(EFFECTS, self._person(clip), strict=True):
                changes.setdefault(f"{effect.basis}{effect.amount:+.1f}", []).append(change)
        out = {}
        for effect, (name, values) in zip(EFFECTS, changes.items(), strict=True):
            sign = np.sign(np.median(values))
            out[name] = {
                "amount": effect.amount,
                "measure_change": round(float(np.mean(values)), 2),
                "visible_share": round(float(np.mean(np.array(values) * sign > 1.0)), 3),
            }
        return out

    def _person(self, clip: Clip) -> list[float]:
        """The change of each effect's measure, in pixels."""
        prepared = self.network.prepare(to_tensor(clip.frames[:1]))
        rest = self.network.weights_of(to_tensor(clip.frames[:1]))
        rows = rest.repeat(1 + len(EFFECTS), 1)
        for i, effect in enumerate(EFFECTS):
            rows[1 + i, self.channel[effect.basis]] += effect.amount
        made = self.network.decode(prepared, rows).clamp(-1, 1)
        points = self.network.cropped_landmarks_of(made).numpy()  # type: ignore[attr-defined]
        found = [measures(p, made.shape[-1]) for p in points]
        return [row[e.measure] - found[0][e.measure] for row, e in zip(found[1:], EFFECTS, strict=True)]
