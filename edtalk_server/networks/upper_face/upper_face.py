"""The upper face of one photo, moved by geometry before the face network moves the photo as a whole.

Everything happens in the photo's own frame: the network's flow then looks at a photo whose lids are closed, so that
they turn with the head and keep the photo's sharpness in every size.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from edtalk_server.networks.compact_blocks import warp
from edtalk_server.networks.upper_face.brows import prepare_brows
from edtalk_server.networks.upper_face.eyes import (
    GAZE_ACROSS,
    GAZE_DOWN,
    EyeMoves,
    EyeRegion,
    draw_eye,
    prepare_eye,
)
from edtalk_server.networks.upper_face.fit import Eye, down_of, fit_eyes
from edtalk_server.networks.upper_face.midface import laugh_folds, prepare_midface
from edtalk_server.networks.upper_face.region import SkinRegion, smooth

_HELD = 2.5
"""Change of a weight, inverted, at which the eyes are held whole."""
_AROUND_SIZE = 128
_LIT_BY_BLINK, _LIT_BY_RAISE = 0.65, 0.5
"""What of the shade of their hollows lids lose when they close, and when brows rise."""
_SNEER_LEFT = 0.35
"""What of a sneer the network still draws: it smears the upper lip with more."""


@dataclass(frozen=True)
class UpperFaceConfig:
    """Which weights move what; "left" is the person's. A blink's own weight is 0 for open and 1 for closed.

    `sneer` wrinkles the nose; `dimple` lifts the corner of the mouth on the side that `stretch_side` names (above 0 the
    left one); less of a `smile` than the portrait's own fills the folds that it has drawn. None: the network draws them
    alone.
    """

    blink_left: int
    blink_right: int
    squint: int
    gaze_left: int
    gaze_up: int
    brow_raise: int
    brow_furrow: int
    sneer: int | None = None
    dimple: int | None = None
    stretch_side: int | None = None
    smile: int | None = None

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> UpperFaceConfig:
        """Build from JSON. Raises `TypeError` that names an unknown field."""
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object that `from_dict` reads."""
        return {name: place for name, place in dataclasses.asdict(self).items() if place is not None}


@dataclass(frozen=True)
class PreparedUpperFace:
    """All of one source that does not depend on the weights. `found` are the eyes on the picture's left and
    right, `landmarks` [1, 68, 2], `laugh` is by how much lighter the middle of
    the face is without the folds of a laugh, `around` [1, 1, m, m] is 1 on them and falls to 0 around them."""

    found: tuple[Eye, Eye]
    weights: Tensor
    regions: tuple[EyeRegion | None, EyeRegion | None]
    brows: SkinRegion | None
    midface: SkinRegion | None
    laugh: Tensor | None
    landmarks: Tensor
    around: Tensor


class Moves(NamedTuple):
    """How B frames move the upper face: the eyes on the picture's left and right, and the brows [B, 4] (inner and outer
    raise, furrow down and in)."""

    left: EyeMoves
    right: EyeMoves
    brows: Tensor


