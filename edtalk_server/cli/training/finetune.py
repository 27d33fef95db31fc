"""`edtalk train finetune`: a bundle learns one person's film and becomes a new bundle."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from edtalk_server import bundles
from edtalk_server.cli.options import DEVICES, ProgressLine, clean_termination
from edtalk_server.evaluation.measures.held_out import held_out_psnr
from edtalk_server.media.video.sequence import make_folder
from edtalk_server.training.datasets.film.cache import FilmCache
from edtalk_server.training.datasets.film.layout import Footage
from edtalk_server.training.datasets.film.prepare import LandmarkReader, prepare_all
from edtalk_server.training.finetune import result
from edtalk_server.training.finetune.keep import Keepers
from edtalk_server.training.finetune.material import Material
from edtalk_server.training.finetune.run import FineTuning, Plan
from edtalk_server.training.finetune.tuning import open_tuning
from edtalk_server.training.paper.config import Judging


def add_action(actions: Any) -> None:
    """Add the action to `edtalk train`'s."""
    parser = actions.add_parser("finetune", help="learn one person's film; can be stopped and continued")
    parser.add_argument("bundle", help="bundle to begin with: a folder or a shipped name")
    parser.add_argument("clips", type=Path, nargs="+", metavar="CLIP", help="film of the person")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the new bundle")
    parser.add_argument("--minutes", type=float, default=Plan.minutes, help="how long (default: 10)")
    parser.add_argument("--steps", type=int, default=0, help="so many steps instead of --minutes")
    parser.add_argument("--name", help="of the new bundle (default: its folder's)")
    parser.add_argument("--run", type=Path, help="folder of the state (default: OUTPUT.run)")
    parser.add_argument("--batch", type=int, default=Plan.batch, help="pictures of a step (default: 8)")
    parser.add_argument(
        "--keep", type=float, default=Plan.keep, help="share that is held to the original (default: 0.5)"
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
    bundle = bundles.load(arguments.bundle)
    result.check_output(bundle, arguments.output)
    folder = arguments.run or arguments.output.with_name(arguments.output.name + ".run")
    make_folder(folder)
    reader = LandmarkReader(bundles.load(arguments.bundle), arguments.device)
    material_of = _prepared(arguments.clips, FilmCache(folder / "clips"), reader)
    device = reader.engine.device
    tuning = open_tuning(bundle, Judging(vgg=arguments.vgg, features=arguments.features), device)
    material = Material(material_of, tuning.face, device)
    keepers = Keepers(reader.engine, arguments.keep_portrait, device)
    before = held_out_psnr(tuning.face, material)
    plan = Plan(arguments.minutes, arguments.steps, arguments.batch, arguments.keep, arguments.rate)
    run = FineTuning(tuning, material, keepers, plan, folder, bundle.digest)
    with clean_termination():
        run.train(ProgressLine(100, "fine-tuning", unit="percent").show)
    run.finish()
    story = result.Story(
        clips=tuple(record.name for record in material.records),
        seconds=material.seconds,
        steps=run.progress.step,
        minutes=run.progress.seconds / 60,
        before=before,
        after=held_out_psnr(tuning.face, material),
    )
    manifest = result.write(bundle, arguments.output, arguments.name or arguments.output.name, story)
    print(
        f"{arguments.output}: {manifest.title}. Pictures it did not learn from: "
        f"{story.before:.2f} dB before, {story.after:.2f} dB now ({story.steps} steps)."
    )
    return 0


def _prepared(clips: list[Path], cache: FilmCache, reader: LandmarkReader) -> FilmCache:
    """All clips in the cache, taken for one person."""
    cache.begin(reader.engine.size, reader.digest)
    footage = [Footage(path, path.name, "person") for path in clips]
    line = ProgressLine(len(footage), "preparing", unit="clips")
    prepare_all(footage, cache, reader, progress=line.show)
    return cache
