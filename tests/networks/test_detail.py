"""Painted mouths and eyes: they stay where they belong, leave the photo alone at rest, and lay teeth where told."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from edtalk_server.media.faces.template import TEMPLATE68
from edtalk_server.networks.compact import CompactConfig, CompactNetwork
from edtalk_server.networks.detail.boxes import (
    ANCHORS,
    EYE_SIZE,
    MOUTH_SIZE,
    box_coordinates,
    box_points,
    cut_boxes,
    face_boxes,
    follow,
)
from edtalk_server.networks.detail.network import DetailConfig, DetailNetwork, teeth_guide, teeth_light

CONFIG = CompactConfig(reader="points", tone=True, refined=True, detail=DetailConfig())
POINTS = torch.from_numpy(TEMPLATE68.copy())[None] / 256
JAW, YAW, BLINK = 0, 21, 30


@pytest.fixture(scope="module")
def network() -> CompactNetwork:
    """Untrained, but painting loudly; a face that reads the template's landmarks in every picture."""
    torch.manual_seed(0)
    made = CompactNetwork(CONFIG).eval().requires_grad_(requires_grad=False)
    assert made.detail is not None
    for painter in (made.detail.mouth, made.detail.eye):
        assert painter is not None
        painter.say.weight.mul_(30)
    made.detail.mouth_moves[YAW:] = 0
    made.detail.eye_moves[:BLINK] = 0
    made.cropped_landmarks_of = lambda images: POINTS.expand(len(images), -1, -1)  # type: ignore[method-assign]
    return made


@pytest.fixture(scope="module")
def photo() -> Tensor:
    levels = torch.randint(0, 256, (1, 3, 256, 256), generator=torch.Generator().manual_seed(1))
    return levels / 127.5 - 1


def _detail(network: CompactNetwork) -> DetailNetwork:
    assert network.detail is not None
    return network.detail


def _plain(network: CompactNetwork, photo: Tensor, rows: Tensor) -> Tensor:
    """What the network draws without painters."""
    return network.decode(replace(network.prepare(photo), detail=None), rows)


def _where(a: Tensor, b: Tensor) -> Tensor:
    """The pixels [n, n] in which two pictures differ."""
    return ((a - b).abs().amax((0, 1)) > 1e-3).nonzero().float() / a.shape[-1]


def test_at_rest_nothing_is_painted_to_the_last_bit(network: CompactNetwork, photo: Tensor) -> None:
    prepared = network.prepare(photo)
    rest = network.decode(prepared, prepared.weights)
    assert torch.equal(rest, _plain(network, photo, prepared.weights))


@pytest.mark.parametrize(
    ("weight", "middle"), [(JAW, (185.0, 138.0)), (BLINK, (112.0, 135.0))], ids=["jaw", "lid"]
)
def test_a_jaw_paints_the_mouth_alone_and_a_lid_the_eyes(
    network: CompactNetwork, photo: Tensor, weight: int, middle: tuple[float, float]
) -> None:
    rows = network.prepare(photo).weights.clone()
    rows[0, weight] += 1
    painted = _where(network.decode(network.prepare(photo), rows), _plain(network, photo, rows))
    spread = painted.amax(0) - painted.amin(0)
    assert spread[0] < 90 / 256 and spread[1] < 140 / 256
    assert (painted.mean(0) - torch.tensor(middle) / 256).norm() < 20 / 256


def test_a_turned_head_keeps_its_own_mouth_and_eyes(network: CompactNetwork, photo: Tensor) -> None:
    rows = network.prepare(photo).weights.clone()
    rows[0, YAW] += 0.5
    assert torch.equal(network.decode(network.prepare(photo), rows), _plain(network, photo, rows))


def test_a_config_may_say_which_weights_wake_the_mouths_painter(
    network: CompactNetwork, photo: Tensor
) -> None:
    detail = _detail(network)
    before, rows = detail.config, network.prepare(photo).weights.clone()
    rows[0, JAW] += 1
    try:
        detail.config = replace(before, mouth_wakes=(JAW + 1,))
        asleep = network.decode(network.prepare(photo), rows)
        detail.config = replace(before, mouth_wakes=(JAW,))
        awake = network.decode(network.prepare(photo), rows)
    finally:
        detail.config = before
    assert torch.equal(asleep, _plain(network, photo, rows))
    assert not torch.equal(awake, asleep)


