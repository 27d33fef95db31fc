"""Requests as tests make them: of bytes and arrays, for `client.start(*asking.prepare(portrait))`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt

from blender_addon.core.server.uploads import Content, InMemory
from shared_protocol import messages
from shared_protocol.arrays import pack_weights
from shared_protocol.messages import Answer, Crop, Request

Asked = tuple[Request[Answer], tuple[Content, ...]]
"""A request, and the files that it names."""


def _content(data: bytes | Content) -> Content:
    return InMemory.of(data) if isinstance(data, bytes) else data


def inspect(portrait: bytes | Content, crop: Crop | None = None) -> Asked[messages.Inspected]:
    file = _content(portrait)
    return messages.Inspect(portrait=file.digest, crop=crop or Crop()), (file,)


def prepare(portrait: bytes | Content, crop: Crop | None = None) -> Asked[messages.Prepared]:
    file = _content(portrait)
    return messages.Prepare(portrait=file.digest, crop=crop or Crop()), (file,)


def predict(
    source: str, voice: bytes | Content | None, *, fps: tuple[int, int] = (25, 1), **options: Any
) -> Asked[messages.Performance]:
    files = () if voice is None else (_content(voice),)
    rate = {"fps_numerator": fps[0], "fps_denominator": fps[1]}
    digest = files[0].digest if files else ""
    return messages.Predict(source=source, voice=digest, **rate, **options), files


def capture(
    source: str, video: bytes | Content, *, fps: tuple[int, int] = (25, 1), **options: Any
) -> Asked[messages.Performance]:
    file = _content(video)
    rate = {"fps_numerator": fps[0], "fps_denominator": fps[1]}
    return messages.Capture(source=source, video=file.digest, **rate, **options), (file,)


def preview(
    source: str, weights: npt.ArrayLike, slot: str = "", framing: str = "face"
) -> tuple[messages.Preview, tuple[Content, ...], str]:
    return messages.Preview(source=source, weights=pack_weights(weights), framing=framing), (), slot


def render(
    source: str, frames: Sequence[int], weights: npt.ArrayLike, **options: Any
) -> Asked[messages.Frame]:
    packed = pack_weights(weights)
    return messages.Render(source=source, frames=tuple(frames), weights=packed, **options), ()


def movie(
    folder: Path, frames: range, output: Path, *, fps: tuple[int, int] = (25, 1), **options: Any
) -> Asked[messages.Done]:
    if "sound" in options:
        options["sound"] = str(options["sound"])
    first, last = (frames[0], frames[-1]) if frames else (1, 0)
    rate = {"fps_numerator": fps[0], "fps_denominator": fps[1]}
    where = {"folder": str(folder), "output": str(output)}
    return messages.Movie(first=first, last=last, **rate, **where, **options), ()


def list_bundles() -> Asked[messages.Bundles]:
    return messages.ListBundles(), ()


def import_bundle(folder: Path, name: str) -> Asked[messages.Bundles]:
    return messages.ImportBundle(folder=str(folder), name=name), ()
