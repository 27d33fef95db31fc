"""The inside of the mouth: position and colours of a person's tongue and teeth.

An open mouth is lit from its opening, so it darkens and reddens towards the throat. That is painted into the atlas
instead of computed, because only few of the lights throw shadows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edtalk_server.synthetic.renderer.geometry.dental import TEETH_IN_A_ROW
from edtalk_server.synthetic.renderer.geometry.mesh import ATLAS, TILES, HeadMesh, Part, smooth_step
from edtalk_server.synthetic.renderer.geometry.occlusion import neighbour_average
from edtalk_server.synthetic.renderer.geometry.texture_bake import bake_tile
from edtalk_server.synthetic.renderer.painting.brushes import Random, linear, noise

FloatArray = npt.NDArray[np.float32]

_LIPS_Z, _THROAT_Z = 10.4, 3.2
"""Depths (kit z) between which the mouth goes from fully lit to dark."""
_TONGUE_TILES = ((0.48, 0.53, 0.96, 1.0), (0.75, 0.25, 0.92, 0.56))
"""Where the kit's texture of gums and tongue shows the tongue: left, top, right, bottom."""


@dataclass(frozen=True)
class MouthMap:
    """What painters and shapers must know about the mouth, measured once on the mean head."""

    tongue: FloatArray
    """[V] 1 on the tongue, fading to 0 where it grows from the floor."""
    upper: FloatArray
    """[V] 1 on upper teeth and gums."""
    lower: FloatArray
    """[V] 1 on lower teeth and gums."""
    texels: FloatArray
    """[256, 256, 4] rest position and `tongue` over the tile of gums and tongue."""


def mouth_map(mesh: HeadMesh) -> MouthMap:
    """Measure the mean head."""
    kit = mesh.kit
    count = len(kit.vertices)
    tongue = np.zeros(count)
    of_gums = mesh.part == Part.GUMS
    x, y, width, height = TILES[Part.GUMS]
    place = (mesh.uvs[of_gums].mean(axis=1) * ATLAS - [x, y]) / [width, height]
    for left, top, right, bottom in _TONGUE_TILES:
        inside = ((place > [left, top]) & (place < [right, bottom])).all(axis=1)
        tongue[mesh.triangles[of_gums][inside]] = 1
    average = neighbour_average(mesh.triangles[of_gums], count)
    for _ in range(4):
        tongue = 0.5 * tongue + 0.5 * (average @ tongue)
    is_upper = _upper(mesh)
    teeth_and_gums = np.isin(kit.vertex_part, ("teeth", "gums_tongue"))
    values = np.zeros((mesh.size, 4), np.float32)
    values[:count, :3], values[:count, 3] = kit.vertices, tongue
    return MouthMap(
        tongue=tongue.astype(np.float32),
        upper=(is_upper * teeth_and_gums * (1 - tongue)).astype(np.float32),
        lower=((1 - is_upper) * teeth_and_gums * (1 - tongue)).astype(np.float32),
        texels=bake_tile(mesh, Part.GUMS, values),
    )


def _upper(mesh: HeadMesh) -> npt.NDArray:
    """Return [V] with 1 above the bite: gums by height, teeth by their row."""
    above = smooth_step((mesh.kit.vertices[:, 1] + 3.45) / 0.3)
    of_teeth = mesh.part == Part.TEETH
    _, y, _, height = TILES[Part.TEETH]
    row = mesh.uvs[of_teeth].mean(axis=1)[:, 1] * ATLAS < y + height / 2
    above[mesh.triangles[of_teeth]] = row[:, None]
    return above


def shape_mouth(random: Random, where: MouthMap, vertices: npt.NDArray) -> npt.NDArray:
    """Return `vertices` [V, 3] with teeth that show more or less, and a higher or lower tongue."""
    lowered = np.array([0.0, -random.uniform(0.0, 0.24), 0.0])
    raised = np.array([0.0, random.uniform(-0.1, 0.2), random.uniform(-0.15, 0.05)])
    rest = np.array([0.0, random.uniform(-0.7, 0.05), random.uniform(-0.9, 0.1)])
    moved = where.upper[:, None] * lowered + where.lower[:, None] * raised + where.tongue[:, None] * rest
    return np.asarray(vertices + moved)


