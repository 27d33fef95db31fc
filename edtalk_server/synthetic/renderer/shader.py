"""Light on the surface: one pass over the raster, compiled by numba.

Hemisphere ambient light times baked occlusion, up to three directional lights with wrapped diffuse reflection (a
cheap stand-in for light under the skin: red wraps further than blue), Blinn-Phong highlights with a Fresnel term, and
one soft shadow map for the first light. Colours are linear until the last step.
"""

from __future__ import annotations

from math import sqrt

import numba as nb
import numpy as np
import numpy.typing as npt

from edtalk_server.synthetic.renderer.geometry.mesh import ATLAS

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int32]
ByteArray = npt.NDArray[np.uint8]

_EDGE = ATLAS - 2.0
_SIDE = float(ATLAS)


@nb.njit(cache=True, fastmath=True)
def _lit(shadow: FloatArray, scale: float, u: float, v: float, depth: float, towards: float) -> float:
    """Return 1 in the light to 0.2 in full shadow: the mean of 3 x 3 samples of the shadow map."""
    side = shadow.shape[0]
    bias = 0.5 + 0.6 * (1 - max(towards, 0.0))  # flat light needs more, or the map's steps show on the cheeks
    hidden = 0
    column, row = int(side * 0.5 + u * scale), int(side * 0.5 - v * scale)
    for y in range(max(row - 1, 0), min(row + 2, side)):
        for x in range(max(column - 1, 0), min(column + 2, side)):
            if shadow[y, x] > depth + bias:
                hidden += 1
    return 1 - hidden / 9.0 * 0.8


@nb.njit(cache=True, fastmath=True)
def _mixed(
    values: FloatArray, corners: IntArray, w0: float, w1: float, w2: float
) -> tuple[float, float, float]:
    """Return the barycentric mean of vertex vectors [V, 3]."""
    a, b, c = corners[0], corners[1], corners[2]
    return (
        values[a, 0] * w0 + values[b, 0] * w1 + values[c, 0] * w2,
        values[a, 1] * w0 + values[b, 1] * w1 + values[c, 1] * w2,
        values[a, 2] * w0 + values[b, 2] * w1 + values[c, 2] * w2,
    )


@nb.njit(cache=True, fastmath=True)
def _unit(x: float, y: float, z: float) -> tuple[float, float, float]:
    scale = 1.0 / sqrt(x * x + y * y + z * z + 1e-9)
    return x * scale, y * scale, z * scale


@nb.njit(cache=True, fastmath=True)
def _look_up(atlas: FloatArray, uv: FloatArray, w0: float, w1: float, w2: float, texel: FloatArray) -> None:
    """Write a bilinear sample of the atlas into `texel` [4]."""
    u = min(max((uv[0, 0] * w0 + uv[1, 0] * w1 + uv[2, 0] * w2) * _SIDE - 0.5, 0.0), _EDGE)
    v = min(max((uv[0, 1] * w0 + uv[1, 1] * w1 + uv[2, 1] * w2) * _SIDE - 0.5, 0.0), _EDGE)
    u0, v0 = int(u), int(v)
    fx, fy = u - u0, v - v0
    for ch in range(4):
        upper = atlas[v0, u0, ch] * (1 - fx) + atlas[v0, u0 + 1, ch] * fx
        lower = atlas[v0 + 1, u0, ch] * (1 - fx) + atlas[v0 + 1, u0 + 1, ch] * fx
        texel[ch] = upper * (1 - fy) + lower * fy


@nb.njit(cache=True, fastmath=True)
def _tone(colour: float) -> float:
    """Convert linear light to a display value 0..1, with a soft shoulder."""
    colour = colour * (1 + colour * 0.12) / (1 + colour * 0.45)
    return min(max(colour, 0.0), 1.0) ** (1 / 2.2)