class UpperFace:
    """Moves lids, irises and brows of photos. It has no tensors to learn."""

    def __init__(self, config: UpperFaceConfig) -> None:
        self.config = config
        self.blinks = (
            config.blink_right,
            config.blink_left,
        )  # the person's right eye is on the picture's left
        self._upper = [
            *self.blinks,
            config.squint,
            config.gaze_left,
            config.gaze_up,
            config.brow_raise,
            config.brow_furrow,
        ]

    def prepare(self, photo: Tensor, landmarks: Tensor, weights: Tensor) -> PreparedUpperFace:
        """Find eyes and brows of a picture [1, 3, n, n] with `landmarks` [1, 68, 2] and its own `weights` [1, C]."""
        return self._prepared(photo, fit_eyes(photo, landmarks), landmarks, weights)

    def with_photo(self, prepared: PreparedUpperFace, photo: Tensor) -> PreparedUpperFace:
        """Return the same for a finer photo [1, 3, n, n] of the same picture."""
        return self._prepared(photo, prepared.found, prepared.landmarks, prepared.weights)

    @staticmethod
    def _prepared(
        photo: Tensor, found: tuple[Eye, Eye], landmarks: Tensor, weights: Tensor
    ) -> PreparedUpperFace:
        regions = (prepare_eye(photo, found[0]), prepare_eye(photo, found[1]))
        within = [(region.rows, region.columns) for region in regions if region is not None]
        brows = prepare_brows(photo, found, within)
        midface = prepare_midface(photo, found, landmarks[0].float())
        laugh = None if midface is None else laugh_folds(photo, found, landmarks[0].float(), midface)
        return PreparedUpperFace(
            found, weights, regions, brows, midface, laugh, landmarks, _around(found, photo.device)
        )

    def left_to_network(self, prepared: PreparedUpperFace, change: Tensor) -> Tensor:
        """Return the change [B, C] of weights that the face network still has to draw."""
        left, right = (eye.sure for eye in prepared.found)
        both = (left + right) / 2
        keep = torch.ones_like(change[:1])
        for channel, sure in (
            (self.config.blink_right, left),
            (self.config.blink_left, right),
            (self.config.gaze_left, both),
            (self.config.gaze_up, both),
            (self.config.brow_raise, both),
            (self.config.brow_furrow, both),
        ):
            keep[:, channel] = 1 - sure
        if self.config.sneer is not None and prepared.midface is not None:
            keep[:, self.config.sneer] = _SNEER_LEFT
        return change * keep

    def held(self, prepared: PreparedUpperFace, change: Tensor, flow: Tensor) -> Tensor:
        """Return where frames that the face network moves by `flow` [B, 2, m, m] must show the moved photo and nothing
        that the network draws, because it draws eyes as they were: 0..1, [B, 1, m, m]."""
        amount = (_HELD * change[:, self._upper].abs().amax(1)).clamp(0, 1)
        return amount[:, None, None, None] * warp(prepared.around, flow)

    def move(self, photo: Tensor, prepared: PreparedUpperFace, change: Tensor) -> Tensor:
        """Return the photo [1, 3, n, n] under B changes of weights [B, C]: [B, 3, n, n], or itself where none of them
        moves it."""
        return self._move_midface(self._move_upper(photo, prepared, change), prepared, change)

    def _move_upper(self, photo: Tensor, prepared: PreparedUpperFace, change: Tensor) -> Tensor:
        awake, brows = (change[:, self._upper] != 0).any(1), prepared.brows
        if brows is None or not bool(awake.any()):
            return photo
        moves = self._moves(prepared, change)
        skin = brows.skin(moves.brows)
        lit = _out_of_hollows(photo, prepared.regions, moves)
        drawn = brows.drawn(lit, skin)
        for region, eye in zip(prepared.regions, moves[:2], strict=True):
            if region is not None:
                rows, columns = _within(region.rows, brows.rows), _within(region.columns, brows.columns)
                drawn[:, :, rows, columns] = draw_eye(lit, region, eye, skin[:, :, rows, columns])
        return brows.over(photo, brows.folded(drawn, moves.brows[:, 3]), awake)

    def _move_midface(self, photos: Tensor, prepared: PreparedUpperFace, change: Tensor) -> Tensor:
        """Return photos [1 or B, 3, n, n] with corners and nose moved."""
        amounts, midface = self._midface_moves(prepared, change), prepared.midface
        calmed = self._calmed(prepared, change)
        awake = (amounts != 0).any(1) | (calmed != 0)
        if midface is None or not bool(awake.any()):
            return photos
        if prepared.laugh is not None and bool((calmed != 0).any()):
            photos = midface.over(
                photos,
                photos[:, :, midface.rows, midface.columns] + calmed[:, None, None, None] * prepared.laugh,
                calmed != 0,
            )
        drawn = midface.drawn(photos, midface.skin(amounts))
        return midface.over(photos, midface.folded(drawn, amounts[:, 2]), awake)

    def _calmed(self, prepared: PreparedUpperFace, change: Tensor) -> Tensor:
        """Return how much of the portrait's own smile is taken back, [B] in 0..1: nothing of a faint one."""
        if self.config.smile is None:
            return change.new_zeros(len(change))
        own = prepared.weights[:, self.config.smile]
        return (-change[:, self.config.smile] / own.clamp_min(0.3)).clamp(0, 1) * smooth(own, 0.35, 0.7)

    def _midface_moves(self, prepared: PreparedUpperFace, change: Tensor) -> Tensor:
        """Return how far the corners on the picture's left and right rise, and the nose wrinkles, [B, 3]."""
        config, none = self.config, change.new_zeros(len(change))
        left = right = none
        if config.dimple is not None and config.stretch_side is not None:
            own = prepared.weights[:, [config.dimple, config.stretch_side]]
            now = own + change[:, [config.dimple, config.stretch_side]]
            right, left = (
                (now[:, 0].clamp(0, 1) * (side * now[:, 1]).clamp(0, 1))
                - (own[:, 0].clamp(0, 1) * (side * own[:, 1]).clamp(0, 1))
                for side in (1, -1)
            )
        sneer = change[:, config.sneer].clamp(-0.5, 1) if config.sneer is not None else none
        return torch.stack([left, right, sneer], 1)

    def _moves(self, prepared: PreparedUpperFace, change: Tensor) -> Moves:
        left, right = (
            self._eye_moves(prepared, change, blink, eye.sure)
            for blink, eye in zip(self.blinks, prepared.found, strict=True)
        )
        sure = (prepared.found[0].sure + prepared.found[1].sure) / 2
        lift = change[:, self.config.brow_raise].clamp(-1, 1)
        furrow = change[:, self.config.brow_furrow].clamp(-1, 1)
        inner = lift
        outer = lift * (1 - 0.85 * furrow.clamp(0, 1))
        down = furrow * (1 - 1.5 * lift).clamp(0, 1)
        return Moves(left, right, sure * torch.stack([inner, outer, down, furrow], 1))

    def _eye_moves(self, prepared: PreparedUpperFace, change: Tensor, blink: int, sure: float) -> EyeMoves:
        """Return the moves of the eye that the weight `blink` closes."""
        own = prepared.weights[:, blink]
        by = change[:, blink]
        close = sure * (by / (1 - own.clamp(0, 0.6))).clamp(0, 1)
        config = self.config
        values = (
            close,
            sure * (-by).clamp(0, 1.2),
            sure * change[:, config.squint].clamp(-0.5, 1),
            sure * GAZE_ACROSS * change[:, config.gaze_left],
            sure * -GAZE_DOWN * change[:, config.gaze_up],
        )
        return EyeMoves(*(value[:, None, None] for value in values))


