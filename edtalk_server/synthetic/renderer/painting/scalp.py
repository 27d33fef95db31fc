"""The hairline: how far each point of the head lies above it.

A hairline is a height (kit y, in centimetres) for each direction around the head; ears and the front of the face stay
bare. The head's rest positions are also kept per texture pixel, so that roots can be painted on the skin exactly
where hair starts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edtalk_server.synthetic.renderer.geometry import kit as kits
from edtalk_server.synthetic.renderer.geometry.mesh import HeadMesh, Part
from edtalk_server.synthetic.renderer.geometry.occlusion import neighbour_average
from edtalk_server.synthetic.renderer.geometry.texture_bake import bake_tile

FloatArray = npt.NDArray[np.float32]

_BARE = -3.0


@dataclass(frozen=True)
class Hairline:
    """Height in centimetres at shares of the way from the forehead (0) to the nape (1)."""

    shares: tuple[float, ...]
    heights: tuple[float, ...]

    def distance(self, points: npt.NDArray) -> npt.NDArray:
        """Return the centimetres above the hairline, [...] for points [..., 3]."""
        share = np.abs(np.arctan2(points[..., 0], points[..., 2] + 1.0)) / np.pi
        return points[..., 1] - np.interp(share, self.shares, self.heights)


@dataclass(frozen=True)
class ScalpMap:
    """Rest positions of vertices and of texture pixels, with the bare places."""

    points: FloatArray
    """[S, 3] of the scalp's vertices."""
    bare: npt.NDArray[np.float64]
    """[S] 1 on the ears, 0 where hair may grow."""
    average: object
    """Sparse matrix: mean over neighbours of the scalp's vertices."""
    face_points: FloatArray
    """[512, 512, 3]; NaN where the tile is unused."""
    face_bare: FloatArray
    head_points: FloatArray

    def vertex_distance(self, line: Hairline) -> npt.NDArray:
        """Return the centimetres [S] above the hairline; far below on the ears."""
        return line.distance(self.points) * (1 - self.bare) + _BARE * self.bare

    def face_distance(self, line: Hairline) -> npt.NDArray:
        """Return the same [512, 512] for the face tile."""
        return line.distance(self.face_points) * (1 - self.face_bare) + _BARE * self.face_bare

    def head_distance(self, line: Hairline) -> npt.NDArray:
        """Return the same [256, 256] for the tile of the back of the head."""
        return line.distance(self.head_points)


def scalp_map(mesh: HeadMesh) -> ScalpMap:
    """Measure the mean head once."""
    skin = np.isin(mesh.kit.face_part, (kits.FACE, kits.HEAD))
    faces = mesh.kit.faces[skin]
    place = np.full(len(mesh.kit.vertices), -1)
    place[mesh.scalp] = np.arange(len(mesh.scalp))
    average = neighbour_average(place[faces[:, :3]], len(mesh.scalp))
    bare = mesh.ears[mesh.scalp].astype(float)
    for _ in range(2):
        bare = 0.5 * bare + 0.5 * (average @ bare)
    values = np.zeros((mesh.size, 4), np.float32)
    values[: len(mesh.kit.vertices), :3] = mesh.kit.vertices
    values[mesh.scalp, 3] = bare
    face = bake_tile(mesh, Part.SKIN, values)
    return ScalpMap(
        points=mesh.kit.vertices[mesh.scalp],
        bare=bare,
        average=average,
        face_points=face[..., :3],
        face_bare=face[..., 3],
        head_points=bake_tile(mesh, Part.HEAD, values)[..., :3],
    )
