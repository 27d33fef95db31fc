"""Corrections that let every random person close eyes and mouth.

Expression shapes were made for the mean head. On other heads a full blink may leave a slit, the neutral lips may
gape, and the ball of the eye may stand out through a moving lid, because shapes move vertices on straight lines and
lids slide on a sphere.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from edtalk_server.synthetic.renderer.geometry.kit import FACE, LASHES, FaceKit
from edtalk_server.synthetic.renderer.geometry.mesh import Eye, HeadMesh

FloatArray = npt.NDArray[np.float32]

_UPPER_LIDS = {"L": (43, 44), "R": (37, 38)}
_LOWER_LIDS = {"L": (47, 46), "R": (41, 40)}
_UPPER_LIP, _LOWER_LIP = (61, 62, 63), (67, 66, 65)
_LIP_GAP = 0.03
_LID_REACH = 2.4
LID_CLEARANCE = 0.05


def _opening(kit: FaceKit, positions: npt.NDArray, upper: tuple[int, ...], lower: tuple[int, ...]) -> float:
    """Return the mean height of the landmarks `upper` over `lower`, in centimetres."""
    heights = positions[kit.landmarks, 1]
    return float(np.mean(heights[list(upper)] - heights[list(lower)]))


def closed_lips(kit: FaceKit, vertices: FloatArray) -> FloatArray:
    """Return `vertices` [V, 3] with gaping lips closed until they just touch."""
    close = kit.expressions.displacement({"mouthClose": 1.0})
    gap = _opening(kit, vertices, _UPPER_LIP, _LOWER_LIP)
    change = gap - _opening(kit, vertices + close, _UPPER_LIP, _LOWER_LIP)
    return vertices + close * np.float32(max(gap - _LIP_GAP, 0.0) / change)


def blink_gains(kit: FaceKit, vertices: FloatArray) -> Mapping[str, float]:
    """Return the amount of the kit's blink shapes that makes this person's lids just meet, by shape name."""
    gains = {}
    for side in "LR":
        name, lids = f"eyeBlink_{side}", (_UPPER_LIDS[side], _LOWER_LIDS[side])
        gap = _opening(kit, vertices, *lids)
        left = _opening(kit, vertices + kit.expressions.displacement({name: 1.0}), *lids)
        gains[name] = float(np.clip((gap - 0.02) / max(gap - left, 0.1), 0.8, 1.6))
    return gains


class Eyeballs:
    """Keeps lids outside the balls of the eyes."""

    STEPS = 12
    """Steps of a ball's profile from the gaze axis to its rear."""

    def __init__(self, mesh: HeadMesh) -> None:
        positions = mesh.kit.vertices
        self._eyes = mesh.eyes
        self.lids = [self._near(mesh, eye, eye.centre(positions)) for eye in mesh.eyes]

    @staticmethod
    def _near(mesh: HeadMesh, eye: Eye, centre: FloatArray) -> npt.NDArray[np.intp]:
        offset = mesh.kit.vertices - centre
        near = (np.linalg.norm(offset, axis=1) < _LID_REACH) & (offset[:, 2] > 0.2)
        return np.nonzero(near & np.isin(mesh.kit.vertex_part, (FACE, *LASHES)))[0]

    def profiles(self, rest: FloatArray) -> FloatArray:
        """Return the radius of each ball by angle from the gaze axis, [2, STEPS] from 0 to 180 degrees: the cornea
        bulges."""
        return np.stack([self._profile(rest[eye.vertices] - eye.centre(rest)) for eye in self._eyes])

    @classmethod
    def _profile(cls, ball: FloatArray) -> FloatArray:
        radius = np.linalg.norm(ball, axis=1)
        step = np.pi / cls.STEPS
        bins = (np.arccos(np.clip(ball[:, 2] / radius, -1, 1)) / step).astype(int).clip(0, cls.STEPS - 1)
        return np.array([radius[bins == k].max() for k in range(cls.STEPS)], np.float32)

    def push_out(self, positions: FloatArray, rest: FloatArray, gaze: FloatArray) -> None:
        """Move lid vertices of `positions` [V, 3] outwards in place; `rest` is the neutral face, `gaze` [3] the unit
        axis."""
        middles = (np.arange(self.STEPS) + 0.5) * np.pi / self.STEPS
        for eye, lids, profile in zip(self._eyes, self.lids, self.profiles(rest), strict=True):
            centre = eye.centre(rest)
            offset = positions[lids] - centre
            radius = np.linalg.norm(offset, axis=1)
            angle = np.arccos(np.clip(offset @ gaze / radius, -1, 1))
            least = np.interp(angle, middles, profile) + LID_CLEARANCE
            positions[lids] += offset * np.maximum(least / radius - 1, 0)[:, None].astype(np.float32)
