"""What people do in training clips: a portrait's smile must learn to close, and its open eyes to shut."""

from __future__ import annotations

import numpy as np
import pytest

from edtalk_server.synthetic import controls
from edtalk_server.synthetic.controls import STARTER_LAYOUT, FloatArray
from edtalk_server.synthetic.data import sampling

FIRSTS = 400
LATER = 7


def _of(rows: FloatArray, *names: str) -> FloatArray:
    return rows[:, [STARTER_LAYOUT.index(name) for name in names]]


def _toothy(rows: FloatArray) -> np.ndarray:
    """Smiles broadly, the lips apart."""
    return (_of(rows, "smile")[:, 0] > 0.4) & (_of(rows, "upper_lip_up", "lower_lip_down").max(axis=1) > 0.1)


def _shut_mouth(rows: FloatArray) -> np.ndarray:
    parting = ("jaw_open", "upper_lip_up", "lower_lip_down", "funnel", "shrug_upper")
    return (_of(rows, *parting) < 0.02).all(axis=1)


@pytest.fixture(scope="module")
def clips() -> list[FloatArray]:
    """First frames with what follows them in speech and in free clips, [1 + 14, 36] each."""
    random = np.random.default_rng(7)
    found = []
    for _ in range(FIRSTS):
        first = sampling.sample_first(random)
        speech = [sampling.sample_speech(random, first) for _ in range(LATER)]
        free = [sampling.sample_free(random, first) for _ in range(LATER)]
        found.append(np.stack([first, *speech, *free]))
    return found


def test_many_portraits_smile_with_teeth_but_most_do_not(clips: list[FloatArray]) -> None:
    share = _toothy(np.stack([clip[0] for clip in clips])).mean()
    assert 0.2 < share < 0.5


def test_portraits_have_open_eyes_that_look_near_the_camera(clips: list[FloatArray]) -> None:
    firsts = np.stack([clip[0] for clip in clips])
    assert (_of(firsts, "blink_left", "blink_right").max(axis=1) < 0.3).mean() > 0.85
    assert (np.abs(_of(firsts, "gaze_left", "gaze_up")).max(axis=1) < 0.35).mean() > 0.6


@pytest.mark.parametrize("later", [slice(1, 1 + LATER), slice(1 + LATER, None)], ids=["speech", "free"])
def test_a_smile_with_teeth_is_followed_by_closed_lips_and_by_talking(
    clips: list[FloatArray], later: slice
) -> None:
    smiling = [clip for clip in clips if _toothy(clip[:1])[0]]
    after = np.concatenate([clip[later] for clip in smiling])
    assert _shut_mouth(after).mean() > 0.15
    assert (_of(after, "jaw_open")[:, 0] > 0.3).mean() > 0.2
    closed = after[_shut_mouth(after)]
    assert (_of(closed, "smile")[:, 0] < 0.4).mean() > 0.8


def test_eyes_shut_fully_and_look_far_aside(clips: list[FloatArray]) -> None:
    after = np.concatenate([clip[1:] for clip in clips])
    blinks = _of(after, "blink_left", "blink_right")
    assert (blinks.min(axis=1) > 0.95).mean() > 0.08
    assert (np.abs(blinks[:, 0] - blinks[:, 1]) > 0.5).mean() > 0.02  # winks
    assert (np.abs(_of(after, "gaze_left")) > 0.6).mean() > 0.15


def test_a_fifth_of_spoken_frames_move_nothing_but_eyes_and_a_swaying_head(clips: list[FloatArray]) -> None:
    still = [
        np.array_equal(row[controls.MOUTH], clip[0][controls.MOUTH])
        for clip in clips
        for row in clip[1 : 1 + LATER]
    ]
    assert 0.12 < np.mean(still) < 0.3
