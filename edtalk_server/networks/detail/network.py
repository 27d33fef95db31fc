"""Mouth and eyes drawn finely, over what the face network draws.

Small networks look at the box of a mouth or an eye (`boxes`) in the source and in the drawn frame, and say for
every pixel what it shows: the drawn frame, the source moved a little, or a colour of their own:

    frame = drawn + awake * inside(box) * (p_source * warp(source) + p_colour * colour - (1 - p_drawn) * drawn)

What an open mouth shows cannot be read off a closed one: a decoder that must guess draws the mean of all mouths, a
fog. So the teeth are no guess: a small network says where a head like this has its teeth under these weights, a plain
texture of teeth is laid there in the brightness that the portrait's skin asks for (the guide), and the mouth's
network decides what of it the lips leave to see, and in what light. With `inside` it only says where the mouth is
open, and `mouth` draws what that shows. At no change the frame is untouched, to the bit.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edtalk_server.networks.detail.boxes import (
    ANCHORS,
    EYE_SIZE,
    MOUTH_SIZE,
    Boxes,
    FaceBoxes,
    box_coordinates,
    cut_boxes,
    face_boxes,
    follow,
    paste_grid,
)
from edtalk_server.networks.detail.painter import Painted, Painter, laid
from edtalk_server.networks.mouth.arch import TEETH, arches, box_rows, middle_of
from edtalk_server.networks.mouth.inside import draw_inside, opening, whole
from edtalk_server.networks.mouth.light import MouthLight, lighter_cheek, mouth_light, teeth_light
from edtalk_server.networks.mouth.own import OwnTeeth, between_lips, own_teeth

ENAMEL_SIZE = (16, 128)
"""Rows and columns of a texture of teeth: upper row above, one column group a tooth, each from edge to root."""
GUIDE_CHANNELS = 5
"""Colour of the teeth (3), where upper and where lower teeth stand."""
MARGIN = 0.12
"""Rim of a box, a part of its half, over which what is painted fades."""
SEEN_SIZE = 256
"""The painters see frames in this size, however fine these are."""
INNER_LIPS = slice(60, 68)
_LONGER = 0.2
"""By how much a portrait's teeth are believed to be longer or shorter than those found for it, in halves of a box."""


