# SPDX-License-Identifier: GPL-3.0-or-later
"""Handles on a face: where they are for some weights, and which weights a drag sets. No bpy here.

Places are (x, y) in fractions of the portrait's crop, from its left top. A handle has up to two tracks, one across and
one along. A track moves it by a known way for each unit of a weight, or the other way for an opposite weight: a corner
of the mouth goes up with the smile and down with the frown. "Left" is the person's own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shared_protocol import face_template
from shared_protocol.banks import BankLayout

from ..text.translate import n_

Place = tuple[float, float]
Values = Mapping[str, float]
"""Values of bases by their identifiers."""

TEMPLATE: tuple[Place, ...] = tuple(
    (x / face_template.SIZE, y / face_template.SIZE) for x, y in face_template.POINTS
)
"""Where the 68 landmarks (iBUG order) are in a crop that fits, for servers that do not find a portrait's own."""
FARTHEST = 1.5
"""Fractions of the crop beyond which a landmark is an error."""
HEAD_ANGLE = math.radians(20.0)
"""Radians of one unit of pitch, yaw and roll."""
SHIFT, GROWTH = 0.1, 0.1
"""Fractions of the crop of one unit of shift, and the logarithm of the growth of one unit of scale."""
WIDTH, HEIGHT, DEPTH = 0.62, 0.9, 0.27
"""The head as an ellipsoid, in fractions of the crop: its width and height, and how far the nose is before its axis."""
PRECISE = 0.1
"""Factor on the mouse's way while Shift is held, as for Blender's sliders."""


@dataclass(frozen=True)
class Track:
    """A way of a handle: the movement (`x`, `y`) for one unit of the weight `more`.

    `less` is the weight for the other direction; empty: `more` becomes negative, where it may. `side` is the weight
    that makes `more` stronger on the person's left, and `sign` -1 on the handle of the right.
    """

    x: float
    y: float
    more: str
    less: str = ""
    side: str = ""
    sign: int = 1

    @property
    def weights(self) -> tuple[str, ...]:
        """Identifiers of all its weights."""
        return tuple(filter(None, (self.more, self.less, self.side)))

    def value(self, values: Values) -> float:
        """Return how far along the track these values are, in units of `more`."""
        opposite = values.get(self.less, 0.0) if self.less else 0.0
        return values.get(self.more, 0.0) - opposite + self.sign * values.get(self.side, 0.0)


@dataclass(frozen=True)
class Handle:
    """A point to drag: its name, the landmarks whose middle it is at, moved by `offset`, and its tracks.

    `jaw` is the share of the jaw's opening that it follows; `is_head` handles are moved by the head's pose alone.
    `twin` names the same handle of the other side.
    """

    name: str
    label: str
    landmarks: tuple[int, ...]
    tracks: tuple[Track, ...]
    offset: Place = (0.0, 0.0)
    jaw: float = 0.0
    is_head: bool = False
    twin: str = ""

    @property
    def weights(self) -> tuple[str, ...]:
        """Identifiers of the weights that it sets."""
        return tuple(name for track in self.tracks for name in track.weights)


def _corner(name: str, label: str, twin: str, landmark: int, sign: int) -> Handle:
    across = Track(0.05 * sign, 0.0, "stretch", "pucker", "stretch_side", sign)
    along = Track(0.015 * sign, -0.05, "smile", "frown")
    return Handle(name, label, (landmark,), (across, along), jaw=0.35, twin=twin)


def _brow(name: str, label: str, twin: str, landmark: int) -> Handle:
    return Handle(
        name, label, (landmark,), (Track(0.0, -0.05, "brow_raise", "brow_furrow"),), (0, -0.02), twin=twin
    )


def _lid(name: str, label: str, twin: str, landmarks: tuple[int, ...]) -> Handle:
    return Handle(name, label, landmarks, (Track(0.0, 0.03, name),), (0.0, -0.03), twin=twin)


