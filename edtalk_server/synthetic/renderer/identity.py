"""A person from a seed: the shape of the head, the painted atlas, hair and clothes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edtalk_server.synthetic.renderer.geometry.anatomy import blink_gains, closed_lips
from edtalk_server.synthetic.renderer.geometry.mesh import ATLAS, TILES, HeadMesh, Part, smooth_step
from edtalk_server.synthetic.renderer.painting.beard import Beard, choose_beard, grow_beard
from edtalk_server.synthetic.renderer.painting.brushes import Random, noise
from edtalk_server.synthetic.renderer.painting.eye import paint_eye
from edtalk_server.synthetic.renderer.painting.fabric import paint_clothes
from edtalk_server.synthetic.renderer.painting.hair import HairCut, cut_hair, paint_hair
from edtalk_server.synthetic.renderer.painting.mouth import (
    MouthMap,
    mouth_map,
    paint_cavity,
    paint_gums,
    paint_teeth,
    shape_mouth,
)
from edtalk_server.synthetic.renderer.painting.scalp import ScalpMap, scalp_map
from edtalk_server.synthetic.renderer.painting.skin import (
    Complexion,
    choose_complexion,
    paint_face,
    root_cover,
)
from edtalk_server.synthetic.renderer.painting.wear import Worn, dress, paint_glasses, paint_occluder

FloatArray = npt.NDArray[np.float32]

_SPREAD = 0.95
"""Standard deviation of the identity modes; the kit's own is 1."""


@dataclass(frozen=True)
class Identity:
    """One person. Vertices in centimetres; the atlas holds linear colour and highlight."""

    seed: int
    vertices: FloatArray
    """[V, 3] kit vertices of the neutral face."""
    atlas: FloatArray
    """[1024, 1024, 4]"""
    hair: FloatArray
    """[S] thickness of the hair shell over each scalp vertex; negative hides it under the skin."""
    curtain: FloatArray | None
    """[C, 3] long hair."""
    curtain_share: FloatArray
    torso: FloatArray
    worn: Worn
    """Glasses, a visor, things before the face."""
    feminine: bool
    shape_gains: Mapping[str, float]
    """Factors of kit shapes that must be larger or smaller on this face."""


@dataclass(frozen=True)
class Maps:
    """What is measured once on the mean head, for everybody."""

    scalp: ScalpMap
    mouth: MouthMap


def measure(mesh: HeadMesh) -> Maps:
    """Measure the mean head."""
    return Maps(scalp_map(mesh), mouth_map(mesh))


def make_identity(mesh: HeadMesh, maps: Maps, seed: int) -> Identity:
    """Return the person of this seed; the same seed gives the same person."""
    random = np.random.default_rng(seed)
    modes = np.clip(random.standard_normal(len(mesh.kit.identity)), -2.5, 2.5).astype(np.float32) * _SPREAD
    moved = (modes @ mesh.kit.identity).reshape(-1, 3).astype(np.float32)
    vertices = shape_mouth(random, maps.mouth, closed_lips(mesh.kit, mesh.kit.vertices + moved))
    looks = choose_complexion(random)
    _trim_lashes(random, mesh, vertices, looks.feminine)
    cut = cut_hair(random, mesh, maps.scalp, looks.feminine)
    beard = choose_beard(random, looks.feminine, mesh.landmark_uv * 512)
    if beard is not None:
        vertices = grow_beard(random, beard, mesh, vertices)
    atlas = _paint_atlas(random, mesh, maps, looks, cut, beard)
    share = smooth_step((cut.curtain[:, 1] + 14) / 9) if cut.curtain is not None else np.zeros(0)
    return Identity(
        seed=seed,
        vertices=np.asarray(vertices, np.float32),
        atlas=atlas,
        hair=cut.thickness,
        curtain=cut.curtain,
        curtain_share=share.astype(np.float32),
        torso=_torso(random, mesh, vertices, looks.feminine),
        worn=dress(random, mesh, vertices, cut.headwear),
        feminine=looks.feminine,
        shape_gains=blink_gains(mesh.kit, vertices),
    )


def _trim_lashes(random: Random, mesh: HeadMesh, vertices: npt.NDArray, feminine: bool) -> None:
    """Shorten the kit's long lashes, in place."""
    length = random.uniform(0.35, 0.9) if feminine else random.uniform(0.12, 0.5)
    tips, roots = mesh.lashes.tips, mesh.lashes.roots
    each = length * random.uniform(0.6, 1.0, (len(tips), 1))
    each[mesh.lashes.lower] *= random.uniform(0.2, 0.8) * (random.random() < 0.6)
    vertices[tips] = vertices[roots] + (vertices[tips] - vertices[roots]) * each


