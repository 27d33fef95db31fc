"""Find the eyes of one picture exactly: the margins of the lids and the iris.

Landmarks say where an eye is to within a pixel or two of a picture of 256, an eye is ten pixels high: what moves a lid
must know better. So curves through the corners are tried around the landmarks, and the one along which the skin above
gives way to lashes and iris is the margin; likewise a disc that is darker than what lies beside it is the iris.

An eye has coordinates of its own: the origin between its corners, x along them to the picture's right, y down, and half
its width as the unit.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

RIGHT_EYE, LEFT_EYE = slice(36, 42), slice(42, 48)
RIGHT_BROW, LEFT_BROW = slice(17, 22), slice(22, 27)
"""Landmarks: the person's right eye is on the picture's left."""
CORNERS_REACH = 1.1
"""Half the width of an eye over half the distance of its corners' landmarks, which lie inside the true corners."""
IRIS_OVER_EYES = 0.093
"""Radius of an iris over the distance of the eyes: 5.9 of 63 mm."""
_POWER = 2.2
"""How round a lid is: 2 is a parabola, more is flatter in its middle."""
_LASHES = 0.07
"""What of the eye, below the edge of the lid, belongs to the lid: its lashes and their shadow."""
_MARK_SHARE = 0.9
"""What of a lid's height its two landmarks beside the middle have."""
_RIM = 0.05
"""What below the edge of the lower lid belongs to the eye, lest the edge of an iris stays behind when that turns."""
_EDGE = 0.1
"""Distance from an edge at which its two sides are compared."""
_IRIS_SURE, _EDGE_SURE = (0.05, 0.15), (0.04, 0.12)
"""Contrasts of an iris and of a lid's edge at which nothing and all is believed, in shares of the range."""
_BROW_REACH = 1.2
"""How far from an eye's middle its brow reaches."""
_BROW_EDGE, _BROW_THICK = 0.09, (0.2, 0.28, 0.36, 0.46)
_BROW_ABOVE_LID, _BROW_BELOW_MARKS = 0.18, 0.3
"""How far a brow ends above the lid at least, and how far below its landmarks as a rule."""
_DIGITS = 5
"""Decimals of a brow's shape that are kept."""
_ENOUGH = 0.25
"""Contrast of both lids' edges that is worth a wider eye."""


class Lid(NamedTuple):
    """A lid's margin, y = offset + height * (1 - |x|^2.2) * (1 + skew * x); up is negative."""

    offset: float
    height: float
    skew: float

    def at(self, x: Tensor) -> Tensor:
        """Return the margin's y at x."""
        return self.offset + arch(x) * self.height * (1 + self.skew * x)


class Brow(NamedTuple):
    """A brow above an eye: its lower edge, y = offset + slope * x + bend * x^2, and how thick it is."""

    offset: float
    slope: float
    bend: float
    thick: float

    def at(self, x: Tensor) -> Tensor:
        """Return the lower edge's y at x; beyond the ends of a brow it is as there."""
        x = x.clamp(-_BROW_REACH, _BROW_REACH)
        return self.offset + self.slope * x + self.bend * x * x


class Eye(NamedTuple):
    """One eye. `origin` [2] and `across` [2], the way from there to x = 1, are in 0..1 of the picture; all else in the
    eye's units. `sure`: 0 where no eye like this is to be seen, 1 where it is plain."""

    origin: Tensor
    across: Tensor
    upper: Lid
    lower: Lid
    iris: tuple[float, float]
    radius: float
    brow: Brow
    sure: float


def arch(x: Tensor) -> Tensor:
    """Return how much of its height a lid has at x: 1 in the middle, 0 at the corners and beyond."""
    return (1 - x.abs().clamp_max(1.0) ** _POWER).clamp_min(0.0)


def _parabola(points: Tensor) -> Tensor:
    """Return offset, slope and bend [3] of the parabola nearest to points [P, 2], on the CPU. Solvers round otherwise
    wherever their numbers lie in memory, so this one has more digits than are kept: frames are the same in each process
    that draws them."""
    x, y = points.double().cpu().unbind(1)
    powers = torch.stack([torch.ones_like(x), x, x.square()], 1)
    return torch.linalg.lstsq(powers, y[:, None]).solution[:, 0].round(decimals=_DIGITS).float()


