"""Beards and moustaches: strands painted on the skin, and skin pushed out where they are long."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from edtalk_server.synthetic.renderer.geometry.mesh import HeadMesh, smooth_step
from edtalk_server.synthetic.renderer.geometry.raster import vertex_normals
from edtalk_server.synthetic.renderer.painting.brushes import (
    FACE_SIDE,
    ROWS,
    Random,
    blob,
    curve,
    noise,
    over,
    polygon,
    soften,
)

Picture = npt.NDArray


@dataclass(frozen=True)
class Beard:
    """`cover` [512, 512] of the face tile, 0..1, and how far the hair stands off, in centimetres."""

    cover: Picture
    length: float


def _moustache(landmarks: Picture) -> Picture:
    """Return the area between nose and upper lip."""
    wider = np.array([4.0, -2.0])
    base = np.linspace(landmarks[48] - wider, landmarks[54] + wider * [1, -1], 12)
    lift = np.sin(np.linspace(0, np.pi, 12)) ** 0.5
    top = base - np.stack([np.zeros(12), lift * (base[6, 1] - landmarks[33, 1]) * 0.75], axis=-1)
    return polygon(np.vstack([base, top[::-1]]), 4.0)


def _jaw(random: Random) -> Picture:
    """Return the cheeks below a line from the ear to the mouth, chin and throat."""
    line = random.uniform(230, 262)
    wide = np.clip(blob(256, 385, 185, 105) * 1.7 - 0.25, 0, 1)
    return np.asarray(wide * np.clip((ROWS - line - 0.0006 * (np.arange(FACE_SIDE) - 256) ** 2) / 22, 0, 1))


def choose_beard(random: Random, feminine: bool, landmarks: Picture) -> Beard | None:
    """Choose a beard, or none; `landmarks` [68, 2] in pixels of the tile. More than half of the men shave."""
    if feminine or random.random() < 0.45:
        return None
    dice = random.random()
    region, length = _jaw(random), random.uniform(0.0, 0.1)
    if dice < 0.25:  # stubble
        region = np.maximum(region, _moustache(landmarks)) * random.uniform(0.2, 0.5)
    elif dice < 0.45:  # chin only
        region = region * np.clip(blob(256, 370, 62, 75) * 2 - 0.3, 0, 1)
        region = np.maximum(region, _moustache(landmarks) * (random.random() < 0.7))
    elif dice < 0.6:
        region = _moustache(landmarks)
        length = random.uniform(0.05, 0.2)
    else:
        region = np.maximum(region, _moustache(landmarks))
        length = random.uniform(0.05, 0.7) * random.random() + 0.05
    lips = polygon(curve(landmarks[48:60]), 2)
    return Beard(region * (1 - lips) * (1.0 if dice < 0.25 else random.uniform(0.7, 1.0)), length)


def paint_beard(
    random: Random, beard: Beard, hair: Picture, colours: Picture, shine: Picture
) -> tuple[Picture, Picture]:
    """Paint strands down the cheeks over linear `colours` [512, 512, 3]."""
    grid = random.standard_normal((90, 400)).astype(np.float32)
    strands = cv2.resize(grid, (FACE_SIDE, FACE_SIDE), interpolation=cv2.INTER_CUBIC)
    patches = noise(random, FACE_SIDE, FACE_SIDE, ((20, 0.5), (60, 0.4)))
    dense = beard.cover + 0.25 * patches * beard.cover * (1 - beard.cover)
    cover = np.clip(dense * 1.25 - 0.35 * (1 - dense) * (strands > 0), 0, 1) * np.clip(
        0.85 + 0.25 * strands, 0.2, 1
    )
    colour = hair * 0.75 * np.exp(0.3 * strands)[..., None]
    return over(colours, colour, cover), np.asarray(shine * (1 - 0.7 * cover))


def grow_beard(random: Random, beard: Beard, mesh: HeadMesh, vertices: Picture) -> Picture:
    """Return `vertices` [V, 3] with the bearded skin pushed out unevenly."""
    normals = np.zeros((len(vertices), 3), np.float32)
    vertex_normals(np.asarray(vertices, np.float32), mesh.kit_triangles, normals)
    uneven = np.clip(1 + 0.3 * noise(random, FACE_SIDE, FACE_SIDE, ((24, 1.0),)), 0.3, 2)
    map_ = soften((beard.cover * uneven).astype(np.float32), 5)
    place = np.nan_to_num(mesh.face_uv, nan=0.0) * (FACE_SIDE - 1)
    values = map_[
        place[:, 1].astype(int).clip(0, FACE_SIDE - 1), place[:, 0].astype(int).clip(0, FACE_SIDE - 1)
    ]
    stands = np.where(np.isnan(mesh.face_uv[:, 0]), 0, smooth_step(values / 0.7) * beard.length)
    return np.asarray(vertices + normals[: len(vertices)] * stands[:, None])
