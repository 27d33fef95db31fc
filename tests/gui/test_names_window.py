"""Names of the weights in a real Blender window: the Graph Editor, tooltips, and changes under the user's hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture(scope="module")
def seen(drive: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """What happened in the window."""
    return drive("drive_names", frames=25)


def test_the_active_characters_bundle_names_the_channels(seen: dict[str, Any]) -> None:
    assert seen["called in Small"] == ["Smirk", "Mouth 3 (not used)", "Nod"]
    assert seen["called in Other"][1] == "Mouth 3"


def test_names_may_change_under_the_mouse_while_a_slider_is_dragged(seen: dict[str, Any]) -> None:
    assert seen["changes"] >= 20
    assert seen["value"] > 0.05, "a slider is a slider as before"


def test_nothing_changes_under_a_render(seen: dict[str, Any]) -> None:
    assert seen["was rendering"] and seen["kept during a render"] and seen["changed after it"]
