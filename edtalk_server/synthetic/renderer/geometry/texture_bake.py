"""Vertex values interpolated over the texture, so that painters know where on the head a texel lies."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edtalk_server.synthetic.renderer.geometry.mesh import ATLAS, TILES, HeadMesh, Part
from edtalk_server.synthetic.renderer.geometry.raster import rasterise

FloatArray = npt.NDArray[np.float32]


def bake_tile(mesh: HeadMesh, part: Part, values: npt.NDArray) -> FloatArray:
    """Return vertex values [V, C] over the tile of `part`, [H, W, C]; NaN where no triangle lies."""
    x, y, width, height = TILES[part]
    chosen = (mesh.part == part) | ((mesh.part == Part.LIPS) if part is Part.SKIN else False)
    corners = mesh.uvs[chosen].reshape(-1, 2) * ATLAS - [x, y]
    screen = np.column_stack([corners, np.zeros(len(corners))]).astype(np.float32)
    triangles = np.arange(len(corners), dtype=np.int32).reshape(-1, 3)
    depth, ids = np.empty((height, width), np.float32), np.empty((height, width), np.int32)
    weights = np.zeros((height, width, 2), np.float32)
    rasterise(screen, triangles, np.ones(len(triangles), bool), depth, ids, weights)
    full = np.concatenate([weights, 1 - weights.sum(axis=-1, keepdims=True)], axis=-1)
    baked = (values[mesh.triangles[chosen][ids]] * full[..., None]).sum(axis=-2)
    baked[ids < 0] = np.nan
    return np.asarray(baked, np.float32)
