"""The inside of a drawn mouth: teeth that part, recede and lie in shadow, a tongue, and the portrait's own light."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from edtalk_server.media.faces.template import TEMPLATE68
from edtalk_server.networks.detail import DetailConfig, Painted
from edtalk_server.networks.mouth.inside import closed, draw_inside, opening
from edtalk_server.networks.mouth.light import MouthLight, mouth_light

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
    together = draw_inside(teeth, inside, LIGHT)
    for index in range(3):
        assert torch.equal(
            together[index], draw_inside(teeth[index : index + 1], inside[index : index + 1], LIGHT)[0]
        )


def test_a_torn_arch_still_gives_colours() -> None:
    wild = torch.randn(3, 2, 16, 2, 2, generator=torch.Generator().manual_seed(3))
    drawn = draw_inside(wild, torch.rand(3, 1, ROWS, COLUMNS), LIGHT)
    assert bool(torch.isfinite(drawn).all())
    assert float(drawn.min()) >= 0
    assert float(drawn.max()) <= 1 + 1e-5


def test_a_share_has_a_firm_edge_and_no_narrow_notch() -> None:
    share = _mouth() * 0.9
    share[..., _row(0.1) : _row(0.1) + 3, :] = 0.0
    assert float(opening(closed(share))[0, 0, _row(0.1) + 1, _column(0.0)]) == 1.0
    assert float(opening(closed(share))[0, 0, _row(0.8), _column(0.0)]) == 0.0


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
