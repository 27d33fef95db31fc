"""Little films of people who talk and turn, made from portraits with the starter bundle."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edtalk_server.engine import Engine
from edtalk_server.media.faces.portrait import load_portrait
from edtalk_server.media.output_spec import OutputSpec
from edtalk_server.media.video.reader import Picture
from edtalk_server.media.video.writer import MovieWriter

FPS = Fraction(25)
SIDE = 320


def performance(engine: Engine, frames: int, smile: float = 0.0) -> npt.NDArray[np.float32]:
    """Changes of weights [frames, 36]: the jaw opens and closes, the head turns, the lids blink."""
    layout, time = engine.bundle.layout, np.arange(frames) / 25
    rows = np.zeros((frames, len(layout)), np.float32)
    rows[:, layout.index("jaw_open")] = 0.3 - 0.3 * np.cos(2 * np.pi * 2.2 * time)
    rows[:, layout.index("yaw")] = 0.35 * np.sin(2 * np.pi * 0.7 * time)
    rows[:, layout.index("smile")] = smile
    return rows


def faces(engine: Engine, portrait: Path, frames: int, smile: float = 0.0) -> Picture:
    """The person of a portrait in the whole picture, uint8 [frames, H, W, 3]."""
    source = engine.prepare(load_portrait(portrait))
    rows = source.weights + performance(engine, frames, smile)
    return np.asarray(engine.render(source, rows, OutputSpec(framing="full", largest=SIDE)), np.uint8)


def write(path: Path, pictures: Picture, sound: Path | None = None) -> Path:
    """A movie at 25 frames a second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = pictures.shape[1:3]
    with MovieWriter(path, FPS, (width, height), sound) as movie:
        for picture in pictures:
            movie.write(picture)
    return path
