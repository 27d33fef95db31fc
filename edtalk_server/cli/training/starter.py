"""`edtalk train starter`, `run` and `export`: the starter bundle, in one command or step by step."""

from __future__ import annotations

import argparse
import logging
import os
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edtalk_server import cli

if TYPE_CHECKING:
    from edtalk_server.training.loop.processes import ProcessGroup
    from edtalk_server.training.starter import pipeline

log = logging.getLogger("edtalk_server.training.starter")

SCALES = ("tiny", "cpu", "gpu")
"""Names of `pipeline.SCALES`. The help must not import torch; a test compares these with what they stand for."""
PARTS = ("all", "motion", "generator", "fit")
"""Values of `run.Part`."""


def add_actions(actions: Any) -> None:
    """Add the three actions to `edtalk train`'s."""
    _add_starter(actions.add_parser("starter", help="all of it: data, stages, bundle, evaluation"))
    _add_run(actions.add_parser("run", help="train; can be stopped and continued"))
    _add_export(actions.add_parser("export", help="make a bundle of what was trained"))


# --- one command -----------------------------------------------------------------------------------------------------


def _add_starter(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--facekit", type=Path, required=True, help="packed ICT-FaceKit (.npz)")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run; continues what it finds")
    parser.add_argument(
        "--minutes", type=float, default=1e6, help="stop, saved, after this long (default: finish)"
    )
    parser.add_argument("--scale", choices=SCALES, help="default: gpu where there is one, else cpu")
    parser.add_argument("--start", type=Path, help="a bundle's face.safetensors to begin with")
    parser.add_argument(
        "--pack", type=Path, help="at the end, write the state here in files of at most 15 MiB"
    )
    parser.add_argument("--unpack", type=Path, help="begin with the state that --pack wrote")
    parser.set_defaults(do=run)


def run(arguments: argparse.Namespace) -> int:
    """Work until the minutes are used up or the bundle is evaluated; 0 either way."""
    import torch

    from edtalk_server.training.starter import packing, pipeline

    until = time.monotonic() + 60 * arguments.minutes
    scale = pipeline.SCALES[arguments.scale or ("gpu" if torch.cuda.is_available() else "cpu")]
    if arguments.start:
        scale = pipeline.begun(scale, arguments.start)
    folders = pipeline.Folders(arguments.out)
    if arguments.unpack:
        log.info("restored: %s", packing.unpack(arguments.unpack, folders.out))
    trained = pipeline.train(arguments.facekit, folders, scale, until)
    if arguments.pack:  # before the evaluation, which may take longer than the machine is lent
        packing.pack(folders.out, arguments.pack)
    if trained:
        pipeline.export_bundle(folders)
        _measure(folders, arguments.facekit, scale)
    log.info("finished" if trained else "stopped in time: call it again to continue")
    return 0


def _measure(folders: pipeline.Folders, facekit: Path, scale: pipeline.Scale) -> None:
    """Measure what the bundle's weights mean, and evaluate it: `evaluation.json`, `sheet.png`."""
    kit, people = ("--facekit", str(facekit)), ("--people", str(scale.people))
    emotional = ("--emotional", str(scale.emotional))
    _edtalk("bundle", "describe", str(folders.bundle), *kit, *people, *emotional)
    results = ("--json", str(folders.out / "evaluation.json"), "--sheet", str(folders.out / "sheet.png"))
    _edtalk("evaluate", "--bundle", str(folders.bundle), *kit, *people, *results)


def _edtalk(*arguments: str) -> None:
    if status := cli.main(arguments):
        raise SystemExit(status)


# --- step by step ----------------------------------------------------------------------------------------------------


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for checkpoints; continues what it finds"
    )
    parser.add_argument(
        "--data", type=Path, required=True, help="folder of rendered shards (may still be growing)"
    )
    parser.add_argument("--holdout", type=Path, help="folder of shards of other people, to measure on")
    parser.add_argument("--minutes", type=float, default=110.0, help="how long in all (default: 110)")
    parser.add_argument("--stage", choices=PARTS, default=PARTS[0], help="only one stage")
    parser.add_argument(
        "--config",
        type=Path,
        help='JSON {"motion": {...}, "generator": {...}, "fit": {...}}: fields of the plans',
    )
    parser.add_argument(
        "--processes", type=int, default=1, help="that train together; one for each idle core"
    )
    parser.add_argument(
        "--log", action="store_true", help="write a line to standard error at each checkpoint"
    )
    parser.add_argument("--niceness", type=int, default=5, help="give way to other programs (default: 5)")
    parser.set_defaults(do=train)


def train(arguments: argparse.Namespace) -> int:
    """Train until the minutes are used up. `EDTalkError` for a config that cannot be read or has unknown fields."""
    from edtalk_server.training.loop.processes import launch, pick_device

    arguments.out.mkdir(parents=True, exist_ok=True)
    launch(arguments.processes, partial(_work, arguments), pick_device())
    return 0


def _work(arguments: argparse.Namespace, group: ProcessGroup) -> None:
    from edtalk_server.training.starter import pipeline
    from edtalk_server.training.starter.run import Part, read_config, trainers
    from edtalk_server.training.starter.trainer import Paths

    if hasattr(os, "nice"):
        os.nice(arguments.niceness)
    if arguments.log:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    paths = Paths(arguments.out, arguments.data, arguments.holdout)
    config = read_config(arguments.config) if arguments.config else {}
    with pipeline.one_thread():
        for trainer in trainers(paths, arguments.minutes, Part(arguments.stage), config, group):
            if not trainer.train():  # interrupted
                break


def _add_export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--run", type=Path, required=True, help="the --out of `edtalk train run`")
    parser.add_argument(
        "--audio",
        type=Path,
        action="append",
        default=[],
        help="folder of a trained network beside the face, such as audio_to_lip.safetensors and .json (repeatable)",
    )
    parser.add_argument("--data", type=Path, help="shards whose statistics are noted in the bundle")
    parser.add_argument("--beside", type=Path, nargs="*", default=[], help="files to put into the bundle")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the bundle")
    parser.set_defaults(do=_export)


def _export(arguments: argparse.Namespace) -> int:
    from edtalk_server.training.starter import export

    inputs = export.Inputs(arguments.run, tuple(arguments.audio), arguments.data, tuple(arguments.beside))
    manifest = export.export(inputs, arguments.output)
    for name, entry in manifest.files.items():
        print(f"{arguments.output / name}: {entry.size / 2**20:.1f} MiB")
    return 0
