"""Eyelashes: of the kit's lash cards only a spike per column is kept, so that no transparency is needed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edtalk_server.synthetic.renderer.geometry.kit import LASHES, FaceKit

IntArray = npt.NDArray[np.int32]

_COLUMNS, _ROWS, _CARDS = 19, 6, 6
"""Each side has six cards of 6 x 19 vertices: three on the lower lid, then three on the upper one."""
_USED = ((0, 3), (3, 0), (4, 1))
"""Cards that are drawn, and the row of each at which its spikes end (0 is the tip)."""


@dataclass(frozen=True)
class Lashes:
    """Spikes: `triangles` [T, 3], and the tips [N] with the vertex `roots` [N] that each grows from."""

    triangles: IntArray
    tips: IntArray
    roots: IntArray
    lower: npt.NDArray[np.bool_]
    """[N] whether a tip belongs to the lower lid."""


def _grid(kit: FaceKit, name: str) -> IntArray:
    """Return vertices [cards, rows, columns] of one side, in the order of their texture; root rows are last."""
    chosen = kit.face_part == name
    vertices, first = np.unique(kit.faces[chosen], return_index=True)
    uv = kit.uvs[kit.face_uvs[chosen].ravel()[first]]
    order = np.lexsort((uv[:, 0], np.round(uv[:, 1], 3)))
    return vertices[order].reshape(_CARDS, _ROWS, _COLUMNS).astype(np.int32)


def lashes(kit: FaceKit) -> Lashes:
    """Choose the spikes of both eyes."""
    triangles, tips, roots, lower = [], [], [], []
    for name in LASHES:
        grid = _grid(kit, name)
        for card, end in _USED:
            root, tip = grid[card, -1], grid[card, end]
            triangles.append(np.stack([root[:-1], root[1:], tip[card % 2 :][: _COLUMNS - 1]], axis=-1))
            tips.append(tip)
            roots.append(root)
            lower.append(np.full(_COLUMNS, card < _CARDS // 2))
    return Lashes(*(np.concatenate(parts) for parts in (triangles, tips, roots, lower)))
