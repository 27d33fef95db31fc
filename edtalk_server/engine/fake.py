"""An engine without a network: the same interface, instant, predictable. For tests of everything above the engine."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from edtalk_server.arrays import Doubles, Picture, Rendered, Weights
from edtalk_server.bundles.manifest import FINEST
from edtalk_server.engine.canvas import CanvasCache
from edtalk_server.engine.source import Source, check_portrait, check_weights, new_source
from edtalk_server.media.faces.detection import Face
from edtalk_server.media.faces.portrait import over_grey
from edtalk_server.media.faces.portrait_quality import QualityReport
from edtalk_server.media.output_spec import DEFAULT_OUTPUT, FACE, OutputSpec, face_matte
from shared_protocol.banks import BankLayout, numbered_layout
from shared_protocol.messages import Crop


class FakeEngine:
    """Draws the portrait's average colour with a horizontal bar for each weight, the longer the larger the weight.

    So a picture depends on the portrait and on every weight, and on nothing else. `calls` counts `prepare`, `render`
    and `frame`. `seconds_per_frame` makes it slow; at `fail_at_frame` (counted from 0 over all calls) it raises
    `RuntimeError`.
    """

    def __init__(
        self,
        size: int = 64,
        layout: BankLayout | None = None,
        seconds_per_frame: float = 0.0,
        fail_at_frame: int | None = None,
        batch: int = 4,
    ) -> None:
        self.size = size
        self.sizes = tuple(size * factor for factor in range(1, FINEST + 1))
        self.layout = layout or numbered_layout()
        self._identity = "fake" if layout is None else f"fake {[basis.identifier for basis in layout.bases]}"
        self.channels = len(self.layout)
        self.seconds_per_frame = seconds_per_frame
        self.fail_at_frame = fail_at_frame
        self.calls: Counter[str] = Counter()
        self.device_name = "fake"
        self._batch = batch
        self._canvases = CanvasCache()

    def prepare(self, portrait: Picture, crop: Crop | None = None, also: Sequence[Picture] = ()) -> Source:
        """As `Engine.prepare`; without a crop it takes the largest centred square. Further pictures give nothing."""
        if also:
            source = self.prepare(portrait, crop)
            return source.with_also([self.prepare(each) for each in also], [()] * len(also), source.encoded)
        quality = self.assess(portrait, crop)
        self.calls["prepare"] += 1
        own = np.linspace(-0.5, 0.5, self.channels, dtype=np.float32)
        return new_source(
            self._identity,
            portrait,
            quality,
            self.sizes,
            own,
            over_grey(portrait).reshape(-1, 3).mean(axis=0),
        )

    def assess(
        self, portrait: Picture, crop: Crop | None = None, faces: Sequence[Face] | None = None
    ) -> QualityReport:
        """As `Engine.assess`; every portrait is good, and the face is the largest centred square."""
        check_portrait(portrait)
        height, width = portrait.shape[:2]
        if crop is None or crop.side == 0.0:
            crop = Crop(width / 2, height / 2, float(min(width, height)), 0.0)
        return QualityReport(crop, 0.0, ())

    def render(self, source: Source, weights: Weights, output: OutputSpec = DEFAULT_OUTPUT) -> Rendered:
        """As `Engine.render`."""
        parts = list(self.stream(source, weights, output))
        side = source.side(output.size)
        return np.concatenate(parts) if parts else np.empty((0, side, side, 3), np.uint8)

    def stream(
        self, source: Source, weights: Weights, output: OutputSpec = DEFAULT_OUTPUT
    ) -> Iterator[Rendered]:
        """As `Engine.stream`."""
        rows = check_weights(weights, self.channels)
        self.calls["render"] += 1
        finish = self._finisher(source, output)
        side = source.side(output.size) if output.framing == FACE else self.size
        for start in range(0, len(rows), self._batch):
            part = rows[start : start + self._batch]
            yield np.stack([finish(self._frame(source, row, side)) for row in part])

    def _finisher(self, source: Source, output: OutputSpec) -> Callable[[Picture], Rendered]:
        if output.framing == FACE:
            matte = face_matte(source.side(output.size))
            return lambda face: output.finish(face.astype(np.float32), matte)
        rest = _bars(source.weights, source.encoded, self.size).astype(np.float32)
        canvas = self._canvases.get(source, output, lambda *_: None, lambda _: rest)
        return lambda face: canvas.plate.picture(face.astype(np.float32), output)

    def _frame(self, source: Source, row: Weights, side: int) -> Picture:
        if self.fail_at_frame is not None and self.calls["frame"] >= self.fail_at_frame:
            raise RuntimeError("the fake engine was told to fail here")
        self.calls["frame"] += 1
        if self.seconds_per_frame:
            time.sleep(self.seconds_per_frame)
        return _bars(row, source.encoded, side)


def _bars(row: Weights, colour: Doubles, size: int) -> Picture:
    frame = np.empty((size, size, 3), np.uint8)
    frame[:] = colour.astype(np.uint8)
    lengths = 1.0 / (1.0 + np.exp(-row.astype(np.float64)))  # any weight to 0..1, strictly rising
    for y in range(size):
        length = lengths[y * len(row) // size] * (size - 1)
        frame[y, : int(length)] = 255 - colour.astype(np.uint8)
        frame[y, int(length)] = int(255 * (length % 1.0))
    return frame
