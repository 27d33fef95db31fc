"""The camera and the crop: the place of the head in the picture, and its relation to the six pose weights.

Points go through two steps. A perspective onto the plane through the origin (`plane = xy * d / (d - z)`, in
centimetres), then a similarity `crop` into the picture, whose width is 1 and whose y points down. The crop is fitted
so that landmarks meet the official template, exactly as the crop of a photo is made; it is fixed for a clip.

Pose weights describe what the picture shows, whatever camera took it: they compare the neck joint (the point the head
turns about) with where it stands when the same head, neutral, fits the template (`Camera.rest`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edtalk_server.media.faces.template import FITTED_POINTS, TEMPLATE68, TEMPLATE_SIZE
from edtalk_server.synthetic import controls

FloatArray = npt.NDArray[np.float32]
Matrix = npt.NDArray[np.float64]

NECK_JOINT = np.array([0.0, -5.5, -1.5])
"""The point of the kit that the head turns about, in centimetres."""


@dataclass(frozen=True)
class HeadPose:
    """Where the head is: a rotation (about the neck joint) and a translation in centimetres."""

    pitch: float
    yaw: float
    roll: float
    translation: npt.NDArray[np.float64]

    def rotation(self) -> npt.NDArray[np.float64]:
        """Return the rotation [3, 3]: first a nod, then a turn, then a tilt in the picture's plane."""
        p, y, r = -self.pitch, self.yaw, -self.roll
        nod = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
        turn = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
        tilt = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
        return tilt @ turn @ nod

    def axis_angle(self) -> tuple[FloatArray, float]:
        """Return unit axis [3] and angle in radians of the rotation."""
        m = self.rotation()
        skew = np.array([m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]])
        length = float(np.linalg.norm(skew))
        if length < 1e-9:
            return np.array([0, 1, 0], np.float32), 0.0
        return (skew / length).astype(np.float32), float(np.arctan2(length, np.trace(m) - 1))


@dataclass(frozen=True)
class Similarity:
    """picture = scale * rotate(turn) * (x, -y) + shift: from plane centimetres (y up) to the picture (0..1, y
    down)."""

    scale: float
    turn: float
    """Radians; + turns the picture's content clockwise, that is a head tilts to picture right."""
    shift: npt.NDArray[np.float64]

    def matrix(self) -> Matrix:
        """Return the matrix [2, 2]."""
        c, s = self.scale * np.cos(self.turn), self.scale * np.sin(self.turn)
        return np.array([[c, s], [s, -c]])

    def apply(self, plane: npt.NDArray) -> npt.NDArray:
        """Transform points [..., 2]."""
        return plane @ self.matrix().T + self.shift

    def invert(self, picture: npt.NDArray) -> npt.NDArray:
        """Transform points [..., 2] back."""
        return (picture - self.shift) @ np.linalg.inv(self.matrix()).T

    def jittered(self, scale: float, turn: float, shift: npt.NDArray) -> Similarity:
        """Return the crop turned and scaled about the middle of the picture, then moved; `shift` in picture widths."""
        c, s = np.cos(turn) * scale, np.sin(turn) * scale
        moved = np.array([[c, -s], [s, c]]) @ (self.shift - 0.5) + 0.5 + shift
        return Similarity(self.scale * scale, self.turn + turn, moved)


def fit_template(plane: npt.NDArray) -> Similarity:
    """Return the crop in which landmarks [68, 2] of the plane meet the template best.

    Least squares over the points 0 to 46 (Umeyama 1991; the EDTalk release's crop for images).
    """
    points = np.asarray(plane, np.float64)[:FITTED_POINTS] * [1, -1]
    target = TEMPLATE68[:FITTED_POINTS].astype(np.float64) / TEMPLATE_SIZE
    a, b = points - points.mean(axis=0), target - target.mean(axis=0)
    along, across = float((a * b).sum()), float((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum())
    scale, turn = float(np.hypot(along, across) / (a * a).sum()), float(np.arctan2(across, along))
    fitted = Similarity(scale, turn, np.zeros(2))
    return Similarity(scale, turn, target.mean(axis=0) - fitted.apply(plane[:FITTED_POINTS]).mean(axis=0))


@dataclass(frozen=True)
class Camera:
    """`distance` in centimetres from the origin of the kit; `rest` is the crop in which this head, neutral, fits the
    template."""

    distance: float
    crop: Similarity
    rest: Similarity

    def _zoom(self, depth: float) -> float:
        return self.distance / (self.distance - depth)

    def plane(self, points: npt.NDArray) -> npt.NDArray:
        """Return the perspective of points [N, 3] onto the plane, [N, 2] centimetres."""
        return points[:, :2] * (self.distance / (self.distance - points[:, 2:3]))

    def _rest_point(self) -> npt.NDArray:
        return self.rest.apply(NECK_JOINT[:2] * self._zoom(NECK_JOINT[2]))

    def head_pose(self, weights: FloatArray) -> HeadPose:
        """Return the pose that shows `weights` [36] in this camera."""
        shift = (
            weights[[controls.SHIFT_X, controls.SHIFT_Y]].astype(np.float64) * controls.POSE_SHIFT * [1, -1]
        )
        size = (
            self.rest.scale
            * self._zoom(NECK_JOINT[2])
            * np.exp(weights[controls.SCALE] * controls.POSE_SCALE)
        )
        zoom = size / self.crop.scale
        depth = self.distance * (1 - 1 / zoom)
        joint = np.append(self.crop.invert(self._rest_point() + shift) / zoom, depth)
        return HeadPose(
            pitch=float(weights[controls.PITCH]) * controls.POSE_ANGLE,
            yaw=float(weights[controls.YAW]) * controls.POSE_ANGLE,
            roll=float(weights[controls.ROLL]) * controls.POSE_ANGLE - (self.crop.turn - self.rest.turn),
            translation=joint - NECK_JOINT,
        )

    def pose_weights(self, pose: HeadPose) -> FloatArray:
        """Return the six pose weights that a head in `pose` shows in this camera; the inverse of `head_pose`."""
        joint = NECK_JOINT + pose.translation
        zoom = self._zoom(float(joint[2]))
        shift = (self.crop.apply(joint[:2] * zoom) - self._rest_point()) * [1, -1] / controls.POSE_SHIFT
        size = self.crop.scale * zoom / (self.rest.scale * self._zoom(NECK_JOINT[2]))
        roll = pose.roll + self.crop.turn - self.rest.turn
        angles = np.array([pose.pitch, pose.yaw, roll]) / controls.POSE_ANGLE
        return np.array([*angles, *shift, np.log(size) / controls.POSE_SCALE], np.float32)

    def project(self, vertices: FloatArray, size: int) -> FloatArray:
        """Project vertices [V, 3] to the screen [V, 3] of a picture of `size` pixels: x, y (down), depth."""
        plane = self.plane(vertices)
        return np.column_stack([self.crop.apply(plane) * size, vertices[:, 2]]).astype(np.float32)
