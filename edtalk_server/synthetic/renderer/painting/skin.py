"""The face's own texture: skin, lips, brows, lash lines, beard, make-up and age, painted around the landmarks."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from edtalk_server.synthetic.renderer.painting.beard import Beard, paint_beard
from edtalk_server.synthetic.renderer.painting.brushes import (
    FACE_SIDE,
    Random,
    blob,
    curve,
    line,
    linear,
    noise,
    over,
    polygon,
    stroke,
)

Picture = npt.NDArray
_SIDE = FACE_SIDE

_TONES = np.array(
    [
        (0.96, 0.82, 0.74),
        (0.92, 0.74, 0.63),
        (0.86, 0.66, 0.53),
        (0.76, 0.55, 0.41),
        (0.60, 0.41, 0.30),
        (0.44, 0.29, 0.21),
        (0.30, 0.20, 0.15),
    ]
)
_HAIR_COLOURS = np.array(
    [
        (0.05, 0.04, 0.04),
        (0.13, 0.08, 0.05),
        (0.25, 0.15, 0.09),
        (0.42, 0.27, 0.15),
        (0.65, 0.48, 0.27),
        (0.80, 0.68, 0.45),
        (0.45, 0.20, 0.10),
        (0.60, 0.60, 0.60),
        (0.85, 0.85, 0.85),
    ]
)
_GREY = 7
"""From here on hair colours come with age."""
_FLUSHED = (  # x, y, width, height, strength of where blood shows through: cheeks, nose, ears, chin
    (130, 215, 55, 40, 0.5),
    (382, 215, 55, 40, 0.5),
    (256, 205, 30, 25, 0.6),
    (40, 240, 60, 70, 0.5),
    (472, 240, 60, 70, 0.5),
    (256, 350, 40, 25, 0.2),
)


@dataclass(frozen=True)
class Complexion:
    """The choices that several painters share. Colours are linear."""

    skin: Picture
    hair: Picture
    feminine: bool
    dark: bool
    age: float


def choose_complexion(random: Random) -> Complexion:
    """Choose a random person's colours."""
    place = random.uniform(0, len(_TONES) - 1)
    low = int(place)
    tone = _TONES[low] * (1 - place + low) + _TONES[min(low + 1, len(_TONES) - 1)] * (place - low)
    tone = np.clip(tone + random.normal(0, 0.015, 3), 0.1, 0.98)
    dark = place > 3.5
    feminine, age = bool(random.random() < 0.5), random.random() ** 1.5
    colours = 3 if dark else _GREY
    chosen = (
        random.integers(_GREY, len(_HAIR_COLOURS))
        if random.random() < 0.75 * age**2
        else random.integers(0, colours)
    )
    hair = _HAIR_COLOURS[chosen] * random.uniform(0.8, 1.2)
    return Complexion(linear(tone), linear(np.clip(hair, 0.02, 0.95)), feminine, dark, age)


def paint_face(
    random: Random, looks: Complexion, landmarks: Picture, scalp: Picture, beard: Beard | None
) -> tuple[Picture, Picture]:
    """Paint the face tile: linear colours [512, 512, 3] and highlights [512, 512].

    `landmarks` [68, 2] in pixels of the tile; `scalp` [512, 512] is the cover of hair roots painted on the skin,
    0..1.
    """
    shine = 0.22 + 0.12 * blob(256, 190, 25, 60) + 0.1 * blob(256, 60, 150, 50)
    colours = _base(random, looks)
    colours = _round_the_eyes(random, looks, colours)
    if beard is not None:
        colours, shine = paint_beard(random, beard, looks.hair, colours, shine)
    colours, shine = _lips(random, looks, colours, shine, landmarks)
    colours = _brows(random, looks, colours, landmarks)
    colours, shine = _lids(random, looks, colours, shine, landmarks)
    colours = _marks(random, looks, colours, landmarks)
    colours = over(colours, looks.hair, scalp)
    return np.clip(colours, 0.005, 1), shine * (1 - 0.6 * scalp)


def _base(random: Random, looks: Complexion) -> Picture:
    mottling = noise(random, _SIDE, _SIDE)[..., None]
    blotches = noise(random, _SIDE, _SIDE, ((8, 1), (100, 0.6)))[..., None] * [1, 0.3, 0.3]
    colours = looks.skin * (1 + 0.05 * mottling + 0.05 * blotches)
    blood = sum(strength * blob(x, y, w, h) for x, y, w, h, strength in _FLUSHED)
    return colours * (
        1 + np.asarray(blood)[..., None] * random.uniform(0.1, 0.6) * np.array([0.12, -0.22, -0.18])
    )


