"""`edtalk train ablations`: the paper's ablation table, from configs to Markdown."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from edtalk_server.training.paper import config as configs
from edtalk_server.training.paper.config import StageConfig, StageName

ROWS = ("full", "bank", "orthogonal", "enhancement", "feature", "self", "motion", "mouth", "swaps", "truth")
"""Names of `ablations.VARIANTS`. The help must not import torch; a test compares these with it."""


def add_action(actions: Any) -> None:
    """Add the action to `edtalk train`'s."""
    parser = actions.add_parser(
        "ablations", help="train the paper's ablations with several seeds, and write their table"
    )
    parser.add_argument(
        "--config", type=Path, required=True, help="config of the stages; or a folder with paper_STAGE.toml"
    )
    parser.add_argument(
        "--test", type=Path, help="config whose data are measured on (default: the training's)"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs; continues what it finds")
    parser.add_argument(
        "--rows",
        default=",".join(ROWS),
        help="rows by name, with commas (default: all): " + ", ".join(ROWS),
    )
    parser.add_argument(
        "--seeds", default="0,1,2", help="with commas; the table has mean ± deviation (default: 0,1,2)"
    )
    parser.add_argument(
        "--clips", type=int, default=64, help="clips measured on, and as many swaps (default: 64)"
    )
    parser.add_argument("--markdown", type=Path, help="default: OUT/ablations.md; .json beside it")
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:N, mps or auto (default)")
    parser.add_argument("--threads", type=int, default=0, help="of a process on the CPU (default: all cores)")
    parser.set_defaults(do=_ablate)


def _ablate(arguments: argparse.Namespace) -> int:
    import torch

    from edtalk_server.evaluation import ablations
    from edtalk_server.training.datasets.opening import open_sets
    from edtalk_server.training.loop.processes import from_torchrun

    stages = {stage: _config(arguments.config, stage) for stage in ablations.STAGES}
    rows = _names(arguments.rows)
    grid = ablations.Grid(stages, rows, [int(seed) for seed in arguments.seeds.split(",")], arguments.out)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    with from_torchrun(arguments.device) as group:
        data = {stage: open_sets(config.data, config.network.size) for stage, config in stages.items()}
        if not ablations.train(grid, data, group):
            raise KeyboardInterrupt
        if group.rank:  # one process measures
            return 0
    last = ablations.STAGES[-1]
    test = data[last]
    if arguments.test:
        test = open_sets(_config(arguments.test, last).data, stages[last].network.size)
    found = ablations.measure(grid, test, arguments.clips)
    about = f"{arguments.clips} clips of {'held-out data' if arguments.test else 'the training data'}."
    _write(
        arguments.markdown or arguments.out / "ablations.md", found, ablations.markdown(found, grid, about)
    )
    return 0


def _config(path: Path, stage: StageName) -> StageConfig:
    """Read the config of a stage: the file itself, or its own in a folder."""
    return configs.read(path / f"paper_{stage}.toml" if path.is_dir() else path, stage)


def _names(text: str) -> list[str]:
    from edtalk_server.evaluation import ablations

    names = text.split(",")
    unknown = [name for name in names if name not in ablations.VARIANTS]
    if unknown:
        raise configs.misfit(
            f"there is no ablation {unknown[0]!r}; there are {', '.join(ablations.VARIANTS)}"
        )
    return names


def _write(path: Path, found: Any, table: str) -> None:
    from edtalk_server.evaluation import ablations
    from edtalk_server.media.video.sequence import make_folder, write_whole

    make_folder(path.absolute().parent)
    write_whole(path, table.encode())
    values = {"rows": found, "definitions": dict(ablations.DEFINITIONS)}
    write_whole(path.with_suffix(".json"), (json.dumps(values, indent=1) + "\n").encode())
    print(table)
