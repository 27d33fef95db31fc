"""Full frames: a source's portrait prepared for pasting, and its face rendered as finely as the portrait shows it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from edtalk_server.arrays import Levels, Picture
from edtalk_server.engine.source import Source
from edtalk_server.media.faces.paste import Plate, bounded
from shared_protocol.messages import Crop

MAX_CANVASES = 8
"""Canvases that an engine keeps."""


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


def fine_side(crop: Crop, sizes: Sequence[int]) -> int:
    """Return the first of some rising sizes that loses nothing of a crop, or the last."""
    return next((side for side in sizes if side >= crop.side), sizes[-1])
