"""What a stage writes down for people: TensorBoard curves and pictures, and a line of the program's log."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from edtalk_server.training.paper.config import StageName
from edtalk_server.training.paper.stage import Outcome
from shared_protocol.errors import EDTalkError, ErrorCode

log = logging.getLogger(__name__)

_SHOWN = 8


class Journal:
    """Of one stage, going on at `step`."""

    def __init__(self, out: Path, name: StageName, step: int, tensorboard: bool) -> None:
        self._name = name
        self._writer = _writer(out / "tensorboard" / name, step) if tensorboard else None

    def numbers(self, step: int, outcome: Outcome) -> None:
        """The losses of a step, unweighted, and what they add up to."""
        values = {name: float(value) for name, value in outcome.values.items()}
        total = float(outcome.total)
        log.info("%s %d: %.4f %s", self._name, step, total, {n: round(v, 4) for n, v in values.items()})
        if self._writer is None:
            return
        for name, value in {"total": total, **values}.items():
            self._writer.add_scalar(f"loss/{name}", value, step)
        self._writer.flush()

    def pictures(self, step: int, outcome: Outcome) -> None:
        """Rows of source, what was drawn, what should have been."""
        if self._writer is None or outcome.source is None or outcome.drawn is None or outcome.true is None:
            return
        sheet = _sheet([outcome.source, outcome.drawn, outcome.true])
        self._writer.add_image("source | drawn | true", sheet, step)
        self._writer.flush()


def _sheet(columns: list[Tensor]) -> Tensor:
    """Columns of pictures [N, 3, S, S] in [-1, 1] -> one picture [3, n S, columns S] in 0..1."""
    rows = torch.cat([column[:_SHOWN].detach().float().cpu() for column in columns], dim=3)
    return (torch.cat(list(rows), dim=1) * 0.5 + 0.5).clamp(0, 1)


def _writer(folder: Path, step: int) -> Any:
    """Events after `step` of an earlier sitting are taken back."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise EDTalkError(
            ErrorCode.UNSUPPORTED,
            "TensorBoard is not installed.",
            "Install the extra `train`, or set `tensorboard` to false in the config.",
        ) from error
    return SummaryWriter(str(folder), purge_step=step)  # type: ignore[no-untyped-call]