def _round_the_eyes(random: Random, looks: Complexion, colours: Picture) -> Picture:
    sockets = blob(182, 140, 38, 16) + blob(330, 140, 38, 16)
    bags = blob(185, 168, 30, 9) + blob(327, 168, 30, 9)
    colours = colours * (1 - sockets[..., None] * random.uniform(0.05, 0.35) * np.array([0.7, 1, 0.9]))
    colours = colours * (1 - bags[..., None] * random.uniform(0, 0.25))
    if looks.feminine and random.random() < 0.5:
        shadow = blob(180, 128, 34, 12) + blob(332, 128, 34, 12)
        colours = over(colours, linear(random.random(3) * 0.6), shadow * random.uniform(0.1, 0.5))
    return colours


def _lip_colour(random: Random, looks: Complexion) -> Picture:
    if looks.feminine and random.random() < 0.5:
        return linear([random.uniform(0.5, 0.85), random.uniform(0.08, 0.35), random.uniform(0.12, 0.4)])
    tint = looks.skin * [1.0, 0.5, 0.5] + np.array([0.10, 0.0, 0.01]) * random.uniform(0.2, 1)
    return tint * random.uniform(0.75, 1.05)


def _lips(
    random: Random, looks: Complexion, colours: Picture, shine: Picture, landmarks: Picture
) -> tuple[Picture, Picture]:
    lips = polygon(curve(landmarks[48:60]), random.uniform(1.2, 2.4))
    grain = 1 + 0.08 * noise(random, _SIDE, _SIDE, ((30, 0.4), (260, 0.6)))[..., None]
    cover = np.clip(lips * 1.15, 0, 1) * random.uniform(0.65, 0.97)
    colours = over(colours, _lip_colour(random, looks) * grain, cover)
    seam = polygon(curve(landmarks[60:68]), 3)  # the inner edge lies in shadow
    shadow = 0.6 * seam[..., None] * np.array([0.75, 1, 1])
    wet = random.uniform(0.25, 1.3) * (1 + 0.3 * np.clip(grain[..., 0] * 10 - 10, -1, 1))
    return colours * (1 - shadow), shine * (1 - lips) + lips * wet


def _brow(random: Random, mask: Picture, path: Picture, thickness: float) -> None:
    for j in range(len(path) - 2):
        spread = thickness * min(1.0, 0.45 + j / 20) * (1.2 if j < 40 else 0.8)
        along = path[j + 1] - path[j]
        along = along / np.linalg.norm(along)
        for _ in range(3):
            root = path[j] + [random.normal(0, 1), random.normal(0, spread * 0.42)]
            stroke(mask, root, root - along * random.uniform(4, 8) - [0, random.uniform(1, 4)])


def _brows(random: Random, looks: Complexion, colours: Picture, landmarks: Picture) -> Picture:
    mask = np.zeros((_SIDE, _SIDE), np.float32)
    thickness = random.uniform(3.5, 8) * (0.75 if looks.feminine else 1.15)
    arch, drop = random.uniform(-4, 3), random.uniform(-5, 2)
    lift = np.array([2, arch * 0.7, arch, arch * 0.4, 3]) + drop
    for ends in (landmarks[17:22], landmarks[22:27][::-1]):
        _brow(random, mask, curve(ends + np.stack([np.zeros(5), lift], axis=-1), 60, closed=False), thickness)
    soft = cv2.GaussianBlur(mask, (0, 0), 0.8) * 1.3 + 0.5 * cv2.GaussianBlur(mask, (0, 0), 3)
    colour = looks.hair * (0.7 if looks.hair.mean() < 0.2 else 0.45)
    return over(colours, colour, np.clip(soft, 0, 1) * random.uniform(0.65, 1))