def _eye(name: str, label: str, landmarks: tuple[int, ...]) -> Handle:
    return Handle(name, label, landmarks, (Track(0.025, 0.0, "gaze_left"), Track(0.0, -0.02, "gaze_up")))


_JAW = Track(0.0, 0.09, "jaw_open", "shrug_lower")
HANDLES = (
    Handle("jaw", n_("Jaw"), (8,), (Track(0.05, 0.0, "jaw_left"), _JAW), (0.0, -0.02)),
    _corner("corner_left", n_("Left Corner of the Mouth"), "corner_right", 54, 1),
    _corner("corner_right", n_("Right Corner of the Mouth"), "corner_left", 48, -1),
    Handle(
        "lip_upper",
        n_("Upper Lip"),
        (51,),
        (Track(0.06, 0.0, "mouth_left"), Track(0.0, -0.04, "upper_lip_up", "roll_upper")),
    ),
    Handle(
        "lip_lower", n_("Lower Lip"), (57,), (Track(0.0, 0.04, "lower_lip_down", "roll_lower"),), jaw=0.85
    ),
    _brow("brow_left", n_("Brows"), "brow_right", 24),
    _brow("brow_right", n_("Brows"), "brow_left", 19),
    _lid("blink_left", n_("Left Lid"), "blink_right", (43, 44)),
    _lid("blink_right", n_("Right Lid"), "blink_left", (37, 38)),
    _eye("eye_left", n_("Gaze"), (42, 43, 44, 45, 46, 47)),
    _eye("eye_right", n_("Gaze"), (36, 37, 38, 39, 40, 41)),
    Handle("head", n_("Head"), (30,), (Track(0.09, 0.0, "yaw"), Track(0.0, -0.09, "pitch")), is_head=True),
    Handle("tilt", n_("Head Tilt"), (27,), (Track(0.11, 0.0, "roll"),), (0.0, -0.2), is_head=True),
)
BY_NAME = {handle.name: handle for handle in HANDLES}


def handles_of(layout: BankLayout) -> tuple[Handle, ...]:
    """Return the handles whose weights a bundle has, with those of their tracks that it has."""
    names = {basis.identifier for basis in layout.bases}
    return tuple(handle for handle in HANDLES if any(track.more in names for track in handle.tracks))


def usable(landmarks: Sequence[float]) -> tuple[Place, ...]:
    """Return a portrait's 68 landmarks from their numbers, x and y in turn; the template's where they are no face's."""
    places = tuple(zip(landmarks[::2], landmarks[1::2], strict=False))
    are_inside = all(1 - FARTHEST < value < FARTHEST for value in landmarks)
    return places if len(places) == len(TEMPLATE) and are_inside else TEMPLATE


