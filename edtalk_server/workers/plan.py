"""How many workers, and on which devices."""

from __future__ import annotations

import os
import subprocess

from .process import ProcessWorker
from .worker import WorkerSettings


def processes(settings: WorkerSettings, count: int, cores: int) -> list[ProcessWorker]:
    """Return `count` workers of this machine; 0: one for each graphics card, or without any for each core.

    Several workers may share a card. `CUDA_VISIBLE_DEVICES` says which cards may be used.
    """
    cards = [] if settings.device == "cpu" or settings.bundle is None else graphics_cards()
    places = range(count or len(cards) or cores)
    return [ProcessWorker(settings, cards[place % len(cards)] if cards else "") for place in places]


def graphics_cards() -> list[str]:
    """Return the names by which CUDA tells the usable cards apart; none where there is no driver."""
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [card for card in map(str.strip, visible.split(",")) if card not in ("", "-1")]  # -1: none
    try:
        answer = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, check=False)
    except OSError:
        return []
    lines = answer.stdout.splitlines() if answer.returncode == 0 else []
    return [str(index) for index, _ in enumerate(lines)]
