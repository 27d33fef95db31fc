"""Paste the face picture back into the whole portrait, without a seam.

    full = portrait + matte · (face + tone − portrait)        inside the crop; the portrait itself outside

Everything but `face` is computed once for a portrait, so nothing flickers. `tone` makes the face at rest match the
portrait: its smooth part matches the colours, its fine part restores what sampling the crop has lost. The fine part is
bounded, because it does not move with the face.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np

from edtalk_server.arrays import Doubles, Floats, Levels, Picture, Rendered
from edtalk_server.media.faces.portrait import over_grey, paste_matrix
from edtalk_server.media.output_spec import OutputSpec, linear_light_of_bytes, matte_at, to_bytes
from shared_protocol.messages import Crop

_SMOOTHING = 1 / 16
"""Standard deviation of the colour match, in sides of the crop."""
_FINEST_TONE = 12.0
"""Largest fine part of the tone in levels: enough for what sampling loses, too little to be visible."""


def bounded(portrait: Picture, crop: Crop, largest: int) -> tuple[Picture, Crop]:
    """Return portrait and crop, scaled down together so that no side has more than `largest` pixels."""
    height, width = portrait.shape[:2]
    scale = largest / max(width, height)
    if scale >= 1.0:
        return portrait, crop
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return _smaller(portrait, size), Crop(
        crop.center_x * size[0] / width, crop.center_y * size[1] / height, crop.side * scale, crop.roll
    )


def _smaller(portrait: Picture, size: tuple[int, int]) -> Picture:
    """Return a picture scaled down; with alpha, what is transparent lends its colours to nobody."""
    if portrait.shape[2] == 3:
        return np.asarray(cv2.resize(portrait, size, interpolation=cv2.INTER_AREA), np.uint8)
    cover = portrait[..., 3:].astype(np.float32)
    layers = np.dstack([portrait[..., :3] * (cover / 255.0), cover])
    small = np.asarray(cv2.resize(layers, size, interpolation=cv2.INTER_AREA), np.float32)
    small[..., :3] *= np.float32(255.0) / np.maximum(small[..., 3:], np.float32(1e-3))
    return np.asarray(np.clip(np.rint(small), 0, 255), np.uint8)


@dataclass(frozen=True, eq=False)
class Plate:
    """A portrait uint8 [H, W, 3] prepared for pasting faces of `crop` into it, and its own `alpha` [H, W], if it has
    one.

    The crop lies in the window `rows` x `columns` of the portrait. `to_face` [2, 3] maps the window's pixels
    (continuous coordinates) to the face picture in fractions of its side. `matte` [h, w] and `tone` [h, w, 3] (levels,
    the portrait already subtracted) belong to the window.
    """

    portrait: Picture
    crop: Crop
    rows: slice
    columns: slice
    to_face: Doubles
    matte: Floats
    tone: Levels
    alpha: Picture | None = None

    @classmethod
    def make(cls, portrait: Picture, crop: Crop, rest: Levels) -> Plate:
        """Make the plate of a portrait [H, W, 3 or 4] whose face picture at rest is `rest`, levels [N, N, 3].

        `rest` comes from the portrait over grey. How a face differs from it is added to the portrait's straight
        colours, so that no grey gets into its edges.
        """
        if portrait.shape[2] == 4:
            plate = cls.make(over_grey(portrait), crop, rest)
            colours = np.ascontiguousarray(portrait[..., :3])
            return replace(plate, portrait=colours, alpha=np.ascontiguousarray(portrait[..., 3]))
        rows, columns = _window(portrait, crop)
        to_face = paste_matrix(crop, 1)
        to_face[:, 2] += to_face[:, :2] @ (columns.start, rows.start)
        no_tone = np.empty((0, 0), np.float32)
        plate = cls(portrait, crop, rows, columns, to_face, _matte(to_face, rows, columns), no_tone)
        window = portrait[rows, columns].astype(np.float32)
        missing = window - plate._warped(rest)
        tone = _bounded_tone(missing, plate.matte, _SMOOTHING * crop.side)
        return cls(portrait, crop, rows, columns, to_face, plate.matte, tone - window)

    def picture(self, face: Levels, output: OutputSpec) -> Rendered:
        """Return the whole portrait with a face picture, levels [N, N, 3], in its place."""
        window = self.portrait[self.rows, self.columns].astype(np.float32)
        window += self.matte[:, :, None] * (self._warped(face) + self.tone)
        inside = output.finish(window)
        around = linear_light_of_bytes(self.portrait) if output.deep else self.portrait
        alpha = self._alpha(output)
        picture = np.zeros((*around.shape[:2], 3 if alpha is None else 4), inside.dtype)
        picture[:, :, :3] = around
        picture[self.rows, self.columns, :3] = inside
        if alpha is not None:
            picture[:, :, 3] = (
                alpha.astype(inside.dtype) if output.deep else to_bytes(alpha * np.float32(255.0))
            )
        return picture

    def _alpha(self, output: OutputSpec) -> Floats | None:
        """Return the picture's alpha [H, W], 0 to 1: the face's matte if wanted, in what the portrait covers."""
        if not output.alpha and self.alpha is None:
            return None
        alpha = np.ones(self.portrait.shape[:2], np.float32)
        if output.alpha:
            alpha[:] = 0.0
            alpha[self.rows, self.columns] = self.matte
        if self.alpha is not None:
            alpha *= self.alpha / np.float32(255.0)
        return alpha

    def _warped(self, face: Levels) -> Levels:
        """Return the face picture warped to the window, [h, w, 3]; its edges are repeated outside."""
        side = max(1, round(1.5 * self.crop.side))
        if len(face) > side:  # for a face so much larger than the crop, samples would skip pixels
            face = np.asarray(cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA), np.float32)
        matrix = self.to_face * len(face)
        matrix[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5  # OpenCV counts from pixel centres
        warped = cv2.warpAffine(
            face,
            matrix,
            self.matte.shape[::-1],
            flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return np.asarray(warped, np.float32)


def _window(portrait: Picture, crop: Crop) -> tuple[slice, slice]:
    """Return the part of the portrait that the crop touches, at least a pixel."""
    reach = 0.5 * crop.side * (abs(math.cos(crop.roll)) + abs(math.sin(crop.roll)))

    def part(center: float, length: int) -> slice:
        first = min(max(math.floor(center - reach), 0), length - 1)
        return slice(first, max(first + 1, min(math.ceil(center + reach), length)))

    return part(crop.center_y, portrait.shape[0]), part(crop.center_x, portrait.shape[1])


def _matte(to_face: Doubles, rows: slice, columns: slice) -> Floats:
    x = np.arange(columns.stop - columns.start)[None, :] + 0.5
    y = np.arange(rows.stop - rows.start)[:, None] + 0.5
    across = to_face[0, 0] * x + to_face[0, 1] * y + to_face[0, 2]
    down = to_face[1, 0] * x + to_face[1, 1] * y + to_face[1, 2]
    return matte_at(across, down)


def _bounded_tone(missing: Levels, matte: Floats, radius: float) -> Levels:
    """Return the tone [h, w, 3]: what is missing, its fine part bounded. Only what the matte shows counts."""
    weight = np.maximum(matte, 1e-4)[:, :, None]
    smooth = _blur(missing * weight, radius) / _blur(weight, radius)
    return smooth + np.clip(missing - smooth, -_FINEST_TONE, _FINEST_TONE)


def _blur(values: Floats, radius: float) -> Floats:
    """Blur with a Gaussian, on a reduced copy if the radius is large."""
    height, width = values.shape[:2]
    step = max(1, int(radius / 4))
    small = cv2.resize(values, (max(1, width // step), max(1, height // step)), interpolation=cv2.INTER_AREA)
    soft = cv2.GaussianBlur(small, (0, 0), max(0.1, radius / step), borderType=cv2.BORDER_REPLICATE)
    back = cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(back, np.float32).reshape(values.shape[0], values.shape[1], -1)
