"""The meaning of the 36 weights of the starter bundle.

A weight of 0 is a neutral face; 1 is the full movement, both for training renders and for the animator's sliders. The
mouth and the expression bank move disjoint sets of face-kit shapes, so the banks are disentangled by construction
(the aim of the paper's section 3.2). Pose counts in 20 degrees, a tenth of the picture's width and a tenth of the
logarithm of the size, always against the framing of `media.faces.template`: a neutral head that fits the template has
pose 0.

"Left" is the left of the person in the picture, unless a name says otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from shared_protocol.banks import Bank, BankLayout, Basis

FloatArray = npt.NDArray[np.float32]

POSE_ANGLE = float(np.radians(20.0))
"""Radians of pitch, yaw or roll at weight 1."""
POSE_SHIFT = 0.1
"""Part of the picture's width that a shift of weight 1 moves the head."""
POSE_SCALE = 0.1
"""Natural logarithm of the growth of the head at scale weight 1."""
GAZE_ANGLE = float(np.radians(25.0))
"""Radians the eyes turn at gaze weight 1."""


@dataclass(frozen=True)
class Control:
    """One basis with the kit shapes it moves: `positive` for weights above 0, `negative` below 0, as (shape,
    amount)."""

    basis: Basis
    positive: tuple[tuple[str, float], ...] = ()
    negative: tuple[tuple[str, float], ...] = ()
    reading: tuple[tuple[str, float], ...] = field(default=())
    """How to read the weight back from kit shapes: the sum of shape value times factor."""


def _one(shape: str) -> tuple[tuple[str, float], ...]:
    return ((shape, 1.0),)


def _both(shape: str, amount: float = 1.0) -> tuple[tuple[str, float], ...]:
    return ((f"{shape}_L", amount), (f"{shape}_R", amount))


def _mean(*shapes: str) -> tuple[tuple[str, float], ...]:
    return tuple((name, 1.0 / len(shapes)) for name in shapes)


def _basis(identifier: str, name: str, bank: Bank, low: float, high: float, description: str) -> Basis:
    return Basis(identifier, name, bank, low, high, description)


def _single(identifier: str, name: str, bank: Bank, shape: str, description: str) -> Control:
    return Control(_basis(identifier, name, bank, 0.0, 1.0, description), _one(shape), (), _one(shape))


def _pair(identifier: str, name: str, bank: Bank, shape: str, description: str) -> Control:
    """Return a control of left and right together; reading it back gives their mean."""
    reading = _mean(f"{shape}_L", f"{shape}_R")
    return Control(_basis(identifier, name, bank, 0.0, 1.0, description), _both(shape), (), reading)


def _opposed(identifier: str, name: str, plus: str, minus: str, description: str) -> Control:
    """Return one signed mouth control for two opposite shapes."""
    basis = _basis(identifier, name, Bank.MOUTH, -1.0, 1.0, description)
    return Control(basis, _one(plus), _one(minus), ((plus, 1.0), (minus, -1.0)))


def _side(identifier: str, name: str, shape: str, description: str) -> Control:
    """Return the control of left minus right of a pair, added to the pair's mean."""
    left, right = f"{shape}_L", f"{shape}_R"
    basis = _basis(identifier, name, Bank.MOUTH, -1.0, 1.0, description)
    return Control(
        basis, ((left, 0.5), (right, -0.5)), ((left, -0.5), (right, 0.5)), ((left, 1.0), (right, -1.0))
    )