def paint_gums(random: Random, where: MouthMap) -> tuple[npt.NDArray, npt.NDArray]:
    """Paint gums and tongue: linear colours [256, 256, 3] and highlights [256, 256]."""
    texels = np.nan_to_num(where.texels, nan=0.0)
    side = len(texels)
    grain = noise(random, side, side, ((20, 0.5), (120, 0.8), (300, 0.8)))
    tongue = linear([0.80, random.uniform(0.40, 0.50), random.uniform(0.40, 0.48)]) * random.uniform(
        0.8, 1.15
    )
    gums = linear([0.84, random.uniform(0.46, 0.56), random.uniform(0.43, 0.52)]) * random.uniform(0.7, 1.15)
    cover = texels[..., 3:]
    colours = gums * (1 - cover) + tongue * (1 + 0.10 * grain[..., None]) * cover
    groove = np.exp(-((texels[..., 0] / 0.14) ** 2)) * cover[..., 0] * random.uniform(0.1, 0.4)
    colours = colours * (1 - groove[..., None]) * _fall_off(random, texels[..., 2])
    wet = (
        random.uniform(0.25, 0.8) * smooth_step((texels[..., 2] - 5) / 4) * (1 + 0.5 * np.clip(grain, -1, 1))
    )
    return np.clip(colours, 0.002, 1), wet


def _fall_off(random: Random, depth: npt.NDArray) -> npt.NDArray:
    """Return the light that reaches a depth (kit z) by colour [..., 3]: flesh lights flesh, so red reaches deepest."""
    share = np.clip((depth - _THROAT_Z) / (_LIPS_Z - _THROAT_Z), 0.03, 1)[..., None]
    return np.power(share, np.array([1.2, 1.7, 1.7]) * random.uniform(0.7, 1.3))


def paint_cavity(random: Random) -> npt.NDArray:
    """Paint the lining of the mouth from the throat (left) to the lips, in linear colours [64, 64, 3]."""
    flesh = linear([0.62, 0.27, 0.26]) * random.uniform(0.6, 1.1)
    return np.broadcast_to(flesh * _fall_off(random, np.linspace(1, 11, 64)), (64, 64, 3))


def paint_teeth(random: Random) -> tuple[npt.NDArray, npt.NDArray]:
    """Paint the teeth, one column of the tile each: linear colours [64, 256, 3] and highlights."""
    _, _, width, height = TILES[Part.TEETH]
    row, column = np.mgrid[0:height, 0:width].astype(np.float32)
    number = column * TEETH_IN_A_ROW / width
    across = np.abs(number % 1 - 0.5) * 2
    down = (row % (height / 2)) / (height / 2)  # 0 at the cutting edge
    warmth = random.uniform(0.0, 1.0) ** 1.5
    enamel = linear(np.array([0.96, 0.95 - 0.05 * warmth, 0.92 - 0.17 * warmth]) * random.uniform(0.88, 1.0))
    each = 1 + random.normal(0, 0.03, (2, TEETH_IN_A_ROW))
    shade = each[(row >= height / 2).astype(int), number.astype(int)]
    gap = smooth_step((across - random.uniform(0.72, 0.9)) / 0.25) * random.uniform(0.35, 0.85)
    root = smooth_step((down - 0.35) / 0.4)  # yellower and darker where the gum begins
    edge = smooth_step((0.12 - down) / 0.12)  # clearer at the cutting edge
    aside = np.abs(number - TEETH_IN_A_ROW / 2) / (TEETH_IN_A_ROW / 2)
    depth = 1 - random.uniform(0.5, 0.88) * smooth_step((aside - 0.2) / 0.75)
    shade = shade * (1 - gap) * depth * (1 - 0.12 * edge)
    colours = enamel * shade[..., None] * (1 - root[..., None] * np.array([0.25, 0.38, 0.5]))
    colours = colours * np.power(depth, 0.35)[..., None] ** np.array([0, 0.5, 0.6])
    return np.clip(colours, 0.004, 1), random.uniform(0.4, 1.1) * (1 - gap) * depth
