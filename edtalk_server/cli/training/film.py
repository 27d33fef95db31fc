"""`edtalk train video-data`: a folder of videos becomes a cache that the training stages learn from."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from edtalk_server import bundles
from edtalk_server.cli.options import ProgressLine, add_model_options
from edtalk_server.media.video.sequence import write_whole
from edtalk_server.training.datasets.film.cache import FilmCache
from edtalk_server.training.datasets.film.layout import Layout, find_footage
from edtalk_server.training.datasets.film.prepare import LandmarkEstimator, Limits, prepare_all
from edtalk_server.training.datasets.interface import FRAME_RATE

_SKIPPED_FILE = "skipped.txt"


def add_action(actions: Any) -> None:
    """Add the action to `edtalk train`'s."""
    parser = actions.add_parser("video-data", help="prepare real videos; can be stopped and continued")
    parser.add_argument("folder", type=Path, metavar="DIR", help="HDTF, MEAD, or any folder of videos")
    parser.add_argument("--out", type=Path, required=True, metavar="CACHE", help="folder of prepared clips")
    parser.add_argument(
        "--layout", type=Layout, choices=list(Layout), default=Layout.AUTO, help="default: by the names"
    )
    parser.add_argument("--size", type=int, help="pixels of a picture (default: the bundle's)")
    parser.add_argument(
        "--least-seconds", type=float, default=Limits.seconds, help="shortest usable stretch (default: 1)"
    )
    parser.add_argument(
        "--part",
        type=_part,
        default=(1, 1),
        metavar="K/N",
        help="prepare every Nth clip only: for N processes",
    )
    add_model_options(parser)
    parser.set_defaults(do=_prepare)


def _part(text: str) -> tuple[int, int]:
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise argparse.ArgumentTypeError(f"{text!r} is not like 1/4")
    return int(number), int(count)


def _prepare(arguments: argparse.Namespace) -> int:
    number, count = arguments.part
    footage = find_footage(arguments.folder, arguments.layout)[number - 1 :: count]
    estimator = LandmarkEstimator(bundles.load(arguments.bundle), arguments.device)
    cache = FilmCache(arguments.out)
    cache.begin(arguments.size or estimator.engine.size, estimator.digest)
    line = ProgressLine(len(footage), "preparing", unit="clips")
    prepare_all(footage, cache, estimator, Limits(seconds=arguments.least_seconds), line.show)
    _report(cache)
    return 0


def _report(cache: FilmCache) -> None:
    """Print what the cache holds now and what was left out; write the latter into `skipped.txt` too."""
    records, skipped = cache.records().values(), cache.skipped()
    usable = sum(stop - first for record in records for first, stop, _ in record.runs)
    people = len({record.person for record in records})
    print(
        f"{cache.folder}: {len(records)} clips of {people} people, {usable / FRAME_RATE:.1f} usable seconds."
    )
    reasons = [f"{record.name}: {record.reason}" for record in skipped]
    write_whole(cache.folder / _SKIPPED_FILE, "".join(f"{reason}\n" for reason in reasons).encode())
    if reasons:
        print(f"{len(reasons)} clips were left out:", *(f"  {reason}" for reason in reasons), sep="\n")
