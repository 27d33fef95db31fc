"""The pie menu and the sidebar's buttons in a real Blender window."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def seen(drive: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """What happened in the window."""
    return drive("drive_panels", 25, "1000x1400")


def test_the_pie_menu_opens_by_its_key_once_it_is_on(seen: dict[str, Any]) -> None:
    assert seen["clipboard with the pie menu off"] == "nothing"
    assert seen["clipboard with the pie menu on"].startswith('{"edtalk_pose"')


@pytest.mark.parametrize("kind", ["usual", "large"])
def test_no_button_is_too_narrow_for_its_words(seen: dict[str, Any], kind: str) -> None:
    assert seen[kind]["buttons"] > 20, "they were found"
    assert seen[kind]["cut"] == []


def test_the_sidebar_was_made_narrower(seen: dict[str, Any]) -> None:
    assert seen["large"]["width"] <= seen["usual"]["width"] - 30
