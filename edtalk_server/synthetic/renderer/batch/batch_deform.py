"""From weights to vertices for many frames at once, in plain torch; the same movements as `deform.py`.

People are kept on the device in numbered slots, so that a person's arrays are copied once for many frames.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edtalk_server.synthetic import controls
from edtalk_server.synthetic.renderer.camera import NECK_JOINT, Camera, HeadPose
from edtalk_server.synthetic.renderer.geometry.anatomy import LID_CLEARANCE, Eyeballs
from edtalk_server.synthetic.renderer.geometry.mesh import ATLAS, HeadMesh

if TYPE_CHECKING:
    from edtalk_server.synthetic.renderer.identity import Identity

FloatArray = npt.NDArray[np.float32]
Attached = Callable[["Identity"], tuple[FloatArray, FloatArray]]
"""What no expression moves: vertices [A, 3] after the hair shell, and their share [A] of the head's turn."""


@dataclass(frozen=True)
class Poses:
    """Where the heads of a batch are, float32 on the device."""

    axis: Tensor
    """[B, 3]"""
    angle: Tensor
    """[B]"""
    translation: Tensor
    """[B, 3]"""
    gaze: Tensor
    """[B, 3, 3] rotation of the eyes."""


def poses(weights: FloatArray, cameras: Sequence[Camera], device: torch.device) -> Poses:
    """Return the poses that show `weights` [B, 36] in these cameras."""
    heads = [camera.head_pose(row) for camera, row in zip(cameras, weights, strict=True)]
    axes, angles = zip(*(head.axis_angle() for head in heads), strict=True)
    gazes = [_gaze(row) for row in weights]
    shifts = [head.translation for head in heads]
    return Poses(*(_tensor(np.array(rows), device) for rows in (axes, angles, shifts, gazes)))


def _gaze(row: FloatArray) -> npt.NDArray[np.float64]:
    up, left = float(row[controls.GAZE_UP]), float(row[controls.GAZE_LEFT])
    return HeadPose(up * controls.GAZE_ANGLE, left * controls.GAZE_ANGLE, 0.0, np.zeros(3)).rotation()


def _tensor(values: npt.NDArray, device: torch.device) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, np.float32)).to(device)


def mapped(points: Tensor, matrix: Tensor) -> Tensor:
    """Return points [B, N, K] under matrices [B, J, K], [B, N, J]. Not by matrix multiplication, which a trainer may
    have allowed to be coarse."""
    return torch.stack([(points * row[:, None]).sum(-1) for row in matrix.unbind(1)], dim=-1)


class Incidence:
    """Which triangles meet at each vertex: area-weighted normals by reading instead of adding, so that the sums keep
    their order on every device."""

    def __init__(self, triangles: npt.NDArray[np.int32], vertices: int, device: torch.device) -> None:
        flat = triangles.ravel()
        order = np.argsort(flat, kind="stable")
        degree = np.bincount(flat, minlength=vertices)
        place = np.arange(len(flat)) - np.repeat(np.cumsum(degree) - degree, degree)
        around = np.full((degree.max(), vertices), len(triangles), np.int64)
        around[place, flat[order]] = order // 3
        self._around = torch.from_numpy(around).to(device)
        self._corners = torch.from_numpy(triangles.T.astype(np.int64)).to(device)

    def normals(self, positions: Tensor) -> Tensor:
        """Return unit normals [B, V, 3] of vertices at `positions` [B, V, 3]."""
        a, b, c = (positions[:, corner] for corner in self._corners)
        faces = torch.nn.functional.pad(torch.linalg.cross(b - a, c - a), (0, 0, 0, 1))
        total = torch.zeros_like(positions)
        for row in self._around:
            total += faces[:, row]
        return total * torch.rsqrt((total * total).sum(-1, keepdim=True) + 1e-12)


class People:
    """Persons on the device, the least recently used making room for new ones."""

    def __init__(self, mesh: HeadMesh, attached: Attached, places: int, device: torch.device) -> None:
        self._eyeballs, self._attached, self._device = Eyeballs(mesh), attached, device
        self._mesh = mesh
        self._shown: OrderedDict[int, tuple[int, Identity]] = OrderedDict()
        names, kit_size = mesh.kit.expressions.names, len(mesh.kit.vertices)
        self._row = {name: row for row, name in enumerate(names)}
        rigid = mesh.size - mesh.curtain_start

        def room(*shape: int) -> Tensor:
            return torch.zeros((places, *shape), device=device)

        self.places = places
        self.faces = room(kit_size, 3)
        self.gains = room(len(names))
        self.hair = room(len(mesh.scalp))
        self.attached, self.share = room(rigid, 3), room(rigid)
        self.eye_centres = room(2, 3)
        self.eye_profiles = room(2, self._eyeballs.STEPS)
        self.atlases = room(ATLAS * ATLAS, 4)

    def find(self, persons: Sequence[Identity]) -> Tensor:
        """Return the slots [B] of these persons, at most `places` different ones; new ones are copied to the device."""
        wanted = {id(person) for person in persons}
        if len(wanted) > self.places:
            raise ValueError(f"{len(wanted)} persons at once, but only {self.places} places")
        for person in persons:
            if id(person) in self._shown:
                self._shown.move_to_end(id(person))
        for person in persons:
            if id(person) not in self._shown:
                place = len(self._shown)
                if place == self.places:
                    place, _ = self._shown.popitem(last=False)[1]
                self._bring(place, person)
                self._shown[id(person)] = place, person  # holding the person keeps its id its own
        return torch.tensor([self._shown[id(person)][0] for person in persons], device=self._device)

    def _bring(self, place: int, person: Identity) -> None:
        gains = np.ones(len(self._row), np.float32)
        for name, gain in person.shape_gains.items():
            gains[self._row[name]] = gain
        rigid, share = self._attached(person)
        values = {
            "faces": person.vertices,
            "gains": gains,
            "hair": person.hair,
            "attached": rigid,
            "share": share,
            "eye_centres": np.stack([eye.centre(person.vertices) for eye in self._mesh.eyes]),
            "eye_profiles": self._eyeballs.profiles(person.vertices),
            "atlases": person.atlas.reshape(-1, 4),
        }
        for name, value in values.items():
            getattr(self, name)[place] = _tensor(value, self._device)


