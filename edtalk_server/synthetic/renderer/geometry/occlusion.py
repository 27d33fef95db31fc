"""Ambient occlusion of the neutral head for each vertex, baked once and cached."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

import numpy as np
import numpy.typing as npt
from platformdirs import user_cache_path
from scipy.sparse import coo_matrix

from edtalk_server.synthetic.renderer.geometry.mesh import HeadMesh
from edtalk_server.synthetic.renderer.geometry.raster import rasterise, vertex_normals
from shared_protocol import atomic_write

FloatArray = npt.NDArray[np.float32]

_SIDE = 700
_EXTENT = 46.0
_DIRECTIONS = 160
_LIFT = 0.12
_INNER_PARTS = ("teeth", "gums_tongue", "mouth_socket")
_OPEN_MOUTH = {
    "jawOpen": 0.6,
    "mouthLowerDown_L": 0.5,
    "mouthLowerDown_R": 0.5,
    "mouthUpperUp_L": 0.6,
    "mouthUpperUp_R": 0.6,
}
_VERSION = 2
"""Raised when the bake changes, so that old caches are not used."""

log = logging.getLogger(__name__)


def _sphere(count: int) -> npt.NDArray:
    """Return evenly spread directions [count, 3] (Fibonacci spiral)."""
    i = np.arange(count) + 0.5
    y, angle = 1 - 2 * i / count, np.pi * (1 + 5**0.5) * i
    radius = np.sqrt(1 - y * y)
    return np.stack([radius * np.cos(angle), y, radius * np.sin(angle)], axis=-1)


def view_axes(direction: npt.NDArray) -> npt.NDArray:
    """Return the right and up [2, 3] of a view along `direction`."""
    right = np.cross([0, 1, 0.01], direction)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(direction, right)])


def bake(mesh: HeadMesh, positions: FloatArray) -> FloatArray:
    """Bake the occlusion [V] of the kit's vertices at `positions`, 0 (enclosed) to 1 (open), cosine-weighted over 160
    directions."""
    triangles = mesh.kit_triangles
    normals = np.zeros_like(positions)
    vertex_normals(positions, triangles, normals)
    lifted, both = positions + normals * _LIFT, np.ones(len(triangles), bool)
    depth, ids = np.empty((_SIDE, _SIDE), np.float32), np.empty((_SIDE, _SIDE), np.int32)
    weights = np.empty((_SIDE, _SIDE, 2), np.float32)
    unoccluded, total = np.zeros(len(positions)), np.zeros(len(positions))

    def on_screen(points: npt.NDArray, axes: npt.NDArray) -> npt.NDArray:
        return _SIDE / 2 + points @ (axes * [[1], [-1]]).T * (_SIDE / _EXTENT)

    for direction in _sphere(_DIRECTIONS):
        axes = view_axes(direction)
        screen = np.column_stack([on_screen(positions, axes), positions @ direction]).astype(np.float32)
        rasterise(screen, triangles, both, depth, ids, weights)
        x, y = np.clip(on_screen(lifted, axes), 0, _SIDE - 1).astype(int).T
        cosine = np.clip(normals @ direction, 0, 1)
        unoccluded += cosine * (lifted @ direction > depth[y, x] - _LIFT)
        total += cosine
    openness = np.clip(unoccluded / np.maximum(total, 1e-6), 0.03, 1)
    return _smoothed(openness, triangles).astype(np.float32)


def _smoothed(values: npt.NDArray, triangles: npt.NDArray, rounds: int = 2) -> npt.NDArray:
    average = neighbour_average(triangles, len(values))
    for _ in range(rounds):
        values = 0.5 * values + 0.5 * (average @ values)
    return values


def neighbour_average(triangles: npt.NDArray, count: int) -> coo_matrix:
    """Return a sparse matrix that takes each vertex to the mean of its neighbours."""
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    graph = coo_matrix((np.ones(len(edges)), edges.T), shape=(count, count)).tocsr()
    graph = graph + graph.T
    degree = np.maximum(np.asarray(graph.sum(axis=1))[:, 0], 1)
    return graph.multiply(1 / degree[:, None]).tocsr()


def _bake_all(mesh: HeadMesh) -> FloatArray:
    """Bake the neutral face, and the inside of the mouth with the mouth open: closed, it would be black."""
    openness = bake(mesh, mesh.kit.vertices)
    inner = np.isin(mesh.kit.vertex_part, _INNER_PARTS)
    openness[inner] = bake(mesh, mesh.kit.vertices + mesh.kit.expressions.displacement(_OPEN_MOUTH))[inner]
    return openness


def _cached_bake(mesh: HeadMesh) -> FloatArray:
    key = hashlib.sha256(mesh.kit.vertices.tobytes() + mesh.kit_triangles.tobytes()).hexdigest()[:16]
    path = Path(user_cache_path("edtalk")) / f"occlusion_{_VERSION}_{key}.npy"
    if path.exists():
        return np.asarray(np.load(path, allow_pickle=False), np.float32)
    log.info("Baking ambient occlusion once, into %s", path)
    openness = _bake_all(mesh)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write.replacing(path) as partial, partial.open("wb") as file:
        np.save(file, openness)
    return openness


def occlusion(mesh: HeadMesh) -> FloatArray:
    """Return occlusion [mesh.size] of all vertices; hair and torso are 1."""
    values = np.ones(mesh.size, np.float32)
    values[: mesh.shell_start] = _cached_bake(mesh)
    inner = np.nonzero(np.isin(mesh.kit.vertex_part, _INNER_PARTS))[0]
    depth = np.clip((mesh.kit.vertices[inner, 2] - 3.5) / (9.8 - 3.5), 0.02, 1)
    gain = np.where(mesh.kit.vertex_part[inner] == "teeth", 3.6, 2.0)  # enamel is lit from within
    values[inner] = np.minimum(values[inner] * gain, 0.95) * depth
    return values