def _mouth() -> tuple[Control, ...]:
    bank = Bank.MOUTH
    return (
        _single("jaw_open", "Jaw Open", bank, "jawOpen", "Lower jaw drops; teeth and tongue appear"),
        _opposed(
            "jaw_left", "Jaw Left", "jawLeft", "jawRight", "Lower jaw to the person's left, negative: right"
        ),
        _single("jaw_forward", "Jaw Forward", bank, "jawForward", "Lower jaw pushes forward"),
        _single(
            "lips_together", "Lips Together", bank, "mouthClose", "Closes the lips although the jaw is open"
        ),
        _single("funnel", "Funnel", bank, "mouthFunnel", "Open rounded lips, as in 'oh'"),
        _single("pucker", "Pucker", bank, "mouthPucker", "Closed rounded lips, as in 'oo' or a kiss"),
        _opposed(
            "mouth_left",
            "Mouth Left",
            "mouthLeft",
            "mouthRight",
            "Mouth to the person's left, negative: right",
        ),
        _single("roll_lower", "Roll Lower Lip", bank, "mouthRollLower", "Lower lip curls inwards, as in 'f'"),
        _single("roll_upper", "Roll Upper Lip", bank, "mouthRollUpper", "Upper lip curls inwards"),
        _single("shrug_lower", "Shrug Lower Lip", bank, "mouthShrugLower", "Chin and lower lip push up"),
        _single("shrug_upper", "Shrug Upper Lip", bank, "mouthShrugUpper", "Upper lip pushes up and out"),
        _pair("lower_lip_down", "Lower Lip Down", bank, "mouthLowerDown", "Shows the lower teeth"),
        _pair("upper_lip_up", "Upper Lip Up", bank, "mouthUpperUp", "Shows the upper teeth"),
        _pair("stretch", "Stretch", bank, "mouthStretch", "Corners pull sideways, as in 'ee'"),
        _pair("press", "Press", bank, "mouthPress", "Lips press together, as in 'm'"),
        _pair("dimple", "Dimple", bank, "mouthDimple", "Corners pull inwards and back"),
        _pair("cheek_puff", "Cheek Puff", bank, "cheekPuff", "Cheeks fill with air"),
        _side(
            "lower_lip_down_side",
            "Lower Lip Side",
            "mouthLowerDown",
            "More of Lower Lip Down left than right",
        ),
        _side("upper_lip_up_side", "Upper Lip Side", "mouthUpperUp", "More of Upper Lip Up left than right"),
        _side("stretch_side", "Stretch Side", "mouthStretch", "More of Stretch left than right"),
    )


def _pose() -> tuple[Control, ...]:
    rows = (
        ("pitch", "Pitch", 1.0, "Looks up; 1 is 20 degrees"),
        ("yaw", "Yaw", 1.5, "Turns to the person's own left; 1 is 20 degrees"),
        ("roll", "Roll", 1.0, "Tilts to the right of the picture; 1 is 20 degrees"),
        ("shift_x", "Shift Right", 1.0, "Moves to the right of the picture; 1 is a tenth of its width"),
        ("shift_y", "Shift Up", 1.0, "Moves up; 1 is a tenth of the picture's width"),
        ("scale", "Nearer", 1.0, "Comes nearer; 1 is a growth by a tenth (e to the 0.1)"),
    )
    return tuple(
        Control(_basis(key, name, Bank.POSE, -limit, limit, text)) for key, name, limit, text in rows
    )


def _blink(side: str) -> Control:
    suffix = side[0].upper()
    text = f"Closes the person's {side} eye; negative opens it wide"
    basis = _basis(f"blink_{side}", f"Blink {side.capitalize()}", Bank.EXPRESSION, -1.0, 1.0, text)
    blink, wide = f"eyeBlink_{suffix}", f"eyeWide_{suffix}"
    return Control(basis, _one(blink), _one(wide), ((blink, 1.0), (wide, -1.0)))


def _expression() -> tuple[Control, ...]:
    bank = Bank.EXPRESSION
    brows = ("browInnerUp_L", "browInnerUp_R", "browOuterUp_L", "browOuterUp_R")
    smile = Control(
        _basis("smile", "Smile", bank, 0.0, 1.0, "Corners of the mouth up, cheeks rise"),
        _both("mouthSmile") + _both("cheekSquint", 0.4),
        (),
        _mean("mouthSmile_L", "mouthSmile_R"),
    )
    raise_ = Control(
        _basis("brow_raise", "Brow Raise", bank, 0.0, 1.0, "Both brows go up"),
        tuple((name, 1.0) for name in brows),
        (),
        _mean(*brows),
    )
    lids = 2.0 * GAZE_ANGLE  # the lids follow the eyes; the kit's shapes are full at half a radian
    gaze_left = Control(
        _basis("gaze_left", "Gaze Left", bank, -1.0, 1.0, "Eyes to the person's left; 1 is 25 degrees")
    )
    gaze_up = Control(
        _basis("gaze_up", "Gaze Up", bank, -1.0, 1.0, "Eyes and lids up; 1 is 25 degrees"),
        _both("eyeLookUp", lids),
        _both("eyeLookDown", lids),
        tuple((f"eyeLookUp_{s}", 0.5 / lids) for s in "LR")
        + tuple((f"eyeLookDown_{s}", -0.5 / lids) for s in "LR"),
    )
    return (
        smile,
        _pair("frown", "Frown", bank, "mouthFrown", "Corners of the mouth down"),
        raise_,
        _pair("brow_furrow", "Brow Furrow", bank, "browDown", "Brows down and together"),
        _blink("left"),
        _blink("right"),
        _pair("squint", "Squint", bank, "eyeSquint", "Lids narrow"),
        _pair("sneer", "Sneer", bank, "noseSneer", "Nose wrinkles"),
        gaze_left,
        gaze_up,
    )