class BatchDeformer:
    """Heads of one mesh under many weights."""

    def __init__(self, mesh: HeadMesh, attached: Attached, places: int, device: torch.device) -> None:
        self.people = People(mesh, attached, places, device)
        shapes = controls.shape_map(mesh.kit.expressions.names)
        self._above, self._below = (_tensor(half, device).double() for half in (shapes.above, shapes.below))
        self._deltas = _tensor(_dense(mesh), device).double()
        self._neck = _tensor(mesh.neck_weight, device)
        self._pivot = _tensor(NECK_JOINT, device)
        self._eyes = [torch.from_numpy(eye.vertices.astype(np.int64)).to(device) for eye in mesh.eyes]
        self._lids = [torch.from_numpy(lids).to(device) for lids in Eyeballs(mesh).lids]
        self._scalp = torch.from_numpy(mesh.scalp.astype(np.int64)).to(device)
        kit_size, rest = mesh.shell_start, mesh.triangles[len(mesh.kit_triangles) :]
        self._kit = Incidence(mesh.kit_triangles, kit_size, device)
        self._rest = Incidence(rest - kit_size, mesh.size - kit_size, device)

    def heads(self, people: Tensor, weights: Tensor, pose: Poses) -> tuple[Tensor, Tensor]:
        """Return vertices and unit normals [B, mesh.size, 3] of the persons at places `people` [B] under `weights` [B,
        36], whose pose part is given by `pose`."""
        stored = self.people
        face = self._twist(self._faces(people, weights, pose), self._neck.expand(len(people), -1), pose)
        normals = self._kit.normals(face)
        shell = face[:, self._scalp] + normals[:, self._scalp] * stored.hair[people][..., None]
        rigid = self._twist(stored.attached[people], stored.share[people], pose)
        rest = torch.cat([shell, rigid], dim=1)
        vertices = torch.cat([face, rest], dim=1) + pose.translation[:, None]
        return vertices, torch.cat([normals, self._rest.normals(rest)], dim=1)

    def _faces(self, people: Tensor, weights: Tensor, pose: Poses) -> Tensor:
        """Return kit vertices [B, V, 3] with expression and gaze, heads unturned."""
        stored = self.people
        # doubles: a trainer may have allowed this device to multiply matrices of floats coarsely
        above, below = weights.relu().double(), (-weights).relu().double()
        amounts = (above @ self._above + below @ self._below) * stored.gains[people]
        rest = stored.faces[people]
        moved = rest + (amounts @ self._deltas).float().view_as(rest)
        for side, (eye, lids) in enumerate(zip(self._eyes, self._lids, strict=True)):
            centre = stored.eye_centres[people, side][:, None]
            moved[:, eye] = mapped(rest[:, eye] - centre, pose.gaze) + centre
            offset = moved[:, lids] - centre
            moved[:, lids] += offset * self._push(
                offset, pose.gaze[..., 2], stored.eye_profiles[people, side]
            )
        return moved

    @staticmethod
    def _push(offset: Tensor, gaze: Tensor, profile: Tensor) -> Tensor:
        """Return the factor [B, L, 1] by which lids at `offset` [B, L, 3] from the eye's centre must move outwards."""
        radius = offset.norm(dim=-1)
        angle = torch.acos(((offset * gaze[:, None]).sum(-1) / radius).clamp(-1, 1))
        steps = profile.shape[1]
        place = (angle * (steps / torch.pi) - 0.5).clamp(0, steps - 1)
        low = place.long().clamp(max=steps - 2)
        near, far = profile.gather(1, low), profile.gather(1, low + 1)
        least = near + (far - near) * (place - low) + LID_CLEARANCE
        return (least / radius - 1).relu()[..., None]

    def _twist(self, positions: Tensor, share: Tensor, pose: Poses) -> Tensor:
        """Return each point [B, N, 3] turned about the neck joint by its share [B, N] of the angle (Rodrigues'
        formula)."""
        turn = pose.angle[:, None] * share
        c, s = turn.cos()[..., None], turn.sin()[..., None]
        offset, axis = positions - self._pivot, pose.axis[:, None]
        along = (offset * axis).sum(-1, keepdim=True) * (1 - c)
        across = torch.linalg.cross(axis.expand_as(offset), offset)
        return self._pivot + offset * c + across * s + axis * along


def _dense(mesh: HeadMesh) -> FloatArray:
    """Return the expression shapes as a matrix [shapes, V * 3]."""
    shapes = mesh.kit.expressions
    return np.stack([shapes.displacement({name: 1.0}).ravel() for name in shapes.names])
