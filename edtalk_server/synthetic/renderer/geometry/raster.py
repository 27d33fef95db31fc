"""The z-buffer, vertex normals and correspondence, compiled by numba. All loops run on one core.

Screen positions are [V, 3] float32: x right and y down in pixels, and a depth in centimetres that grows towards the
camera.
"""

from __future__ import annotations

import numba as nb
import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int32]
BoolArray = npt.NDArray[np.bool_]

EMPTY = -1
"""Triangle id of a pixel that shows the background."""


@nb.njit(cache=True, fastmath=True)
def rasterise(
    screen: FloatArray,
    triangles: IntArray,
    two_sided: BoolArray,
    depth: FloatArray,
    ids: IntArray,
    weights: FloatArray,
) -> None:
    """Fill `depth` [H, W], triangle `ids` [H, W] and the first two barycentric `weights` [H, W, 2] in place.

    Triangles seen from behind are dropped unless they are two-sided.
    """
    height, width = ids.shape
    depth[:] = -1e9
    ids[:] = -1
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        x0, y0, x1, y1, x2, y2 = (
            screen[a, 0],
            screen[a, 1],
            screen[b, 0],
            screen[b, 1],
            screen[c, 0],
            screen[c, 1],
        )
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if area > -1e-9 and (not two_sided[t] or area < 1e-9):
            continue
        left = max(int(np.ceil(min(x0, x1, x2) - 0.5)), 0)
        right = min(int(np.floor(max(x0, x1, x2) - 0.5)), width - 1)
        top = max(int(np.ceil(min(y0, y1, y2) - 0.5)), 0)
        bottom = min(int(np.floor(max(y0, y1, y2) - 0.5)), height - 1)
        if left > right or top > bottom:
            continue
        inverse = 1.0 / area
        z0, z1, z2 = screen[a, 2], screen[b, 2], screen[c, 2]
        for y in range(top, bottom + 1):
            py = y + 0.5
            for x in range(left, right + 1):
                px = x + 0.5
                w0 = ((x1 - px) * (y2 - py) - (x2 - px) * (y1 - py)) * inverse
                w1 = ((x2 - px) * (y0 - py) - (x0 - px) * (y2 - py)) * inverse
                w2 = 1.0 - w0 - w1
                if w0 < 0 or w1 < 0 or w2 < 0:
                    continue
                z = w0 * z0 + w1 * z1 + w2 * z2
                if z > depth[y, x]:
                    depth[y, x] = z
                    ids[y, x] = t
                    weights[y, x, 0] = w0
                    weights[y, x, 1] = w1


@nb.njit(cache=True, fastmath=True)
def vertex_normals(vertices: FloatArray, triangles: IntArray, normals: FloatArray) -> None:
    """Write area-weighted unit normals [V, 3] into `normals`."""
    normals[:] = 0
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ux = vertices[b, 0] - vertices[a, 0]
        uy = vertices[b, 1] - vertices[a, 1]
        uz = vertices[b, 2] - vertices[a, 2]
        wx = vertices[c, 0] - vertices[a, 0]
        wy = vertices[c, 1] - vertices[a, 1]
        wz = vertices[c, 2] - vertices[a, 2]
        x, y, z = uy * wz - uz * wy, uz * wx - ux * wz, ux * wy - uy * wx
        for corner in range(3):
            v = triangles[t, corner]
            normals[v, 0] += x
            normals[v, 1] += y
            normals[v, 2] += z
    for v in range(normals.shape[0]):
        scale = 1.0 / np.sqrt(normals[v, 0] ** 2 + normals[v, 1] ** 2 + normals[v, 2] ** 2 + 1e-12)
        normals[v, 0] *= scale
        normals[v, 1] *= scale
        normals[v, 2] *= scale


@nb.njit(cache=True, fastmath=True)
def trace(
    ids: IntArray,
    weights: FloatArray,
    triangles: IntArray,
    source_screen: FloatArray,
    source_depth: FloatArray,
    step: int,
    slack: float,
    flow: FloatArray,
    visible: npt.NDArray[np.uint8],
) -> None:
    """Trace where the surface in each target pixel lies in the source picture (backward flow).

    Samples every `step`-th raster pixel of the target. Writes `flow` [h, w, 2], raster pixels from target to source,
    and `visible` [h, w]: 1 where the source shows that point or a surface at most `slack` centimetres before it, else
    0. Background gets flow 0 and visibility 0.
    """
    side_y, side_x = source_depth.shape
    for y in range(flow.shape[0]):
        for x in range(flow.shape[1]):
            row, column = y * step + step // 2, x * step + step // 2
            flow[y, x, 0] = 0
            flow[y, x, 1] = 0
            visible[y, x] = 0
            t = ids[row, column]
            if t < 0:
                continue
            a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
            w0, w1 = weights[row, column, 0], weights[row, column, 1]
            w2 = 1.0 - w0 - w1
            sx = source_screen[a, 0] * w0 + source_screen[b, 0] * w1 + source_screen[c, 0] * w2
            sy = source_screen[a, 1] * w0 + source_screen[b, 1] * w1 + source_screen[c, 1] * w2
            sz = source_screen[a, 2] * w0 + source_screen[b, 2] * w1 + source_screen[c, 2] * w2
            flow[y, x, 0] = sx - (column + 0.5)
            flow[y, x, 1] = sy - (row + 0.5)
            if 0 <= sx < side_x and 0 <= sy < side_y and source_depth[int(sy), int(sx)] < sz + slack:
                visible[y, x] = 1
