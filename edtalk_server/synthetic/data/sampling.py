"""The performances of the clips: which weights occur together, and how often.

Two kinds of clips. Free clips (60 %) vary everything. Speech clips (40 %) hold the head almost still and move only
mouth, lids, gaze and smile, because otherwise the pose drowns the mouth in every loss. No two controls always come
together, so that a network can tell them apart.

First frames look like portraits: open eyes, and often a smile that shows teeth. Later frames often close
the mouth or the eyes fully, because that is what a portrait must learn to do.
"""

from __future__ import annotations

import numpy as np

from edtalk_server.synthetic.controls import (
    GAZE_LEFT,
    GAZE_UP,
    MOUTH,
    PITCH,
    POSE,
    ROLL,
    SCALE,
    SHIFT_X,
    SHIFT_Y,
    STARTER_LAYOUT,
    YAW,
    FloatArray,
    neutral,
)

Random = np.random.Generator

CLIP_LENGTH = 8
FREE_SHARE = 0.6
BLINKS = slice(STARTER_LAYOUT.index("blink_left"), STARTER_LAYOUT.index("blink_right") + 1)
_YAW_LIMIT = 1.43
"""Half a radian: beyond it one picture shows too little of the face to draw the other side."""


def _set(row: FloatArray, identifier: str, value: float) -> None:
    row[STARTER_LAYOUT.index(identifier)] = value


def _sometimes(random: Random, chance: float, most: float = 1.0) -> float:
    return float(random.beta(1.3, 1.6) * most) if random.random() < chance else 0.0


def _signed(random: Random, chance: float, most: float) -> float:
    return float(random.uniform(-most, most)) if random.random() < chance else 0.0


def _lopsided(random: Random, mean: float) -> float:
    """Return left minus right for a pair with this mean; neither side becomes clearly negative."""
    return float(np.clip(random.normal(0, 0.3), -1, 1) * (2 * mean + 0.1)) if random.random() < 0.35 else 0.0


def sample_mouth(random: Random) -> FloatArray:
    """Return a row [36] with a random mouth only."""
    row = neutral()
    jaw = _sometimes(random, 0.7)
    closing = 1 - 0.7 * jaw  # rolled or pressed lips go with an open jaw only a little
    values = {
        "jaw_open": jaw,
        "jaw_left": _signed(random, 0.2, 0.8),
        "jaw_forward": _sometimes(random, 0.2, 0.9),
        "lips_together": _sometimes(random, 0.25) * jaw,
        "funnel": _sometimes(random, 0.3),
        "pucker": _sometimes(random, 0.3),
        "mouth_left": _signed(random, 0.2, 0.8),
        "roll_lower": _sometimes(random, 0.2) * closing,
        "roll_upper": _sometimes(random, 0.2) * closing,
        "shrug_lower": _sometimes(random, 0.2, 0.8),
        "shrug_upper": _sometimes(random, 0.2, 0.8),
        "lower_lip_down": _sometimes(random, 0.35),
        "upper_lip_up": _sometimes(random, 0.35),
        "stretch": _sometimes(random, 0.3, 0.9),
        "press": _sometimes(random, 0.2) * closing,
        "dimple": _sometimes(random, 0.2),
        "cheek_puff": _sometimes(random, 0.12),
    }
    for name in ("lower_lip_down", "upper_lip_up", "stretch"):
        values[f"{name}_side"] = _lopsided(random, values[name])
    for identifier, value in values.items():
        _set(row, identifier, value)
    return row


def closed_mouth(random: Random) -> FloatArray:
    """Return a row [36] with lips that rest on each other, sometimes pressed; no teeth."""
    row = neutral()
    for identifier, chance in (("press", 0.3), ("roll_lower", 0.1), ("roll_upper", 0.1), ("dimple", 0.15)):
        _set(row, identifier, _sometimes(random, chance, 0.7))
    _set(row, "smile", _sometimes(random, 0.3, 0.35))
    return row


