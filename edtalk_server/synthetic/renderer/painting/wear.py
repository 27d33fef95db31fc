"""Glasses, a visor, and things in front of a face: hands, microphones and others. All are grids of fixed topology;
what a person does not wear is moved out of sight.

Nothing is transparent: clear lenses are left out, except for the glare of a window on them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edtalk_server.synthetic.renderer.geometry.mesh import OUT_OF_SIGHT, TILES, WORN, HeadMesh, Part
from edtalk_server.synthetic.renderer.painting.brushes import Random, linear, noise, over
from edtalk_server.synthetic.renderer.painting.headwear import Headwear

FloatArray = npt.NDArray[np.float32]
Points = npt.NDArray

_ELLIPSOIDS = tuple(piece.name for piece in WORN if piece.part is Part.OCCLUDER)


@dataclass(frozen=True)
class Worn:
    """Vertices [W, 3] of all pieces, and the share [W] of the head's turn that each follows."""

    vertices: FloatArray
    share: FloatArray


class _Wardrobe:
    """The pieces of one person while they are put on."""

    def __init__(self, mesh: HeadMesh, vertices: Points) -> None:
        self.face = vertices[mesh.kit.landmarks]
        self.skin = vertices[: mesh.shell_start]
        self.places: dict[str, Points] = {}
        self.shares: dict[str, float] = {}

    def put(self, name: str, points: Points, share: float = 1.0) -> None:
        self.places[name], self.shares[name] = points, share

    def worn(self) -> Worn:
        hidden = {piece.name: np.full((piece.columns * piece.rows, 3), OUT_OF_SIGHT) for piece in WORN}
        points = [self.places.get(name, none) for name, none in hidden.items()]
        shares = [np.full(len(none), self.shares.get(name, 0.0)) for name, none in hidden.items()]
        return Worn(np.concatenate(points).astype(np.float32), np.concatenate(shares).astype(np.float32))


def dress(random: Random, mesh: HeadMesh, vertices: Points, headwear: Headwear | None) -> Worn:
    """Choose what the person wears and what covers the face; `vertices` [V, 3] is the neutral face."""
    wardrobe = _Wardrobe(mesh, vertices)
    if random.random() < 0.24:
        _glasses(random, wardrobe)
    if headwear is not None and headwear.visor:
        _visor(random, wardrobe, headwear)
    if random.random() < 0.08:
        _before_the_face(random, wardrobe)
    return wardrobe.worn()


def _unit_grid(piece: str) -> tuple[Points, Points]:
    return next(item for item in WORN if item.name == piece).unit_grid()


def _tube(piece: str, path: Points, aside: Points, radius: float) -> Points:
    """Return a pipe along `path` [columns, 3]; `aside` [columns, 3] are unit vectors across it."""
    _, across = _unit_grid(piece)
    rows = len(across) // len(path)
    turn = across.reshape(rows, -1)[:, :1, None] * 2 * np.pi
    forward = np.array([0.0, 0.0, 1.0])
    return np.asarray(path + radius * (np.cos(turn) * aside + np.sin(turn) * forward)).reshape(-1, 3)


def _superellipse(angle: Points, power: float) -> Points:
    c, s = np.cos(angle), np.sin(angle)
    return np.stack([np.sign(c) * np.abs(c) ** (2 / power), np.sign(s) * np.abs(s) ** (2 / power)], axis=-1)