# --- places ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Face:
    """A portrait's landmarks, and the weights at which they were seen."""

    landmarks: tuple[Place, ...]
    rest: Values

    def place(self, handle: Handle, values: Values, moved: Place = (0.0, 0.0)) -> Place:
        """Return where a handle is on the face that these weights show; `moved`: by this way of its own before the head
        turns."""
        change = {name: value - self.rest.get(name, 0.0) for name, value in values.items()}
        x, y = self._base(handle)
        opened = _JAW.value(change)
        for way, track in [(handle.jaw * opened, _JAW)] + [
            (track.value(change), track) for track in handle.tracks if not handle.is_head
        ]:
            x, y = x + way * track.x, y + way * track.y
        return self._posed((x + moved[0], y + moved[1]), change)

    def _base(self, handle: Handle) -> Place:
        chosen = [self.landmarks[number] for number in handle.landmarks]
        x = sum(place[0] for place in chosen) / len(chosen)
        y = sum(place[1] for place in chosen) / len(chosen)
        return x + handle.offset[0], y + handle.offset[1]

    def _middle(self) -> Place:
        """Return the axis of the head: between the ends of the jaw, and between brows and chin."""
        first, last, chin = self.landmarks[0], self.landmarks[16], self.landmarks[8]
        return (first[0] + last[0]) / 2, (self.landmarks[27][1] + chin[1]) / 2

    def _posed(self, place: Place, change: Values) -> Place:
        """Turn, shift and scale a place as the head's pose does."""
        middle = self._middle()
        x, y = place[0] - middle[0], place[1] - middle[1]
        depth = DEPTH * math.sqrt(max(0.0, 1 - (2 * x / WIDTH) ** 2 - (2 * y / HEIGHT) ** 2))
        yaw, pitch, roll = (HEAD_ANGLE * change.get(name, 0.0) for name in ("yaw", "pitch", "roll"))
        x, depth = x * math.cos(yaw) + depth * math.sin(yaw), depth * math.cos(yaw) - x * math.sin(yaw)
        y = y * math.cos(pitch) - depth * math.sin(pitch)
        x, y = x * math.cos(roll) - y * math.sin(roll), y * math.cos(roll) + x * math.sin(roll)
        growth = math.exp(GROWTH * change.get("scale", 0.0))
        shift = SHIFT * change.get("shift_x", 0.0), -SHIFT * change.get("shift_y", 0.0)
        return middle[0] + x * growth + shift[0], middle[1] + y * growth + shift[1]


# --- drags -----------------------------------------------------------------------------------------------------------


def drag(
    handle: Handle, layout: BankLayout, before: Values, way: Place, both_sides: bool = True
) -> dict[str, float]:
    """Return the weights that a drag sets, from those `before` it, inside their ranges.

    `way`: of the mouse, in fractions of the crop. Without `both_sides`, only the handle's own side moves where the
    bundle has weights for that; with it the twin's weights move as well.
    """
    ranges = {basis.identifier: (basis.minimum, basis.maximum) for basis in layout.bases}
    tracks = list(zip(handle.tracks, _along(handle.tracks, way), strict=True))
    if both_sides and handle.twin:
        own = set(handle.weights)
        tracks += [
            (twin, units)
            for (track, units), twin in zip(list(tracks), BY_NAME[handle.twin].tracks, strict=True)
            if twin.more not in own
        ]
    values = {name: value for name, value in before.items() if name in ranges}
    for track, units in tracks:
        _move(values, track, units, ranges, both_sides)
    return {name: values[name] for track, _ in tracks for name in track.weights if name in values}


def _along(tracks: Sequence[Track], way: Place) -> tuple[float, ...]:
    """Return how many units along each track make this way; a single track takes the part in its direction."""
    if len(tracks) == 1:
        (a,) = tracks
        return ((way[0] * a.x + way[1] * a.y) / (a.x**2 + a.y**2),)
    a, b = tracks
    area = a.x * b.y - a.y * b.x
    return (way[0] * b.y - way[1] * b.x) / area, (a.x * way[1] - a.y * way[0]) / area


def _move(
    values: dict[str, float], track: Track, units: float, ranges: Mapping[str, Place], both_sides: bool
) -> None:
    """Move the values along a track; an opposite weight is taken back before the other one grows."""
    if track.more not in ranges:
        return
    if track.side in ranges and not both_sides:
        units /= 2
        values[track.side] = _inside(values.get(track.side, 0.0) + track.sign * units, ranges[track.side])
    value = values.get(track.more, 0.0)
    if track.less in ranges:
        opposite = values.get(track.less, 0.0)
        grown = track.more if units > 0 else track.less
        shrunk = track.less if units > 0 else track.more
        taken = min(abs(units), max(opposite if units > 0 else value, 0.0))
        values[shrunk] = values.get(shrunk, 0.0) - taken
        values[grown] = _inside(values.get(grown, 0.0) + abs(units) - taken, ranges[grown])
    else:
        values[track.more] = _inside(value + units, ranges[track.more])


def _inside(value: float, ends: Place) -> float:
    return min(max(value, ends[0]), ends[1])