def down_of(across: Tensor) -> Tensor:
    """Return the way [2] to y = 1."""
    return torch.stack([-across[1], across[0]])


def fit_eyes(photo: Tensor, landmarks: Tensor) -> tuple[Eye, Eye]:
    """Find the eyes on the picture's left and right in `photo` [1, 3, n, n], from its `landmarks` [1, 68, 2]."""
    luma = (photo.float() * photo.new_tensor([0.299, 0.587, 0.114])[None, :, None, None]).sum(1, keepdim=True)
    points = landmarks[0].float()
    apart = float((points[RIGHT_EYE].mean(0) - points[LEFT_EYE].mean(0)).norm())
    eyes = [
        _fit_eye(luma, points[eye], points[brow], apart)
        for eye, brow in ((RIGHT_EYE, RIGHT_BROW), (LEFT_EYE, LEFT_BROW))
    ]
    return _like(eyes[0], eyes[1]), _like(eyes[1], eyes[0])


def _like(eye: Eye, other: Eye) -> Eye:
    """Return an eye whose iris is as large as both irises on average, and whose lower lid is half-way to the other.
    Where one eye was not found the other is doubtful too."""
    size = (eye.across.norm() / other.across.norm()).clamp(0.6, 1.6)
    lower = eye.lower._replace(height=(eye.lower.height + other.lower.height) / 2)
    return eye._replace(
        radius=(eye.radius + other.radius / float(size)) / 2,
        lower=lower,
        sure=min(eye.sure, other.sure + 0.5),
    )


def _fit_eye(luma: Tensor, points: Tensor, brows: Tensor, apart: float) -> Eye:
    """Find one eye from its six landmarks [6, 2] and those of its brow [5, 2]; `apart` is the distance of the eyes."""
    middle, across = (points[0] + points[3]) / 2, (points[3] - points[0]) / 2
    across = across * max(CORNERS_REACH, 0.2 * apart / float(across.norm().clamp_min(1e-4)))
    marks = _own(points, middle, across)
    top, bottom = float(marks[1:3, 1].mean()), float(marks[4:6, 1].mean())
    place, upper, edge = _Look(luma, middle, across).corners(
        min(top / _MARK_SHARE, -0.12), max(bottom / _MARK_SHARE, 0.08)
    )
    origin = middle + place[0] * across + place[1] * down_of(across)
    across = across * place[2]
    look = _Look(luma, origin, across)
    center, radius, contrast = look.iris(upper, IRIS_OVER_EYES * apart / float(across.norm()))
    lower = look.lower_lid(center, radius)
    mark = float(_own(points, origin, across)[4:6, 1].mean()) / _MARK_SHARE
    lower = lower._replace(height=max(lower.height, (lower.height + mark) / 2))
    upper = upper._replace(height=upper.height + _LASHES)
    sure = _rise(contrast, *_IRIS_SURE) * _rise(edge, *_EDGE_SURE)
    brow = look.brow(upper, _own(brows, origin, across))
    return Eye(origin, across, upper, lower, center, radius, brow, sure)


def _rise(value: float, low: float, high: float) -> float:
    return min(max((value - low) / (high - low), 0.0), 1.0)


def _own(points: Tensor, origin: Tensor, across: Tensor) -> Tensor:
    """Return points [P, 2] of the picture in an eye's coordinates."""
    offset, length = points - origin, (across * across).sum()
    return torch.stack([offset @ across, offset @ down_of(across)], 1) / length


