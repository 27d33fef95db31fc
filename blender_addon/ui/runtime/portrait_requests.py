# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests about a portrait that several operators make."""

from __future__ import annotations

from collections.abc import Sequence

import numpy.typing as npt

from shared_protocol.arrays import pack_weights
from shared_protocol.messages import Crop, Inspect, Inspected, Prepare, Prepared, Preview, PreviewFrame

from ...core.server.uploads import Content
from ...core.tasks import Progress, Steps
from . import runtime


def inspect(portrait: Content, crop: Crop | None, progress: Progress) -> Steps[Inspected]:
    """Let the server judge a portrait; without a crop it looks for the face."""
    progress.begin("Looking at the portrait")
    request = Inspect(portrait=portrait.digest, crop=crop or Crop())
    return (yield from runtime.session().run(request, progress, [portrait]))


def prepare(
    portrait: Content, crop: Crop | None, progress: Progress, further: Sequence[Content] = ()
) -> Steps[Prepared]:
    """Let the server encode a portrait (it keeps it for later); without a crop it looks for the face. `further`: other
    pictures of the person."""
    progress.begin("Looking at the portrait")
    pictures = [portrait, *further]
    return (yield from runtime.session().run(prepare_request(pictures, crop), progress, pictures))


def prepare_request(pictures: Sequence[Content], crop: Crop | None) -> Prepare:
    """Return the request to encode a portrait, the first of `pictures`, with further ones."""
    portrait, *further = (picture.digest for picture in pictures)
    return Prepare(portrait=portrait, crop=crop or Crop(), also=tuple(further))


def draw(source: str, weights: npt.ArrayLike, progress: Progress, size: int = 0) -> Steps[PreviewFrame]:
    """Let the server draw one face of weights [channels], of `size` pixels at most (0: as the model draws)."""
    progress.begin("Making the first picture")
    request = Preview(source=source, weights=pack_weights(weights), size=size)
    return (yield from runtime.session().run(request, progress))
