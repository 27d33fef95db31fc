"""One mesh for every head: kit parts, a hair shell, a hair curtain and a torso, with one texture atlas.

The topology never changes; identities move vertices and repaint the atlas. Vertices come in this order: kit, hair
shell (copies of scalp vertices pushed outwards), curtain of long hair (a grid), torso (a grid), pieces that are worn
or held (grids).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from edtalk_server.synthetic.renderer.geometry import dental
from edtalk_server.synthetic.renderer.geometry import kit as kits
from edtalk_server.synthetic.renderer.geometry.kit import FaceKit
from edtalk_server.synthetic.renderer.geometry.lashes import Lashes, lashes

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int32]

ATLAS = 1024
"""Side of the texture atlas in pixels."""
CURTAIN_GRID = (64, 28)
TORSO_GRID = (72, 20)
EYE_RADIUS = 1.5


class Part(IntEnum):
    """What a pixel shows. The numbers stand in shards: they are added, never re-used."""

    SKIN = 0
    HEAD = 1
    MOUTH = 2
    GUMS = 3
    TEETH = 4
    EYE = 5
    SOCKET = 6
    HAIR = 7
    CLOTH = 8
    LONG_HAIR = 10
    LIPS = 11
    LASHES = 12
    GLASSES = 13
    HEADWEAR = 14
    OCCLUDER = 15


BACKGROUND = 255
"""Part id of pixels without any surface."""

TILES = {
    Part.SKIN: (0, 0, 512, 512),
    Part.HEAD: (512, 0, 256, 256),
    Part.MOUTH: (768, 0, 64, 64),
    Part.LASHES: (832, 0, 64, 64),
    Part.TEETH: (768, 64, 256, 64),
    Part.GLASSES: (768, 128, 64, 64),
    Part.HEADWEAR: (832, 128, 64, 64),
    Part.OCCLUDER: (896, 128, 128, 128),
    Part.GUMS: (768, 256, 256, 256),
    Part.SOCKET: (960, 0, 64, 64),
    Part.EYE: (512, 256, 256, 256),
    Part.HAIR: (0, 512, 512, 512),
    Part.CLOTH: (512, 512, 512, 512),
}
"""Where each part's texture lies in the atlas: x, y, width, height in pixels."""

OUT_OF_SIGHT = 1e4
"""Where the vertices of what a person does not have are put: outside every picture."""


@dataclass(frozen=True)
class Piece:
    """A grid that people wear or hold; `tile` is the corner of its part's tile that it shows: left, top, width,
    height in 0..1."""

    name: str
    columns: int
    rows: int
    part: Part
    tile: tuple[float, float, float, float] = (0, 0, 1, 1)

    def unit_grid(self) -> tuple[FloatArray, FloatArray]:
        """Return the coordinates along and across, 0..1, [columns * rows] each."""
        coordinates, _ = _grid(self.columns, self.rows)
        return coordinates[:, 0], coordinates[:, 1]


_FRAME, _LENS, _GLARE = (0, 0, 0.44, 1), (0.56, 0, 0.44, 0.42), (0.56, 0.58, 0.44, 0.42)
WORN = (
    *(Piece(f"rim_{side}", 25, 5, Part.GLASSES, _FRAME) for side in ("left", "right")),
    Piece("bridge", 7, 5, Part.GLASSES, _FRAME),
    *(Piece(f"temple_{side}", 6, 5, Part.GLASSES, _FRAME) for side in ("left", "right")),
    *(Piece(f"lens_{side}", 25, 2, Part.GLASSES, _LENS) for side in ("left", "right")),
    *(Piece(f"glare_{side}", 3, 3, Part.GLASSES, _GLARE) for side in ("left", "right")),
    Piece("visor", 17, 4, Part.HEADWEAR),
    *(Piece(f"ellipsoid_{number}", 13, 9, Part.OCCLUDER) for number in range(6)),
)
"""All pieces, in the order of their vertices after the torso."""