@dataclass(frozen=True)
class DetailConfig:
    """Sizes. Channels belong to a half, a quarter and an eighth of a box. `rest_radius` is the length of a change of
    weights at which half is painted. Without `eye_channels` eyes stay as the face network draws them.

    `teeth_over_cheek` is the display brightness of the brightest teeth over that of the cheek; `teeth_shown` is how
    much further the upper row reaches down than on the renderer's heads, in halves of a mouth's box. Both as in film.

    `mouth_wakes` are the weights that alone ask for a mouth to be painted; None: those that the tensor `mouth_moves`
    names. A laughing portrait that smiles more keeps its own teeth: only what parts the lips shows others.

    With `inside` the mouth's painter says where the mouth is open, and geometry draws what it shows (`mouth.inside`);
    without it the painter's own colours are shown.
    """

    weights: int = 36
    mouth_channels: tuple[int, int, int] = (48, 64, 96)
    eye_channels: tuple[int, int, int] | None = (32, 48, 64)
    style: int = 64
    teeth_hidden: int = 96
    teeth_shapes: int = 12
    rest_radius: float = 0.1
    teeth_over_cheek: float = 1.25
    teeth_shown: float = 0.08
    mouth_wakes: tuple[int, ...] | None = None
    inside: bool = False

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> DetailConfig:
        """Build from JSON (lists become tuples). Raises `TypeError` that names an unknown field."""
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**fields)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object that `from_dict` reads. What came later is left out where it is not used: then older
        programs can read it too."""
        values = {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(self).items()}
        return values if self.inside else {k: v for k, v in values.items() if k != "inside"}


class TeethFinder(nn.Module):
    """Where a head has its teeth: landmarks of the source in its mouth's box [B, 68, 2] and weights [B, 2 * weights] ->
    [B, 2, 16, 2, 2], upper and lower row, edge and root, x and y in the moved mouth's box.

    It chooses among the arches that heads have, `shapes` of them beside their mean, so that no answer is a broken set.
    """

    def __init__(self, weights: int, hidden: int, shapes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(2 * weights + 136, hidden),
            nn.SiLU(),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
            nn.Linear(hidden, shapes),
        )
        self.arches = nn.Linear(shapes, 2 * TEETH * 4)

    def forward(self, points: Tensor, weights: Tensor) -> Tensor:
        chosen = self.layers(torch.cat([weights, points.flatten(1) * 0.5], 1).float())
        return self.arches(chosen).reshape(-1, 2, TEETH, 2, 2)


def teeth_guide(teeth: Tensor, enamel: Tensor, size: tuple[int, int] = MOUTH_SIZE) -> Tensor:
    """Lay a texture of teeth [B, 3, 16, 128] where the teeth stand [B, 2, 16, 2, 2]. Return [B, 5, rows, columns].

    Columns of the box are told apart by tooth, rows by the way from edge to root; upper teeth stand before lower ones.
    """
    rows, columns = size
    device = teeth.device
    both, y = arches(teeth, columns), box_rows(rows, device)
    length = both.root - both.edge
    along = (y - both.edge) / torch.where(length.abs() < 1e-3, torch.full_like(length, 1e-3), length)
    pixel = 2.0 / rows / length.abs().clamp_min(0.02)  # of a tooth's length
    cover = (along / pixel + 0.5).clamp(0, 1) * ((1 - along) / pixel + 0.5).clamp(0, 1)
    cover = cover * ((both.tooth > -0.5) & (both.tooth < TEETH - 0.5))
    u = ((both.tooth + 0.5) / TEETH * 2 - 1).expand_as(along)
    v = (0.02 + 0.46 * along.clamp(0, 1)) * 2 - 1
    v = v + torch.tensor([0.0, 1.0], device=device)[None, :, None, None]
    upper, lower = (
        F.grid_sample(
            enamel, torch.stack([u[:, row], v[:, row]], -1), padding_mode="border", align_corners=False
        )
        for row in (0, 1)
    )
    front = cover[:, :1]
    return torch.cat([upper * front + lower * (1 - front), cover], 1)


def in_seen_size(frames: Tensor) -> Tensor:
    """Return frames [B, 3, n, n] in the size in which the painters see them: smaller, or as they are."""
    return F.avg_pool2d(frames, frames.shape[-1] // SEEN_SIZE) if frames.shape[-1] > SEEN_SIZE else frames


def window(size: tuple[int, int], margin: float, device: torch.device) -> Tensor:
    """Return 1 inside a box, falling to 0 over `margin` (a part of its half) at its rim, [1, 1, rows, columns]."""
    rows, columns = size
    x = 1 - ((torch.arange(columns, device=device) + 0.5) / columns * 2 - 1).abs()
    y = 1 - ((torch.arange(rows, device=device) + 0.5) / rows * 2 - 1).abs()
    return ((x / margin).clamp(0, 1)[None, :] * (y / margin).clamp(0, 1)[:, None])[None, None]


class Layer(NamedTuple):
    """What is laid over a frame in a box: how much of the frame it hides [B, 1, rows, columns], and its colours times
    that [B, 3, rows, columns]."""

    place: Boxes
    size: tuple[int, int]
    share: Tensor
    colour: Tensor


class OwnMouth(NamedTuple):
    """The mouth that a portrait shows: its upper teeth in the size of the frames' boxes, the landmarks of its inner
    lips in the picture [1, 8, 2], the colour of its cheek [3], and by how much its teeth are longer than those that
    were found for it."""

    teeth: OwnTeeth
    lips: Tensor
    cheek: Tensor
    longer: Tensor


@dataclass(frozen=True)
class PreparedDetail:
    """All of one source that does not depend on the weights: anchors [1, 7, 2], the boxes of mouth [1, 3, ...] and eyes
    [2, 3, ...] (the right one mirrored), its landmarks in the mouth's box, the teeth in its light, and its weights.
    `light` is that in its mouth and `own` the teeth that it shows itself, None: the painter has its own. `fine_mouth`
    and `fine_eyes` are the boxes of a finer photo, as many times larger; None: there is none."""

    anchors: Tensor
    mouth: Tensor
    eyes: Tensor
    points: Tensor
    enamel: Tensor
    weights: Tensor
    light: MouthLight | None = None
    own: OwnMouth | None = None
    fine_mouth: Tensor | None = None
    fine_eyes: Tensor | None = None


def paste(frames: Tensor, place: Boxes, share: Tensor, colour: Tensor) -> Tensor:
    """Lay boxes over frames [B, 3, n, n]: `share` of the frame gives way to `colour`, which is already
    multiplied by it."""
    rows, columns, grid = paste_grid(place, (share.shape[2], share.shape[3]), frames.shape[-1])
    if not grid.numel():
        return frames
    layer = torch.cat([share, colour], 1).float()
    laid = F.grid_sample(layer, grid, padding_mode="zeros", align_corners=False)
    out = frames.clone()
    out[:, :, rows, columns] = frames[:, :, rows, columns] * (1 - laid[:, :1]) + laid[:, 1:]
    return out


def _times(size: tuple[int, int], factor: int) -> tuple[int, int]:
    return size[0] * factor, size[1] * factor


def _both_eyes(pictures: Tensor, boxes: FaceBoxes, size: tuple[int, int]) -> Tensor:
    """Cut the left eyes of B pictures and their right ones, mirrored, [2 B, C, rows, columns]."""
    left, right = cut_boxes(pictures, boxes.left_eye, size), cut_boxes(pictures, boxes.right_eye, size)
    return torch.cat([left, right.flip(-1)])


def _guide(teeth: Tensor, enamel: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the guide [B, 5, rows, columns] with colours in -1..1."""
    guide = teeth_guide(teeth, enamel, size)
    return torch.cat([guide[:, :3].clamp(0, 1) * 2 - 1, guide[:, 3:]], 1)


