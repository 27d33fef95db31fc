"""A contact sheet of training data: the frames of a clip, and whether their labels fit.

One row per person: the source frame, then for a free and for a spoken frame the picture, its parts, its landmarks, the
source warped along the flow, and three times the remaining difference. Grey pixels are hidden in the source.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from edtalk_server.synthetic.data import sampling
from edtalk_server.synthetic.data.clips import as_shown, jittered_camera
from edtalk_server.synthetic.renderer.frame import ByteArray, Render, Renderer
from edtalk_server.synthetic.renderer.scene import make_background, make_light
from edtalk_server.synthetic.renderer.shading import HIDDEN, VISIBLE

FloatArray = npt.NDArray[np.float32]

_VIEWS = ("frame", "parts", "landmarks", "source warped", "3 x difference")
_HEADER = 18
_GREY = 60
_GOLDEN = 0.618034  # turns of the colour wheel from one part to the next: neighbours differ most


@dataclass(frozen=True)
class DataSheet:
    """The sheet, and how well flow explains the pictures."""

    picture: ByteArray
    """[18 + rows * size, 11 * size, 3] RGB."""
    warped: float
    """Mean difference, in grey levels, of the warped source from the frame where the source shows it."""
    unmoved: float
    """The same of the source as it is."""


def data_sheet(renderer: Renderer, seeds: Sequence[int], size: int = 128) -> DataSheet:
    """Draw the people of these seeds."""
    rows, errors = [], []
    for seed in seeds:
        source, *targets = _sit(renderer, seed, size)
        cells = [source.image]
        for target in targets:
            views, error = _views(renderer, target, source, size)
            cells += views
            errors.append(error)
        rows.append(np.concatenate(cells, axis=1))
    warped, unmoved = np.mean(errors, axis=0)
    return DataSheet(np.concatenate([_header(size), *rows]), float(warped), float(unmoved))


def _sit(renderer: Renderer, seed: int, size: int) -> list[Render]:
    """Render the source, a free and a spoken frame of one person."""
    random = np.random.default_rng(seed)
    person, light = renderer.identity(seed), make_light(random)
    background, first = make_background(random, 2 * size), sampling.sample_first(random)
    camera = jittered_camera(random, renderer, person, first)
    cropped = as_shown(camera, first)
    weights = cropped, sampling.sample_free(random, cropped), sampling.sample_speech(random, cropped)
    return [renderer.render(person, row, light, background, camera, size) for row in weights]


def _views(
    renderer: Renderer, target: Render, source: Render, size: int
) -> tuple[list[ByteArray], tuple[float, float]]:
    flow, visibility = renderer.flow(target, source, size)
    x, y = np.meshgrid(np.arange(size, dtype=np.float32), np.arange(size, dtype=np.float32))
    warped = cv2.remap(source.image, x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR)
    off, before = (np.abs(picture.astype(int) - target.image) for picture in (warped, source.image))
    visible, hidden = visibility == VISIBLE, visibility == HIDDEN
    warped[hidden] = _GREY
    left = np.minimum(off * 3, 255).astype(np.uint8)
    left[hidden] = _GREY
    views = [target.image, _coloured(target.parts), _marked(target), warped, left]
    return views, (float(off[visible].mean()), float(before[visible].mean()))


def _coloured(parts: ByteArray) -> ByteArray:
    """Return each part in its own colour; the background is black."""
    numbers = np.arange(256)
    hsv = np.stack([(numbers * _GOLDEN) % 1 * 179, 150 + numbers * 0, 230 + numbers * 0], axis=-1)
    colours = cv2.cvtColor(hsv.astype(np.uint8)[None], cv2.COLOR_HSV2RGB)[0]
    colours[255] = 0
    return np.asarray(colours[parts], np.uint8)


def _marked(render: Render) -> ByteArray:
    """Return the darkened picture with its landmarks."""
    picture = render.image // 2
    for x, y in render.landmarks * len(picture):
        cv2.circle(picture, (round(float(x)), round(float(y))), 1, (90, 255, 120), -1, cv2.LINE_AA)
    return np.asarray(picture, np.uint8)


def _header(size: int) -> ByteArray:
    names = ["source", *_VIEWS, *_VIEWS]
    strip = np.full((_HEADER, size * len(names), 3), 30, np.uint8)
    for column, name in enumerate(names):
        place = (column * size + 4, _HEADER - 5)
        cv2.putText(strip, name, place, cv2.FONT_HERSHEY_SIMPLEX, 0.36, (230, 230, 230), 1, cv2.LINE_AA)
    return strip
