"""`edtalk train stage`, `edtalk train features` and `edtalk train export-stages`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from edtalk_server import bundles
from edtalk_server.cli.training import heads, pose
from edtalk_server.training.paper import config as configs
from edtalk_server.training.paper.config import StageName
from shared_protocol.errors import EDTalkError, ErrorCode


def add_actions(actions: Any) -> None:
    """Add the three actions to `edtalk train`'s."""
    stage = actions.add_parser("stage", help="train one of the paper's stages; can be stopped and continued")
    stage.add_argument("name", choices=[*StageName, pose.NAME, heads.NAME])
    _add_training(stage)
    features = actions.add_parser("features", help="train the feature network of our own perceptual loss")
    features.set_defaults(name=StageName.FEATURES)
    _add_training(features)
    export = actions.add_parser("export-stages", help="make a bundle of the paper's stages")
    export.add_argument("--run", type=Path, required=True, help="the --out of `edtalk train stage`")
    export.add_argument("-o", "--output", type=Path, required=True, help="folder of the bundle")
    export.add_argument("--name", default="paper", help="name of the bundle (default: paper)")
    export.add_argument("--pictures", type=int, default=512, help="to measure ranges on (default: 512)")
    export.add_argument(
        "--voice",
        default=bundles.STARTER,
        metavar="BUNDLE",
        help="bundle whose audio part is mapped to the run's mouth bank; none: export without one (default: starter)",
    )
    export.set_defaults(do=_export)
    _add_sync_export(
        actions.add_parser("export-sync", help="measure a run's sync expert and write it as a part")
    )


def _add_sync_export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--run", type=Path, required=True, help="the --out of `edtalk train stage sync`")
    parser.add_argument(
        "--data", type=Path, required=True, metavar="CACHE", help="clips with sound that it never saw"
    )
    parser.add_argument(
        "-o", "--output", type=Path, help="folder of the part, for `edtalk train export --audio`"
    )
    parser.set_defaults(do=_export_sync)


def _add_training(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, help="JSON or TOML file of what differs from the defaults")
    parser.add_argument("--out", type=Path, help="folder of the run; continues what it finds")
    parser.add_argument("--print-config", action="store_true", help="write the whole config and end")
    parser.add_argument("--until", type=int, help="stop after this step; start again to continue")
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:N, mps or auto (default)")
    parser.add_argument("--threads", type=int, default=0, help="of a process on the CPU (default: all cores)")
    parser.set_defaults(do=_train)


def _train(arguments: argparse.Namespace) -> int:
    import torch

    from edtalk_server.training.datasets.opening import open_sets
    from edtalk_server.training.loop.processes import from_torchrun
    from edtalk_server.training.paper.trainer import PaperTrainer

    if arguments.name == pose.NAME:  # not of pictures: it has data and a plan of its own
        return pose.train(arguments)
    if arguments.name == heads.NAME:
        return heads.train(arguments)
    name = StageName(arguments.name)
    config = configs.read(arguments.config, name) if arguments.config else configs.defaults(name)
    if arguments.print_config:
        sys.stdout.write(configs.to_json(config))
        return 0
    if arguments.out is None:
        raise EDTalkError(
            ErrorCode.BAD_MESSAGE, "A stage needs a folder for its checkpoints.", "Give --out FOLDER."
        )
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    arguments.out.mkdir(parents=True, exist_ok=True)
    with from_torchrun(arguments.device) as group:
        data = open_sets(config.data, config.network.size)
        PaperTrainer(name, config, data, arguments.out, group).train(until_step=arguments.until)
    return 0


def _export(arguments: argparse.Namespace) -> int:
    from edtalk_server.training.datasets.opening import open_sets
    from edtalk_server.training.paper import export as exporting
    from edtalk_server.training.paper import trained

    network, _ = trained.face_of(arguments.run)
    data = open_sets(trained.data_of(arguments.run), network.size)
    labels = exporting.Labels(name=arguments.name)
    voice = None if arguments.voice == "none" else bundles.load(arguments.voice)
    exporting.export(arguments.run, data, arguments.output, labels, arguments.pictures, voice=voice)
    return 0


def _export_sync(arguments: argparse.Namespace) -> int:
    from edtalk_server.evaluation.measures.sync_offsets import measure_offsets
    from edtalk_server.evaluation.metrics.sync import ExpertJudge
    from edtalk_server.networks.sync import lip_windows
    from edtalk_server.training.loop.parts import write_part
    from edtalk_server.training.paper import trained

    expert = trained.expert_of(configs.path_of(arguments.run, StageName.SYNC))
    judge = ExpertJudge(expert.embed_lips, expert.embed_sound, lip_windows)
    report = measure_offsets(judge, arguments.data)
    print(
        f"{len(report.found)} clips whose sound was shifted by up to six frames: {100 * report.share:.0f} % of the "
        f"shifts found within one frame; LSE-D {report.distance:.3f}, LSE-C {report.confidence:.3f}."
    )
    if arguments.output is not None:
        write_part(arguments.output, "sync", "sync_expert", expert.config.to_dict(), expert)
    return 0