class _View(NamedTuple):
    """B frames in the painters' size and in their own, their boxes, and where their inner lips lie [B, 8, 2]."""

    small: Tensor
    frames: Tensor
    boxes: FaceBoxes
    lips: Tensor


def _lowered(teeth: Tensor, by: Tensor) -> Tensor:
    """Return teeth [B, 2, 16, 2, 2] whose upper row reaches further down, in halves of a box."""
    down = torch.stack([torch.zeros_like(by), by])
    return torch.stack([teeth[:, 0] + down, teeth[:, 1]], 1)


def opened_mouth(
    painted: Painted, source: Tensor, teeth: Tensor, lips: Tensor, own: OwnMouth, light: MouthLight
) -> Painted:
    """Return what was painted over `source` [B, 3, rows, columns] with the inside of the mouth drawn by geometry, and
    the portrait's own teeth before it as far as the `lips` [B, 8, 2] leave them to see."""
    inside = opening(painted.shares[:, 2:])
    seen = own.teeth.place * own.teeth.sure
    inside = torch.maximum(inside, seen * between_lips(lips, (inside.shape[2], inside.shape[3])))
    colour = draw_inside(_lowered(teeth, own.longer), inside, light) * 2 - 1
    return painted.with_inside(inside)._replace(colour=colour + seen * (source - colour))