class _Look:
    """The brightness around one eye, in shares of its range, to be asked at points of the eye's coordinates."""

    def __init__(self, luma: Tensor, origin: Tensor, across: Tensor) -> None:
        self.luma, self.origin, self.across = luma, origin, across
        self.device = luma.device
        x = torch.linspace(-1.0, 1.0, 33, device=self.device)
        y = torch.linspace(-0.7, 0.7, 23, device=self.device)
        around = self._raw(torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).reshape(-1, 2))
        self.low, high = (float(around.quantile(q)) for q in (0.02, 0.9))
        self.range = max(high - self.low, 0.05)

    def _raw(self, points: Tensor) -> Tensor:
        places = self.origin + points[..., :1] * self.across + points[..., 1:] * down_of(self.across)
        grid = (places * 2 - 1).reshape(1, 1, -1, 2)
        values = F.grid_sample(self.luma, grid, padding_mode="border", align_corners=False)
        return values.reshape(points.shape[:-1])

    def at(self, points: Tensor) -> Tensor:
        """Return the brightness at points [..., 2]: 0 the darkest here, 1 the brightest."""
        return ((self._raw(points) - self.low) / self.range).clamp(-0.2, 1.2)

    def corners(self, top: float, bottom: float) -> tuple[tuple[float, float, float], Lid, float]:
        """Return the place of the corners (shift to the right and down, growth) and the upper margin with the plainest
        edges, and how plain that is. `top` and `bottom` are the heights of the lids by their landmarks."""
        device = self.luma.device
        x = torch.linspace(-0.92, 0.92, 19, device=device)
        right, down, wide = (
            torch.tensor(values, device=device)
            for values in (
                (-0.2, -0.1, 0.0, 0.1, 0.2),
                (-0.12, -0.06, 0.0, 0.06, 0.12),
                (0.9, 1.0, 1.1, 1.2, 1.3),
            )
        )
        places = torch.stack(torch.meshgrid(right, down, wide, indexing="ij"), -1).reshape(-1, 3)
        tops = (top + torch.linspace(-0.24, 0.24, 13, device=device)).clamp_max(-0.1)
        bottoms = (bottom + torch.linspace(-0.16, 0.4, 8, device=device)).clamp_min(0.05)
        above, over = self._best_lid(places, tops, top, x, 1.0)
        _, under = self._best_lid(places, bottoms, bottom, x, -1.0)
        odd = 2.0 * places[:, 0].square() + 4.0 * places[:, 1].square() + 0.5 * (places[:, 2] - 1.08).square()
        best = int((places[:, 2] * (over + under - _ENOUGH) - 0.5 * odd).argmax())
        right_by, down_by, growth = (float(value) for value in places[best])
        upper = Lid(0.0, float(above[best, 0]) / growth, float(above[best, 1]))
        return (right_by, down_by, growth), upper, float(over[best])

    def _best_lid(
        self, places: Tensor, heights: Tensor, expected: float, x: Tensor, side: float
    ) -> tuple[Tensor, Tensor]:
        """Return for each of `places` [P, 3] the height and skew [P, 2] of the margin along which it gets darkest
        towards the eye, and by how much [P]. `side`: 1 for the upper lid, -1 for the lower one."""
        skews = torch.linspace(-0.3, 0.3, 5, device=x.device)
        tries = torch.stack(torch.meshgrid(heights, skews, indexing="ij"), -1).reshape(-1, 2)
        y = tries[:, :1] * arch(x) * (1 + tries[:, 1:] * x)
        across = places[:, None, None, 2] * x + places[:, None, None, 0]
        points = torch.stack(torch.broadcast_tensors(across, places[:, None, None, 1] + y), -1)
        edge = self._edge(points, side).mean(2)
        odd = ((tries[:, 0] - expected) / 0.25).square() + 0.3 * (tries[:, 1] / 0.3).square()
        best = (edge - 0.04 * odd).argmax(1)
        return tries[best], edge.gather(1, best[:, None])[:, 0]

    def _edge(self, points: Tensor, side: float) -> Tensor:
        """Return how much darker it is on the eye's side of points [..., 2]."""
        step = points.new_tensor([0.0, _EDGE * side])
        outside = (self.at(points - step) + self.at(points - 2 * step)) / 2
        return (outside - self.at(points + 0.6 * step)).clamp(-0.3, 0.6)

    def iris(self, upper: Lid, radius: float) -> tuple[tuple[float, float], float, float]:
        """Return centre, radius and contrast of the disc below the upper lid that is most darker than what lies to its
        left and right, and below it."""
        device = self.luma.device
        sizes = radius * torch.tensor([0.86, 0.93, 1.0, 1.08, 1.18, 1.3, 1.42, 1.55], device=device)
        x = torch.linspace(-0.5, 0.5, 33, device=device)
        y = upper.at(x) + radius * torch.linspace(0.2, 1.6, 15, device=device)[:, None]
        centers = torch.stack(torch.broadcast_tensors(x, y), -1).reshape(-1, 1, 1, 2)
        angles = torch.tensor([-0.35, 0.0, 0.35], device=device)
        angles = torch.cat([angles, angles + math.pi, angles + math.pi / 2])
        way = torch.stack([angles.cos(), angles.sin()], -1)

        def ring(share: float) -> Tensor:
            points = centers + way[None, None] * (sizes * share)[None, :, None, None]
            covered = points[..., 1] < upper.at(points[..., 0]) + _LASHES
            return torch.where(covered, 0.5, self.at(points)).mean(-1)

        inside = (2 * ring(0.2) + ring(0.55) + 2 * ring(0.88)) / 5
        contrast = (ring(1.15) + ring(1.3)) / 2 - inside
        away = centers[..., 0, 0].square()
        lid = (y - upper.at(x)).reshape(-1, 1) / sizes - 1.0
        odd = 0.6 * (sizes / radius).log().square()[None] + 0.35 * lid.square()
        best = int((contrast - 0.4 * inside - 0.3 * away - odd).argmax())
        place, size = divmod(best, len(sizes))
        center = centers[place, 0, 0]
        return (float(center[0]), float(center[1])), float(sizes[size]), float(contrast[place, size])

    def lower_lid(self, iris: tuple[float, float], radius: float) -> Lid:
        """Return the lower margin: it touches the iris, or nearly, and below that the skin is brighter."""
        x = iris[0] + radius * torch.linspace(-0.9, 0.9, 9, device=self.luma.device)
        tangent = iris[1] + radius
        ends = tangent + torch.linspace(-0.6, 0.6, 25, device=x.device) * radius
        shape = arch(x) / float(arch(x[4]).clamp_min(0.2))
        y = ends[:, None] * shape
        points = torch.stack([x.expand_as(y), y], -1)
        odd = ((ends - tangent) / (0.45 * radius)).square()
        best = int((self._edge(points, -1.0).mean(1) - 0.06 * odd).argmax())
        return Lid(0.0, max(float(ends[best] / arch(x[4]).clamp_min(0.2)), 0.04) + _RIM, 0.0)

    def brow(self, upper: Lid, marks: Tensor) -> Brow:
        """Return the band above the `upper` lid that is darkest beside what lies above and below it. `marks` [5, 2] are
        the brow's landmarks, which lie on its upper edge or above, and know its shape."""
        x = torch.linspace(-0.9, 0.9, 13, device=self.device)
        shape = _parabola(marks).to(self.device)
        down, turn, bend = (
            torch.linspace(*ends, device=self.device)
            for ends in ((-0.1, 0.8, 31), (-0.16, 0.16, 5), (-0.12, 0.12, 3))
        )
        tries = torch.stack(torch.meshgrid(down, turn, bend, indexing="ij"), -1).reshape(-1, 3)
        edge = (shape + tries) @ torch.stack([torch.ones_like(x), x, x.square()])
        step = _BROW_EDGE

        def at(above: float) -> Tensor:
            y = edge - above
            return self.at(torch.stack([x.expand_as(y), y], -1))

        lower = (at(-step) - at(step)).clamp(-0.3, 0.5).mean(1)
        uppers = [(at(t + step) - at(t - step)).clamp(-0.3, 0.5).mean(1) for t in _BROW_THICK]
        top, thick = torch.stack(uppers).max(0)
        close = (edge - (upper.at(x) - _BROW_ABOVE_LID)).clamp_min(0).mean(1)
        odd = ((tries[:, 0] - _BROW_BELOW_MARKS) / 0.35).square()
        odd = odd + (tries[:, 1] / 0.2).square() + (tries[:, 2] / 0.2).square()
        best = int((lower + 0.5 * top - 0.05 * odd - 3 * close).argmax())
        offset, slope, curve = (float(value) for value in shape + tries[best])
        return Brow(offset, slope, curve, _BROW_THICK[int(thick[best])])
