"""Lids that close over the eyeball, and an iris that turns below them.

Three layers make a moved eye: the skin of the upper lid, which is drawn out from the brow down to its margin, the skin
of the lower lid, and between the margins the eyeball, which is covered and not squeezed. What the photograph's lids
hide of the eyeball continues what is seen: the iris as the disc that it is, the white as at the margin. Coordinates are
the eye's own (see `fit`); maps are [h, w], what differs between frames is [B, h, w].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from edtalk_server.networks.upper_face.fit import Eye, arch, down_of
from edtalk_server.networks.upper_face.region import rows_and_columns, smooth

GAZE_ACROSS, GAZE_DOWN = 0.48, 0.32
"""How far an iris moves at a gaze of 1, 25 degrees: by a sixteenth of the distance of the eyes' outer corners."""
_WHOLE = 1.1
"""Part of an iris's radius that turns without being drawn out."""
_ROOM = 0.92
"""Part of the white beside an iris that it may cover."""
_SEAM, _OVERLAP = 0.07, 0.05
"""Where closed lids meet: this part of the opening above the lower margin; and how far the upper one lies over it."""
_SQUINT_UPPER, _SQUINT_LOWER = 0.12, 0.3
_WIDE, _ABOVE_IRIS, _LEAST_WIDE = 0.17, 0.06, 0.07
"""How far the upper lid of an eye that is opened wide is lifted at most; how far above the iris that ends, lest white
rings it; and how far it is lifted where it already lies there."""
_LIDS_FOLLOW_UP, _LIDS_FOLLOW_DOWN, _LOWER_FOLLOWS = 0.55, 0.85, 0.3
"""What of the iris's way up and down the upper lid goes along with, and the lower one."""
_SHADOW, _SHADE = 0.12, 0.4
"""How far the lashes' shadow reaches on the eyeball, and how dark it is on what they hid."""
_RIGID = 0.2
"""Height of the band above the upper margin that is moved and not stretched: the lashes."""
_LINE, _LINE_DEPTH = 0.055, 0.42
"""Half the height of the line that lashes make where the lids have met, and how much darker it is."""
_BELOW = 0.9
"""How far below the lower margin skin moves."""
_CHEEK_BELOW, _DEEPER = 0.65, 1.4
"""How far below the eye the cheek is asked, and the power of its colour that drawn out skin has at least: darker, and
redder where it has a colour."""
_USUAL_SHADE = 0.12
"""By how much skin there may be darker than that, of a picture's 2, and stay as it is: only hollows are lit."""
_LEAST_SLOPE = 0.3
_LEAST_REACH, _ABOVE_BROW = 0.2, 0.1
"""How far up from the upper margin skin moves at least, and how far above the brow's edge an eye's region ends."""
EXTENT = (1.3, 1.15)
"""Reach of an eye's region to both sides, and below."""


class EyeMoves(NamedTuple):
    """How B frames move one eye, [B, 1, 1] each: `close` 0..1, `widen` from 0, `squint`, the iris's way in the eye's
    units, before it runs into the corners."""

    close: Tensor
    widen: Tensor
    squint: Tensor
    right: Tensor
    down: Tensor


@dataclass(frozen=True)
class EyeRegion:
    """One eye in a photo of a certain size: rows and columns of its region in that photo, its pixels' coordinates x and
    y, the margins there, and the eyeball without lids [1, 3, h, w]; `bare`, also without the shadow
    of the lashes, shows when they are lifted; `reach` is how far up from the margin skin is drawn out, to the brow, and
    `hollow` [1, 3, h, w] by how much lighter that skin is when it is drawn out: no hollow shades it then."""

    eye: Eye
    rows: slice
    columns: slice
    x: Tensor
    y: Tensor
    upper: Tensor
    lower: Tensor
    eyeball: Tensor
    bare: Tensor
    reach: Tensor
    hollow: Tensor
    pixel: float

    @property
    def down(self) -> Tensor:
        """The way to y = 1, [2], in 0..1 of the picture."""
        return down_of(self.eye.across)