CONTROLS: tuple[Control, ...] = _mouth() + _pose() + _expression()

STARTER_LAYOUT = BankLayout(tuple(control.basis for control in CONTROLS))
"""Mouth 20, pose 6, expression 10."""

CHANNELS = len(STARTER_LAYOUT)
MOUTH = STARTER_LAYOUT.slice_of(Bank.MOUTH)
POSE = STARTER_LAYOUT.slice_of(Bank.POSE)
EXPRESSION = STARTER_LAYOUT.slice_of(Bank.EXPRESSION)
PITCH, YAW, ROLL, SHIFT_X, SHIFT_Y, SCALE = range(POSE.start, POSE.stop)
GAZE_LEFT = STARTER_LAYOUT.index("gaze_left")
GAZE_UP = STARTER_LAYOUT.index("gaze_up")


def neutral() -> FloatArray:
    """Return a row of weights [36] of a neutral face that fits the template."""
    return np.zeros(CHANNELS, np.float32)


def weights_of(**values: float) -> FloatArray:
    """Return a row of weights [36] with the named bases set. Raises `KeyError` for an unknown name."""
    row = neutral()
    for identifier, value in values.items():
        row[STARTER_LAYOUT.index(identifier)] = value
    return row


@dataclass(frozen=True)
class ShapeMap:
    """The linear map between weights and the shapes of one face kit, whose names stand in `names`."""

    names: tuple[str, ...]
    above: FloatArray
    """[36, shapes]: shape values for one unit of each weight above 0."""
    below: FloatArray
    """[36, shapes]: shape values for one unit of each weight below 0."""
    reading: FloatArray
    """[shapes, 36]: weights from shape values."""

    def to_shapes(self, weights: FloatArray) -> FloatArray:
        """Convert weights [..., 36] to kit shape values [..., shapes]. Pose and sideways gaze have no shapes."""
        shapes = np.maximum(weights, 0) @ self.above + np.maximum(-weights, 0) @ self.below
        return np.asarray(shapes, np.float32)

    def to_weights(self, shapes: FloatArray) -> FloatArray:
        """Convert kit shape values [..., shapes] to weights [..., 36]; pose and sideways gaze become 0."""
        return np.asarray(shapes @ self.reading, np.float32)


def _fill(matrix: FloatArray, terms: Sequence[tuple[str, float]], names: Sequence[str]) -> None:
    for shape, amount in terms:
        matrix[list(names).index(shape)] += amount


def shape_map(names: Sequence[str]) -> ShapeMap:
    """Return the map for a kit whose expression shapes are `names`. Raises `ValueError` when it lacks one."""
    above, below, reading = (np.zeros((CHANNELS, len(names)), np.float32) for _ in range(3))
    for row, control in enumerate(CONTROLS):
        _fill(above[row], control.positive, names)
        _fill(below[row], control.negative, names)
        _fill(reading[row], control.reading, names)
    return ShapeMap(tuple(names), above, below, np.ascontiguousarray(reading.T))


_ODD = (
    "jaw_left",
    "mouth_left",
    "lower_lip_down_side",
    "upper_lip_up_side",
    "stretch_side",
    "yaw",
    "roll",
    "shift_x",
    "gaze_left",
)


def _mirror_permutation() -> npt.NDArray[np.intp]:
    order = np.arange(CHANNELS)
    left, right = STARTER_LAYOUT.index("blink_left"), STARTER_LAYOUT.index("blink_right")
    order[[left, right]] = right, left
    return order


def _mirror_sign() -> FloatArray:
    sign = np.ones(CHANNELS, np.float32)
    sign[[STARTER_LAYOUT.index(name) for name in _ODD]] = -1
    return sign


MIRROR_PERMUTATION = _mirror_permutation()
"""[36] int: where each weight of a mirrored picture comes from."""
MIRROR_SIGN = _mirror_sign()
"""[36] float32: -1 where a mirrored picture has the opposite weight."""

# fmt: off
MIRROR_LANDMARKS = np.array([
    16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0,
    26, 25, 24, 23, 22, 21, 20, 19, 18, 17,
    27, 28, 29, 30, 35, 34, 33, 32, 31,
    45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
    54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55,
    64, 63, 62, 61, 60, 67, 66, 65,
])
"""[68] int: where each landmark of a mirrored picture comes from."""
# fmt: on


def mirror(weights: FloatArray) -> FloatArray:
    """Return the weights [..., 36] of the horizontally flipped picture."""
    return np.asarray(weights[..., MIRROR_PERMUTATION] * MIRROR_SIGN, np.float32)