def test_without_a_painter_of_eyes_a_lid_paints_nothing(photo: Tensor) -> None:
    alone = replace(CONFIG, detail=DetailConfig(eye_channels=None))
    network = CompactNetwork(alone).eval().requires_grad_(requires_grad=False)
    _detail(network).mouth_moves[20:] = 0
    rows = network.prepare(photo).weights.clone()
    rows[0, BLINK] += 1
    assert torch.equal(network.decode(network.prepare(photo), rows), _plain(network, photo, rows))


def test_a_finer_photo_is_painted_in_the_same_place(network: CompactNetwork, photo: Tensor) -> None:
    prepared = network.prepare(photo)
    large = network.with_photo(prepared, torch.nn.functional.interpolate(photo, scale_factor=2))
    rows = prepared.weights.clone()
    rows[0, JAW] += 1
    small_place = _where(network.decode(prepared, rows), _plain(network, photo, rows))
    fine = network.decode(large, rows)
    assert fine.shape[-1] == 512
    large_place = _where(fine, network.decode(replace(large, detail=None), rows))
    assert (small_place.mean(0) - large_place.mean(0)).norm() < 2 / 256


def test_a_frame_does_not_depend_on_its_neighbours(network: CompactNetwork, photo: Tensor) -> None:
    prepared = network.prepare(photo)
    rows = prepared.weights + torch.randn(3, 36, generator=torch.Generator().manual_seed(2)) * 0.3
    together = network.decode(prepared, rows)
    alone = torch.cat([network.decode(prepared, row[None]) for row in rows])
    assert (together - alone).abs().max() < 2 / 255


def test_a_config_without_painters_is_written_as_before_and_one_with_them_comes_back() -> None:
    assert "detail" not in CompactConfig().to_dict()
    assert CompactConfig.from_dict(CompactConfig().to_dict()) == CompactConfig()
    assert CompactConfig.from_dict(CONFIG.to_dict()) == CONFIG
    with pytest.raises(TypeError, match="moustache"):
        CompactConfig.from_dict({**CompactConfig().to_dict(), "detail": {"moustache": 1}})


def test_teeth_have_finer_edges_in_a_finer_photo(network: CompactNetwork, photo: Tensor) -> None:
    rows = network.prepare(photo).weights.clone()
    rows[0, JAW] += 1
    large = torch.nn.functional.interpolate(photo, scale_factor=3, mode="bilinear")
    prepared = network.with_photo(network.prepare(photo), large)
    detail = prepared.detail
    assert detail is not None and detail.fine_mouth is not None
    assert detail.fine_mouth.shape[2:] == (3 * MOUTH_SIZE[0], 3 * MOUTH_SIZE[1])
    fine, coarse = (
        network.decode(prepared, rows),
        network.decode(replace(prepared, detail=replace(detail, fine_mouth=None)), rows),
    )
    box = face_boxes(POINTS[:, list(ANCHORS)]).mouth
    seen = [cut_boxes(frames, box, (3 * MOUTH_SIZE[0], 3 * MOUTH_SIZE[1])) for frames in (fine, coarse)]
    sharp, soft = (boxes.diff(dim=2).abs().mean() for boxes in seen)
    assert sharp > soft


def test_at_rest_a_finer_frame_is_the_finer_photo(network: CompactNetwork, photo: Tensor) -> None:
    large = torch.nn.functional.interpolate(photo, scale_factor=4)
    prepared = network.with_photo(network.prepare(photo), large)
    assert (network.decode(prepared, prepared.weights) - large).abs().max() < 1 / 127


