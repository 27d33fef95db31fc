"""Draws clips with sound from the sets that have any."""

from __future__ import annotations

from edtalk_server.training.datasets.interface import ClipSet, Random, SpokenBatch, spoken_sets
from shared_protocol.errors import EDTalkError, ErrorCode


def draw_spoken(data: ClipSet, rng: Random, count: int, length: int, reach: int = 0) -> SpokenBatch:
    """Draw clips with sound (`interface.SpokenSet`); `EDTalkError(BAD_MESSAGE)` where no set of the config has any."""
    able = spoken_sets(data)
    if not able:
        raise EDTalkError(
            ErrorCode.BAD_MESSAGE,
            "This stage learns from clips with sound, and no set of the config has any.",
            'Name data of the kind "filmed": films, or speech rendered by `edtalk train spoken-data`.',
        )
    return able[int(rng.integers(len(able)))].spoken(rng, count, length, reach)
