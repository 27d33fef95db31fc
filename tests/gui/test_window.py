"""The add-on in a real Blender window on a virtual screen: tasks that do not block it, undo, scrubbing, pictures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.oldest_window

FRAMES = 60


@pytest.fixture(scope="module")
def seen(drive: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """What happened in the window."""
    return drive("drive_window", FRAMES, said=(r"Writing userprefs: .*",))


def test_predicting_makes_the_curves(seen: dict[str, Any]) -> None:
    assert seen["curves"] == 36


def test_one_undo_takes_them_back_and_one_redo_brings_them(seen: dict[str, Any]) -> None:
    assert (seen["curves after undo"], seen["curves after redo"]) == (0, 36)


def test_scrubbing_changes_the_picture(seen: dict[str, Any]) -> None:
    assert seen["scrub_changes_picture"] > 0.02
    assert seen["handler_errors"] is None


def test_baking_puts_every_frame_on_the_plane(seen: dict[str, Any]) -> None:
    assert seen["baked"] == FRAMES + 1, "all frames, and the one that is held before the first"
    assert seen["shows"] == "TAKE"


def test_an_undo_while_baking_breaks_nothing(seen: dict[str, Any]) -> None:
    assert seen["undone while baking"], "it was meant to come in between"
    assert seen["shows after undo while baking"] == "TAKE"


def test_the_add_on_may_be_disabled_while_baking(seen: dict[str, Any]) -> None:
    assert seen["disabled while baking"], "it was meant to come in between"
    assert seen["last frame after enabling again"] == FRAMES


def test_a_blender_without_a_window_bakes_the_same_frames_by_command(seen: dict[str, Any]) -> None:
    other = seen["by command"]
    assert other["code"] == 0, other
    assert "edtalk: portrait: begin" in other["said"] and "edtalk: portrait: done" in other["said"]
    assert "edtalk" not in other["complained"] and "Traceback" not in other["complained"]
    assert other["same"] == FRAMES + 1, "bit for bit"