def _paint_atlas(
    random: Random, mesh: HeadMesh, maps: Maps, looks: Complexion, cut: HairCut, beard: Beard | None
) -> FloatArray:
    atlas = np.zeros((ATLAS, ATLAS, 4), np.float32)

    def put(part: Part, colours: npt.NDArray, shine: npt.NDArray | float) -> None:
        x, y, width, height = TILES[part]
        atlas[y : y + height, x : x + width, :3] = colours
        atlas[y : y + height, x : x + width, 3] = shine

    roots = root_cover(random, maps.scalp.face_distance(cut.hairline)) * cut.root_density
    put(Part.SKIN, *paint_face(random, looks, mesh.landmark_uv * 512, roots, beard))
    roots = root_cover(random, maps.scalp.head_distance(cut.hairline)) * cut.root_density
    skin = looks.skin * (1 + 0.04 * noise(random, 256, 256)[..., None])
    put(Part.HEAD, skin * (1 - roots[..., None]) + looks.hair * roots[..., None], 0.2)
    put(Part.MOUTH, paint_cavity(random), 0.1)
    put(Part.GUMS, *paint_gums(random, maps.mouth))
    put(Part.TEETH, *paint_teeth(random))
    put(Part.LASHES, np.clip(looks.hair * 0.25, 0.004, 0.05), 0.1)
    put(Part.SOCKET, looks.skin * np.array([0.9, 0.5, 0.5]), 0.2)
    put(Part.EYE, *paint_eye(random, looks.dark))
    put(
        Part.HAIR,
        paint_hair(random, looks.hair, cut.headwear),
        0.1 if cut.headwear else random.uniform(0.2, 0.6),
    )
    x, y, width, _ = TILES[Part.HAIR]
    put(Part.HEADWEAR, atlas[y + 60 : y + 124, x + width // 2 - 32 : x + width // 2 + 32, :3].copy(), 0.1)
    put(Part.GLASSES, *paint_glasses(random))
    put(Part.OCCLUDER, *paint_occluder(random, looks.skin))
    put(Part.CLOTH, paint_clothes(random), 0.1)
    return atlas


def _torso(random: Random, mesh: HeadMesh, vertices: npt.NDArray, feminine: bool) -> FloatArray:
    """Return rings from the collar down, wide enough for this neck; a third of the collars stand up."""
    around, down = mesh.torso[:, 0] * 2 * np.pi, mesh.torso[:, 1]
    width = random.uniform(0.85, 1.12) * (0.9 if feminine else 1.05)
    collar, opening = random.uniform(-13.5, -9.8), random.uniform(0, 5) * (random.random() < 0.5)
    if random.random() < 0.3:
        collar, opening = random.uniform(-10.5, -8.0), 0.0
    stations = [0, 0.12, 0.3, 0.5, 0.7, 1]
    across = np.interp(down, stations, [6.4, 8.0, 12.5 * width, 18 * width, 20 * width, 21 * width])
    depth = np.interp(down, stations, [6.3, 7.0, 8, 9.5, 10.5, 11])
    height = np.interp(down, stations, [collar, collar - 0.7, -14.2, -17, -21, -36])
    front = np.clip(np.cos(around), 0, 1)
    vee = opening * np.clip(1 - np.abs(np.sin(around)) * 1.6, 0, 1)
    height = height - (2.0 + vee) * front * np.exp(-down * 5)
    rings = np.stack(
        [np.sin(around) * across, height, np.cos(around) * depth - 1.2 + 1.5 * front * down], axis=-1
    )
    return _clear_of_skin(rings, around, vertices).astype(np.float32)


def _clear_of_skin(rings: npt.NDArray, around: npt.NDArray, vertices: npt.NDArray) -> npt.NDArray:
    """Return `rings` [N, 3] pushed outwards wherever neck and shoulders would come through the cloth."""
    skin = vertices[vertices[:, 1] < -7] - [0, 0, -1.2]
    angles, levels = 36, 14
    turn = ((np.arctan2(skin[:, 0], skin[:, 2]) / (2 * np.pi)) % 1 * angles).astype(int) % angles
    level = np.clip((-7 - skin[:, 1]).astype(int), 0, levels - 1)
    reach = np.zeros((levels, angles))
    np.maximum.at(reach, (level, turn), np.hypot(skin[:, 0], skin[:, 2]))
    reach = np.maximum(reach, np.maximum(np.roll(reach, 1, axis=1), np.roll(reach, -1, axis=1)))
    ring_level = np.clip((-7 - rings[:, 1]).astype(int), 0, levels - 1)
    least = reach[ring_level, (around / (2 * np.pi) * angles).astype(int) % angles] + 0.25
    offset = rings - [0, 0, -1.2]
    radius = np.hypot(offset[:, 0], offset[:, 2])
    grown = np.where(rings[:, 1] > -7 - levels, np.maximum(least / radius, 1), 1)[:, None]
    return np.asarray(rings + offset * [1, 0, 1] * (grown - 1))
