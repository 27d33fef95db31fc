"""What a worker is asked for."""

from __future__ import annotations

from dataclasses import dataclass

from edtalk_server.arrays import Weights
from edtalk_server.engine.source import Source
from edtalk_server.media.output_spec import OutputSpec


@dataclass(frozen=True, eq=False)
class DrawTask:
    """Some frames of one portrait: a row of `weights` [frames, channels] for each, in the form of `output`, encoded as
    `encoding` (`png`, `exr` or `rgba`)."""

    source: Source
    weights: Weights
    output: OutputSpec
    encoding: str
