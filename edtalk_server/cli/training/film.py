"""`edtalk train video-data` and `spoken-data`: real videos, or rendered speech, become a cache that the training stages
learn from."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edtalk_server import bundles
from edtalk_server.cli.options import ProgressLine, add_model_options

if TYPE_CHECKING:
    from edtalk_server.training.datasets.film.cache import FilmCache

LAYOUTS = ("auto", "hdtf", "mead", "folder")
"""Values of `layout.Layout`. The help must not import torch; a test compares these with what they stand for."""
LEAST_SECONDS = 1.0
"""As in `prepare.Limits`."""
_SKIPPED_FILE = "skipped.txt"


def add_actions(actions: Any) -> None:
    """Add the two actions to `edtalk train`'s."""
    _add_spoken(
        actions.add_parser("spoken-data", help="render people who speak; can be stopped and continued")
    )
    parser = actions.add_parser("video-data", help="prepare real videos; can be stopped and continued")
    parser.add_argument("folder", type=Path, metavar="DIR", help="HDTF, MEAD, or any folder of videos")
    parser.add_argument("--out", type=Path, required=True, metavar="CACHE", help="folder of prepared clips")
    parser.add_argument("--layout", choices=LAYOUTS, default=LAYOUTS[0], help="default: by the names")
    parser.add_argument("--size", type=int, help="pixels of a picture (default: the bundle's)")
    parser.add_argument(
        "--least-seconds", type=float, default=LEAST_SECONDS, help="shortest usable stretch (default: 1)"
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


def _add_spoken(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--facekit", type=Path, required=True, help="packed ICT-FaceKit (.npz)")
    parser.add_argument("--out", type=Path, required=True, metavar="CACHE", help="folder of the clips")
    parser.add_argument("--clips", type=int, default=160, help="each of another person (default: 160)")
    parser.add_argument("--seconds", type=float, default=5.0, help="longest clip (default: 5)")
    parser.add_argument("--size", type=int, default=128, help="pixels of a picture (default: 128)")
    parser.add_argument(
        "--seed", type=int, default=1, help="1 to 19; people differ between seeds (default: 1)"
    )
    parser.add_argument(
        "--holdout", action="store_true", help="other people, voices and sentences, to measure on"
    )
    parser.set_defaults(do=_render_speech)


def _render_speech(arguments: argparse.Namespace) -> int:
    # It needs numba and a speech synthesiser, which only this action needs.
    from edtalk_server.training.datasets.film.cache import FilmCache
    from edtalk_server.training.speech.film import SpokenFilm, render_all

    film = SpokenFilm(arguments.clips, arguments.seconds, arguments.size, arguments.seed, arguments.holdout)
    line = ProgressLine(film.clips, "rendering", unit="clips")
    render_all(arguments.facekit, arguments.out, film, line.show)
    _report(FilmCache(arguments.out))
    return 0


def _part(text: str) -> tuple[int, int]:
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise argparse.ArgumentTypeError(f"{text!r} is not like 1/4")
    return int(number), int(count)


def _prepare(arguments: argparse.Namespace) -> int:
    from edtalk_server.training.datasets.film.cache import FilmCache
    from edtalk_server.training.datasets.film.layout import Layout, find_footage
    from edtalk_server.training.datasets.film.prepare import LandmarkEstimator, Limits, prepare_all

    number, count = arguments.part
    footage = find_footage(arguments.folder, Layout(arguments.layout))[number - 1 :: count]
    estimator = LandmarkEstimator(bundles.load(arguments.bundle), arguments.device)
    cache = FilmCache(arguments.out)
    cache.begin(arguments.size or estimator.engine.size, estimator.digest)
    line = ProgressLine(len(footage), "preparing", unit="clips")
    prepare_all(footage, cache, estimator, Limits(seconds=arguments.least_seconds), line.show)
    _report(cache)
    return 0


def _report(cache: FilmCache) -> None:
    """Print what the cache holds now and what was left out; write the latter into `skipped.txt` too."""
    from edtalk_server.media.video.sequence import write_whole
    from edtalk_server.training.datasets.interface import FRAME_RATE

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
