"""Weights and emotions in a real Blender window: keys by hand, the Graph Editor, the asset shelf."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture(scope="module")
def seen(drive: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """What happened in the window."""
    return drive("drive_weights", frames=75)


def test_the_key_i_over_a_slider_keys_on_top(seen: dict[str, Any]) -> None:
    assert seen["keyed in"] and "EDTalk" not in seen["keyed in"]
    assert seen["blend"] == "COMBINE"
    before, after, wanted = seen["before"], seen["after"], seen["dragged to"]
    assert abs(wanted - before[1]) > 0.05, "the slider was dragged"
    assert after[1] == pytest.approx(wanted, abs=1e-4), "the frame shows what was set"
    assert after[0] - before[0] == pytest.approx(wanted - before[1], abs=1e-4), (
        "the performance goes on below"
    )


def test_a_pose_goes_over_the_systems_clipboard(seen: dict[str, Any]) -> None:
    assert seen["clipboard"].startswith('{"edtalk_pose": 1')
    pasted, copied = seen["pasted"]
    assert pasted == pytest.approx(copied, abs=1e-4)


def test_the_performance_itself_can_be_opened(seen: dict[str, Any]) -> None:
    assert seen["edited itself"].startswith("EDTalk ")


def test_a_click_in_the_asset_shelf_applies_a_pose(seen: dict[str, Any]) -> None:
    assert seen["changed by a click"] > 0


def test_a_pose_of_ones_own_is_kept_under_the_name_that_is_asked_for(seen: dict[str, Any]) -> None:
    assert seen["asks before"] and seen["kept"]


def test_own_poses_go_to_a_file_and_back_by_the_file_browser(seen: dict[str, Any]) -> None:
    assert seen["written"] == ["Smirk"]
    assert seen["importing"], "it draws pictures while the window goes on"
    assert seen["read"] == 41