def prepare_eye(photo: Tensor, eye: Eye) -> EyeRegion | None:
    """Prepare an eye of a photo [1, 3, n, n]; None where its region lies outside the picture."""
    side = photo.shape[-1]
    across, down = eye.across, down_of(eye.across)
    top = float(eye.brow.at(eye.origin.new_tensor([-1.0, 0.0, 1.0])).min()) - _ABOVE_BROW
    corners = [eye.origin + x * across + y * down for x in (-EXTENT[0], EXTENT[0]) for y in (top, EXTENT[1])]
    found = rows_and_columns(torch.stack(corners), side)
    if found is None:
        return None
    rows, columns = found
    x, y = _coordinates(eye, rows, columns, side, photo.device)
    upper, lower = eye.upper.at(x), eye.lower.at(x)
    pixel = 1 / (side * float(across.norm()))
    region = photo[:, :, rows, columns].float()
    eyeball, bare = (_eyeball(region, eye, x, y, pixel, shadow) for shadow in (0.0, _SHADOW))
    reach = (upper - eye.brow.at(x)).clamp_min(_LEAST_REACH)
    hollow = _hollow(region, eye, x, y, (upper, lower, reach))
    lower = torch.maximum(lower, upper)
    return EyeRegion(eye, rows, columns, x, y, upper, lower, eyeball, bare, reach, hollow, pixel)


