"""Random numbers by their place in time: a part of a shot gets those of the whole."""

from __future__ import annotations

import numpy as np

from edtalk_server.arrays import Doubles

_BLOCK = 256
"""Rows that are drawn together."""


def normal_rows(seed: int, name: str, begin: int, end: int, columns: int) -> Doubles:
    """Draw standard normal numbers [end - begin, columns]: a row depends on its number, seed and name only."""
    first, last = begin // _BLOCK, (end - 1) // _BLOCK
    words = [seed % 2**63, int.from_bytes(name.encode())]
    blocks = [
        np.random.default_rng([*words, block % 2**63]).standard_normal((_BLOCK, columns))
        for block in range(first, last + 1)
    ]
    start = begin - first * _BLOCK
    return np.concatenate(blocks)[start : start + end - begin]
