"""Full frames: a source's portrait made ready for pasting, and its face drawn as finely as the portrait shows it."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edtalk_server.engine.source import Source
from edtalk_server.media.faces.paste import Plate, bounded
from edtalk_server.media.faces.portrait import Picture, cut
from edtalk_server.media.output_spec import Levels
from shared_protocol.messages import Crop

MOST_CANVASES = 8
FINEST = 4
"""A face is drawn at most so many times as large as the bundle's size."""


@dataclass(frozen=True, eq=False)
class Canvas:
    """A plate, and what the engine draws the face for it from."""

    plate: Plate
    prepared: Any


class Canvases:
    """The canvases used last. They are made when the first full frame is asked for: many sources never need one."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, int], Canvas] = OrderedDict()

    def of(
        self,
        source: Source,
        largest: int,
        prepare: Callable[[Picture, Crop], Any],
        draw_rest: Callable[[Any], Levels],
    ) -> Canvas:
        """The canvas of a source whose sides have at most `largest` pixels.

        `prepare` gets the portrait in that size with its crop, `draw_rest` draws the face at rest from its answer.
        """
        key = source.key, min(largest, max(source.portrait.shape[:2]))
        if key not in self._kept:
            portrait, place = bounded(source.portrait, source.place, largest)
            prepared = prepare(portrait, place)
            self._kept[key] = Canvas(Plate.make(portrait, place, draw_rest(prepared)), prepared)
        self._kept.move_to_end(key)
        while len(self._kept) > MOST_CANVASES:
            self._kept.popitem(last=False)
        return self._kept[key]


def fine_photo(portrait: Picture, place: Crop, size: int) -> Picture | None:
    """The crop in a multiple of the bundle's size, as fine as the portrait is; None where the size itself is enough."""
    times = min(FINEST, math.ceil(place.side / size))
    return cut(portrait, place, times * size) if times > 1 else None
