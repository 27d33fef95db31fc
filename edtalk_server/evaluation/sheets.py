"""Contact sheets: many faces, each under the same few movements, to be looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from edtalk_server.evaluation.holdout import Picture, to_picture, to_tensor
from edtalk_server.networks.interface import FaceNetwork


@dataclass(frozen=True)
class Column:
    """A movement: what is added to the portrait's own weights, by basis identifier."""

    title: str
    change: Mapping[str, float]


COLUMNS = (
    Column("rest", {}),
    Column("jaw open", {"jaw_open": 0.7}),
    Column("turn left", {"yaw": 0.9}),
    Column("turn right", {"yaw": -0.9}),
    Column("smile", {"smile": 1.0}),
    Column("blink", {"blink_left": 1.0, "blink_right": 1.0}),
    Column("pucker", {"pucker": 1.0}),
    Column("brows up", {"brow_raise": 1.0}),
)


@torch.no_grad()
def moved(
    network: FaceNetwork, photo: Picture, identifiers: Sequence[str], columns: Sequence[Column]
) -> Picture:
    """One face [S, S, 3] under each column's movement, uint8 [len(columns), S, S, 3]."""
    image = to_tensor(photo[None])
    prepared = network.prepare(image)
    rows = network.weights_of(image).repeat(len(columns), 1)
    for row, column in zip(rows, columns, strict=True):
        for name, value in column.change.items():
            row[list(identifiers).index(name)] += value
    return to_picture(network.decode(prepared, rows))


def sheet(
    network: FaceNetwork,
    photos: Sequence[Picture],
    identifiers: Sequence[str],
    columns: Sequence[Column] = COLUMNS,
    cell: int = 160,
) -> Picture:
    """Photos down, movements across, the photo itself first; uint8 RGB."""
    lines = [_titles(["photo", *(column.title for column in columns)], cell)]
    for photo in photos:
        pictures = [photo, *moved(network, photo, identifiers, columns)]
        lines.append(np.hstack([cv2.resize(p, (cell, cell), interpolation=cv2.INTER_AREA) for p in pictures]))
    return np.vstack(lines).astype(np.uint8)


def _titles(titles: Sequence[str], cell: int) -> Picture:
    strip = np.full((18, cell * len(titles), 3), 255, np.uint8)
    for i, title in enumerate(titles):
        cv2.putText(
            strip, title, (i * cell + 4, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA
        )
    return strip


def write(path: Path, picture: Picture) -> None:
    """Save an RGB picture as PNG; `OSError` when it cannot be written."""
    ok, data = cv2.imencode(".png", picture[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])
    if not ok:
        raise OSError(f"{path} could not be encoded")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.tobytes())
