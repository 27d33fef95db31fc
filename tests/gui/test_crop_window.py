"""A picture dropped onto the 3D view, and its crop adjusted there with the mouse."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PORTRAITS = (ROOT.parent / "shared/data/astronaut.png", ROOT / "edtalk_server/samples/portrait.png")
MODEL = True
"""Without one all crops are said to be good."""


@pytest.fixture(scope="module")
def seen(source: Path, drive: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """What happened in the window, with a whole portrait where there is one."""
    shutil.copy(next(file for file in PORTRAITS if file.exists()), source / "face.png")
    return drive("drive_crop", 25, "1200x900")


def test_a_dropped_picture_becomes_a_character(seen: dict[str, Any]) -> None:
    assert seen["drop"] == "dropped"
    assert seen["objects after the drop"] == [["MESH", True]]


def test_the_box_begins_where_the_face_was_found(seen: dict[str, Any]) -> None:
    assert seen["crops"]["first"] == pytest.approx(seen["found"])


def test_the_picture_has_its_own_colours(seen: dict[str, Any]) -> None:
    for wanted, shown in seen["colours"]:
        assert shown == pytest.approx(wanted, abs=12), "not too bright, not too dark"


def test_a_drag_inside_moves_the_box(seen: dict[str, Any]) -> None:
    first, moved, step = seen["crops"]["first"], seen["crops"]["moved"], seen["step"]
    assert moved[:2] == pytest.approx([first[0] + step, first[1] - step], abs=step / 10)
    assert moved[2:] == first[2:]


def test_a_drag_of_the_edge_scales_it(seen: dict[str, Any]) -> None:
    moved, scaled, step = seen["crops"]["moved"], seen["crops"]["scaled"], seen["step"]
    assert scaled[2] == pytest.approx(moved[2] - 2 * step, abs=step / 4)
    assert scaled[:2] == moved[:2] and scaled[3] == moved[3]


def test_the_wheel_scales_it(seen: dict[str, Any]) -> None:
    crops = seen["crops"]
    assert crops["wheel up"][2] > crops["scaled"][2]
    assert crops["wheel down"] == pytest.approx(crops["scaled"])


def test_a_drag_outside_turns_it(seen: dict[str, Any]) -> None:
    crops = seen["crops"]
    assert crops["turned"][3] - crops["first"][3] == pytest.approx(math.atan(0.5), abs=0.05)
    assert crops["turned"][:3] == pytest.approx(crops["wheel down"][:3])


def test_the_words_below_judge_each_new_place(seen: dict[str, Any]) -> None:
    assert seen["judged by a server that was not running"]
    assert seen["words in the corner"] and "good" not in seen["words in the corner"][0]
    assert seen["unchanged meanwhile"]


def test_escape_leaves_everything_as_it_was(seen: dict[str, Any]) -> None:
    assert seen["shown meanwhile"], "the picture was there"
    assert seen["after Escape"] == [[], []]
    assert seen["undone after Escape"] == pytest.approx(0.1), "it was no step of its own"


def test_enter_uses_the_box_and_the_picture_follows(seen: dict[str, Any]) -> None:
    used, chosen = seen["used"]
    assert used == pytest.approx(chosen)
    assert seen["picture changed by"] > 0.02


def test_that_is_one_step_to_undo(seen: dict[str, Any]) -> None:
    assert seen["after undo"] == [[], pytest.approx(0.2)]
    after, chosen = seen["after redo"]
    assert after == pytest.approx(chosen)


def test_another_file_may_be_opened_meanwhile(seen: dict[str, Any]) -> None:
    assert seen["after loading"] == [[], True]
