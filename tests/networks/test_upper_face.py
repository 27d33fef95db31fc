"""Lids, irises and brows that are moved by geometry, on a face drawn for it: what covers what, and what stays."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from edtalk_server.media.faces.template import TEMPLATE68
from edtalk_server.networks.compact import CompactConfig, CompactNetwork
from edtalk_server.networks.upper_face.eyes import lift_of_wide
from edtalk_server.networks.upper_face.fit import Lid, fit_eyes
from edtalk_server.networks.upper_face.upper_face import PreparedUpperFace, UpperFace, UpperFaceConfig

POINTS = torch.from_numpy(TEMPLATE68.copy())[None] / 256
CHANNELS = {
    "brow_raise": 0,
    "brow_furrow": 1,
    "blink_left": 2,
    "blink_right": 3,
    "squint": 4,
    "gaze_left": 5,
    "gaze_up": 6,
    "sneer": 7,
    "dimple": 8,
    "stretch_side": 9,
    "smile": 10,
}
CONFIG = UpperFaceConfig(**CHANNELS)
SKIN, WHITE, IRIS, LASHES, BROW = (200, 160, 140), (235, 232, 230), (40, 70, 130), (50, 35, 30), (60, 40, 30)
LIPS = (110, 60, 60)
EYES = {"right": slice(36, 42), "left": slice(42, 48)}
Mask = npt.NDArray[np.bool_]


def _face(side: int = 256, brows: float = 4) -> Tensor:
    """A face with open eyes and brows so many pixels of 256 below their landmarks, [1, 3, side, side]."""
    large = 2048
    picture = np.full((large, large, 3), SKIN, np.uint8)
    scale = large / 256
    for eye, brow in ((EYES["right"], slice(17, 22)), (EYES["left"], slice(22, 27))):
        corners = TEMPLATE68[eye][[0, 3]] * scale
        middle, half = corners.mean(0), float(np.ptp(corners[:, 0])) / 2 * 1.1
        x = np.linspace(-1, 1, 80)
        upper = np.stack([middle[0] + x * half, middle[1] - 0.42 * half * (1 - x**2)], 1)
        lower = np.stack([middle[0] + x * half, middle[1] + 0.25 * half * (1 - x**2)], 1)
        outline = np.concatenate([upper, lower[::-1]]).round().astype(np.int32)
        inside = np.zeros((large, large), np.uint8)
        cv2.fillPoly(inside, [outline], (1,))
        eyeball = np.full_like(picture, WHITE)
        cv2.circle(eyeball, (round(middle[0]), round(middle[1] - 0.08 * half)), round(0.36 * half), IRIS, -1)
        picture = np.where(inside[..., None] > 0, eyeball, picture)
        cv2.polylines(picture, [upper.round().astype(np.int32)], isClosed=False, color=LASHES, thickness=10)
        line = TEMPLATE68[brow] * scale + [0, brows * scale]
        cv2.polylines(
            picture, [line.round().astype(np.int32)], isClosed=False, color=BROW, thickness=round(5 * scale)
        )
    lips = TEMPLATE68[[48, 54]] * scale
    cv2.line(picture, *(tuple(point.round().astype(int).tolist()) for point in lips), LIPS, round(4 * scale))
    small = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
    return torch.from_numpy(small).permute(2, 0, 1)[None] / 127.5 - 1


@pytest.fixture(scope="module")
def photo() -> Tensor:
    return _face()


@pytest.fixture(scope="module")
def prepared(photo: Tensor) -> PreparedUpperFace:
    return UpperFace(CONFIG).prepare(photo, POINTS, torch.zeros(1, len(CHANNELS)))


def _change(**amounts: float) -> Tensor:
    change = torch.zeros(1, len(CHANNELS))
    for name, amount in amounts.items():
        change[0, CHANNELS[name]] = amount
    return change


def _moved(photo: Tensor, prepared: PreparedUpperFace, **amounts: float) -> npt.NDArray[np.float32]:
    """Levels 0..255 [256, 256, 3]."""
    frame = UpperFace(CONFIG).move(photo, prepared, _change(**amounts))[0]
    return np.asarray(((frame + 1) * 127.5).permute(1, 2, 0).numpy(), np.float32)


def _box(part: slice, grow: float = 3) -> tuple[slice, slice]:
    low, high = TEMPLATE68[part].min(0) - grow, TEMPLATE68[part].max(0) + grow
    return slice(round(low[1]), round(high[1])), slice(round(low[0]), round(high[0]))


def _white(levels: npt.NDArray[np.float32], eye: str) -> int:
    return int((levels[_box(EYES[eye])][..., 2] > 190).sum())


def _dark(levels: npt.NDArray[np.float32], where: tuple[slice, slice]) -> npt.NDArray[np.float64]:
    """The middle (x, y) of what is dark there."""
    weight = np.clip(120 - levels[where][..., 0], 0, None).astype(float)
    rows, columns = np.mgrid[where]
    return np.array([(columns * weight).sum(), (rows * weight).sum()]) / weight.sum()


def _iris(levels: npt.NDArray[np.float32], part: slice) -> npt.NDArray[np.float64]:
    """The middle (x, y) of what is blue in an eye."""
    where = _box(part)
    weight = np.clip(levels[where][..., 2] - levels[where][..., 0] - 10, 0, None).astype(float)
    rows, columns = np.mgrid[where]
    return np.array([(columns * weight).sum(), (rows * weight).sum()]) / weight.sum()


def test_eyes_are_found_where_they_were_drawn(photo: Tensor) -> None:
    for eye, part in zip(fit_eyes(photo, POINTS), EYES.values(), strict=True):
        half = np.ptp(TEMPLATE68[part][[0, 3], 0]) / 2 * 1.1
        found = 256 * float(eye.across.norm())
        assert found == pytest.approx(half, rel=0.15)
        assert eye.sure == 1
        assert (eye.origin * 256).numpy() == pytest.approx(TEMPLATE68[part][[0, 3]].mean(0), abs=1.5)
        assert eye.radius * found == pytest.approx(0.36 * half, rel=0.2)
        assert eye.iris == pytest.approx((0, -0.08), abs=0.12)
        assert eye.lower.height * found == pytest.approx(0.25 * half, abs=2.0)


def test_brows_are_the_same_numbers_wherever_their_pixels_lie_in_memory() -> None:
    """Each process prepares a portrait for itself, and frames are the same to the byte."""
    photo = _face()
    found = set()
    for offset in range(24):
        room = torch.zeros(offset + POINTS.numel())
        marks = room[offset:].view(POINTS.shape)
        marks.copy_(POINTS)
        found.update(eye.brow for eye in fit_eyes(photo, marks))
    assert len(found) == 2, "one for each eye"


def test_without_a_change_the_photo_itself_comes_back(photo: Tensor, prepared: PreparedUpperFace) -> None:
    assert UpperFace(CONFIG).move(photo, prepared, _change()) is photo


def test_the_smallest_change_hardly_changes_the_photo(photo: Tensor, prepared: PreparedUpperFace) -> None:
    moved = _moved(photo, prepared, blink_left=1e-3, gaze_up=1e-3, brow_raise=1e-3, squint=1e-3)
    assert np.abs(moved - _moved(photo, prepared)).max() < 4


def test_a_blink_covers_white_and_iris_and_half_a_blink_half_of_them(
    photo: Tensor, prepared: PreparedUpperFace
) -> None:
    rest, half, closed = (
        _moved(photo, prepared, blink_left=amount, blink_right=amount) for amount in (0.0, 0.5, 1.0)
    )
    for eye in EYES:
        assert _white(closed, eye) <= 0.1 * _white(rest, eye)
        assert 0.2 < _white(half, eye) / _white(rest, eye) < 0.8
        middle = TEMPLATE68[EYES[eye]].mean(0).round().astype(int)
        lid = closed[middle[1] - 4 : middle[1], middle[0] - 4 : middle[0] + 4]
        assert np.median(lid, (0, 1)) == pytest.approx(SKIN, abs=12)


def test_a_wink_leaves_the_other_eye_alone(photo: Tensor, prepared: PreparedUpperFace) -> None:
    rest, wink = _moved(photo, prepared), _moved(photo, prepared, blink_left=1.0)
    assert _white(wink, "left") <= 0.1 * _white(rest, "left")
    assert np.abs(wink - rest)[_box(EYES["right"])].max() < 0.01


def test_lids_that_a_photo_has_half_closed_close_from_there(photo: Tensor) -> None:
    own = torch.zeros(1, len(CHANNELS))
    own[0, CHANNELS["blink_left"]] = 0.5
    made = UpperFace(CONFIG).prepare(photo, POINTS, own)
    rest, closed = _moved(photo, made), _moved(photo, made, blink_left=0.5)
    assert _white(closed, "left") <= 0.1 * _white(rest, "left")


def test_gaze_moves_the_irises_and_neither_lids_nor_brows(photo: Tensor, prepared: PreparedUpperFace) -> None:
    rest, outer = _moved(photo, prepared), np.ptp(TEMPLATE68[[36, 45], 0])
    for amount in (1.0, -1.0):
        turned = _moved(photo, prepared, gaze_left=amount)
        for part in EYES.values():
            assert (_iris(turned, part) - _iris(rest, part))[0] * amount > 0.04 * outer
        above = round(float(TEMPLATE68[36:48, 1].min())) - 6
        assert np.abs(turned - rest)[:above].max() < 0.01
    up, down = (_moved(photo, prepared, gaze_up=amount) for amount in (1.0, -1.0))
    for part in EYES.values():
        assert _iris(up, part)[1] < _iris(rest, part)[1] - 1 < _iris(down, part)[1] - 2
    brows = _dark(up, _box(slice(17, 27), 1)) - _dark(rest, _box(slice(17, 27), 1))
    assert np.abs(brows).max() < 0.3


def test_brows_rise_and_draw_together_and_the_eyes_stay(photo: Tensor, prepared: PreparedUpperFace) -> None:
    rest = _moved(photo, prepared)
    brow = _box(slice(22, 27), 9)
    raised, drawn = _moved(photo, prepared, brow_raise=1.0), _moved(photo, prepared, brow_furrow=1.0)
    assert _dark(raised, brow)[1] < _dark(rest, brow)[1] - 2
    assert _dark(drawn, brow)[1] > _dark(rest, brow)[1] + 1
    inner = [np.nonzero((levels[brow][..., 0] < 120).any(0))[0].min() for levels in (drawn, rest)]
    assert inner[0] < inner[1]
    for part in EYES.values():
        assert np.abs(raised - rest)[_box(part, 0)].mean() < 3


@pytest.mark.parametrize("below", [4, 7])
def test_a_brow_keeps_its_thickness_when_it_rises(below: float) -> None:
    """It was drawn out with the skin below it where it lay close above the eye, and so became twice as thick."""
    photo = _face(brows=below)
    made = UpperFace(CONFIG).prepare(photo, POINTS, torch.zeros(1, len(CHANNELS)))
    for eye, part in zip(made.found, (slice(17, 22), slice(22, 27)), strict=True):
        middle = eye.origin + float(eye.brow.at(torch.tensor(0.0))) * torch.stack(
            [-eye.across[1], eye.across[0]]
        )
        drawn = np.interp(256 * float(middle[0]), *TEMPLATE68[part].T) + below + 2.5
        assert 256 * float(middle[1]) == pytest.approx(drawn, abs=2.5)
    rest, raised = (_moved(photo, made, brow_raise=amount) for amount in (0.0, 1.0))
    columns, rows = (
        _box(slice(24, 25), 2)[1],
        slice(*(round(TEMPLATE68[24, 1]) + at for at in (-14, below + 5))),
    )
    thick = [np.clip(190 - levels[rows, columns][..., 0], 0, None).sum() for levels in (rest, raised)]
    assert thick[1] == pytest.approx(thick[0], rel=0.15)
    assert np.array_equal(raised[: rows.start - 22], rest[: rows.start - 22]), "the hair stays"


def test_lids_leave_their_hollows_when_they_close_or_brows_rise() -> None:
    photo = _face()
    eye = fit_eyes(photo, POINTS)[1]
    where = _box(EYES["left"], 2)[1]
    low = [round(256 * float(eye.origin[1] + y * eye.across[0])) for y in (eye.brow.offset, eye.upper.height)]
    photo[:, :, low[0] + 1 : low[1] - 1, where] -= 0.6
    made = UpperFace(CONFIG).prepare(photo, POINTS, torch.zeros(1, len(CHANNELS)))
    hollow = slice(low[0] + 2, low[1] - 2), slice(where.start + 6, where.stop - 6)
    rest, closed, raised = (
        _moved(photo, made, **{name: amount})[hollow].mean()
        for name, amount in (("squint", 0.0), ("blink_left", 1.0), ("brow_raise", 1.0))
    )
    assert closed > rest + 10 and raised > rest + 6


def test_a_squint_leaves_half_of_the_eye(photo: Tensor, prepared: PreparedUpperFace) -> None:
    rest, narrow = _moved(photo, prepared), _moved(photo, prepared, squint=1.0)
    seen = [
        (np.abs(levels[_box(part, 2)] - SKIN).max(-1) > 40).sum()
        for levels in (rest, narrow)
        for part in EYES.values()
    ]
    assert 0.5 < sum(seen[2:]) / sum(seen[:2]) < 0.75


def test_nothing_that_the_network_draws_shows_at_raised_brows(prepared: PreparedUpperFace) -> None:
    """It draws brows as they were: a turned face had a second brow below the raised one."""
    hold = prepared.around[0, 0]
    for brow in (TEMPLATE68[18:21], TEMPLATE68[23:26]):
        for x, y in brow:
            column, row = round(x / 256 * hold.shape[1]), round((y - 3) / 256 * hold.shape[0])
            assert hold[row, column] > 0.75


def test_a_raise_with_a_furrow_lifts_the_inner_ends_alone(photo: Tensor, prepared: PreparedUpperFace) -> None:
    rest, grief = _moved(photo, prepared), _moved(photo, prepared, brow_raise=0.7, brow_furrow=1.0)
    brow = _box(slice(22, 27), 8)
    inner = brow[0], slice(brow[1].start, brow[1].start + 22)
    outer = brow[0], slice(brow[1].stop - 22, brow[1].stop)
    lifted = [_dark(rest, end)[1] - _dark(grief, end)[1] for end in (inner, outer)]
    assert lifted[0] > 1 > 2 * abs(lifted[1])


def test_a_dimple_lifts_the_corner_on_its_side_alone(photo: Tensor, prepared: PreparedUpperFace) -> None:
    rest, left = _moved(photo, prepared), _moved(photo, prepared, dimple=1.0, stretch_side=1.0)
    corner = {name: _box(slice(at, at + 1), 7) for name, at in (("right", 48), ("left", 54))}
    assert _dark(left, corner["left"])[1] < _dark(rest, corner["left"])[1] - 1.5
    assert np.abs(left - rest)[corner["right"]].max() < 0.01
    assert np.array_equal(_moved(photo, prepared, dimple=1.0), rest)


def test_a_sneer_folds_the_skin_beside_the_nose(photo: Tensor, prepared: PreparedUpperFace) -> None:
    rest, sneer = _moved(photo, prepared), _moved(photo, prepared, sneer=1.0)
    rows, columns = _box(slice(30, 36), 12)
    assert (sneer - rest)[rows, columns].min() < -10
    assert np.abs(sneer - rest)[: round(float(TEMPLATE68[17:27, 1].min())) - 5].max() < 0.01


def test_a_raised_corner_bends_the_lips_and_does_not_break_them(
    photo: Tensor, prepared: PreparedUpperFace
) -> None:
    rest, left = (_moved(photo, prepared, dimple=amount, stretch_side=1.0) for amount in (0.0, 1.0))

    def height(levels: npt.NDArray[np.float32], part: float) -> float:
        """The y of the lips at a part of the way from their middle to the raised corner."""
        x = round(float(TEMPLATE68[48, 0] + (0.5 + 0.5 * part) * np.ptp(TEMPLATE68[[48, 54], 0])))
        return float(_dark(levels, (_box(slice(48, 55), 12)[0], slice(x - 1, x + 2)))[1])

    lifted = [height(rest, part) - height(left, part) for part in (0.2, 0.5, 0.9)]
    assert lifted[0] > 0.25 * lifted[2]
    assert lifted[0] < lifted[1] < lifted[2]


def test_a_laughing_portrait_that_turns_serious_loses_the_folds_beside_its_mouth(photo: Tensor) -> None:
    x, y = (round(float(value)) for value in (TEMPLATE68[54] + TEMPLATE68[35]) / 2 + [8, 0])
    folded = photo.clone()
    folded[..., y - 6 : y + 6, x : x + 2] -= 0.3

    def fold(smile: float, change: float) -> float:
        own = torch.zeros(1, len(CHANNELS))
        own[0, CHANNELS["smile"]] = smile
        levels = _moved(folded, UpperFace(CONFIG).prepare(folded, POINTS, own), smile=change)
        return float((levels[y, x - 8] - levels[y, x]).mean())

    assert fold(1.0, -1.0) < 0.4 * fold(1.0, 0.0)
    assert fold(1.0, -1.0) < fold(1.0, -0.5) < fold(1.0, 0.0)
    assert fold(0.2, -0.2) == fold(0.2, 0.0) == fold(1.0, 0.3)


def test_the_network_draws_little_of_a_sneer_that_moves_the_skin(prepared: PreparedUpperFace) -> None:
    moves = UpperFace(CONFIG)
    left = moves.left_to_network(prepared, _change(sneer=1.0))
    assert 0 < float(left[0, CHANNELS["sneer"]]) < 0.5
    without = moves.left_to_network(replace(prepared, midface=None), _change(sneer=1.0))
    assert float(without[0, CHANNELS["sneer"]]) == 1.0


def test_a_wide_eyes_lid_ends_just_above_the_iris_lest_white_rings_it(prepared: PreparedUpperFace) -> None:
    eye = prepared.found[0]._replace(iris=(0.0, 0.0), radius=0.4)

    def lifted(height: float) -> float:
        return height - lift_of_wide(eye._replace(upper=Lid(0.0, height, 0.0)))

    assert lifted(-0.1) == pytest.approx(-0.27)  # covers most of the iris: lifted as far as it can be
    assert -0.48 < lifted(-0.33) < -0.4
    assert -0.55 < lifted(-0.45) < -0.5  # lies above it at rest: little further


def test_a_frame_does_not_depend_on_its_neighbours(photo: Tensor, prepared: PreparedUpperFace) -> None:
    rows = torch.cat(
        [_change(), _change(blink_left=0.4, gaze_up=1.0), _change(brow_furrow=1.0), _change(sneer=1.0)]
    )
    moves = UpperFace(CONFIG)
    together = moves.move(photo, prepared, rows)
    for i, row in enumerate(rows):
        assert torch.equal(together[i], moves.move(photo, prepared, row[None])[0])


def test_a_finer_photo_moves_in_the_same_place(photo: Tensor, prepared: PreparedUpperFace) -> None:
    finer = _face(512)
    made = UpperFace(CONFIG).with_photo(prepared, finer)
    for amounts in ({"blink_left": 1.0, "gaze_left": 1.0}, {"brow_raise": 1.0, "squint": 0.5}):
        coarse, fine = (_moved(*pair, **amounts) for pair in ((photo, prepared), (finer, made)))
        shrunk = cv2.resize(fine, (256, 256), interpolation=cv2.INTER_AREA)
        assert np.abs(shrunk - coarse).mean() < 1


def test_where_no_eyes_are_seen_the_network_keeps_its_weights() -> None:
    plain = torch.full((1, 3, 256, 256), 0.3)
    moves = UpperFace(CONFIG)
    made = moves.prepare(plain, POINTS, torch.zeros(1, len(CHANNELS)))
    change = _change(blink_left=1.0, gaze_left=1.0, brow_raise=1.0)
    assert torch.equal(moves.left_to_network(made, change), change)
    assert torch.allclose(moves.move(plain, made, change), plain, atol=1e-5)


def test_eyes_at_the_rim_of_a_picture_do_no_harm(photo: Tensor) -> None:
    for shift in (-0.45, 0.45, 2.0):
        made = UpperFace(CONFIG).prepare(photo, POINTS + shift, torch.zeros(1, len(CHANNELS)))
        moved = UpperFace(CONFIG).move(photo, made, _change(blink_left=1.0, brow_raise=1.0))
        assert torch.isfinite(moved).all()


def test_the_network_draws_no_open_eye_over_a_closed_one(photo: Tensor, prepared: PreparedUpperFace) -> None:
    moves, flow = UpperFace(CONFIG), torch.zeros(1, 2, 128, 128)
    held = moves.held(prepared, _change(blink_left=1.0), flow)
    x, y = (TEMPLATE68[EYES["left"]].mean(0) / 2).round().astype(int)
    assert held[0, 0, y, x] == 1
    assert held[0, 0, :20].max() == 0
    assert moves.held(prepared, _change(), flow).max() == 0


def test_a_config_without_it_is_written_as_before_and_one_with_it_comes_back() -> None:
    plain = CompactConfig()
    assert "upper_face" not in plain.to_dict()
    made = replace(plain, upper_face=CONFIG)
    assert CompactConfig.from_dict(made.to_dict()) == made
    assert CompactNetwork(plain).upper_face is None
    assert CompactNetwork(made).upper_face is not None
    with pytest.raises(ValueError, match="weights"):
        replace(plain, upper_face=replace(CONFIG, blink_left=36))
