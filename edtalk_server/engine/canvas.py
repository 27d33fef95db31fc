"""Full frames: a source's portrait prepared for pasting, and its face rendered as finely as the portrait shows it."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edtalk_server.arrays import Levels, Picture
from edtalk_server.engine.source import Source
from edtalk_server.media.faces.paste import Plate, bounded
from edtalk_server.media.faces.portrait import cut
from shared_protocol.messages import Crop

MAX_CANVASES = 8
"""Canvases that an engine keeps."""
FINEST = 4
"""The largest face, in multiples of the bundle's size."""


@dataclass(frozen=True, eq=False)
class Canvas:
    """A plate, and the encoded face that the engine renders for it."""

    plate: Plate
    encoded: Any


class CanvasCache:
    """The most recently used canvases. Each is made for its first full frame, because many sources never need one."""

    def __init__(self) -> None:
        self._canvases: OrderedDict[tuple[str, int], Canvas] = OrderedDict()

    def get(
        self,
        source: Source,
        largest: int,
        encode: Callable[[Picture, Crop], Any],
        render_rest: Callable[[Any], Levels],
    ) -> Canvas:
        """Return the canvas of a source whose sides have at most `largest` pixels.

        `encode` gets the portrait in that size with its crop; `render_rest` renders the face at rest from the result.
        """
        key = source.key, min(largest, max(source.portrait.shape[:2]))
        if key not in self._canvases:
            portrait, crop = bounded(source.portrait, source.place, largest)
            encoded = encode(portrait, crop)
            self._canvases[key] = Canvas(Plate.make(portrait, crop, render_rest(encoded)), encoded)
        self._canvases.move_to_end(key)
        while len(self._canvases) > MAX_CANVASES:
            self._canvases.popitem(last=False)
        return self._canvases[key]


def fine_photo(portrait: Picture, crop: Crop, size: int) -> Picture | None:
    """Return the crop in a multiple of the bundle's size, as fine as the portrait is; None where `size` is enough."""
    factor = min(FINEST, math.ceil(crop.side / size))
    return cut(portrait, crop, factor * size) if factor > 1 else None