def test_boxes_lie_on_mouth_and_eyes_and_turn_with_the_head() -> None:
    anchors = POINTS[:, list(ANCHORS)]
    boxes = face_boxes(anchors)
    inside = box_coordinates(boxes.mouth, POINTS[:, 48:], MOUTH_SIZE)
    assert inside.abs().max() < 0.8
    for box, eye in ((boxes.left_eye, slice(36, 42)), (boxes.right_eye, slice(42, 48))):
        assert box_coordinates(box, POINTS[:, eye], EYE_SIZE).abs().max() < 0.7
    turn = torch.tensor([[0.8, 0.6], [-0.6, 0.8]])
    turned = face_boxes((anchors - 0.5) @ turn * 1.2 + 0.5).mouth
    again = box_coordinates(turned, (POINTS[:, 48:] - 0.5) @ turn * 1.2 + 0.5, MOUTH_SIZE)
    assert torch.allclose(again, inside, atol=1e-4)


def test_a_boxs_pixels_are_those_of_the_picture_under_it() -> None:
    boxes = face_boxes(POINTS[:, list(ANCHORS)])
    grid = torch.stack(torch.meshgrid(*[(torch.arange(256) + 0.5) / 256] * 2, indexing="xy"))[None]
    seen = cut_boxes(grid, boxes.mouth, MOUTH_SIZE)
    assert torch.allclose(seen[0].permute(1, 2, 0), box_points(boxes.mouth, MOUTH_SIZE)[0], atol=1e-4)


def test_points_go_where_a_flow_takes_them() -> None:
    flow = torch.zeros(1, 2, 128, 128)
    flow[:, 0] = -0.1  # every pixel looks a twentieth of the picture to its left: content moves right
    moved = follow(torch.tensor([[[0.5, 0.4]]]), flow)
    assert torch.allclose(moved, torch.tensor([[[0.55, 0.4]]]), atol=1e-4)


def _arch() -> Tensor:
    """Upper teeth from -0.2 up to -0.6, lower ones from 0.3 down to 0.7, in sixteen even columns."""
    teeth = torch.zeros(1, 2, 16, 2, 2)
    teeth[..., 0] = ((torch.arange(16) + 0.5) / 16 * 1.6 - 0.8)[None, None, :, None]
    teeth[:, 0, :, 0, 1], teeth[:, 0, :, 1, 1] = -0.2, -0.6
    teeth[:, 1, :, 0, 1], teeth[:, 1, :, 1, 1] = 0.3, 0.7
    return teeth


def test_teeth_are_laid_where_they_stand_in_their_own_colours() -> None:
    enamel = torch.zeros(1, 3, 16, 128)
    enamel[:, 0, :8] = 1.0  # upper row red, lower row blue
    enamel[:, 2, 8:] = 1.0
    guide = teeth_guide(_arch(), enamel)[0]
    rows, columns = MOUTH_SIZE
    assert guide.shape == (5, rows, columns)

    def at(x: float, y: float) -> list[float]:
        return guide[:, int((y + 1) / 2 * rows), int((x + 1) / 2 * columns)].tolist()

    assert at(0.1, -0.4) == pytest.approx([1, 0, 0, 1, 0], abs=0.01)
    assert at(-0.3, 0.5) == pytest.approx([0, 0, 1, 0, 1], abs=0.01)
    assert at(0.0, 0.05)[3:] == at(0.95, -0.4)[3:] == at(0.0, -0.8)[3:] == [0, 0]


def test_a_torn_arch_still_makes_a_guide() -> None:
    wild = torch.randn(2, 2, 16, 2, 2, generator=torch.Generator().manual_seed(4))
    guide = teeth_guide(wild, torch.ones(2, 3, 16, 128))
    assert bool(torch.isfinite(guide).all())
    assert guide.min() >= 0 and guide.max() <= 1 + 1e-5


def test_teeth_are_a_little_brighter_than_the_lighter_cheek_and_grey_in_a_grey_photo() -> None:
    photo = torch.full((1, 3, 256, 256), 0.2)
    photo[..., 128:] = 0.0
    light = teeth_light(photo, POINTS, 1.2).flatten()
    assert light.tolist() == pytest.approx([0.6 * 1.2] * 3, abs=0.01)
    photo[:, 2] -= 0.4
    warm = teeth_light(photo, POINTS, 1.2).flatten()
    assert warm[0] > warm[2]