def toothy_smile(random: Random) -> FloatArray:
    """Return a row [36] with the smile of portraits: broad, teeth showing, the jaw hardly open."""
    row = neutral()
    values = {
        "smile": random.uniform(0.45, 1.0),
        "upper_lip_up": random.uniform(0.25, 0.95),
        "lower_lip_down": _sometimes(random, 0.8, 0.8),
        "stretch": _sometimes(random, 0.5, 0.5),
        "dimple": _sometimes(random, 0.3, 0.6),
        "jaw_open": _sometimes(random, 0.5, 0.3),
        "squint": _sometimes(random, 0.4, 0.7),
    }
    for identifier, value in values.items():
        _set(row, identifier, value)
    return row


def _open_lid(random: Random) -> float:
    return float(np.clip(random.normal(0.03, 0.05), -0.1, 0.2))


def _lid(random: Random) -> float:
    """Return a blink weight: mostly open, often fully or half closed, sometimes wide."""
    dice = random.random()
    if dice < 0.3:
        return 1.0 if random.random() < 0.6 else float(random.uniform(0.2, 1))
    return float(-random.uniform(0.2, 1)) if dice < 0.4 else _open_lid(random)


def sample_eyes(random: Random) -> FloatArray:
    """Return a row [36] with lids and gaze; one lid in four acts alone."""
    row = neutral()
    left = _lid(random)
    right = _lid(random) if random.random() < 0.25 else float(np.clip(left + random.normal(0, 0.03), -1, 1))
    _set(row, "blink_left", left)
    _set(row, "blink_right", right)
    row[GAZE_LEFT] = random.uniform(-1, 1) if random.random() < 0.75 else 0
    row[GAZE_UP] = np.clip(random.normal(0, 0.45), -0.9, 0.8) if random.random() < 0.75 else 0
    return row


def sample_expression(random: Random) -> FloatArray:
    """Return a row [36] with lids, gaze, brows and the corners of the mouth, drawn independently."""
    row = sample_eyes(random)
    raised = _sometimes(random, 0.35)
    values = {
        "smile": _sometimes(random, 0.4),
        "frown": _sometimes(random, 0.2),
        "brow_raise": raised,
        "brow_furrow": _sometimes(random, 0.3) * (1 - 0.6 * raised),
        "squint": _sometimes(random, 0.25),
        "sneer": _sometimes(random, 0.2),
    }
    for identifier, value in values.items():
        _set(row, identifier, value)
    return row


def sample_pose(random: Random) -> FloatArray:
    """Return a row [36] with a random head pose, relative to the clip's first frame in shift and scale."""
    row = neutral()
    row[PITCH] = np.clip(random.normal(0, 0.42), -1.1, 1.1)
    row[YAW] = np.clip(random.normal(0, 0.72), -_YAW_LIMIT, _YAW_LIMIT)
    row[ROLL] = np.clip(random.normal(0, 0.33), -1, 1)
    row[SHIFT_X], row[SHIFT_Y] = np.clip(random.normal(0, (0.35, 0.28)), -1, 1)
    row[SCALE] = np.clip(random.normal(0, 0.35), -1, 1)
    return row


def _first_pose(random: Random) -> FloatArray:
    row = sample_pose(random) * np.float32(0.35)
    row[[SHIFT_X, SHIFT_Y, SCALE]] = 0
    return row


def _sway(random: Random) -> FloatArray:
    """Return small movements of a head that listens: a few degrees, a few pixels."""
    row = neutral()
    row[POSE] = random.normal(0, (0.08, 0.12, 0.07, 0.05, 0.04, 0.05))
    return row


def _faded(random: Random, row: FloatArray, quiet: float) -> FloatArray:
    """Return a row, mostly weakened to a quiet face: first frames look like portraits."""
    return row * np.float32(quiet if random.random() < 0.65 else 1.0)


