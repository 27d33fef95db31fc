"""Renders that are started as Blender's own menu does, with "Bake before Rendering": Blender renders in a thread of its
own, which waits for the bake."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

FRAMES = 120


@pytest.fixture(scope="module")
def seen(drive: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """What happened in the window."""
    # a view may draw a frame that is lent to the render and not yet baked
    no_texture = (
        "GPUTexture: Blender Texture Not Loaded!",
        ".* Failed to create GPU texture from Blender image",
    )
    return drive("drive_render", FRAMES, "1100x700", ("Saved: .*", "Time: .*", *no_texture))


@pytest.mark.parametrize("how", ["free", "locked", "persistent"])
def test_an_animation_waits_for_its_frames(seen: dict[str, Any], how: str) -> None:
    assert seen[how]["ended"] == ["complete"]
    assert seen[how]["asked for"] == [1, 4], "the first frame may be a still; then all that are left"
    assert max(seen[how]["differences"]) <= 1.0, (
        "of grey levels, between what was rendered and what was baked"
    )
    assert seen[how]["frames apart"] > 1.0, "they are different frames"
    assert seen[how]["trouble"] is None


def test_the_plane_is_as_before(seen: dict[str, Any]) -> None:
    assert seen["shows"] == ["LIVE", True]
    assert seen["pictures left"] == []


def test_what_is_baked_needs_no_bake(seen: dict[str, Any]) -> None:
    assert seen["again"]["asked for"] == []
    assert max(seen["again"]["differences"]) <= 1.0


@pytest.mark.parametrize("show", ["LIVE", "TAKE"])
def test_f12_in_eevee_shows_the_face_of_each_frame(seen: dict[str, Any], show: str) -> None:
    """Grey levels between each render and the pictures of both frames."""
    (first, first_to_last), (last_to_first, last) = seen["by EEVEE"][show]
    assert max(first, last) <= 1.0
    assert first < first_to_last / 2 and last < last_to_first / 2, "of their own frames alone"


def test_escape_ends_the_bake_and_the_render_goes_on(seen: dict[str, Any]) -> None:
    assert seen["was baking"]
    assert seen["progress"].startswith("portrait: ")
    assert seen["task after escape"] is None
    assert len(seen["ended after escape"]) == 1


def test_another_file_can_be_opened_while_a_render_waits(seen: dict[str, Any]) -> None:
    assert seen["was baking before opening"]
    assert seen["opened in [s]"] < 30
    assert seen["task after opening"] is None
    assert seen["bakes after opening"] == FRAMES
