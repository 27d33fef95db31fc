"""`edtalk train stage pose`: the flow of the head's movements, on synthetic speech or on prepared film."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from shared_protocol.errors import EDTalkError, ErrorCode

if TYPE_CHECKING:
    from edtalk_server.training.head import stage
    from edtalk_server.training.head.corpus import Take

NAME = "pose"


def train(arguments: argparse.Namespace) -> int:
    """Train until the plan's minutes are used up; 0 also when it was interrupted, and can go on."""
    import torch

    from edtalk_server.training.head import stage

    plan = _plan(arguments.config)
    if arguments.print_config:
        sys.stdout.write(stage.to_json(plan))
        return 0
    if arguments.out is None:
        raise EDTalkError(
            ErrorCode.BAD_MESSAGE, "A stage needs a folder for its checkpoints.", "Give --out FOLDER."
        )
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(arguments.threads or 1)
    arguments.out.mkdir(parents=True, exist_ok=True)
    takes, held_out = _takes(plan, arguments)
    trainer = stage.PoseTrainer(arguments.out, plan, takes, held_out)
    if trainer.train(until_step=arguments.until):
        trainer.finish()
    return 0


def _takes(plan: stage.PosePlan, arguments: argparse.Namespace) -> tuple[list[Take], list[Take]]:
    from edtalk_server.training.head import corpus, film

    if plan.film:
        return film.build(Path(plan.film), plan.reader, arguments.device, plan.seconds)
    config = corpus.HeadCorpusConfig(takes=plan.takes, held_out=plan.held_out_takes)
    return corpus.build(arguments.out / "corpus", config)


def _plan(path: Path | None) -> stage.PosePlan:
    from edtalk_server.training.head import stage

    if path is None:
        return stage.PosePlan()
    try:
        return stage.PosePlan.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise EDTalkError(
            ErrorCode.BAD_MESSAGE,
            f"The config {path} cannot be used: {error}.",
            "Compare it with what --print-config writes.",
        ) from error
