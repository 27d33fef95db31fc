"""`edtalk train finetune`: a bundle learns one person's film and becomes a new bundle."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edtalk_server import bundles
from edtalk_server.cli.options import DEVICES, ProgressLine
from edtalk_server.training.paper.config import Judging

if TYPE_CHECKING:
    from edtalk_server.training.datasets.film.cache import FilmCache
    from edtalk_server.training.datasets.film.prepare import LandmarkEstimator
    from edtalk_server.training.finetune.trainer import Plan


MINUTES, BATCH, KEEP = 10.0, 8, 0.5
"""As in `trainer.Plan`. The help must not import torch; a test compares these with it."""


def add_action(actions: Any) -> None:
    """Add the action to `edtalk train`'s."""
    parser = actions.add_parser("finetune", help="learn one person's film; can be stopped and continued")
    parser.add_argument("bundle", help="bundle to start from: a folder or a shipped name")
    parser.add_argument("clips", type=Path, nargs="+", metavar="CLIP", help="film of the person")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the new bundle")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="how long (default: 10)")
    parser.add_argument("--steps", type=int, default=0, help="this many steps instead of --minutes")
    parser.add_argument("--name", help="of the new bundle (default: its folder's)")
    parser.add_argument("--run", type=Path, help="folder of the state (default: OUTPUT.run)")
    parser.add_argument("--batch", type=int, default=BATCH, help="pictures of a step (default: 8)")
    parser.add_argument(
        "--keep",
        type=float,
        default=KEEP,
        help="share of other people, who must look as before (default: 0.5)",
    )
    parser.add_argument(
        "--keep-portrait", type=Path, action="append", default=[], help="another person to keep (repeatable)"
    )
    parser.add_argument("--rate", type=float, default=0.0, help="learning rate (default: the network's own)")
    parser.add_argument("--vgg", default="", help="VGG-19 weights for EDTalk networks' perceptual loss")
    parser.add_argument("--features", default="", help="or a checkpoint of `edtalk train features`")
    parser.add_argument("--device", choices=DEVICES, default="auto", help="where to compute (default: auto)")
    parser.set_defaults(do=_finetune)


def _finetune(arguments: argparse.Namespace) -> int:
    from edtalk_server.evaluation.measures.held_out import held_out_psnr
    from edtalk_server.media.video.sequence import make_folder
    from edtalk_server.training.datasets.film.cache import FilmCache
    from edtalk_server.training.datasets.film.prepare import LandmarkEstimator
    from edtalk_server.training.finetune import export
    from edtalk_server.training.finetune.data import FilmData
    from edtalk_server.training.finetune.model import open_model
    from edtalk_server.training.finetune.regularization import OtherPeople
    from edtalk_server.training.finetune.trainer import FineTuner

    bundle = bundles.load(arguments.bundle)
    export.check_output(bundle, arguments.output)
    folder = arguments.run or arguments.output.with_name(arguments.output.name + ".run")
    make_folder(folder)
    estimator = LandmarkEstimator(bundles.load(arguments.bundle), arguments.device)
    cache = _prepared(arguments.clips, FilmCache(folder / "clips"), estimator)
    device = estimator.engine.device
    model = open_model(bundle, Judging(vgg=arguments.vgg, features=arguments.features), device)
    film = FilmData(cache, model.face, device)
    others = OtherPeople(estimator.engine, arguments.keep_portrait, device)
    before = held_out_psnr(model.face, film)
    trainer = FineTuner(model, film, others, _plan(arguments), folder, bundle.digest)
    line = ProgressLine(100, "fine-tuning", unit="percent")
    if not trainer.train(on_progress=lambda done: line.show(int(100 * done))):
        raise KeyboardInterrupt
    trainer.finish()
    origin = export.Origin(
        clips=tuple(record.name for record in film.records),
        seconds=film.seconds,
        steps=trainer.state.step,
        minutes=trainer.state.seconds / 60,
        before=before,
        after=held_out_psnr(model.face, film),
    )
    manifest = export.write(bundle, arguments.output, arguments.name or arguments.output.name, origin)
    print(
        f"{arguments.output}: {manifest.title}. Pictures it did not learn from: "
        f"{before:.2f} dB before, {origin.after:.2f} dB now ({origin.steps} steps)."
    )
    return 0


def _plan(arguments: argparse.Namespace) -> Plan:
    from edtalk_server.training.finetune.trainer import Plan

    return Plan(
        minutes=arguments.minutes,
        steps=arguments.steps,
        batch=arguments.batch,
        keep=arguments.keep,
        learning_rate=arguments.rate,
    )


def _prepared(clips: list[Path], cache: FilmCache, estimator: LandmarkEstimator) -> FilmCache:
    """Prepare all clips in the cache, as clips of one person."""
    from edtalk_server.training.datasets.film.layout import Footage
    from edtalk_server.training.datasets.film.prepare import prepare_all

    cache.begin(estimator.engine.size, estimator.digest)
    footage = [Footage(path, path.name, "person") for path in clips]
    line = ProgressLine(len(footage), "preparing", unit="clips")
    prepare_all(footage, cache, estimator, progress=line.show)
    return cache
