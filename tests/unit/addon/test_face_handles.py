"""Handles on a face: where they are, and which weights a drag sets."""

from __future__ import annotations

import pytest

from blender_addon.core.weights import face_handles
from blender_addon.core.weights.face_handles import BY_NAME, HANDLES, TEMPLATE, Face, drag, handles_of, usable
from blender_addon.core.weights.layouts import starter_layout
from edtalk_server.media.faces.template import TEMPLATE68, TEMPLATE_SIZE

LAYOUT = starter_layout()
REST = dict.fromkeys((basis.identifier for basis in LAYOUT.bases), 0.0)
FACE = Face(TEMPLATE, REST)


def dragged(
    name: str, x: float, y: float, before: dict[str, float] | None = None, both: bool = True
) -> dict[str, float]:
    values = drag(BY_NAME[name], LAYOUT, {**REST, **(before or {})}, (x, y), both)
    return {identifier: round(value, 4) for identifier, value in values.items() if abs(value) > 1e-6}


def test_the_template_is_the_servers() -> None:
    assert pytest.approx(TEMPLATE68 / TEMPLATE_SIZE) == TEMPLATE


def test_every_handle_of_the_starter_moves_weights_that_it_has() -> None:
    assert handles_of(LAYOUT) == HANDLES
    assert all(name in REST for handle in HANDLES for name in handle.weights)


@pytest.mark.parametrize(
    "handle", [handle for handle in HANDLES if not handle.is_head], ids=lambda handle: handle.name
)
def test_a_handle_follows_the_mouse(handle: face_handles.Handle) -> None:
    for track in handle.tracks:
        way = 0.5 * track.x, 0.5 * track.y
        values = {**REST, **drag(handle, LAYOUT, REST, way)}
        start, end = FACE.place(handle, REST), FACE.place(handle, values)
        assert (end[0] - start[0], end[1] - start[1]) == pytest.approx(way, abs=1e-6)


def test_the_head_turns_where_its_handle_is_dragged() -> None:
    for way in ((0.05, 0.0), (0.0, 0.05), (-0.05, -0.02)):
        values = {**REST, **drag(BY_NAME["head"], LAYOUT, REST, way)}
        start, end = FACE.place(BY_NAME["head"], REST), FACE.place(BY_NAME["head"], values)
        assert (end[0] - start[0], end[1] - start[1]) == pytest.approx(way, abs=0.012)


def test_the_chin_opens_the_jaw_and_is_open_at_most() -> None:
    assert dragged("jaw", 0.0, 0.045) == {"jaw_open": 0.5}
    assert dragged("jaw", 0.0, 9.0) == {"jaw_open": 1.0}


def test_a_corner_takes_a_frown_back_before_it_smiles() -> None:
    assert dragged("corner_left", 0.003, -0.01, {"frown": 0.5}) == {"frown": 0.3}
    assert dragged("corner_left", 0.012, -0.04, {"frown": 0.5}) == {"smile": 0.3}


def test_both_lids_close_together_or_one_alone() -> None:
    assert dragged("blink_left", 0.0, 0.015) == {"blink_left": 0.5, "blink_right": 0.5}
    assert dragged("blink_left", 0.0, 0.015, both=False) == {"blink_left": 0.5}


def test_a_corner_alone_is_stretched_by_the_weight_for_sides() -> None:
    left, right = BY_NAME["corner_left"], BY_NAME["corner_right"]
    values = {**REST, **drag(left, LAYOUT, REST, (0.02, 0.0), both_sides=False)}
    assert values["stretch"] == pytest.approx(values["stretch_side"]) != 0
    still, moved = FACE.place(right, REST), FACE.place(right, values)
    assert moved == pytest.approx(still, abs=1e-6)


def test_the_whole_face_follows_the_heads_pose() -> None:
    values = {**REST, "shift_x": 1.0, "shift_y": -1.0}
    for handle in HANDLES:
        (x, y), (moved_x, moved_y) = FACE.place(handle, REST), FACE.place(handle, values)
        assert (moved_x - x, moved_y - y) == pytest.approx((0.1, 0.1))


def test_places_start_from_the_portraits_own_weights() -> None:
    own = {**REST, "smile": 0.4, "yaw": 0.2}
    for handle in HANDLES:
        assert Face(TEMPLATE, own).place(handle, own) == pytest.approx(FACE.place(handle, REST))


def test_landmarks_that_are_no_faces_give_way_to_the_template() -> None:
    assert usable(()) == TEMPLATE
    assert usable([0.5] * 135 + [9.0]) == TEMPLATE
    assert usable([value + 0.01 for place in TEMPLATE for value in place])[0] == pytest.approx(
        (61 / 256 + 0.01, 119 / 256 + 0.01)
    )