def _portrait_eyes(random: Random, row: FloatArray) -> None:
    """Open the lids and turn the gaze near the camera, in place."""
    row[BLINKS] = _open_lid(random)
    if random.random() < 0.7:
        row[[GAZE_LEFT, GAZE_UP]] = random.normal(0, 0.1, 2)


def sample_first(random: Random) -> FloatArray:
    """Return the clip's first frame [36]: near a frontal pose; the face calm, in a smile with teeth (a third), or
    talking. Shift and scale are 0: the crop is fitted to this frame."""
    calm = 0.0 if random.random() < 0.3 else 0.2
    expression = _faded(random, sample_expression(random), calm)
    if random.random() < 0.35:
        smiling = toothy_smile(random)
        face = np.where(smiling == 0, expression, smiling)
    else:
        face = _faded(random, sample_mouth(random), calm) + expression
    if random.random() < 0.92:
        _portrait_eyes(random, face)
    return _first_pose(random) + face


def _shows_teeth(row: FloatArray) -> bool:
    at = STARTER_LAYOUT.index
    return bool(row[at("upper_lip_up")] + row[at("lower_lip_down")] + row[at("jaw_open")] > 0.15)


def sample_free(random: Random, first: FloatArray) -> FloatArray:
    """Return a later frame [36] of a free clip; `first` carries the framing of the first one as the picture shows
    it."""
    row = sample_mouth(random) + sample_expression(random) + sample_pose(random)
    if random.random() < _closing_share(first):
        _put_mouth(row, closed_mouth(random))
    elif random.random() < 0.1:
        _put_mouth(row, toothy_smile(random))
    row[[SHIFT_X, SHIFT_Y, SCALE]] += first[[SHIFT_X, SHIFT_Y, SCALE]]
    return _sane(row)


def _closing_share(first: FloatArray) -> float:
    """Return how often a later frame closes the mouth: more often where the first one shows teeth."""
    return 0.3 if _shows_teeth(first) else 0.12


def _put_mouth(row: FloatArray, mouth: FloatArray) -> None:
    """Copy mouth and smile of `mouth` into `row`, in place."""
    row[MOUTH] = mouth[MOUTH]
    _set(row, "smile", mouth[STARTER_LAYOUT.index("smile")])


def sample_speech(random: Random, first: FloatArray) -> FloatArray:
    """Return a later frame [36] of a speech clip: the first one's pose and brows, a new mouth, often new lids, gaze and
    smile. A fifth of the frames move only lids and gaze."""
    row = first.copy()
    only_eyes = random.random() < 0.2
    if only_eyes or random.random() < 0.6:
        eyes = sample_eyes(random)
        row[BLINKS] = eyes[BLINKS]
        if random.random() < 0.5:
            row[[GAZE_LEFT, GAZE_UP]] = eyes[[GAZE_LEFT, GAZE_UP]]
    if only_eyes:
        return _sane(row + _sway(random))
    if random.random() < _closing_share(first):
        _put_mouth(row, closed_mouth(random))
        return _sane(row + _sway(random))
    row[MOUTH] = sample_mouth(random)[MOUTH]
    if random.random() < 0.6:
        _set(row, "smile", _sometimes(random, 0.5))
    return _sane(row + _sway(random))


def _sane(row: FloatArray) -> FloatArray:
    """Remove combinations that tear the mesh: a wide smile with a strong pucker, closed eyes that also squint."""
    at = STARTER_LAYOUT.index
    row[at("pucker")] *= 1 - 0.6 * row[at("smile")]
    row[at("funnel")] *= 1 - 0.4 * row[at("smile")]
    row[at("squint")] *= 1 - 0.7 * max(row[at("blink_left")], row[at("blink_right")], 0)
    return row


def is_speech_clip(random: Random) -> bool:
    """Draw whether a clip is a speech clip."""
    return bool(random.random() >= FREE_SHARE)