def _hollow(region: Tensor, eye: Eye, x: Tensor, y: Tensor, bounds: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Return by how much the skin between brow and lid is darker than the cheek below the eye, [1, 3, h, w]; `bounds`
    are the margins and the way from the upper one to the brow."""
    upper, lower, reach = bounds
    cheek = (x.abs() < 0.6) & ((y - lower - _CHEEK_BELOW).abs() < 0.2)
    if not bool(cheek.any()):
        return torch.zeros_like(region)
    skin = region[0, :, cheek].median(1).values[None, :, None, None]
    lit = ((skin + 1) / 2).clamp_min(0) ** _DEEPER * 2 - 1
    up = (upper - y) / reach
    where = smooth(up, 0.05, 0.4) * smooth(up, 1.0, 0.5) * smooth(x.abs(), 1.3, 0.4)
    return where * (lit - region - _USUAL_SHADE).clamp_min(0)


def _coordinates(
    eye: Eye, rows: slice, columns: slice, side: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    across = (torch.arange(columns.start, columns.stop, device=device) + 0.5) / side - eye.origin[0]
    below = (torch.arange(rows.start, rows.stop, device=device) + 0.5) / side - eye.origin[1]
    right, down = torch.meshgrid(across, below, indexing="xy")
    (a, b), length = eye.across, (eye.across * eye.across).sum()
    return (right * a + down * b) / length, (down * a - right * b) / length


def _sample(
    region: Tensor, x: Tensor, y: Tensor, eye: Eye, like: tuple[Tensor, Tensor], pixel: float
) -> Tensor:
    """Sample a region [1 or B, C, h, w] at the eye's coordinates x, y [B, h, w]; `like` are those of its own pixels."""
    height, width = region.shape[2:]
    unit = eye.across / eye.across.norm() / pixel
    away_x, away_y = x - like[0], y - like[1]
    moved = torch.stack([away_x * unit[0] - away_y * unit[1], away_x * unit[1] + away_y * unit[0]], -1)
    columns = torch.arange(width, device=x.device) + 0.5 + moved[..., 0]
    rows = (torch.arange(height, device=x.device) + 0.5)[:, None] + moved[..., 1]
    grid = torch.stack([columns / width, rows / height], -1) * 2 - 1
    return F.grid_sample(
        region.expand(len(grid), -1, -1, -1), grid, padding_mode="border", align_corners=False
    )


def _eyeball(region: Tensor, eye: Eye, x: Tensor, y: Tensor, pixel: float, shadow: float) -> Tensor:
    """Return the region as if the lids were not there, [1, 3, h, w]: between them it is as it was, but for what lies
    within `shadow` of the upper one."""
    upper, lower = eye.upper.at(x) + shadow * arch(x), eye.lower.at(x) - 0.8 * shadow * arch(x)
    lower = torch.maximum(lower, upper)
    away = ((x - eye.iris[0]).square() + (y - eye.iris[1]).square()).sqrt() / eye.radius
    disc = _disc(region, away, (y > upper + 0.06) & (y < lower - 0.06))
    white = _white(region, eye, x, y, pixel, upper, lower)
    model = white + ((1.06 - away) / 0.12).clamp(0, 1) * (disc - white)
    outside = (y - torch.minimum(torch.maximum(y, upper), lower)).abs()
    kept, soft = (0.0, 0.5 * shadow) if shadow else (pixel, pixel)
    return region + ((outside - kept) / soft).clamp(0, 1) * (model - region)


def _white(
    region: Tensor, eye: Eye, x: Tensor, y: Tensor, pixel: float, upper: Tensor, lower: Tensor
) -> Tensor:
    """Return the white of the eye behind lids and iris: as it is at the margins, and beside the iris."""
    open_ = lower - upper
    inset = torch.minimum(open_ / 2, torch.full_like(x, 0.05))
    inner = torch.minimum(torch.maximum(y, upper + inset), lower - torch.maximum(inset, 0.2 * open_))
    reach = 1.25 * eye.radius
    part = ((x - eye.iris[0]) / (2 * reach) + 0.5).clamp(0, 1)
    left, right = (
        _sample(
            region,
            torch.where(x * side > end * side, x, x.new_tensor(end))[None],
            inner[None],
            eye,
            (x, y),
            pixel,
        )
        for side, end in ((-1, max(eye.iris[0] - reach, -0.9)), (1, min(eye.iris[0] + reach, 0.9)))
    )
    return left + part * (right - left)


def _disc(region: Tensor, away: Tensor, seen: Tensor) -> Tensor:
    """Return an iris all around, [1, 3, h, w], from the colours of its seen pixels by their distance from its centre
    `away`, 1 at its rim."""
    rings = torch.linspace(0.05, 1.05, 9, device=region.device)
    near = (1 - (away[None] - rings[:, None, None]).abs() / 0.12).clamp_min(0) * seen
    colours = (near[:, None] * region).sum((2, 3)) / near.sum((1, 2)).clamp_min(1e-3)[:, None]
    known = near.sum((1, 2)) > 0.5
    if not bool(known.any()):
        return region
    order = torch.arange(len(rings), device=region.device)
    nearest = ((order[:, None] - order).abs() + 100 * ~known).argmin(1)
    colours = colours[nearest].t()[None, :, None]
    place = (((away - 0.05) / 1.0).clamp(0, 1) * 2 - 1)[None]
    grid = torch.stack([place, torch.zeros_like(place)], -1)
    return F.grid_sample(colours, grid, padding_mode="border", align_corners=True)


def draw_eye(photo: Tensor, region: EyeRegion, moves: EyeMoves, skin: Tensor) -> Tensor:
    """Return the eye's region of a photo [1, 3, n, n] in B frames, [B, 3, h, w]. `skin` [B, 2, h, w] is where else the
    skin comes from, in 0..1 of the picture, because the brow moves it."""
    right, down = _room(region.eye, moves)
    upper, lower = _margins(region, moves, down)
    above = _pulled(upper - region.y, upper - region.upper, region.reach, _RIGID)
    below = _pulled(region.y - lower, region.lower - lower, torch.full_like(region.x, _BELOW), 0.04)
    lid_above = _skin(photo, region, region.upper - above - region.y, skin)
    lid_below = _skin(photo, region, region.lower + below - region.y, skin)
    x, y = _turned(region, right, down)
    lifted = (4 * moves.widen - 2 * down).clamp(0, 1)[:, None]
    eyeball = region.eyeball + lifted * (region.bare - region.eyeball)
    eyeball = _sample(eyeball, x, y, region.eye, (region.x, region.y), region.pixel)
    shade = (-(region.y - upper).clamp_min(0) / _SHADOW).exp() * _SHADE * lifted[:, 0]
    eyeball = (eyeball + 1) * (1 - shade)[:, None] - 1
    soft = region.pixel
    is_above = ((upper - region.y) / soft + 0.5).clamp(0, 1)
    seen = (
        (1 - is_above) * ((lower - region.y) / soft + 0.5).clamp(0, 1) * ((lower - upper) / soft).clamp(0, 1)
    )
    lids = lid_below + is_above[:, None] * (lid_above - lid_below)
    line = (-(((region.y - upper) / _LINE).square())).exp() * arch(region.x).sqrt() * moves.close**2
    lids = (lids + 1) * (1 - _LINE_DEPTH * line)[:, None] - 1
    return lids + seen[:, None] * (eyeball - lids)


def _room(eye: Eye, moves: EyeMoves) -> tuple[Tensor, Tensor]:
    """Return how far the iris moves to the right and down: it slows down towards the corners."""
    x, reach = eye.iris[0], 1 - 0.7 * eye.radius
    right = moves.right
    room = torch.where(right > 0, reach - x, reach + x).clamp_min(0.05) * _ROOM
    return room * torch.tanh(right / room), moves.down


def _margins(region: EyeRegion, moves: EyeMoves, down: Tensor) -> tuple[Tensor, Tensor]:
    """Return the margins of the moved lids, [B, h, w] each."""
    shape, open_ = arch(region.x), region.lower - region.upper
    seam = region.lower - _SEAM * open_ + 0.02 * shape
    awake = 1 - moves.close
    follow = torch.where(down < 0, _LIDS_FOLLOW_UP, _LIDS_FOLLOW_DOWN) * down
    upper = region.upper + moves.close * (seam + _OVERLAP * shape - region.upper)
    lower = region.lower + moves.close * (seam - region.lower)
    upper = upper + awake * (
        moves.squint * _SQUINT_UPPER * open_ + (follow - lift_of_wide(region.eye) * moves.widen) * shape
    )
    lower = lower + awake * (
        (_LOWER_FOLLOWS * down + 0.015 * moves.widen) * shape - moves.squint * _SQUINT_LOWER * open_
    )
    return torch.minimum(upper, lower + _OVERLAP * shape), lower


def lift_of_wide(eye: Eye) -> float:
    """Return how far the upper lid of an eye is lifted when it opens wide."""
    lid = float(eye.upper.at(eye.origin.new_tensor(eye.iris[0])))
    covered = lid - (eye.iris[1] - eye.radius)
    return min(max(covered + _ABOVE_IRIS, _LEAST_WIDE), _WIDE)


def _pulled(away: Tensor, moved: Tensor, reach: Tensor, rigid: float) -> Tensor:
    """Return how far from a margin the skin lay that lies `away` from it now that the margin moved by `moved`, away
    from a place that rests, at `reach` from where the margin was. A band of height `rigid` is not stretched."""
    band = rigid * (reach / 0.7).clamp(0.3, 1.0)
    before, now = reach - band, (reach - band + moved).clamp_min(0.1)
    part = ((away - band) / now).clamp(0, 1)
    stretch = now / before
    power = ((stretch - _LEAST_SLOPE) / (1 - _LEAST_SLOPE)).clamp_min(1.0)
    gentle = part + (stretch - 1) * (part * part - part)
    strong = _LEAST_SLOPE * part + (1 - _LEAST_SLOPE) * part**power
    inside = band + before * torch.where(stretch < 2 - _LEAST_SLOPE, gentle, strong)
    beyond = torch.where(away > band + now, away - moved, inside)
    return torch.where(away < band, away, beyond)


def _skin(photo: Tensor, region: EyeRegion, down: Tensor, skin: Tensor) -> Tensor:
    """Return what lies `down` [B, h, w] from each pixel in the photo, beside what moves the skin anyway."""
    places = region.eye.origin[:, None, None] + region.x * region.eye.across[:, None, None]
    places = places + region.y * region.down[:, None, None]
    places = places[None] + down[:, None] * region.down[:, None, None] + skin
    grid = places.permute(0, 2, 3, 1) * 2 - 1
    return F.grid_sample(
        photo.expand(len(grid), -1, -1, -1), grid, padding_mode="border", align_corners=False
    )


def _turned(region: EyeRegion, right: Tensor, down: Tensor) -> tuple[Tensor, Tensor]:
    """Return where on the eyeball at rest lies what the turned one shows: the iris moves as a whole, the white beside
    it is drawn out or together, and the corners stay."""
    eye, x = region.eye, region.x
    left, to = eye.iris[0] - _WHOLE * eye.radius, eye.iris[0] + _WHOLE * eye.radius
    left, to = max(left, -0.9), min(to, 0.9)
    before = (x + 1) / (left + right + 1).clamp_min(0.05) * (left + 1) - 1
    after = 1 - (1 - x) / (1 - to - right).clamp_min(0.05) * (1 - to)
    inside = x - right
    source = torch.where(x < left + right, before, torch.where(x > to + right, after, inside))
    source = torch.where(x.abs() < 1, source, x)
    near = torch.where(source < left, (source + 1) / (left + 1), (1 - source) / (1 - to)).clamp(0, 1)
    return source, region.y - down * near * (2 - near)