def _glasses(random: Random, wardrobe: _Wardrobe) -> None:
    face = wardrobe.face
    eyes = {"right": face[36:42].mean(axis=0), "left": face[42:48].mean(axis=0)}
    apart = float(eyes["left"][0] - eyes["right"][0])
    half = np.array([random.uniform(0.34, 0.43) * apart, random.uniform(0.23, 0.36) * apart])
    power, wire = random.uniform(2.0, 4.0), random.uniform(0.06, 0.24)
    dark, glare = random.random() < 0.15, random.random() < 0.25
    near = (np.abs(wardrobe.skin[:, 1] - eyes["left"][1]) < 2) & (np.abs(wardrobe.skin[:, 0]) < 4.5)
    front = float(np.quantile(wardrobe.skin[near, 2], 0.8)) + random.uniform(0.5, 1.1)
    drop = random.uniform(0.0, 0.6)

    def bent(points: Points) -> Points:
        """Bend flat points [N, 2] onto the slightly curved plane in front of the eyes."""
        return np.column_stack([points, front - 0.022 * points[:, 0] ** 2])

    for side, eye in eyes.items():
        centre = eye[:2] * [1.04, 1] - [0, drop]
        angle = np.linspace(0, 2 * np.pi, 25)
        outline = _superellipse(angle, power)
        aside = np.column_stack([np.cos(angle), np.sin(angle), np.zeros(25)])
        wardrobe.put(f"rim_{side}", _tube(f"rim_{side}", bent(centre + outline * half), aside, wire))
        around, out = _unit_grid(f"lens_{side}")
        if dark:
            flat = centre + _superellipse(around * 2 * np.pi, power) * half * out[:, None]
            wardrobe.put(f"lens_{side}", bent(flat))
        elif glare:
            u, v = _unit_grid(f"glare_{side}")
            shape = np.column_stack([0.22 * u + 0.2 * v - 0.6, 0.62 - 0.4 * v]) * half
            wardrobe.put(f"glare_{side}", np.add(bent(centre + shape), [0, 0, 0.03]))
        outer = centre + half * np.array([np.sign(eye[0]), 0.35])
        _temple(wardrobe, side, bent(outer[None])[0], wire)
    inner = eyes["left"][0] * 1.04 - half[0]
    x = np.linspace(-inner, inner, 7)
    bridge = np.column_stack([x, eyes["left"][1] - drop + 0.3 * half[1] + 0.25 * (1 - (x / inner) ** 2)])
    wardrobe.put("bridge", _tube("bridge", bent(bridge), np.tile([0.0, 1.0, 0.0], (7, 1)), wire))


def _temple(wardrobe: _Wardrobe, side: str, hinge: Points, wire: float) -> None:
    """Draw a temple from the hinge back to the ear."""
    sign = np.sign(hinge[0])
    level = np.abs(wardrobe.skin[:, 1] - hinge[1]) < 0.8
    before_the_ear = (wardrobe.skin[:, 2] > 3.5) & (wardrobe.skin[:, 2] < 5.5)
    wide = float(np.abs(wardrobe.skin[level & before_the_ear, 0]).max()) + 0.1
    knots = np.array(
        [hinge, [sign * max(wide, abs(hinge[0])), hinge[1], hinge[2] - 2.5], [sign * wide, hinge[1], 0.5]]
    )
    path = np.stack([np.interp(np.linspace(0, 2, 6), range(3), knots[:, axis]) for axis in range(3)], axis=-1)
    _, across = _unit_grid(f"temple_{side}")
    turn = across.reshape(-1, 6)[:, :1, None] * 2 * np.pi
    pipe = path + wire * (np.cos(turn) * [0, 1, 0] + np.sin(turn) * [sign, 0, 0])
    wardrobe.put(f"temple_{side}", pipe.reshape(-1, 3))


def _visor(random: Random, wardrobe: _Wardrobe, headwear: Headwear) -> None:
    brow = wardrobe.skin[np.abs(wardrobe.skin[:, 0]) < 1.5]
    down = np.arctan2(brow[:, 2], brow[:, 1] - 2) / np.pi
    edge = brow[np.argmin(np.abs(down - headwear.front) + 10 * (brow[:, 2] < 3))]
    u, v = _unit_grid("visor")
    angle = (u - 0.5) * random.uniform(1.7, 2.3)
    length, fall = random.uniform(3.5, 6), random.uniform(0.1, 0.5)
    depth = edge[2] + headwear.thickness + 0.2
    x = np.sin(angle) * 7.6
    z = depth - 7.0 * (1 - np.cos(angle)) + length * v * np.cos(angle)
    y = edge[1] + 0.4 - fall * length * v - 1.2 * (1 - np.cos(angle)) - 0.5 * v * (x / 7.6) ** 2
    wardrobe.put("visor", np.column_stack([x, y, z]))


def _ellipsoid(piece: str, centre: Points, radii: Points, tilt: float) -> Points:
    """Return an ellipsoid; `tilt` in radians, to picture right at the top."""
    u, v = _unit_grid(piece)
    around, up = u * 2 * np.pi, v * np.pi
    ball = np.column_stack([np.sin(around) * np.sin(up), np.cos(up), np.cos(around) * np.sin(up)]) * radii
    c, s = np.cos(tilt), np.sin(tilt)
    return np.asarray(ball @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) + centre)


