"""What artists do while something runs, in a real Blender window: nothing breaks, and what is finished is kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

FRAMES = 150
SAID = (
    r".*Bake was cancelled; what was finished is kept",
    r".*The character was removed\. Select another one and start again\.",
)


@pytest.fixture(scope="module")
def seen(drive: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """What happened in the window."""
    return drive("drive_faults", FRAMES, "1000x700", said=SAID)


def test_an_undo_while_predicting_takes_back_what_was_before(seen: dict[str, Any]) -> None:
    assert seen["predicts"], "it was meant to come in between"
    assert seen["predicted after an undo"] == [0.1, 36]
    assert seen["the prediction undone"] == [0.1, 0]
    assert seen["and redone"] == 36


def test_escape_keeps_what_is_finished(seen: dict[str, Any]) -> None:
    assert 5 <= seen["kept after Escape"] < FRAMES


def test_the_cross_in_the_panel_ends_a_bake_too(seen: dict[str, Any]) -> None:
    assert seen["cancelled by the cross"]


def test_another_scene_may_be_shown_meanwhile(seen: dict[str, Any]) -> None:
    assert seen["baked from another scene"] == ["TAKE", FRAMES, FRAMES]


def test_a_file_may_be_loaded_meanwhile(seen: dict[str, Any]) -> None:
    ended, trouble, kept = seen["after loading"]
    assert ended and trouble is None and kept >= 5
    assert seen["after loading and baking"] == ["TAKE", FRAMES]


def test_the_file_may_be_reverted_meanwhile(seen: dict[str, Any]) -> None:
    assert seen["after reverting"] == [True, None]
    assert seen["after reverting and baking"] == ["TAKE", FRAMES]


def test_the_character_may_be_deleted_meanwhile(seen: dict[str, Any]) -> None:
    left, trouble = seen["after deleting"]
    assert left == 0 and "The character was removed" in trouble[0]
    assert seen["brought back"] == 1
    assert seen["after deleting, undo and baking"] == ["TAKE", FRAMES]


def test_blender_may_be_ended_meanwhile(seen: dict[str, Any]) -> None:
    assert seen["quits while baking"] and seen["ok"]
