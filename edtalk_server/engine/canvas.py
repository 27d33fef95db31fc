"""Full frames: a source's portrait prepared for pasting, and its face rendered as finely as the portrait shows it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from edtalk_server.arrays import Levels, Picture
from edtalk_server.engine.source import Source
from edtalk_server.media.faces.paste import Plate, bounded
from edtalk_server.media.faces.portrait import over_grey
from edtalk_server.media.output_spec import OutputSpec
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
        self._canvases: OrderedDict[tuple[str, int, bool], Canvas] = OrderedDict()

    def get(
        self,
        source: Source,
        output: OutputSpec,
        encode: Callable[[Picture, Crop], Any],
        render_rest: Callable[[Any], Levels],
    ) -> Canvas:
        """Return the canvas of a source for full frames of that form.

        `encode` gets the portrait in that size with its crop; `render_rest` renders the face at rest from the result.
        """
        given = source.cut_out if output.cut_out and source.cut_out is not None else source.portrait
        key = source.key, min(output.largest, max(given.shape[:2])), given is source.cut_out
        if key not in self._canvases:
            portrait, crop = bounded(given, source.place, output.largest)
            encoded = encode(over_grey(portrait), crop)
            self._canvases[key] = Canvas(Plate.make(portrait, crop, render_rest(encoded)), encoded)
        self._canvases.move_to_end(key)
        while len(self._canvases) > MAX_CANVASES:
            self._canvases.popitem(last=False)
        return self._canvases[key]


def fine_side(crop: Crop, sizes: Sequence[int]) -> int:
    """Return the first of some rising sizes that loses nothing of a crop, or the last."""
    return next((side for side in sizes if side >= crop.side), sizes[-1])
