"""Hair: a shell that stands off the scalp, a curtain of long hair, and strands painted on both."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import cv2
import numpy as np
import numpy.typing as npt

from edtalk_server.synthetic.renderer.geometry.mesh import HeadMesh, smooth_step
from edtalk_server.synthetic.renderer.painting.brushes import COLUMNS, FACE_SIDE, ROWS, Random, noise
from edtalk_server.synthetic.renderer.painting.headwear import Headwear, choose_headwear, paint_headwear
from edtalk_server.synthetic.renderer.painting.scalp import Hairline, ScalpMap

FloatArray = npt.NDArray[np.float32]


class Style(StrEnum):
    """How much hair."""

    BALD = "bald"
    CROPPED = "cropped"
    SHORT = "short"
    LONG = "long"


@dataclass(frozen=True)
class HairCut:
    """Thickness [S] of the shell over scalp vertices, long hair [C, 3] if any, and the roots on the skin."""

    style: Style
    hairline: Hairline
    thickness: FloatArray
    curtain: FloatArray | None
    root_density: float
    headwear: Headwear | None


def _choose_style(random: Random, feminine: bool) -> Style:
    dice = random.random()
    if not feminine and dice < 0.16:
        return Style.BALD if dice < 0.06 else Style.CROPPED
    if (feminine and random.random() < 0.75) or random.random() < 0.08:
        return Style.LONG
    return Style.SHORT


def _hairline(random: Random, style: Style) -> Hairline:
    front = random.uniform(9.0, 11.3) + (random.uniform(0, 6) if style is Style.BALD else 0)
    if style in (Style.SHORT, Style.LONG) and random.random() < 0.25:
        front = random.uniform(6.4, 8.6)  # a fringe
    temple = random.uniform(-0.5, 1.2)
    heights = (
        front,
        front - 0.2 + temple,
        front - 2.2 + temple * 1.5,
        6.5,
        4.2,
        random.uniform(0, 3),
        4.6,
        -1.5,
        -5.5,
    )
    return Hairline((0, 0.12, 0.22, 0.30, 0.38, 0.46, 0.53, 0.62, 1), heights)


def _volume(random: Random, points: npt.NDArray, style: Style) -> npt.NDArray:
    """Return the thickness in centimetres well inside the hairline."""
    match style:
        case Style.BALD | Style.CROPPED:
            return np.full(len(points), random.uniform(0.03, 0.2))
        case Style.SHORT:
            base = random.uniform(0.3, 1.3)
        case Style.LONG:
            base = random.uniform(0.8, 1.8)
    x, y, z = points.T
    around, phase = np.arctan2(x, z + 1.0), random.uniform(0, 6, 3)
    top = random.uniform(0, 1.4) * np.clip((y - 8) / 5, 0, 1)
    waves = np.sin(around * 7 + phase[0]) + np.sin(around * 13 + y * 0.9 + phase[1])
    waves = waves + np.sin(y * 2.1 + around * 5 + phase[2])
    parting = 0.35 * np.exp(-(((x - random.uniform(-3, 3)) / 0.7) ** 2)) * (z > -4)
    return np.maximum(base + top + 0.25 * waves * min(base, 1) * random.uniform(0.2, 1) - parting, 0.1)


def cut_hair(random: Random, mesh: HeadMesh, scalp: ScalpMap, feminine: bool) -> HairCut:
    """Choose a random haircut. The shell dips under the skin smoothly at the hairline, so that its edge follows the
    line and not the triangles."""
    style, worn = _choose_style(random, feminine), choose_headwear(random)
    if worn is not None and worn.wraps:
        style = Style.LONG
    line = _hairline(random, style)
    wave = np.sin(scalp.points[:, 0] * random.uniform(1, 3) + random.uniform(0, 6))
    distance = scalp.vertex_distance(line) + 0.15 * wave
    volume = _volume(random, scalp.points, style)
    if worn is not None:
        volume = np.minimum(volume, worn.thickness)
    grown = smooth_step(distance / 2.0) * volume + np.clip(distance, 0, 1) * 0.08
    height = np.where(distance > 0, grown, np.maximum(distance * 0.5, -0.8))
    height = 0.5 * height + 0.5 * (scalp.average @ height)  # type: ignore[operator]
    if worn is not None:
        height = np.maximum(height, worn.stand_off(scalp.points) * (1 - scalp.bare) - scalp.bare)
    curtain = _curtain(random, mesh) if style is Style.LONG else None
    density = random.uniform(0.2, 0.9) if style in (Style.BALD, Style.CROPPED) else random.uniform(0.75, 1.0)
    return HairCut(style, line, height.astype(np.float32), curtain, density, worn)


def _curtain(random: Random, mesh: HeadMesh) -> FloatArray:
    """Return long hair that hangs from the temples around the back."""
    u, v = mesh.curtain.T
    start = random.uniform(0.22, 0.42) * np.pi
    around = start + (2 * np.pi - 2 * start) * u
    length, top = random.uniform(8, 24), 7.5
    waves = 0.5 * np.sin(around * random.integers(6, 14) + random.uniform(0, 6) + v * random.uniform(0, 6))
    waves = waves + random.uniform(0, 0.5) * np.sin(v * random.uniform(5, 20) + around * 3)
    narrowing = 1 - 0.35 * np.clip((v - 0.3) / 0.5, 0, 1) * random.uniform(-0.2, 1)
    body = random.uniform(0.6, 1.8) + waves * 0.5
    flare = narrowing * np.clip(0.78 + v * 1.2, 0, 1)
    x, z = np.sin(around) * (8.2 + body) * flare, np.cos(around) * (8.6 + body) * flare - 0.8
    return np.stack([x, top - (top + length - 2) * v, z], axis=-1).astype(np.float32)


def paint_hair(random: Random, colour: npt.NDArray, worn: Headwear | None) -> npt.NDArray:
    """Paint strands, and a hat over them if there is one, in linear colours [512, 512, 3]."""

    def strands(across: int, along: int) -> FloatArray:
        grid = random.standard_normal((along, across)).astype(np.float32)
        return np.asarray(cv2.resize(grid, (FACE_SIDE, FACE_SIDE), interpolation=cv2.INTER_CUBIC), np.float32)

    pattern = strands(300, 10) + 0.7 * strands(60, 4) + 0.4 * noise(random, FACE_SIDE, FACE_SIDE, ((40, 1),))
    bend = noise(random, FACE_SIDE, FACE_SIDE, ((6, 1),)) * 2
    wave = random.uniform(0, 6) * np.sin(ROWS / FACE_SIDE * random.uniform(10, 60) + bend)
    pattern = cv2.remap(pattern, (COLUMNS + wave.astype(np.float32)) % 511, ROWS, cv2.INTER_LINEAR)
    tint = 1 + strands(24, 3)[..., None] * random.normal(0, 0.06, 3) * np.array([1.0, 0.6, 0.3])
    shade = np.exp(random.uniform(0.2, 0.5) * pattern)[..., None]
    hair = np.clip(colour * np.clip(tint, 0.5, 1.6) * shade, 0.003, 1)
    return hair if worn is None else paint_headwear(random, worn, hair)
