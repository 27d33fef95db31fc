"""The measures of a close-up find what was painted: on a face of a few discs that opens, blinks and looks as told."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from edtalk_server.evaluation.measures.close_up import close_up, mouth_inside
from edtalk_server.evaluation.report import DEFINITIONS
from edtalk_server.synthetic.controls import STARTER_LAYOUT
from shared_protocol.banks import BankLayout

Picture = npt.NDArray[np.uint8]
Array = npt.NDArray[np.float32]

SIZE = 256
SKIN, WHITE, IRIS = 150, 190, 40
EYES = ((100.0, 110.0), (156.0, 110.0))
MOUTH = (128.0, 190.0)


def _ring(middle: tuple[float, float], across: float, down: float, count: int) -> Array:
    """Landmarks from left over the top to the right and back."""
    angle = np.pi - np.arange(count) * 2 * np.pi / count
    return np.stack([middle[0] + across * np.cos(angle), middle[1] - down * np.sin(angle)], 1).astype(
        np.float32
    )


def _points(opening: float = 12.0) -> Array:
    points = np.full((68, 2), 128, np.float32)
    points[36:42], points[42:48] = (_ring(eye, 14, 6, 6) for eye in EYES)
    points[48], points[54] = (100, 190), (156, 190)
    points[60:68] = _ring(MOUTH, 20, opening, 8)
    return points


class PaintedFace:
    """`closes` and `turns` say how much of a blink and of a gaze is really drawn; `teeth` how bright they are."""

    finds_landmarks = True

    def __init__(self, closes: float = 1.0, turns: float = 1.0, teeth: int = 180) -> None:
        self.closes, self.turns, self.teeth = closes, turns, teeth

    def estimate(self, frames: Picture) -> Array:
        return np.zeros((len(frames), len(STARTER_LAYOUT)), np.float32)

    def landmarks(self, frames: Picture) -> Array:
        return np.stack([_points()] * len(frames)) / SIZE

    def prepare(self, frame: Picture) -> Picture:
        return frame

    def draw(self, _source: Picture, weights: Array) -> Picture:
        return np.stack([self._face(row) for row in weights])

    def _face(self, row: Array) -> Picture:
        at = STARTER_LAYOUT.index
        face = np.full((SIZE, SIZE, 3), SKIN, np.uint8)
        height = 6 * (1 - self.closes * row[at("blink_left")])
        for x, y in EYES:
            eye, mask = face.copy(), np.zeros((SIZE, SIZE), np.uint8)
            cv2.ellipse(mask, (int(x), int(y)), (14, max(0, round(height))), 0, 0, 360, 1, -1)
            eye[:] = WHITE
            cv2.circle(eye, (round(x + 4 * self.turns * row[at("gaze_left")]), int(y)), 6, (IRIS,) * 3, -1)
            face = np.where(mask[..., None] > 0, eye, face) if height >= 1 else face
        if row[at("jaw_open")] > 0:
            cv2.ellipse(face, (128, 190), (20, 12), 0, 0, 360, (60,) * 3, -1)
            face[184:190, 112:145] = self.teeth
        return face


PHOTO = np.full((SIZE, SIZE, 3), SKIN, np.uint8)


def _measured(face: PaintedFace, layout: BankLayout = STARTER_LAYOUT) -> dict[str, float]:
    return close_up(face, layout, PHOTO)  # type: ignore[arg-type]


def test_a_full_blink_leaves_nothing_and_half_a_blink_half_of_the_eye() -> None:
    assert _measured(PaintedFace(closes=1.0))["blink_height"] == 0
    assert _measured(PaintedFace(closes=0.5))["blink_height"] == pytest.approx(0.5, abs=0.15)
    assert _measured(PaintedFace(closes=0.0))["blink_height"] == 1


def test_a_gaze_is_as_wide_as_the_iris_moves_between_its_ends() -> None:
    wide = _measured(PaintedFace())["gaze_turn"]
    assert wide == pytest.approx(4 / 84, abs=0.012)  # of the 84 pixels between the outer corners
    assert _measured(PaintedFace(turns=0.0))["gaze_turn"] == pytest.approx(0, abs=1e-6)


def test_teeth_are_as_bright_beside_the_cheek_as_they_were_painted_and_have_edges() -> None:
    values = _measured(PaintedFace(teeth=180))
    assert values["mouth_over_cheek"] == pytest.approx(180 / SKIN, abs=0.01)
    assert values["mouth_gradient"] == pytest.approx((180 - 60) / 255, abs=0.02)
    fog = _measured(PaintedFace(teeth=70))
    assert fog["mouth_over_cheek"] < 0.5 and fog["mouth_gradient"] < 0.05


def test_a_closed_mouth_and_other_bases_have_no_numbers() -> None:
    assert mouth_inside(PHOTO, _points(opening=1.0)) == {}
    assert _measured(PaintedFace(), BankLayout(STARTER_LAYOUT.bases[3:])) == {}


def test_whoever_finds_landmarks_may_be_given() -> None:
    asked: list[int] = []

    def find(frames: Picture) -> Array:
        asked.append(len(frames))
        return PaintedFace().landmarks(frames)

    face = PaintedFace()
    face.finds_landmarks = False
    assert close_up(face, STARTER_LAYOUT, PHOTO) == {}  # type: ignore[arg-type]
    values = close_up(face, STARTER_LAYOUT, PHOTO, find)  # type: ignore[arg-type]
    assert asked and set(values) <= set(DEFINITIONS)