def _lids(
    random: Random, looks: Complexion, colours: Picture, shine: Picture, landmarks: Picture
) -> tuple[Picture, Picture]:
    """Paint lash lines, and lids that differ from the skin around them, so that a closed eye shows lid and crease."""
    height, crease_cover = random.uniform(7, 12), random.uniform(0.2, 0.6)
    tint = 1 - random.uniform(0.02, 0.3) * np.array([0.45, 1, 0.95])
    thick = int(random.integers(3, 7)) if looks.feminine else int(random.integers(2, 5))
    dark, below = random.uniform(0.75, 1), random.uniform(0.2, 0.6)
    for first in (36, 42):
        eye = landmarks[first : first + 6]
        upper = curve(eye[:4], 30, closed=False)
        lower = curve(np.vstack([eye[3:6], eye[:1]]), 30, closed=False)
        arch = np.sin(np.linspace(0, np.pi, 30)) ** 0.6 * height
        fold = upper - np.stack([np.zeros(30), arch + 1], axis=-1)
        rows = slice(int(fold[:, 1].min()) - 12, int(lower[:, 1].max()) + 12)  # nothing is painted elsewhere
        lid = polygon(np.vstack([upper, fold[::-1]]), 2.0)[rows]
        band = colours[rows] * (1 - lid[..., None] * (1 - tint))
        band = band * (1 - (line(fold, 2, 1.1)[rows] * crease_cover)[..., None] * np.array([0.8, 1, 1]))
        lashed = over(band, 0.012, np.clip(line(upper, thick, 0.8)[rows] * 1.2, 0, 1) * dark)
        colours[rows] = over(lashed, 0.03, line(lower, 2, 0.9)[rows] * below)
        shine[rows] += 0.12 * lid
    return colours, shine


def _wrinkles(random: Random, age: float, landmarks: Picture) -> Picture:
    """Return the darkness of folds as a factor [512, 512]: from nose to mouth, on the forehead, between the brows, and
    at the outer corners of the eyes."""
    shade = np.ones((_SIDE, _SIDE), np.float32)

    def fold(points: npt.ArrayLike, thickness: int, blur: float, depth: float) -> None:
        mask = line(curve(points, 30, closed=False), thickness, blur)
        np.multiply(shade, 1 - mask * np.float32(depth * age * random.uniform(0.5, 1)), out=shade)

    for side in (-1, 1):
        fold(
            [(256 + side * x, y + random.normal(0, 2)) for x, y in ((42, 225), (58, 255), (66, 285))],
            4,
            3.5,
            0.65,
        )
    if age < 0.3:
        return shade
    for height in (40, 58, 74):
        fold(
            [(x, height + random.normal(bend, 3)) for x, bend in ((170, 0), (256, -4), (342, 0))],
            2,
            1.5,
            0.45,
        )
    for corner, side in ((landmarks[36], -1), (landmarks[45], 1)):
        for rise in (-7, 0, 7):
            away = np.array([(8 * side, 0.3 * rise), (18 * side, 0.7 * rise), (27 * side, rise)])
            fold(corner + away, 1, 1.0, 0.4)
    for x in (248, 264):
        fold([(x + random.normal(0, 2), y) for y in (98, 112, 126)], 2, 1.5, 0.45)
    return shade


def _marks(random: Random, looks: Complexion, colours: Picture, landmarks: Picture) -> Picture:
    shade = _wrinkles(random, looks.age, landmarks)
    for _ in range(random.poisson(3)):
        shade = shade * (
            1 - blob(random.uniform(60, 450), random.uniform(30, 420), 2, 2) * random.uniform(0.2, 0.7)
        )
    colours = colours * shade[..., None]
    if random.random() < 0.25:
        spots = cv2.GaussianBlur(
            (noise(random, _SIDE, _SIDE, ((256, 1),)) > 1.9).astype(np.float32), (0, 0), 1.0
        )
        freckles = 0.3 * spots * np.clip(blob(256, 190, 130, 60), 0, 1)
        colours = colours * (1 - freckles[..., None] * np.array([0.6, 1, 1]))
    return colours


def root_cover(random: Random, distance: Picture) -> Picture:
    """Return the hair roots that show through the skin near the hairline, 0..1; `distance` in cm above the hairline,
    NaN off the face."""
    height, width = distance.shape
    wander = noise(random, height, width, ((24, 0.35), (90, 0.3)))
    strands = 0.75 + 0.25 * np.clip(noise(random, height, width, ((300, 1),)), -1, 1)
    return np.clip((np.nan_to_num(distance, nan=-9.0) + wander * 0.5 + 0.35) / 0.9, 0, 1) * strands