_KIT_PARTS = {
    kits.FACE: Part.SKIN,
    kits.HEAD: Part.HEAD,
    "mouth_socket": Part.MOUTH,
    "eye_socket_L": Part.SOCKET,
    "eye_socket_R": Part.SOCKET,
    "gums_tongue": Part.GUMS,
    "teeth": Part.TEETH,
    "sclera_L": Part.EYE,
    "sclera_R": Part.EYE,
}


_TWO_SIDED = (
    Part.HAIR,
    Part.LONG_HAIR,
    Part.CLOTH,
    Part.GUMS,
    Part.LASHES,
    Part.GLASSES,
    Part.HEADWEAR,
    Part.OCCLUDER,
)


@dataclass(frozen=True)
class Eye:
    """One eyeball: its vertices in the kit."""

    vertices: IntArray

    def centre(self, positions: FloatArray) -> FloatArray:
        """Return the centre of rotation [3]; the rear of the ball is its least distorted part."""
        ball = positions[self.vertices]
        middle = (ball.max(axis=0) + ball.min(axis=0)) / 2
        middle[2] = ball[:, 2].min() + EYE_RADIUS
        return middle


@dataclass(frozen=True)
class HeadMesh:
    """The topology that all heads share."""

    kit: FaceKit
    triangles: IntArray
    """[T, 3]"""
    uvs: FloatArray
    """[T, 3, 2] in 0..1 of the atlas."""
    part: npt.NDArray[np.uint8]
    """[T] `Part`; lips are skin with their own id."""
    two_sided: npt.NDArray[np.bool_]
    kit_triangles: IntArray
    """Triangles of the kit alone, for normals before the hair is put on."""
    scalp: IntArray
    """[S] kit vertices that the hair shell copies."""
    curtain: FloatArray
    """[C, 2] grid coordinates of the hair curtain."""
    torso: FloatArray
    """[N, 2] grid coordinates of the torso."""
    ears: npt.NDArray[np.bool_]
    """[V] kit vertices of the ears."""
    neck_weight: FloatArray
    """[V] how much of the head's rotation each kit vertex follows: the neck twists, the shoulders stay."""
    eyes: tuple[Eye, Eye]
    """The person's left and right eye."""
    lashes: Lashes
    face_uv: FloatArray
    """[V, 2] face-tile coordinates (0..1, y down) of kit vertices of the face; NaN elsewhere."""
    shell_start: int
    curtain_start: int
    torso_start: int
    worn_start: int
    size: int

    @property
    def landmark_uv(self) -> FloatArray:
        """Return the landmarks [68, 2] in the face tile, 0..1, y down."""
        return self.face_uv[self.kit.landmarks]


def smooth_step(x: npt.NDArray) -> npt.NDArray:
    """Return the cubic step: 0 below 0, 1 above 1."""
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def tile_uv(part: Part, u: npt.NDArray, v: npt.NDArray, padding: int = 2) -> FloatArray:
    """Convert coordinates 0..1 of a tile to coordinates 0..1 of the atlas, [..., 2]."""
    x, y, width, height = TILES[part]
    across = x + padding + np.clip(u, 0, 1) * (width - 2 * padding)
    down = y + padding + np.clip(v, 0, 1) * (height - 2 * padding)
    return np.asarray(np.stack([across, down], axis=-1) / ATLAS, np.float32)


def _split_quads(faces: IntArray) -> IntArray:
    quads = faces[faces[:, 3] >= 0]
    return np.concatenate([faces[:, [0, 1, 2]], quads[:, [0, 2, 3]]])


def _grid(columns: int, rows: int) -> tuple[FloatArray, IntArray]:
    u, v = np.meshgrid(np.linspace(0, 1, columns), np.linspace(0, 1, rows))
    index = np.arange(columns * rows).reshape(rows, columns)
    quads = np.stack([index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]], axis=-1).reshape(-1, 4)
    coordinates = np.stack([u.ravel(), v.ravel()], axis=-1).astype(np.float32)
    return coordinates, _split_quads(quads.astype(np.int32))


