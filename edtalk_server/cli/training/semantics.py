"""`edtalk train semantics`: the network that reads feelings from words and voice; trained, measured and written."""

from __future__ import annotations

import argparse
import json
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared_protocol.atomic_write import write

if TYPE_CHECKING:
    from edtalk_server.networks.voice.semantics import ProsodyText

KIND = "prosody_text"
STEPS = 1500
"""As in `trainer.SemanticsConfig`. The help must not import torch; a test compares it."""


def add_action(actions: Any) -> None:
    """Add the action to `edtalk train`'s."""
    parser = actions.add_parser(
        "semantics", help="the small network that reads feelings from words and voice"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the run; continues what it finds")
    parser.add_argument("--recordings", type=int, default=160, help="synthetic recordings (default: 160)")
    parser.add_argument("--steps", type=int, default=STEPS, help="steps of training")
    parser.add_argument("--minutes", type=float, default=1e6, help="stop, saved, after this long")
    parser.add_argument("--sentences", action="store_true", help="list the sentences that are read wrongly")
    parser.set_defaults(do=_train)


def _train(arguments: argparse.Namespace) -> int:
    from edtalk_server.training.semantics import emotional, measure
    from edtalk_server.training.semantics.trainer import SemanticsConfig, Trainer

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    until = time.monotonic() + 60 * arguments.minutes
    train = emotional.build(arguments.out, arguments.recordings, held_out=False)
    held_out = emotional.build(arguments.out, max(arguments.recordings // 3, 20), held_out=True)
    trainer = Trainer(train, SemanticsConfig(steps=arguments.steps), arguments.out)
    network = trainer.train(until)
    trainer.save()
    if trainer.step < arguments.steps:
        print(f"Stopped at step {trainer.step}; start again to continue.")
        return 0
    write_part(network, arguments.out)
    print("\n".join(measure.report(network, held_out)))
    if arguments.sentences:
        for wanted, found, text in measure.classes_of(network, measure.further()):
            if wanted != found:
                print(f"{wanted} read as {found}: {text}")
    return 0


def write_part(network: ProsodyText, folder: Path) -> None:
    """Write the part of a bundle: `semantics.safetensors` in half precision, and `semantics.json` with its config."""
    from safetensors.torch import save

    tensors = {
        name: (value.half() if value.is_floating_point() else value).contiguous()
        for name, value in network.state_dict().items()
    }
    write(folder / "semantics.safetensors", save(tensors))
    part = {"kind": KIND, "config": network.config.to_dict(), "file": "semantics.safetensors"}
    write(folder / "semantics.json", (json.dumps(part, indent=1) + "\n").encode())