def _before_the_face(random: Random, wardrobe: _Wardrobe) -> None:
    """Add a hand, a microphone or something else that turns with the head or stays in place."""
    share, dice = float(random.random() < 0.5), random.random()
    place = wardrobe.face[random.choice([2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 57])]
    place = place + random.normal(0, (1.0, 1.0, 0.3)) + [0, -1, 1.8]
    if dice < 0.4:
        _hand(random, wardrobe, place, share)
    elif dice < 0.65:
        mouth = wardrobe.face[57] + [
            random.uniform(-4, 4),
            random.uniform(-4, -1.5),
            random.uniform(2.5, 4.5),
        ]
        size, tilt = random.uniform(1.3, 2.1), random.normal(0, 0.5)
        handle = mouth - np.array([np.sin(tilt), np.cos(tilt), -0.3]) * (size + 4.5)
        wardrobe.put(_ELLIPSOIDS[0], _ellipsoid(_ELLIPSOIDS[0], mouth, np.full(3, size), tilt), share)
        radii = np.array([0.6 * size, 6.5, 0.6 * size])
        wardrobe.put(_ELLIPSOIDS[1], _ellipsoid(_ELLIPSOIDS[1], handle, radii, tilt), share)
    else:
        for name in _ELLIPSOIDS[: int(random.integers(1, 4))]:
            centre = place + random.normal(0, 1.5, 3) + [0, 0, 1]
            radii = random.uniform(0.8, 3.2, 3)
            wardrobe.put(name, _ellipsoid(name, centre, radii, random.uniform(-1.5, 1.5)), share)


def _hand(random: Random, wardrobe: _Wardrobe, place: Points, share: float) -> None:
    tilt, size = random.normal(0, 0.7), random.uniform(0.8, 1.05)
    along = np.array([np.sin(tilt), np.cos(tilt), 0.0])
    across = np.array([along[1], -along[0], 0.0])
    palm = place - along * 3.2
    wardrobe.put(
        _ELLIPSOIDS[0], _ellipsoid(_ELLIPSOIDS[0], palm, np.array([3.0, 3.6, 1.3]) * size, tilt), share
    )
    for number, name in enumerate(_ELLIPSOIDS[1:5]):
        spread = (number - 1.5) * 1.35 * size
        centre = place + across * spread + along * (1.6 - 0.25 * (number - 1.2) ** 2) * size
        radii = np.array([0.72, 2.9, 0.72]) * size
        wardrobe.put(name, _ellipsoid(name, centre, radii, tilt + 0.07 * (number - 1.5)), share)
    side = random.choice([-1.0, 1.0])
    thumb = palm + across * side * 2.9 * size + along * 1.2
    radii = np.array([0.85, 2.4, 0.85]) * size
    wardrobe.put(_ELLIPSOIDS[5], _ellipsoid(_ELLIPSOIDS[5], thumb, radii, tilt + side * 0.6), share)


def paint_glasses(random: Random) -> tuple[Points, Points]:
    """Paint frame (left), dark lens (upper right) and glare (lower right): linear colours [64, 64, 3] and
    highlights."""
    frames = ((0.04, 0.04, 0.05), (0.25, 0.14, 0.08), (0.55, 0.45, 0.25), (0.6, 0.6, 0.62), (0.75, 0.1, 0.12))
    frame = linear(np.array(frames[random.choice(5, p=[0.42, 0.2, 0.14, 0.14, 0.1])]))
    _, _, width, height = TILES[Part.GLASSES]
    tile = np.broadcast_to(frame, (height, width, 3)) * (
        1 + 0.25 * noise(random, height, width, ((60, 1),))[..., None]
    )
    v = np.linspace(0, 1, height)[:, None]
    right, lower = np.arange(width)[None] >= width // 2, v >= 0.5
    lens = linear(random.uniform(0.03, 0.3, 3))
    tile = over(tile, lens, np.clip(1.1 - v, 0, 1) * right)
    tile = over(tile, linear([0.85, 0.9, 0.95]) * random.uniform(0.5, 1.0), (right & lower) * 1.0)
    return np.clip(tile, 0.003, 1), np.where(right & ~lower, 2.0, 0.8)


def paint_occluder(random: Random, skin: Points) -> tuple[Points, float]:
    """Paint skin for hands, or any colour; linear [128, 128, 3] and highlight."""
    _, _, width, height = TILES[Part.OCCLUDER]
    colour = skin if random.random() < 0.5 else linear(random.random(3) * random.uniform(0.1, 1))
    grain = noise(random, height, width, ((30, 0.6), (200, 0.6)))[..., None]
    return np.clip(colour * (1 + 0.1 * grain), 0.003, 1), random.uniform(0.1, 0.6)