def _eye_uv(positions: FloatArray, eye: Eye, triangles: IntArray) -> FloatArray:
    """Map points around the gaze axis in polar form: radius 0.5 is 90 degrees away from it."""
    direction = positions[triangles] - eye.centre(positions)
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    radius = np.minimum(np.arccos(np.clip(direction[..., 2], -1, 1)) / np.pi, 0.5)
    angle = np.arctan2(direction[..., 1], direction[..., 0])
    return tile_uv(Part.EYE, 0.5 + radius * np.cos(angle), 0.5 - radius * np.sin(angle))


def _part_uv(
    kit: FaceKit, name: str, triangles: IntArray, corners: FloatArray, eyes: dict[str, Eye]
) -> FloatArray:
    part = _KIT_PARTS[name]
    if part is Part.SKIN:
        return tile_uv(part, corners[..., 0], 1 - corners[..., 1])
    if part is Part.HEAD:
        return tile_uv(part, corners[..., 0] - 1, 1 - corners[..., 1])
    if part is Part.EYE:
        return _eye_uv(kit.vertices, eyes[name], triangles)
    if part is Part.GUMS:
        return tile_uv(part, corners[..., 0] - 2, 1 - corners[..., 1])
    if part is Part.TEETH:
        tooth = dental.tooth_coordinates(kit.vertices, triangles)
        return tile_uv(part, tooth[..., 0], tooth[..., 1])
    centre = np.full(corners.shape[:2], 0.5)
    if part is Part.MOUTH:  # from the throat to the lips
        return tile_uv(part, (kit.vertices[triangles][..., 2] - 1) / 10, centre)
    return tile_uv(part, centre, centre)


def _face_uv(kit: FaceKit) -> FloatArray:
    coordinates = np.full((len(kit.vertices), 2), np.nan, np.float32)
    of_face = kit.face_part == kits.FACE
    faces, uvs = kit.faces[of_face], kit.face_uvs[of_face]
    valid = faces >= 0
    coordinates[faces[valid]] = kit.uvs[uvs[valid]] * [1, -1] + [0, 1]
    return coordinates


def _inside(points: npt.NDArray, polygon: npt.NDArray) -> npt.NDArray[np.bool_]:
    """Return which points [N, 2] lie inside, by the even-odd rule."""
    inside = np.zeros(len(points), bool)
    x, y = points.T
    for (ax, ay), (bx, by) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        crosses = (ay > y) != (by > y)
        span = by - ay if by != ay else 1e-9
        inside ^= crosses & (x < (bx - ax) * (y - ay) / span + ax)
    return inside


def _ears(positions: FloatArray, face_uv: FloatArray) -> npt.NDArray[np.bool_]:
    with np.errstate(invalid="ignore"):
        side = (face_uv[:, 0] < 0.125) | (face_uv[:, 0] > 0.875)
        by_texture = side & (face_uv[:, 1] > 0.3) & (face_uv[:, 1] < 0.56)
    x, y, z = positions.T
    return by_texture | ((np.abs(x) > 7.6) & (y < 5.6) & (y > -2) & (z > -2.5) & (z < 3))


def _shell(kit: FaceKit, face_uv: FloatArray, scalp: IntArray, start: int) -> tuple[IntArray, FloatArray]:
    """Return copies of scalp triangles. None on the ears: they are so thin that a shell inside would show behind."""
    positions = kit.vertices
    grows = (
        (positions[:, 1] > -8)
        & ~((positions[:, 2] > 4.5) & (positions[:, 1] < 6))
        & ~_ears(positions, face_uv)
    )
    triangles = _split_quads(kit.faces[np.isin(kit.face_part, (kits.FACE, kits.HEAD))])
    triangles = triangles[grows[triangles].all(axis=1)]
    rest = positions[triangles]
    around = np.arctan2(rest[..., 0], rest[..., 2]) / (2 * np.pi) + 0.5
    seam = np.ptp(around, axis=1) > 0.5
    around[seam] = np.where(around[seam] < 0.5, 1.0, around[seam])
    offset = rest - np.array([0, 2, 0])
    down = np.arccos(np.clip(offset[..., 1] / np.linalg.norm(offset, axis=-1), -1, 1)) / np.pi
    copy = np.full(len(positions), -1, np.int32)
    copy[scalp] = np.arange(len(scalp)) + start
    return copy[triangles], tile_uv(Part.HAIR, around, down)


