"""The inside of a drawn mouth: teeth that part, recede and lie in shadow, a tongue, and the portrait's own light."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from edtalk_server.media.faces.template import TEMPLATE68
from edtalk_server.networks.detail.network import DetailConfig, OwnMouth, opened_mouth
from edtalk_server.networks.detail.painter import Painted
from edtalk_server.networks.mouth.inside import draw_inside, opening, whole
from edtalk_server.networks.mouth.light import MouthLight, mouth_light
from edtalk_server.networks.mouth.own import own_teeth

ROWS, COLUMNS = 72, 88
POINTS = torch.from_numpy(TEMPLATE68.copy())[None] / 256
LIGHT = MouthLight(
    enamel=torch.tensor([0.8, 0.78, 0.74])[None, :, None, None],
    flesh=torch.tensor([0.5, 0.3, 0.3])[None, :, None, None],
    dark=torch.tensor([0.12, 0.06, 0.05])[None, :, None, None],
    sides=torch.ones(2),
)


def _teeth(lower_edge: float = 0.3) -> Tensor:
    """Sixteen even teeth in a row: upper ones from 0 up to -0.5, lower ones from `lower_edge` down by 0.4."""
    teeth = torch.zeros(1, 2, 16, 2, 2)
    teeth[..., 0] = ((torch.arange(16) + 0.5) / 16 * 1.6 - 0.8)[None, None, :, None]
    teeth[:, 0, :, 0, 1], teeth[:, 0, :, 1, 1] = 0.0, -0.5
    teeth[:, 1, :, 0, 1], teeth[:, 1, :, 1, 1] = lower_edge, lower_edge + 0.4
    return teeth


def _mouth(scale: int = 1) -> Tensor:
    """An open mouth from -0.3 to 0.5, two thirds of the box wide."""
    y = ((torch.arange(ROWS * scale) + 0.5) / (ROWS * scale) * 2 - 1)[:, None]
    x = ((torch.arange(COLUMNS * scale) + 0.5) / (COLUMNS * scale) * 2 - 1)[None]
    return ((y > -0.3) & (y < 0.5) & (x.abs() < 0.66)).float()[None, None]


def _luma(picture: Tensor) -> Tensor:
    return (picture[0] * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(0)


def _row(y: float) -> int:
    return int((y + 1) / 2 * ROWS)


def _column(x: float) -> int:
    return int((x + 1) / 2 * COLUMNS)


@pytest.fixture(scope="module")
def drawn() -> Tensor:
    return draw_inside(_teeth(), _mouth(), LIGHT)


def test_darker_lines_part_the_teeth(drawn: Tensor) -> None:
    along = _luma(drawn)[_row(-0.12), _column(-0.5) : _column(0.5)]
    dips = (along[1:-1] < along[:-2] - 0.01) & (along[1:-1] < along[2:] - 0.01)
    assert 5 <= int(dips.sum()) <= 12


def test_rows_that_touch_show_no_dark_specks_between_their_corners() -> None:
    touching = _luma(draw_inside(_teeth(lower_edge=0.01), _mouth(), LIGHT))
    between = touching[_row(-0.08) : _row(0.1), _column(-0.35) : _column(0.35)]
    assert float(between.min()) > 0.4 * float(between.max())


def test_teeth_have_corners_so_that_their_edge_is_no_straight_line(drawn: Tensor) -> None:
    edge = (_luma(drawn)[_row(-0.1) : _row(0.1), _column(-0.4) : _column(0.4)] > 0.4).sum(0)
    assert int(edge.amax() - edge.amin()) >= 1


def test_teeth_get_darker_towards_the_corners_and_below_the_upper_lip(drawn: Tensor) -> None:
    luma = _luma(drawn)

    def brightest(x: float, y: float) -> float:
        return float(luma[_row(y), _column(x) - 3 : _column(x) + 4].max())

    assert brightest(0.45, -0.12) < 0.85 * brightest(0.05, -0.12)
    assert brightest(-0.45, -0.12) < 0.85 * brightest(-0.05, -0.12)
    assert brightest(0.05, -0.28) < 0.9 * brightest(0.05, -0.12)


def test_gums_are_red_and_hang_lowest_between_two_teeth() -> None:
    whole = draw_inside(_teeth(), torch.ones(1, 1, 4 * ROWS, 4 * COLUMNS), LIGHT)[0]
    red = whole[0] / whole[1].clamp_min(1e-3)
    gum = red[: int(0.4 * 4 * ROWS), int(0.4 * 4 * COLUMNS) : int(0.6 * 4 * COLUMNS)] > 1.3
    height = gum.sum(0)
    assert int(height.min()) > 0
    assert int(height.max() - height.min()) >= 3


def test_between_the_rows_it_is_dark_above_and_a_tongue_lies_below() -> None:
    drawn = draw_inside(_teeth(lower_edge=0.45), _mouth(), LIGHT)[0]
    under_teeth, above_lip = drawn[:, _row(0.06), _column(0.1)], drawn[:, _row(0.4), _column(0.1)]
    assert float(above_lip[0]) > 1.7 * float(under_teeth[0])
    assert float(above_lip[0]) > 1.3 * float(above_lip[1])
    assert float(under_teeth.max()) < 0.25


def test_the_side_that_lies_in_the_dark_has_dark_teeth() -> None:
    lit = LIGHT._replace(sides=torch.tensor([0.65, 1.0]))
    luma = _luma(draw_inside(_teeth(), _mouth(), lit))
    left, right = (
        luma[_row(-0.12), _column(-0.4) : _column(-0.1)],
        luma[_row(-0.12), _column(0.1) : _column(0.4)],
    )
    assert float(left.max()) < 0.9 * float(right.max())


def test_a_finer_box_shows_the_same_mouth_with_finer_edges() -> None:
    coarse, fine = draw_inside(_teeth(), _mouth(), LIGHT), draw_inside(_teeth(), _mouth(4), LIGHT)
    shrunk = torch.nn.functional.avg_pool2d(fine, 4)
    assert float((coarse - shrunk).abs().mean()) < 0.02


def test_each_frame_is_drawn_alike_alone_and_among_others() -> None:
    teeth = torch.cat([_teeth(), _teeth(0.4), _teeth(0.5)])
    inside = _mouth().expand(3, -1, -1, -1) * torch.tensor([1.0, 0.9, 0.7])[:, None, None, None]
    inside[1, :, : _row(0.0)] = 0.0
    inside[2, :, :, : _column(-0.21)] = 0.0
    together = draw_inside(teeth, inside, LIGHT)
    for index in range(3):
        one = slice(index, index + 1)
        alone, open_ = draw_inside(teeth[one], inside[one], LIGHT), inside[one] > 0
        # the last bit of a power differs with a pixel's place among the lanes of a processor
        assert float(torch.where(open_, together[one] - alone, 0.0).abs().max()) < 1e-6


def test_teeth_are_darker_between_lips_that_hardly_part_and_never_flat_white() -> None:
    """Fear bared a row of even, bright teeth; those in too much light were white with yellow lines between them."""
    narrow = _mouth()
    narrow[:, :, : _row(-0.2)] = 0.0
    narrow[:, :, _row(-0.1) :] = 0.0
    where = _row(-0.15), slice(_column(-0.3), _column(0.3))
    wide, dim = (_luma(draw_inside(_teeth(), inside, LIGHT))[where] for inside in (_mouth(), narrow))
    assert float(dim.max()) < 0.85 * float(wide.max())
    bright = LIGHT._replace(enamel=LIGHT.enamel.new_tensor([1.2, 1.15, 1.05])[None, :, None, None])
    shown = draw_inside(_teeth(), _mouth(), bright)[0, :, _row(-0.15), _column(-0.3) : _column(0.3)]
    assert float(shown.max()) <= 1.0 and float((shown[0] - shown[2]).min()) > 0.02


def test_no_tooth_is_its_neighbours_mirror_image(drawn: Tensor) -> None:
    light = _luma(drawn)[_row(-0.2), _column(-0.5) : _column(0.5)]
    assert float((light - light.flip(0)).abs().max()) > 0.02


def test_a_torn_arch_still_gives_colours() -> None:
    wild = torch.randn(3, 2, 16, 2, 2, generator=torch.Generator().manual_seed(3))
    drawn = draw_inside(wild, torch.rand(3, 1, ROWS, COLUMNS), LIGHT)
    assert bool(torch.isfinite(drawn).all())
    assert float(drawn.min()) >= 0
    assert float(drawn.max()) <= 1 + 1e-5


def test_a_share_has_a_firm_edge_and_no_narrow_notch() -> None:
    share = _mouth() * 0.9
    share[..., _row(0.1) : _row(0.1) + 3, :] = 0.0
    assert float(opening(whole(share))[0, 0, _row(0.1) + 1, _column(0.0)]) == 1.0
    assert float(opening(whole(share))[0, 0, _row(0.8), _column(0.0)]) == 0.0


def test_light_follows_the_portrait() -> None:
    photo = torch.full((1, 3, 256, 256), 0.2)
    plain = mouth_light(photo, POINTS, 1.25)
    assert plain.sides.tolist() == pytest.approx([1, 1])
    assert float(plain.enamel.max() - plain.enamel.min()) < 1e-6  # a grey photo has grey teeth
    photo[:, 1] -= 0.2
    photo[:, 2] -= 0.4
    warm = mouth_light(photo, POINTS, 1.25)
    assert warm.enamel[0, 0] > warm.enamel[0, 2]
    assert warm.flesh[0, 0] > 1.3 * warm.flesh[0, 1]
    photo[..., 128:] = (photo[..., 128:] + 1) * 0.5 - 1
    dim = mouth_light(photo, POINTS, 1.25)
    assert float(dim.sides[1]) < 0.7
    assert float(dim.sides[0]) == 1.0
    dark = mouth_light((photo + 1) * 0.5 - 1, POINTS, 1.25)
    assert float(dark.enamel.mean()) < 0.6 * float(dim.enamel.mean())


def test_what_a_mouth_opens_takes_from_the_frame_and_not_from_the_moved_source() -> None:
    shares = torch.tensor([0.5, 0.3, 0.2])[None, :, None, None].expand(1, 3, 4, 4)
    painted = Painted(shares, torch.zeros(1, 2, 4, 4), torch.zeros(1, 3, 4, 4))
    opened = painted.with_inside(torch.full((1, 1, 4, 4), 0.6)).shares[0, :, 0, 0]
    assert opened.tolist() == pytest.approx([0.28, 0.12, 0.6])


def test_a_config_without_an_inside_reads_as_older_programs_wrote_it() -> None:
    assert "inside" not in DetailConfig().to_dict()
    assert DetailConfig.from_dict(DetailConfig(inside=True).to_dict()).inside


SKIN, LIP, TOOTH = (0.8, 0.6, 0.5), (0.7, 0.35, 0.35), (0.85, 0.8, 0.72)


def _laughing(tooth: tuple[float, float, float] = TOOTH) -> tuple[Tensor, Tensor]:
    """A mouth's box [1, 3, rows, columns] in -1..1 whose lips part between -0.4 and -0.1 over teeth, and its
    landmarks."""
    box = torch.tensor(SKIN)[None, :, None, None].expand(1, 3, ROWS, COLUMNS).clone()
    columns = slice(_column(-0.5), _column(0.5))
    box[..., _row(-0.6) : _row(0.1), columns] = torch.tensor(LIP)[None, :, None, None]
    box[..., _row(-0.4) : _row(-0.1), columns] = torch.tensor(tooth)[None, :, None, None]
    points = torch.full((1, 68, 2), -0.25)
    points[0, 60:, 0] = torch.tensor([-0.5, -0.25, 0, 0.25, 0.5, 0.25, 0, -0.25])
    points[0, 60:, 1] = torch.tensor([-0.25, -0.4, -0.4, -0.4, -0.25, -0.1, -0.1, -0.1])
    outer = {
        50: (-0.25, -0.6),
        51: (0, -0.6),
        52: (0.25, -0.6),
        56: (0.25, 0.1),
        57: (0, 0.1),
        58: (-0.25, 0.1),
    }
    for index, place in outer.items():
        points[0, index] = torch.tensor(place)
    return box * 2 - 1, points


def test_a_laughing_portraits_own_teeth_are_found_and_lips_alone_are_not_taken_for_them() -> None:
    found = own_teeth(*_laughing(), torch.tensor(SKIN))
    assert float(found.sure) == 1.0
    assert float(found.edge) == pytest.approx(-0.1, abs=0.05)
    assert found.colour.flatten().tolist() == pytest.approx(TOOTH, abs=0.02)
    assert float(found.place[0, 0, _row(-0.25), _column(0.0)]) == pytest.approx(1.0, abs=0.02)
    assert float(found.place[0, 0, _row(0.05), _column(0.0)]) == 0.0
    assert float(own_teeth(*_laughing(LIP), torch.tensor(SKIN)).sure) == 0.0


def test_a_grey_photo_has_no_teeth_of_its_own() -> None:
    box, points = _laughing()
    grey = box.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    assert float(own_teeth(grey, points, torch.full((3,), 0.6)).sure) == 0.0


def test_own_teeth_stay_in_the_mouth_that_opens_further() -> None:
    box, points = _laughing()
    teeth = own_teeth(box, points, torch.tensor(SKIN))
    own = OwnMouth(teeth, points[:, 60:], torch.tensor(SKIN), torch.tensor(0.0))
    shares = torch.cat([1 - _mouth(), torch.zeros_like(_mouth()), _mouth()], 1)
    painted = Painted(shares, torch.zeros(1, 2, ROWS, COLUMNS), torch.zeros(1, 3, ROWS, COLUMNS))
    opened = opened_mouth(painted, box, _teeth(), points[:, 60:], own, LIGHT)
    shown = (opened.colour[0, :, _row(-0.25), _column(0.2)] + 1) / 2
    assert shown.tolist() == pytest.approx(TOOTH, abs=0.03)
    assert float(opened.shares[0, 2, _row(-0.35), _column(0.0)]) > 0.8  # above the painter's own opening, too
    assert float(opened.colour[0, :, _row(0.2), _column(0.2)].max()) < 0.3
