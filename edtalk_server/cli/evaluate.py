"""Measure a bundle on rendered people that it was never trained on, and draw contact sheets."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from edtalk_server import bundles
from edtalk_server.evaluation import holdout, sheets
from edtalk_server.media import portrait


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `edtalk evaluate` understands."""
    parser.add_argument("--bundle", default="starter", help="folder or shipped name (default: starter)")
    parser.add_argument("--data", type=Path, help="folder of rendered hold-out clips; see docs/training.md")
    parser.add_argument("--clips", type=int, default=40, help="how many clips (default: 40)")
    parser.add_argument("--json", type=Path, help="write the numbers here as well")
    parser.add_argument("--sheet", type=Path, help="draw a contact sheet into this PNG")
    parser.add_argument("--people", type=int, default=20, help="how many of them on the sheet (default: 20)")
    parser.add_argument(
        "--cell", type=int, default=160, help="size of a face on the sheet in pixels (default: 160)"
    )
    parser.add_argument(
        "--portrait", type=Path, action="append", default=[], help="a photo on the sheet (repeatable)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the numbers with their definitions; write what was asked for."""
    bundle = bundles.load(arguments.bundle)
    identifiers = [basis.identifier for basis in bundle.layout.bases]
    photos = [_photo(path, bundle) for path in arguments.portrait]
    if arguments.data:
        clips = list(holdout.clips(arguments.data))
        photos += [clip.frames[0] for clip in holdout.one_per_person(iter(clips), arguments.people)]
        chosen = clips[:: max(1, len(clips) // arguments.clips)][: arguments.clips]
        report = holdout.HoldoutEvaluation(bundle.face, identifiers).run(chosen)
        print((holdout.__doc__ or "").strip(), *report.lines(), sep="\n")
        if arguments.json:
            arguments.json.write_text(json.dumps(report.to_dict(), indent=1) + "\n", encoding="utf-8")
    if arguments.sheet:
        sheets.write(arguments.sheet, sheets.sheet(bundle.face, photos, identifiers, cell=arguments.cell))
        print(f"drew {len(photos)} faces into {arguments.sheet}")
    return 0


def _photo(path: Path, bundle: bundles.Bundle) -> holdout.Picture:
    image = portrait.load_portrait(path)
    crop, _ = portrait.find_crop(image)
    return portrait.cut(image, crop, bundle.face.size)
