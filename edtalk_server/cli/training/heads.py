"""`edtalk train stage semantics`: the paper's networks from words and voice to expression weights, on film."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from shared_protocol.errors import EDTalkError, ErrorCode

if TYPE_CHECKING:
    from edtalk_server import bundles
    from edtalk_server.engine import Engine
    from edtalk_server.networks.voice.hubert_roberta import HubertRoberta
    from edtalk_server.training.semantics import heads
    from edtalk_server.training.semantics.heads import SemanticsPlan

NAME = "semantics"


def train(arguments: argparse.Namespace) -> int:
    """Train until the plan's steps are taken; 0 also when it was interrupted, and can go on."""
    import torch

    from edtalk_server.engine import Engine
    from edtalk_server.training.semantics.heads import SemanticsPlan

    if arguments.print_config:
        sys.stdout.write(json.dumps(asdict(SemanticsPlan()), indent=2) + "\n")
        return 0
    plan = _plan(arguments.config)
    if arguments.out is None:
        raise EDTalkError(
            ErrorCode.BAD_MESSAGE, "A stage needs a folder for its checkpoints.", "Give --out FOLDER."
        )
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    engine = Engine.open(plan.face, arguments.device)
    trainer = _trainer(plan, engine, arguments.out)
    if trainer.train(until_step=arguments.until):
        trainer.finish()
        found = trainer.validate()
        print(
            f"Of held-out clips the mean expression is {found['expression']:.4f} off; the usual one is "
            f"{found['usual']:.4f} off."
        )
    return 0


def _trainer(plan: SemanticsPlan, engine: Engine, out: Path) -> heads.SemanticsTrainer:
    from edtalk_server.training.semantics import heads, utterances

    network = open_network(plan, engine.bundle)
    folder = Path(plan.transcripts) if plan.transcripts else None
    data = utterances.read(Path(plan.film), folder, engine, network, out / "utterances")
    try:
        return heads.SemanticsTrainer(out, plan, network, data)
    except ValueError as error:
        raise EDTalkError(
            ErrorCode.NOT_READY, f"{plan.film} has {error}.", "Prepare more clips with sound."
        ) from error


def open_network(plan: SemanticsPlan, bundle: bundles.Bundle) -> HubertRoberta:
    """Return untrained networks with the plan's encoders opened. Raises `EDTalkError`: `UNSUPPORTED`, and
    `BUNDLE_INVALID` where an encoder is not the one that was fetched."""
    from edtalk_server.bundles import encoders
    from edtalk_server.training.semantics import heads

    encoders.check(Path(plan.encoders))
    try:
        return heads.new_network(plan, bundle, *heads.widths(plan.encoders))
    except (OSError, ImportError, ValueError) as error:
        raise EDTalkError(
            ErrorCode.UNSUPPORTED,
            f"The encoders in {plan.encoders} cannot be opened: {error}",
            "Fetch them with `edtalk bundle encoders`, or put HuBERT into hubert/ and RoBERTa into roberta/ of that "
            "folder (config.json, model.safetensors), and install the extra: pip install edtalk-blender[semantics].",
        ) from error


def _plan(path: Path | None) -> SemanticsPlan:
    from edtalk_server.training.semantics.heads import SemanticsPlan

    try:
        return SemanticsPlan.from_dict(json.loads(path.read_text(encoding="utf-8")) if path else {})
    except (OSError, ValueError, TypeError) as error:
        raise EDTalkError(
            ErrorCode.BAD_MESSAGE,
            f"The config {path or ''} cannot be used: {error}.",
            "Compare it with what --print-config writes; film and encoders name folders.",
        ) from error
