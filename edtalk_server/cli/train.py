"""Train the starter bundle or the paper's stages, or fine-tune a bundle to one person."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from edtalk_server.cli.training import ablations, film, finetune, paper, semantics, starter


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the actions of `edtalk train`."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    _add_data(actions.add_parser("data", help="render clips into shards; can be stopped and continued"))
    _add_preview(
        actions.add_parser("preview-data", help="draw a sheet of people with their landmarks, parts and flow")
    )
    starter.add_actions(actions)
    paper.add_actions(actions)
    semantics.add_action(actions)
    ablations.add_action(actions)
    film.add_actions(actions)
    finetune.add_action(actions)


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--facekit", type=Path, required=True, help="packed ICT-FaceKit (.npz)")
    parser.add_argument("--out", type=Path, required=True, help="folder of the shards")
    parser.add_argument(
        "--worker", type=int, default=0, help="number of this process; people differ between workers"
    )
    parser.add_argument("--frames", type=int, default=32_000, help="how many (default: 32000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--holdout", type=int, metavar="PEOPLE", help="render this many people to measure on, at 256 pixels"
    )
    parser.add_argument("--device", default="cpu", help="cuda: draw many frames at once (default: cpu)")
    parser.add_argument(
        "--painters", type=int, default=4, help="processes that make people for a card (default: 4)"
    )
    parser.set_defaults(do=_data, size=128)


def _add_preview(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--facekit", type=Path, required=True, help="packed ICT-FaceKit (.npz)")
    parser.add_argument("--people", type=int, default=8, help="how many rows (default: 8)")
    parser.add_argument("--seed", type=int, default=1, help="the first person (default: 1)")
    parser.add_argument("--size", type=int, default=128, help="pixels of one picture (default: 128)")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the sheet, a .png")
    parser.set_defaults(do=_preview)


def run(arguments: argparse.Namespace) -> int:
    """Do the chosen action."""
    logging.getLogger("edtalk_server.training").setLevel(logging.INFO)
    return int(arguments.do(arguments))


def _data(arguments: argparse.Namespace) -> int:
    # These need numba, which only this action needs.
    from edtalk_server.synthetic.data import generate

    generate.run(arguments)
    return 0


def _preview(arguments: argparse.Namespace) -> int:
    from edtalk_server.media.video.sequence import encode_png, make_folder, write_whole
    from edtalk_server.synthetic.renderer.frame import Renderer
    from edtalk_server.synthetic.sheets.data_sheet import data_sheet

    seeds = range(arguments.seed, arguments.seed + arguments.people)
    sheet = data_sheet(Renderer(arguments.facekit), seeds, arguments.size)
    make_folder(arguments.output.parent)
    write_whole(arguments.output, encode_png(sheet.picture))
    print(
        f"{arguments.output}: {len(seeds)} people. Where the source shows what a frame shows, the warped source is "
        f"{sheet.warped:.1f} grey levels off (unmoved: {sheet.unmoved:.1f})."
    )
    return 0