def _out_of_hollows(
    photo: Tensor, regions: tuple[EyeRegion | None, EyeRegion | None], moves: Moves
) -> Tensor:
    """Return the photo [1 or B, 3, n, n] with the skin between lids and brows as light as it is when that is drawn
    out."""
    lit = photo.float().expand(len(moves.brows), -1, -1, -1).clone()
    raised = _LIT_BY_RAISE * moves.brows[:, :2].amax(1).clamp(0, 1)[:, None, None]
    for region, eye in zip(regions, moves[:2], strict=True):
        if region is not None:
            amount = torch.maximum(_LIT_BY_BLINK * eye.close, raised)[:, None]
            lit[:, :, region.rows, region.columns] += amount * region.hollow
    return lit


def _around(eyes: tuple[Eye, Eye], device: torch.device) -> Tensor:
    """Return a map of the picture that is 1 on the eyes and falls to 0 around them, [1, 1, n, n]."""
    line = (torch.arange(_AROUND_SIZE, device=device) + 0.5) / _AROUND_SIZE
    places = torch.stack(torch.meshgrid(line, line, indexing="xy"))
    maps = []
    for eye in eyes:
        offset, length = places - eye.origin[:, None, None], (eye.across * eye.across).sum()
        x = (offset * eye.across[:, None, None]).sum(0) / length
        y = (offset * down_of(eye.across)[:, None, None]).sum(0) / length
        reach = torch.where(y < 0, 2.2, 1.0)  # up to the raised brow: the network draws that as it was, too
        away = ((x / 1.7) ** 4 + ((y + 0.1) / reach) ** 4) ** 0.25
        maps.append(eye.sure * ((1.5 - away) / 0.5).clamp(0, 1))
    return torch.maximum(*maps)[None, None]


def _within(part: slice, whole: slice) -> slice:
    """Return a slice of the photo as one of the region that holds it."""
    return slice(part.start - whole.start, part.stop - whole.start)