@nb.njit(cache=True, fastmath=True)
def shade(
    ids: IntArray,
    weights: FloatArray,
    triangles: IntArray,
    uvs: FloatArray,
    parts: ByteArray,
    two_sided: npt.NDArray[np.bool_],
    vertices: FloatArray,
    normals: FloatArray,
    occlusion: FloatArray,
    atlas: FloatArray,
    background: FloatArray,
    eye: FloatArray,
    ambient_up: FloatArray,
    ambient_down: FloatArray,
    directions: FloatArray,
    colours: FloatArray,
    wraps: FloatArray,
    glosses: FloatArray,
    exposure: float,
    shadow: FloatArray,
    shadow_scale: float,
    shadow_axes: FloatArray,
    out: FloatArray,
) -> None:
    """Fill `out` [H, W, 3] with display colours 0..1; `eye` [3] is the camera's position."""
    height, width = ids.shape
    diffuse, shine, texel = np.zeros(3, np.float32), np.zeros(3, np.float32), np.zeros(4, np.float32)
    for y in range(height):
        for x in range(width):
            t = ids[y, x]
            if t < 0:
                for ch in range(3):
                    out[y, x, ch] = background[y, x, ch]
                continue
            corners, part = triangles[t], parts[t]
            w0, w1 = weights[y, x, 0], weights[y, x, 1]
            w2 = 1 - w0 - w1
            nx, ny, nz = _mixed(normals, corners, w0, w1, w2)
            nx, ny, nz = _unit(nx, ny, nz)
            px, py, pz = _mixed(vertices, corners, w0, w1, w2)
            vx, vy, vz = _unit(eye[0] - px, eye[1] - py, eye[2] - pz)
            sky = occlusion[corners[0]] * w0 + occlusion[corners[1]] * w1 + occlusion[corners[2]] * w2
            facing = nx * vx + ny * vy + nz * vz
            if two_sided[t] and facing < 0:
                nx, ny, nz, facing = -nx, -ny, -nz, -facing
            fresnel = 0.04 + 0.5 * (1 - min(max(facing, 0.0), 1.0)) ** 5
            _look_up(atlas, uvs[t], w0, w1, w2, texel)

            diffuse[:] = 0
            shine[:] = 0
            for light in range(directions.shape[0]):
                dx, dy, dz = directions[light, 0], directions[light, 1], directions[light, 2]
                towards = nx * dx + ny * dy + nz * dz
                free = 1.0
                if light == 0:
                    su = px * shadow_axes[0, 0] + py * shadow_axes[0, 1] + pz * shadow_axes[0, 2]
                    sv = px * shadow_axes[1, 0] + py * shadow_axes[1, 1] + pz * shadow_axes[1, 2]
                    free = _lit(shadow, shadow_scale, su, sv, px * dx + py * dy + pz * dz, towards)
                for ch in range(3):
                    wrap = wraps[part, ch]
                    bright = max((towards + wrap) / (1 + wrap), 0.0) * (0.35 + 0.65 * sky) * free
                    diffuse[ch] += colours[light, ch] * bright
                if towards > 0:
                    hx, hy, hz = _unit(dx + vx, dy + vy, dz + vz)
                    gloss = glosses[part]
                    s = max(nx * hx + ny * hy + nz * hz, 0.0) ** gloss * (gloss + 8) / 40
                    for ch in range(3):
                        shine[ch] += colours[light, ch] * s * (0.25 + 0.75 * sky) * free

            up = ny * 0.5 + 0.5
            for ch in range(3):
                ambient = (ambient_down[ch] + (ambient_up[ch] - ambient_down[ch]) * up) * sky
                reflected = shine[ch] * (0.12 + fresnel) + fresnel * ambient * 0.35
                out[y, x, ch] = _tone((texel[ch] * (ambient + diffuse[ch]) + texel[3] * reflected) * exposure)


@nb.njit(cache=True, fastmath=True)
def halve(pixels: FloatArray, out: ByteArray) -> None:
    """Average 2 x 2 pixels, from 0..1 to 0..255."""
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            for ch in range(3):
                total = pixels[2 * y, 2 * x, ch] + pixels[2 * y, 2 * x + 1, ch]
                total += pixels[2 * y + 1, 2 * x, ch] + pixels[2 * y + 1, 2 * x + 1, ch]
                out[y, x, ch] = np.uint8(min(255.0, total * 63.75 + 0.5))