def build(kit: FaceKit) -> HeadMesh:
    """Join the kit with hair and torso."""
    eyes = {name: Eye(np.nonzero(kit.vertex_part == name)[0].astype(np.int32)) for name in kits.SCLERAS}
    triangles, uvs, parts = [], [], []

    def add(faces: IntArray, coordinates: FloatArray, part: Part) -> None:
        triangles.append(faces)
        uvs.append(coordinates)
        parts.append(np.full(len(faces), part, np.uint8))

    for name, part in _KIT_PARTS.items():
        chosen = kit.face_part == name
        faces = _split_quads(kit.faces[chosen])
        corner = np.where(kit.faces[chosen] < 0, -1, kit.face_uvs[chosen]).astype(np.int32)
        add(faces, _part_uv(kit, name, faces, kit.uvs[_split_quads(corner)], eyes), part)
    spikes = lashes(kit)
    middle = np.full((len(spikes.triangles), 3), 0.5)
    add(spikes.triangles, tile_uv(Part.LASHES, middle, middle), Part.LASHES)
    face_uv = _face_uv(kit)
    lips = face_uv[kit.landmarks[48:60]]
    parts[0][_inside(face_uv[triangles[0]].mean(axis=1), lips)] = Part.LIPS
    kit_triangles = np.ascontiguousarray(np.concatenate(triangles), np.int32)

    shell_start = len(kit.vertices)
    scalp = np.nonzero(np.isin(kit.vertex_part, (kits.FACE, kits.HEAD)))[0].astype(np.int32)
    add(*_shell(kit, face_uv, scalp, shell_start), Part.HAIR)
    curtain_start = shell_start + len(scalp)
    curtain, faces = _grid(*CURTAIN_GRID)
    add(
        faces + curtain_start,
        tile_uv(Part.HAIR, curtain[faces, 0], 0.3 + 0.7 * curtain[faces, 1]),
        Part.LONG_HAIR,
    )
    torso_start = curtain_start + len(curtain)
    torso, faces = _grid(*TORSO_GRID)
    add(faces + torso_start, tile_uv(Part.CLOTH, torso[faces, 0], torso[faces, 1]), Part.CLOTH)

    start = worn_start = torso_start + len(torso)
    for piece in WORN:
        grid, faces = _grid(piece.columns, piece.rows)
        left, top, width, height = piece.tile
        place = tile_uv(piece.part, left + width * grid[faces, 0], top + height * grid[faces, 1])
        add(faces + start, place, piece.part)
        start += len(grid)

    part_ids = np.concatenate(parts)
    follows = (kit.vertices[:, 1] + 14) / 7.5 + np.clip(kit.vertices[:, 2] - 4, 0, 8) * 0.15
    return HeadMesh(
        kit=kit,
        triangles=np.ascontiguousarray(np.concatenate(triangles), np.int32),
        uvs=np.ascontiguousarray(np.concatenate(uvs), np.float32),
        part=part_ids,
        two_sided=np.isin(part_ids, _TWO_SIDED),
        kit_triangles=kit_triangles,
        scalp=scalp,
        curtain=curtain,
        torso=torso,
        ears=_ears(kit.vertices, face_uv),
        neck_weight=smooth_step(follows).astype(np.float32),
        eyes=(eyes["sclera_L"], eyes["sclera_R"]),
        lashes=spikes,
        face_uv=face_uv,
        shell_start=shell_start,
        curtain_start=curtain_start,
        torso_start=torso_start,
        worn_start=worn_start,
        size=start,
    )
