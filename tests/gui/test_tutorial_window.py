"""docs/tutorial.md in a real Blender window: its steps, in a new scene, with the mouse; and its pictures.

With EDTALK_GUI_OUT=DIR and EDTALK_GUI_PICTURES=1 the pictures are in DIR/drive_tutorial, and
`python tests/gui/tutorial_pictures.py DIR/drive_tutorial` makes those of docs/img of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.slow

MODEL = True
SECONDS = 7.1
"""How long the sample voice is."""


@pytest.fixture(scope="module")
def seen(drive: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """What happened in the window."""
    no_repository = ("Repository data: .* not found, sync required!",)
    return drive("drive_tutorial", 0, "1280x800", no_repository, LIMIT="840")


def test_the_face_is_seen_after_one_click(seen: dict[str, Any]) -> None:
    assert seen["objects"] == ["Camera", "Light"], "the cube is gone"
    assert seen["face is seen"]


def test_the_scene_is_as_long_as_the_voice(seen: dict[str, Any]) -> None:
    assert seen["range"] == [1, pytest.approx(SECONDS * 24, abs=1.5)]


def test_predicting_makes_the_curves(seen: dict[str, Any]) -> None:
    assert seen["curves"] == 36 + 8, "the weights', and the emotions'"


def test_the_key_on_top_reaches_six_frames(seen: dict[str, Any]) -> None:
    assert seen["keys on top"] == [74, 80, 86]


def test_a_handle_on_the_face_is_dragged_with_the_mouse(seen: dict[str, Any]) -> None:
    before, after = seen["dragged"]
    assert after - before > 0.1, "the jaw opens"
    x, y, now_x, now_y = seen["handle"]
    assert abs(now_x - x) <= 2 and abs(now_y - y) <= 2, "the handle is under the mouse"
    assert seen["dragged back"] == pytest.approx(before)
    assert seen["keyed by the handle"]


def test_the_mirror_flips_the_face_of_a_frame(seen: dict[str, Any]) -> None:
    before, flipped, back = seen["mirrored yaw"]
    assert abs(before) > 1e-4
    assert flipped == pytest.approx(-before, abs=1e-4)
    assert back == pytest.approx(before, abs=1e-4)


def test_the_marker_makes_the_face_happy(seen: dict[str, Any]) -> None:
    assert seen["markers"] == [["happy", 120]]
    assert seen["happy"] == 1.0


def test_every_frame_is_baked_and_a_movie_can_be_exported(seen: dict[str, Any]) -> None:
    assert seen["baked"] == seen["range"][1] + 1, "and the one before the first"
    assert seen["movie"] == "portrait.mp4"
