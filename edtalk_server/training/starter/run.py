"""The starter bundle's stages: the motion encoder first, then the generator, then the encoder fitted to it.

The first two stages are independent until the last fifth of the generator's, so they may also run beside each other,
each as a process of its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from edtalk_server.training.loop.processes import ProcessGroup
from edtalk_server.training.starter.fit_stage import FitPlan, FitTrainer
from edtalk_server.training.starter.generator_stage import GeneratorPlan, GeneratorTrainer
from edtalk_server.training.starter.motion_stage import MotionPlan, MotionTrainer
from edtalk_server.training.starter.trainer import CompactTrainer, Paths
from shared_protocol.errors import EDTalkError, ErrorCode


class Part(StrEnum):
    """Which stages a run does."""

    ALL = "all"
    MOTION = "motion"
    GENERATOR = "generator"
    FIT = "fit"


_STAGES: tuple[tuple[Part, float, Callable[..., CompactTrainer], Callable[..., Any]], ...] = (
    (Part.MOTION, 0.25, MotionTrainer, MotionPlan),
    (Part.GENERATOR, 0.65, GeneratorTrainer, GeneratorPlan),
    (Part.FIT, 0.1, FitTrainer, FitPlan),
)
"""The stages in their order, and their shares of a whole run's time."""


def trainers(
    paths: Paths, minutes: float, part: Part, config: Mapping[str, Any], group: ProcessGroup | None = None
) -> Iterator[CompactTrainer]:
    """Yield the trainers of `part` in order, each resumed from `paths.out` when its turn comes.

    `minutes` are those of all of them together; `config` maps a part's name to fields of its plan.
    `EDTalkError(BAD_MESSAGE)` names a field that does not exist.
    """
    for own, share, trainer, plan in _STAGES:
        if part not in (Part.ALL, own):
            continue
        length = minutes * (share if part is Part.ALL else 1.0)
        try:
            chosen = plan(**{"minutes": length, **config.get(own.value, {})})
        except TypeError as error:
            raise EDTalkError(
                ErrorCode.BAD_MESSAGE,
                f"The training config does not fit: {error}.",
                "See docs/training.md for its fields.",
            ) from error
        yield trainer(paths, chosen, group)


def read_config(path: Path) -> dict[str, Any]:
    """Read the plans' fields from JSON; `EDTalkError(BAD_MESSAGE)` for a file that cannot be read."""
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EDTalkError(
            ErrorCode.BAD_MESSAGE, f"The training config {path} cannot be read: {error}.", "Give a JSON file."
        ) from error
    return config
