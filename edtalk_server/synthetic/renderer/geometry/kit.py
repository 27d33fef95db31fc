"""The face kit: a neutral head, its identity shapes and its expression shapes.

Source: ICT-FaceKit (USC Institute for Creative Technologies, MIT licence), packed in one `.npz` without pickles.
Units are centimetres; x to the person's left, y up, z out of the face; the origin is inside the head.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from shared_protocol.errors import EDTalkError, ErrorCode

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int32]

FACE, HEAD = "face", "head_neck"
SCLERAS = ("sclera_L", "sclera_R")
LASHES = ("lashes_L", "lashes_R")
KEPT_PARTS = (
    FACE,
    HEAD,
    "mouth_socket",
    "eye_socket_L",
    "eye_socket_R",
    "gums_tongue",
    "teeth",
    *SCLERAS,
    *LASHES,
)
"""Parts that are drawn. The others are transparent films, and irises meant for refraction."""

_ARRAYS = (
    "vertices",
    "faces",
    "uvs",
    "face_uvs",
    "identity_deltas",
    "expression_deltas",
    "expression_names",
    "part_names",
    "vertex_part",
    "face_part",
    "landmarks68",
)


@dataclass(frozen=True)
class SparseShapes:
    """Expression shapes, each with only the vertices it moves: shape k owns rows `starts[k]` to `starts[k + 1]`."""

    vertices: int
    """Number of vertices of the kit."""
    names: tuple[str, ...]
    starts: IntArray
    vertex: IntArray
    delta: FloatArray

    def displacement(self, amounts: Mapping[str, float]) -> FloatArray:
        """Return displacement [V, 3] of the named shapes together."""
        total = np.zeros((self.vertices, 3), np.float32)
        for name, amount in amounts.items():
            shape = self.names.index(name)
            rows = slice(self.starts[shape], self.starts[shape + 1])
            total[self.vertex[rows]] += amount * self.delta[rows]
        return total


@dataclass(frozen=True)
class FaceKit:
    """The drawn parts of the kit, vertices renumbered."""

    vertices: FloatArray
    """[V, 3] neutral mean head."""
    vertex_part: npt.NDArray[np.str_]
    faces: IntArray
    """[F, 4]; the fourth is -1 for triangles."""
    face_part: npt.NDArray[np.str_]
    face_uvs: IntArray
    uvs: FloatArray
    identity: FloatArray
    """[modes, V * 3]; add with weights drawn from N(0, 1)."""
    expressions: SparseShapes
    landmarks: IntArray
    """[68] vertices in iBUG order."""


def load(path: Path) -> FaceKit:
    """Read a packed kit. Raises `EDTalkError` (DISK) when the file is missing or is not a face kit."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in _ARRAYS}
    except (OSError, ValueError, KeyError) as error:
        raise EDTalkError(
            ErrorCode.DISK,
            f"The face kit {path.name} cannot be read ({error}).",
            "Give the path of a packed ICT-FaceKit (.npz) with --facekit.",
        ) from error
    return _select(arrays)


def _select(arrays: dict[str, npt.NDArray]) -> FaceKit:
    part_names = arrays["part_names"].astype(str)
    vertex_part = part_names[arrays["vertex_part"]]
    face_part = part_names[arrays["face_part"]]
    keep_vertex = np.isin(vertex_part, KEPT_PARTS)
    keep_face = np.isin(face_part, KEPT_PARTS)
    renumber = np.full(len(vertex_part) + 1, -1, np.int32)
    renumber[:-1][keep_vertex] = np.arange(keep_vertex.sum())
    identity = arrays["identity_deltas"][:, keep_vertex].astype(np.float32)
    return FaceKit(
        vertices=arrays["vertices"][keep_vertex].astype(np.float32),
        vertex_part=vertex_part[keep_vertex],
        faces=renumber[arrays["faces"][keep_face]],
        face_part=face_part[keep_face],
        face_uvs=arrays["face_uvs"][keep_face],
        uvs=arrays["uvs"].astype(np.float32),
        identity=identity.reshape(len(identity), -1),
        expressions=_sparse(arrays["expression_names"], arrays["expression_deltas"][:, keep_vertex]),
        landmarks=renumber[arrays["landmarks68"]],
    )


def _sparse(names: npt.NDArray, deltas: npt.NDArray, smallest: float = 2e-4) -> SparseShapes:
    moved = [np.nonzero(np.abs(shape).max(axis=1) > smallest)[0] for shape in deltas]
    starts = np.concatenate([[0], np.cumsum([len(rows) for rows in moved])])
    return SparseShapes(
        deltas.shape[1],
        tuple(names.astype(str)),
        starts.astype(np.int32),
        np.concatenate(moved).astype(np.int32),
        np.concatenate([shape[rows] for shape, rows in zip(deltas, moved, strict=True)]).astype(np.float32),
    )
