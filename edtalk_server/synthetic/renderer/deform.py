"""From weights to vertices: expression shapes, eyes, the twist of the neck, and the hair that follows."""

from __future__ import annotations

import numba as nb
import numpy as np
import numpy.typing as npt

from edtalk_server.synthetic import controls
from edtalk_server.synthetic.renderer.camera import NECK_JOINT, HeadPose
from edtalk_server.synthetic.renderer.geometry.anatomy import Eyeballs
from edtalk_server.synthetic.renderer.geometry.mesh import OUT_OF_SIGHT, HeadMesh
from edtalk_server.synthetic.renderer.geometry.raster import vertex_normals
from edtalk_server.synthetic.renderer.identity import Identity

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int32]


@nb.njit(cache=True, fastmath=True)
def _add_shapes(
    positions: FloatArray, starts: IntArray, vertex: IntArray, delta: FloatArray, amounts: FloatArray
) -> None:
    for shape in range(len(amounts)):
        amount = amounts[shape]
        if amount == 0:
            continue
        for row in range(starts[shape], starts[shape + 1]):
            v = vertex[row]
            for k in range(3):
                positions[v, k] += amount * delta[row, k]


@nb.njit(cache=True, fastmath=True)
def _twist(
    positions: FloatArray, share: FloatArray, axis: FloatArray, angle: float, pivot: FloatArray
) -> None:
    """Rotate each point about `axis` through `pivot` by its share of the angle (Rodrigues' formula), in place."""
    ax, ay, az = axis[0], axis[1], axis[2]
    for v in range(positions.shape[0]):
        c, s = np.cos(angle * share[v]), np.sin(angle * share[v])
        x, y, z = positions[v, 0] - pivot[0], positions[v, 1] - pivot[1], positions[v, 2] - pivot[2]
        along = (ax * x + ay * y + az * z) * (1 - c)
        positions[v, 0] = pivot[0] + x * c + (ay * z - az * y) * s + ax * along
        positions[v, 1] = pivot[1] + y * c + (az * x - ax * z) * s + ay * along
        positions[v, 2] = pivot[2] + z * c + (ax * y - ay * x) * s + az * along


class Deformer:
    """Deforms heads of one mesh. Keeps the map from weights to kit shapes and scratch arrays; not thread-safe."""

    def __init__(self, mesh: HeadMesh) -> None:
        self.mesh = mesh
        self.shapes = controls.shape_map(mesh.kit.expressions.names)
        self._eyeballs = Eyeballs(mesh)
        self._pivot = NECK_JOINT.astype(np.float32)
        self._normals = np.zeros((mesh.shell_start, 3), np.float32)

    def face(self, identity: Identity, weights: FloatArray) -> FloatArray:
        """Return kit vertices [V, 3] with expression and gaze, head unturned."""
        positions = identity.vertices.copy()
        expressions = self.mesh.kit.expressions
        amounts = self.shapes.to_shapes(weights)
        for name, gain in identity.shape_gains.items():
            amounts[expressions.names.index(name)] *= gain
        _add_shapes(positions, expressions.starts, expressions.vertex, expressions.delta, amounts)
        self._turn_eyes(positions, identity.vertices, weights)
        return positions

    def _turn_eyes(self, positions: FloatArray, rest: FloatArray, weights: FloatArray) -> None:
        """Rotate the eyeballs, because the kit's own gaze shapes turn the eyes too little."""
        gaze = HeadPose(
            pitch=float(weights[controls.GAZE_UP]) * controls.GAZE_ANGLE,
            yaw=float(weights[controls.GAZE_LEFT]) * controls.GAZE_ANGLE,
            roll=0.0,
            translation=np.zeros(3),
        )
        rotation = gaze.rotation().astype(np.float32)
        for eye in self.mesh.eyes:
            centre = eye.centre(rest)
            positions[eye.vertices] = (rest[eye.vertices] - centre) @ rotation.T + centre
        self._eyeballs.push_out(positions, rest, rotation[:, 2])

    def head(self, identity: Identity, weights: FloatArray, pose: HeadPose) -> FloatArray:
        """Return all vertices [mesh.size, 3] under `weights` [36], whose pose part is given by `pose`."""
        mesh = self.mesh
        out = np.empty((mesh.size, 3), np.float32)
        face = self.face(identity, weights)
        axis, angle = pose.axis_angle()
        _twist(face, mesh.neck_weight, axis, angle, self._pivot)
        out[: mesh.shell_start] = face
        vertex_normals(face, mesh.kit_triangles, self._normals)
        shell = face[mesh.scalp] + self._normals[mesh.scalp] * identity.hair[:, None]
        out[mesh.shell_start : mesh.curtain_start] = shell
        rigid, share = self.attached(identity)
        _twist(rigid, share, axis, angle, self._pivot)
        out[mesh.curtain_start :] = rigid
        out += pose.translation.astype(np.float32)
        return out

    def attached(self, identity: Identity) -> tuple[FloatArray, FloatArray]:
        """Return what no expression moves: vertices [A, 3] after the hair shell, and the share [A] of the head's turn
        that each follows (1 stuck to the head, 0 stays with the shoulders). New arrays."""
        curtain, share = identity.curtain, identity.curtain_share
        if curtain is None:
            curtain = np.full((len(self.mesh.curtain), 3), OUT_OF_SIGHT, np.float32)
            share = np.zeros(len(curtain), np.float32)
        torso, worn = identity.torso, identity.worn
        still = np.zeros(len(torso), np.float32)
        return np.concatenate([curtain, torso, worn.vertices]), np.concatenate([share, still, worn.share])
