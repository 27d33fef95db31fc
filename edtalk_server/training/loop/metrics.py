"""What a run writes down for people: a line of JSON at each checkpoint, TensorBoard curves and pictures, the log."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from shared_protocol.errors import EDTalkError, ErrorCode

log = logging.getLogger(__name__)

_SHOWN = 8
"""Rows of a sheet of pictures."""


class Means:
    """Means of named numbers since the last report. Adding does not wait for a graphics card."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, values: Mapping[str, Tensor]) -> None:
        """Add one step's values."""
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value.detach().float()
            self._counts[name] = self._counts.get(name, 0) + 1

    def take(self) -> dict[str, float]:
        """Return the means, and start over."""
        means = {name: round(float(total) / self._counts[name], 5) for name, total in self._sums.items()}
        self._sums.clear()
        self._counts.clear()
        return means


class MetricLogger:
    """Writes the metrics of one run: `<folder>/<name>.jsonl` and `<folder>/tensorboard/<name>`.

    `tensorboard`: True demands it, `EDTalkError(UNSUPPORTED)` where it is not installed; None uses it where it is.
    """

    def __init__(self, folder: Path, name: str, step: int = 0, tensorboard: bool | None = None) -> None:
        self._folder, self._name, self._step, self._tensorboard = folder, name, step, tensorboard
        self._writer: Any = None
        if tensorboard:
            self._open()

    def line(self, progress: Mapping[str, Any], parts: Mapping[str, Mapping[str, float]]) -> None:
        """Append a line of JSON: the time, how far the run is, and its metrics by part."""
        record = {"time": round(time.time()), **progress, **parts}
        with (self._folder / f"{self._name}.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def curves(self, step: int, parts: Mapping[str, Mapping[str, float]]) -> None:
        """Log metrics, and add them to TensorBoard's curves as `part/name`."""
        log.info("%s %d: %s", self._name, step, parts)
        if not self._open():
            return
        for part, values in parts.items():
            for name, value in values.items():
                self._writer.add_scalar(f"{part}/{name}", value, step)
        self._writer.flush()

    def pictures(self, step: int, title: str, columns: Sequence[Tensor]) -> None:
        """Add a sheet to TensorBoard whose columns are pictures [N, 3, S, S] in [-1, 1]."""
        if columns and self._open():
            self._writer.add_image(title, _sheet(columns), step)
            self._writer.flush()

    def close(self) -> None:
        """Close TensorBoard's file; writing again opens another one."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _open(self) -> bool:
        """Return whether there is a writer now. What an earlier sitting wrote after the first step is taken back."""
        if self._writer is not None or self._tensorboard is False:
            return self._writer is not None
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            if self._tensorboard is None:
                return False
            raise EDTalkError(
                ErrorCode.UNSUPPORTED,
                "TensorBoard is not installed.",
                "Install the extra `train`, or set `tensorboard` to false in the config.",
            ) from error
        place = str(self._folder / "tensorboard" / self._name)
        self._writer = SummaryWriter(place, purge_step=self._step)  # type: ignore[no-untyped-call]
        return True


def _sheet(columns: Sequence[Tensor]) -> Tensor:
    """Columns of pictures [N, 3, S, S] in [-1, 1] -> one picture [3, n S, columns S] in 0..1."""
    rows = torch.cat([column[:_SHOWN].detach().float().cpu() for column in columns], dim=3)
    return (torch.cat(list(rows), dim=1) * 0.5 + 0.5).clamp(0, 1)
