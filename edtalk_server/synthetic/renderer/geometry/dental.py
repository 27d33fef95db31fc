"""Texture coordinates of teeth: each tooth has its own strip."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

IntArray = npt.NDArray[np.int32]

TEETH_IN_A_ROW = 16
_ARCH_CENTRE = np.array([0.0, 4.5])
"""Middle (x, z) of the dental arch, which teeth look away from."""
_BETWEEN_JAWS = -3.25
"""Height between the rows: upper teeth have their middle above it."""


def _pieces(triangles: IntArray) -> list[IntArray]:
    """Return the vertices of each connected piece: the kit models every tooth separately."""
    count = int(triangles.max()) + 1
    edges = np.concatenate([triangles[:, :2], triangles[:, 1:]])
    graph = coo_matrix((np.ones(len(edges)), edges.T), shape=(count, count))
    _, label = connected_components(graph, directed=False)
    used = np.unique(triangles)
    return [used[label[used] == number].astype(np.int32) for number in np.unique(label[used])]


def _strip(tooth: npt.NDArray, upper: bool) -> npt.NDArray:
    """Return for a tooth's points [N, 3] their position along the arch, -1 to 1, and from the cutting edge (0) to the
    root (1)."""
    centre = tooth.mean(axis=0)
    outwards = centre[[0, 2]] - _ARCH_CENTRE
    along = np.array([outwards[1], -outwards[0]]) / np.linalg.norm(outwards)
    across = (tooth[:, [0, 2]] - centre[[0, 2]]) @ along
    height = (tooth[:, 1] - tooth[:, 1].min()) / np.ptp(tooth[:, 1])
    return np.stack([across / np.abs(across).max(), height if upper else 1 - height], axis=-1)


def tooth_coordinates(vertices: npt.NDArray, triangles: IntArray) -> npt.NDArray:
    """Return [T, 3, 2] in 0..1: sixteen columns from the person's right to the left, upper teeth in the upper half;
    each with its cutting edge on top."""
    rows: dict[bool, list[IntArray]] = {True: [], False: []}
    for piece in _pieces(triangles):
        rows[bool(vertices[piece, 1].mean() > _BETWEEN_JAWS)].append(piece)
    coordinates = np.zeros((len(vertices), 2))
    for upper, teeth in rows.items():
        for number, piece in enumerate(sorted(teeth, key=lambda piece: _angle(vertices[piece]))):
            strip = _strip(vertices[piece], upper)
            coordinates[piece, 0] = (number + 0.5 + 0.46 * strip[:, 0]) / TEETH_IN_A_ROW
            coordinates[piece, 1] = 0.02 + 0.46 * strip[:, 1] + (0.0 if upper else 0.5)
    return coordinates[triangles]


def _angle(tooth: npt.NDArray) -> float:
    x, z = tooth[:, [0, 2]].mean(axis=0) - _ARCH_CENTRE
    return float(np.arctan2(x, z))