class DetailNetwork(nn.Module):
    """Painters of mouth and eyes, the finder of teeth, and the texture of teeth [3, 16, 128] that it lays: at most 1.

    `mirror_order` and `mirror_sign` make the weights of a mirrored face: one painter draws both eyes. `mouth_moves`
    and `eye_moves` are 1 for the weights that ask for a mouth or for eyes to be painted: a turned head keeps its own.
    """

    enamel: Tensor
    mouth_moves: Tensor
    eye_moves: Tensor
    mirror_order: Tensor
    mirror_sign: Tensor

    def __init__(self, config: DetailConfig) -> None:
        super().__init__()
        self.config = config
        self.mouth = Painter(6 + GUIDE_CHANNELS, config.mouth_channels, config.weights, config.style)
        self.eye = (
            Painter(6, config.eye_channels, config.weights, config.style) if config.eye_channels else None
        )
        self.teeth = TeethFinder(config.weights, config.teeth_hidden, config.teeth_shapes)
        self.register_buffer("enamel", torch.ones(3, *ENAMEL_SIZE))
        self.register_buffer("mirror_order", torch.arange(config.weights))
        self.register_buffer("mirror_sign", torch.ones(config.weights))
        self.register_buffer("mouth_moves", torch.ones(config.weights))
        self.register_buffer("eye_moves", torch.ones(config.weights))

    @classmethod
    def from_config(cls, values: dict[str, Any]) -> DetailNetwork:
        """Build the network that a bundle's `config` describes, with untrained tensors."""
        return cls(DetailConfig.from_dict(values))

    # --- over a face network's frames ---

    def prepare(self, photo: Tensor, landmarks: Tensor, weights: Tensor) -> PreparedDetail:
        """Compute everything that depends on one source alone: its picture [1, 3, n, n] in -1..1, its 68 landmarks
        [1, 68, 2] in 0..1 and its own weights."""
        anchors, over_cheek = landmarks[:, list(ANCHORS)], self.config.teeth_over_cheek
        boxes = face_boxes(anchors)
        prepared = PreparedDetail(
            anchors=anchors,
            mouth=cut_boxes(photo, boxes.mouth, MOUTH_SIZE),
            eyes=_both_eyes(photo, boxes, EYE_SIZE),
            points=box_coordinates(boxes.mouth, landmarks, MOUTH_SIZE),
            enamel=self.enamel[None] * teeth_light(photo, landmarks, over_cheek),
            weights=weights,
        )
        if not self.config.inside:
            return prepared
        own = self._own_mouth(prepared, landmarks, lighter_cheek(photo, landmarks))
        light = mouth_light(photo, landmarks, over_cheek)
        return replace(prepared, light=light.with_teeth(own.teeth.colour, own.teeth.sure), own=own)

    def _own_mouth(self, prepared: PreparedDetail, landmarks: Tensor, cheek: Tensor) -> OwnMouth:
        teeth = own_teeth(prepared.mouth, prepared.points, cheek)
        found = arches(self._teeth(prepared, torch.zeros_like(prepared.weights)), MOUTH_SIZE[1])
        longer = (teeth.edge - middle_of(found.edge, found)[0, 0, 0, 0]).clamp(-_LONGER, _LONGER)
        return OwnMouth(teeth, landmarks[:, INNER_LIPS], cheek, teeth.sure * longer)

    def with_photo(self, prepared: PreparedDetail, photo: Tensor) -> PreparedDetail:
        """Return what `prepare` made, for frames as large as `photo` [1, 3, n, n]: the same picture, finer."""
        boxes, times = face_boxes(prepared.anchors), photo.shape[-1] // SEEN_SIZE
        if times < 2:
            own = prepared.own
            if own is not None:
                own = own._replace(teeth=own_teeth(prepared.mouth, prepared.points, own.cheek))
            return replace(prepared, fine_mouth=None, fine_eyes=None, own=own)
        mouth, own = cut_boxes(photo, boxes.mouth, _times(MOUTH_SIZE, times)), prepared.own
        if own is not None:
            own = own._replace(teeth=own_teeth(mouth, prepared.points, own.cheek))
        return replace(
            prepared, fine_mouth=mouth, fine_eyes=_both_eyes(photo, boxes, _times(EYE_SIZE, times)), own=own
        )

    def refine(
        self,
        frames: Tensor,
        flow: Tensor,
        prepared: PreparedDetail,
        change: Tensor,
        seen: Tensor | None = None,
    ) -> Tensor:
        """Paint mouth and eyes over frames [B, 3, n, n] in -1..1 that the face network drew with `flow` [B, 2, m, m]
        for a `change` [B, C] of weights. Where nothing changes the frames come back as they were. `seen` [B, 3,
        `SEEN_SIZE`, `SEEN_SIZE`] is what the painters look at; None: the frames."""
        count = len(frames)
        anchors, lips = self._followed(prepared, flow)
        boxes = face_boxes(anchors)
        own = prepared.weights.expand(count, -1)
        small = in_seen_size(frames) if seen is None else seen
        out, view = frames, _View(small, frames, boxes, lips)
        for moves, painted in ((self.eye_moves, self._eyes), (self._mouth_wakes(), self._mouth)):
            awake = self._awake(change * moves)
            for layer in painted(view, prepared, own, change) if bool(awake.any()) else ():
                rim = window(layer.size, MARGIN, frames.device) * awake
                out = paste(out, layer.place, layer.share * rim, layer.colour * rim)
        return out

    def _mouth_wakes(self) -> Tensor:
        """Return 1 for each weight that asks for a mouth to be painted, [C]."""
        if self.config.mouth_wakes is None:
            return self.mouth_moves
        wakes = torch.zeros_like(self.mouth_moves)
        wakes[list(self.config.mouth_wakes)] = 1.0
        return wakes

    def _awake(self, change: Tensor) -> Tensor:
        """Return how much is painted for changes [B, C] of the weights that matter: 0 for none, 1 for large ones,
        [B, 1, 1, 1]."""
        power = change.square().sum(1)
        return (power / (power + self.config.rest_radius**2))[:, None, None, None]

    @staticmethod
    def _followed(prepared: PreparedDetail, flow: Tensor) -> tuple[Tensor, Tensor]:
        """Return where anchors [B, 7, 2] and inner lips [B, 8, 2] (none without an own mouth) lie in frames that were
        moved by `flow` [B, 2, m, m]."""
        lips = prepared.anchors[:, :0] if prepared.own is None else prepared.own.lips
        points = follow(torch.cat([prepared.anchors, lips], 1).expand(len(flow), -1, -1), flow)
        return points[:, : len(ANCHORS)], points[:, len(ANCHORS) :]

    def _teeth(self, prepared: PreparedDetail, change: Tensor) -> Tensor:
        """Return where teeth stand in the mouth's box under B changes of weights [B, C], [B, 2, 16, 2, 2]."""
        count = len(change)
        conditions = torch.cat([prepared.weights.expand(count, -1), change], 1)
        teeth = self.teeth(prepared.points.expand(count, -1, -1), conditions)
        return _lowered(teeth, teeth.new_tensor(self.config.teeth_shown))

    def _mouth(self, view: _View, prepared: PreparedDetail, own: Tensor, change: Tensor) -> tuple[Layer, ...]:
        small, frames, boxes, _ = view
        conditions = torch.cat([own, change], 1)
        teeth = self._teeth(prepared, change)
        enamel = prepared.enamel.expand(len(small), -1, -1, -1)
        guide = _guide(teeth, enamel, MOUTH_SIZE)
        drawn = cut_boxes(small, boxes.mouth, MOUTH_SIZE)
        source = prepared.mouth.expand(len(small), -1, -1, -1)
        painted, size = self.mouth(source, drawn, guide, conditions), MOUTH_SIZE
        if prepared.light is not None:
            painted = painted.with_inside(whole(painted.shares[:, 2:]))
        if prepared.fine_mouth is not None:
            size = _times(MOUTH_SIZE, frames.shape[-1] // SEEN_SIZE)
            source = prepared.fine_mouth.expand(len(small), -1, -1, -1)
            fine = laid(cut_boxes(frames, boxes.mouth, size), _guide(teeth, enamel, size))
            painted = painted.finer(laid(drawn, guide), fine)
        if prepared.light is not None and prepared.own is not None:
            lips = box_coordinates(boxes.mouth, view.lips, MOUTH_SIZE)
            painted = opened_mouth(painted, source, teeth, lips, prepared.own, prepared.light)
        return (Layer(boxes.mouth, size, *painted.over(source)),)

    def _eyes(self, view: _View, prepared: PreparedDetail, own: Tensor, change: Tensor) -> tuple[Layer, ...]:
        small, frames, boxes, _ = view
        if self.eye is None:
            return ()
        count = len(small)
        both = _both_eyes(small, boxes, EYE_SIZE)
        source = prepared.eyes.repeat_interleave(count, 0)
        conditions = torch.cat(
            [torch.cat([own, change], 1), torch.cat([self._mirrored(own), self._mirrored(change)], 1)]
        )
        painted, size = self.eye(source, both, None, conditions), EYE_SIZE
        if prepared.fine_eyes is not None:
            size = _times(EYE_SIZE, frames.shape[-1] // SEEN_SIZE)
            source = prepared.fine_eyes.repeat_interleave(count, 0)
            painted = painted.finer(both, _both_eyes(frames, boxes, size))
        share, colour = painted.over(source)
        return (
            Layer(boxes.left_eye, size, share[:count], colour[:count]),
            Layer(boxes.right_eye, size, share[count:].flip(-1), colour[count:].flip(-1)),
        )

    def _mirrored(self, weights: Tensor) -> Tensor:
        """Return the weights of the mirrored face."""
        return weights[:, self.mirror_order] * self.mirror_sign
