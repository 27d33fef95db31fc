"""Live pictures, bakes and renders in a real Blender window, with mouse and keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

FRAMES = 300


@pytest.fixture(scope="module")
def seen(drive: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """What happened in the window."""
    return drive("drive_bake", FRAMES, "1100x700")


def test_the_live_picture_follows_a_slider_while_it_is_dragged(seen: dict[str, Any]) -> None:
    assert seen["dragged to"] > 0.1
    assert seen["picture while dragging"] > 0.02
    assert seen["view while dragging"], "the solid view shows it"


def test_with_alt_a_slider_changes_all_selected_characters(seen: dict[str, Any]) -> None:
    before, after = seen["dragged with Alt"]
    assert abs(after[0] - before[0]) > 0.05
    assert after[0] == pytest.approx(after[1], abs=1e-5)


def test_the_line_between_two_versions_is_dragged_by_its_dot(seen: dict[str, Any]) -> None:
    first, left, right, escaped = seen["line"]
    assert first == 0.5
    assert [left, right] == pytest.approx([0.2, 0.8], abs=0.02)
    assert escaped == right, "Escape takes a drag back"
    assert seen["line is seen"]


def test_the_picture_moves_while_playing(seen: dict[str, Any]) -> None:
    assert seen["pictures while playing"] > 2


def test_escape_ends_a_bake_and_keeps_what_is_finished(seen: dict[str, Any]) -> None:
    assert seen["was baking"] and seen["is cancelled"]
    assert 10 <= seen["kept"] < FRAMES
    assert f"of {FRAMES}" in seen["progress"] and "fps" in seen["progress"] and "left" in seen["progress"]


def test_the_timeline_knows_what_is_stale(seen: dict[str, Any]) -> None:
    assert seen["after the bake"] == f"All {FRAMES} frames are baked"
    assert " frames to bake: 20–" in seen["after an edit"], "the first key that was moved is at frame 20"
    assert seen["after an edit"].endswith(f", {FRAMES + 1}–{FRAMES + 20}"), "the range has become longer"


def test_dialogs_ask_and_then_do_it(seen: dict[str, Any]) -> None:
    assert seen["asked before baking"]
    assert seen["takes"] == ["take_001", "take_002"]
    assert seen["takes after deleting"] == ["take_002"]


def test_an_undo_in_the_middle_breaks_nothing(seen: dict[str, Any]) -> None:
    assert seen["undone while baking"] and seen["shows after an undo"] == "TAKE"


def test_f12_renders_baked_frames_and_leaves_the_file_as_it_was(seen: dict[str, Any]) -> None:
    assert seen["rendered"] == ["complete"]
    assert seen["showed while rendering"] == ["lent"]
    assert seen["shows after rendering"] == ["LIVE", True]
    assert not seen["unsaved before rendering"] and not seen["unsaved after rendering"]
    assert seen["trouble"] is None


def test_without_the_server_the_last_picture_stays_and_says_why(seen: dict[str, Any]) -> None:
    assert seen["picture without a server"] == 0
    assert "Preview paused" in seen["words over the plane"]
    assert "Start the server in the EDTalk panel" in seen["words over the plane"]


def test_blender_does_not_ask_about_live_pictures_when_it_ends(seen: dict[str, Any]) -> None:
    assert seen["unsaved pictures"] == []
    assert "asked on quitting" not in seen
