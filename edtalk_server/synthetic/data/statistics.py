"""The usual values of each weight (`bundles.manifest.Statistic`), from rows of weights or from rendered shards."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from edtalk_server.bundles.manifest import Statistic
from shared_protocol.banks import BankLayout

Rows = npt.NDArray[np.float32]
"""Weights [N, channels]."""
_TAILS = (1.0, 99.0)
"""Percentiles noted as a weight's usual lowest and highest value."""


def of_rows(rows: Rows, layout: BankLayout) -> dict[str, Statistic]:
    """Return mean, standard deviation, 1 % and 99 % points of each column of weights [N, channels], by basis."""
    columns = (rows.mean(0), rows.std(0), *np.percentile(rows, _TAILS, axis=0))
    numbers = np.round(np.stack(columns, axis=1).astype(np.float64), 4)
    pairs = zip(layout.bases, numbers, strict=True)
    return {basis.identifier: Statistic(*(float(value) + 0.0 for value in row)) for basis, row in pairs}


def of_shards(folder: Path, layout: BankLayout) -> dict[str, Statistic]:
    """Return the statistics of all finished frames in a folder of shards; empty where there are none."""
    parts = []
    for path in sorted(folder.glob("*_done.npy")):
        weights = np.load(path.with_name(path.name.replace("_done", "_weights")), mmap_mode="r")
        parts.append(np.array(weights[: int(np.load(path)[0])]))
    return of_rows(np.concatenate(parts), layout) if parts else {}
