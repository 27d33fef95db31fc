"""Contact sheets for the eye: many faces under a few movements, or one face under every basis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edtalk_server.evaluation.measures.model_under_test import ModelUnderTest
from edtalk_server.evaluation.metrics.image_distance import Picture
from edtalk_server.evaluation.people.holdout import FloatArray
from edtalk_server.media.video.sequence import encode_png, make_folder, write_whole
from shared_protocol.banks import Bank, BankLayout, Basis


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
"""The standard movements, for bundles with the starter's bases."""

_STRIP = 18
"""Height of a line of text, in pixels."""
_ACROSS = 4
"""Bases in a row of the sheet."""
_GAP = 8
"""Pixels between two bases."""
_FACE = (slice(0.30, 0.94), slice(0.18, 0.82))
"""Rows and columns of a well-cropped picture from brows to chin, where mouth and expression move."""
_COLOURS = {Bank.MOUTH: (176, 64, 52), Bank.POSE: (44, 92, 160), Bank.EXPRESSION: (52, 122, 70)}


def standard_columns(layout: BankLayout) -> Sequence[Column]:
    """Return the standard movements that the bundle has bases for; without any, the first three bases of each bank."""
    known = {basis.identifier for basis in layout.bases}
    standard = [column for column in COLUMNS if known.issuperset(column.change)]
    if len(standard) > 1:
        return standard
    first = [layout.bases[i] for bank in Bank for i in range(len(layout))[layout.slice_of(bank)][:3]]
    return [COLUMNS[0], *(Column(basis.identifier, {basis.identifier: basis.maximum / 2}) for basis in first)]


def render_columns(
    model: ModelUnderTest, photo: Picture, layout: BankLayout, columns: Sequence[Column]
) -> Picture:
    """Render one face [S, S, 3] under each column's movement: uint8 [len(columns), S, S, 3]."""
    rows = np.repeat(model.estimate(photo[None]), len(columns), axis=0)
    for row, column in zip(rows, columns, strict=True):
        for name, value in column.change.items():
            row[layout.index(name)] += value
    return model.draw(model.prepare(photo), rows)


def sheet(model: ModelUnderTest, photos: Sequence[Picture], layout: BankLayout, cell: int = 160) -> Picture:
    """Return a sheet, uint8 RGB: a row for each photo, with the photo first and then the standard movements."""
    columns = standard_columns(layout)
    lines = [_titles(["photo", *(column.title for column in columns)], cell)]
    for photo in photos:
        lines.append(_side_by_side([photo, *render_columns(model, photo, layout, columns)], cell))
    return np.vstack(lines).astype(np.uint8)


def bases_sheet(model: ModelUnderTest, photo: Picture, layout: BankLayout, cell: int = 128) -> Picture:
    """Return a sheet of every basis on one face [S, S, 3]: at its minimum, as in the photo, at its maximum.

    Mouth and expression are shown from brows to chin.
    """
    own, source = model.estimate(photo[None])[0], model.prepare(photo)
    rows = np.concatenate([_ends(own, basis, channel) for channel, basis in enumerate(layout.bases)])
    drawn = model.draw(source, rows).reshape(len(layout), 2, *photo.shape)
    tiles = [
        np.vstack([_label(basis, 3 * cell), _side_by_side(_close_up(basis, low, photo, high), cell)])
        for basis, (low, high) in zip(layout.bases, drawn, strict=True)
    ]
    blank = np.full_like(tiles[0], 255)
    lines = []
    for bank in Bank:  # each bank begins a line
        of_bank = tiles[layout.slice_of(bank)]
        of_bank += [blank] * (-len(of_bank) % _ACROSS)
        lines += [_spaced(of_bank[i : i + _ACROSS]) for i in range(0, len(of_bank), _ACROSS)]
    return np.vstack(lines).astype(np.uint8)


def _close_up(basis: Basis, *pictures: Picture) -> list[Picture]:
    if basis.bank is Bank.POSE:
        return list(pictures)
    rows, columns = (
        slice(round(p.start * len(pictures[0])), round(p.stop * len(pictures[0]))) for p in _FACE
    )
    return [picture[rows, columns] for picture in pictures]


def _ends(own: FloatArray, basis: Basis, channel: int) -> FloatArray:
    rows = np.repeat(own[None], 2, axis=0)
    rows[:, channel] = basis.minimum, basis.maximum
    return rows


def _label(basis: Basis, width: int) -> Picture:
    strip = np.full((_STRIP, width, 3), 255, np.uint8)
    for text, x in (
        (f"{basis.minimum:g}", 4),
        (basis.name, width // 3),
        (f"{basis.maximum:g}", width * 2 // 3 + 4),
    ):
        _write_text(strip, text, x, _COLOURS[basis.bank])
    return strip


def _spaced(tiles: Sequence[Picture]) -> Picture:
    gap = np.full((tiles[0].shape[0], _GAP, 3), 255, np.uint8)
    return np.hstack([part for tile in tiles for part in (tile, gap)][:-1])


def _side_by_side(pictures: Sequence[Picture], cell: int) -> Picture:
    return np.hstack(
        [cv2.resize(picture, (cell, cell), interpolation=cv2.INTER_AREA) for picture in pictures]
    )


def _titles(titles: Sequence[str], cell: int) -> Picture:
    strip = np.full((_STRIP, cell * len(titles), 3), 255, np.uint8)
    for i, title in enumerate(titles):
        _write_text(strip, title, i * cell + 4, (0, 0, 0))
    return strip


def _write_text(strip: Picture, text: str, x: int, colour: tuple[int, int, int]) -> None:
    cv2.putText(strip, text, (x, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.42, colour, 1, cv2.LINE_AA)


def encode_jpeg(picture: Picture, quality: int = 88) -> bytes:
    """Return an RGB picture as the bytes of a JPEG file."""
    ok, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not ok:
        raise ValueError(f"a picture of shape {picture.shape} cannot be a JPEG")
    return bytes(data.tobytes())


def write(path: Path, picture: Picture) -> None:
    """Save an RGB picture as JPEG or PNG, by the ending of the path. Raises `EDTalkError(DISK)`."""
    jpeg = path.suffix.lower() in (".jpg", ".jpeg")
    make_folder(path.parent)
    write_whole(path, encode_jpeg(picture) if jpeg else encode_png(picture))
