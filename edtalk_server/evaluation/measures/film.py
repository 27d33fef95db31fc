"""Self-reenactment of film as the product does it: the first picture is the portrait, and later ones are read in its
own crop, or captured.

Landmarks are the network's own detector's, in drawn and in true pictures alike.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edtalk_server.engine import Engine, Source
from edtalk_server.evaluation.measures.reenactment import Row
from edtalk_server.evaluation.metrics.image_distance import Picture, psnr, ssim
from edtalk_server.evaluation.metrics.landmarks import face_box
from edtalk_server.media.faces.portrait import cut
from edtalk_server.media.steps import run_to_end
from edtalk_server.media.video.reader import Clip
from edtalk_server.motion import capture
from shared_protocol import emotions
from shared_protocol.timebase import TimeBase

FRAMES, STEP = 97, 4
"""Pictures of a clip that are looked at, and from one that is compared to the next."""
_LARGEST_PICTURE = 1280

Points = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
FindPoints = Callable[[Picture], Points]
"""Pictures [N, S, S, 3] -> landmarks [N, 68, 2] in 0..1 (Multi-PIE order)."""

LEAST_MOVEMENT: Mapping[str, float] = {
    "opening": 0.02,
    "width": 0.02,
    "yaw": 0.02,
    "lids": 0.04,
    "brow": 0.01,
}
"""Standard deviations in a clip below which a movement is too small for a slope."""


def film_rows(engine: Engine, path: Path, find: FindPoints | None = None) -> Iterator[Row]:
    """Measure one clip: rows of numbers, one a picture or one for all. `find` detects landmarks in place of the bundle.

    Raises `EDTalkError`: NO_FACE, VIDEO_UNREADABLE.
    """
    clip = Clip.open(path)
    with contextlib.closing(clip.pictures(side=_LARGEST_PICTURE)) as pictures:
        whole = list(itertools.islice(pictures, 0, FRAMES, STEP))
    source = engine.prepare(whole[0])
    true = np.stack([cut(picture, source.crop, engine.size) for picture in whole[1:]])
    weights = capture(engine, engine.bundle.layout, source.weights, clip, TimeBase(clip.fps), FRAMES)
    captured = run_to_end(weights).weights[STEP:FRAMES:STEP][: len(true)]
    read = engine.render(source, engine.estimate(true))
    unmoved = np.repeat(engine.render(source, source.weights[None]), len(true), axis=0)
    drawn = {"read": read, "captured": engine.render(source, captured), "unmoved": unmoved}
    points = find(true) if find is not None else None
    for name, frames in drawn.items():
        yield from _compared(name, frames, true, points)
    if find is not None and points is not None:
        yield slopes(shape(find(drawn["captured"])), shape(points))
        yield emotion_visibility(engine, source, find)


def _compared(name: str, drawn: Picture, true: Picture, points: Points | None) -> Iterator[Row]:
    similar = ssim(drawn, true)
    for index, (picture, wanted) in enumerate(zip(drawn, true, strict=True)):
        row = {f"film_{name}_psnr": psnr(picture, wanted), f"film_{name}_ssim": similar[index]}
        if points is not None:
            box = face_box(points[index], len(wanted))
            row[f"film_face_{name}_psnr"] = psnr(picture[box], wanted[box])
        yield row


def shape(points: Points) -> Mapping[str, Doubles]:
    """Return how open and wide mouths are, how far heads turn, lids open and brows rise, [N] each, of landmarks
    [N, 68, 2]: in distances between the outer corners of the eyes, and lids in widths of an eye."""
    at = points.astype(np.float64)

    def apart(a: int, b: int) -> Doubles:
        return np.asarray(np.linalg.norm(at[:, a] - at[:, b], axis=1))

    eyes, middle = apart(36, 45), (at[:, 36] + at[:, 45]) / 2
    lids = [(apart(a + 1, a + 5) + apart(a + 2, a + 4)) / (2 * apart(a, a + 3)) for a in (36, 42)]
    return {
        "opening": apart(62, 66) / eyes,
        "width": apart(48, 54) / eyes,
        "yaw": (at[:, 30, 0] - middle[:, 0]) / eyes,
        "lids": (lids[0] + lids[1]) / 2,
        "brow": (middle[:, 1] - at[:, 17:27, 1].mean(1)) / eyes,
    }


def slopes(drawn: Mapping[str, Doubles], true: Mapping[str, Doubles]) -> Row:
    """Return by how much of each true movement the drawn face moves: slopes of regressions over one clip."""
    found = {}
    for name, least in LEAST_MOVEMENT.items():
        away, wanted = drawn[name] - drawn[name].mean(), true[name] - true[name].mean()
        if wanted.std() >= least:
            found[f"film_slope_{name}"] = float((away * wanted).sum() / np.square(wanted).sum())
    return found


def emotion_visibility(engine: Engine, source: Source, find: FindPoints) -> Row:
    """Return how far each emotion at 1 moves landmarks: the mean of the ten that move most, in percent of the distance
    between the outer corners of the eyes."""
    presets = engine.bundle.manifest.presets
    mixer = emotions.make_mixer(engine.bundle.layout, source.weights, presets)
    felt = np.eye(len(emotions.EMOTIONS), dtype=np.float32)
    rows = np.repeat(source.weights[None], len(felt), axis=0)
    rest, *moved = find(
        engine.render(source, np.concatenate([rows[:1], mixer.mix(rows, emotions.FULL_GAINS, felt)]))
    )
    eyes = float(np.linalg.norm(rest[36] - rest[45]))
    return {
        f"emotion_{name}": float(100 * np.sort(np.linalg.norm(points - rest, axis=1))[-10:].mean() / eyes)
        for name, points in zip(emotions.EMOTIONS, moved, strict=True)
        if name in presets and name != "neutral"
    }
