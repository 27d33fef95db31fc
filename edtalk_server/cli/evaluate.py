"""Evaluate a bundle on rendered people it was never trained on, or on real clips; print the numbers and their
meaning."""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edtalk_server.cli.options import ProgressLine, whole_number
from shared_protocol.errors import EDTalkError, ErrorCode

if TYPE_CHECKING:
    from edtalk_server import bundles
    from edtalk_server.arrays import Picture
    from edtalk_server.engine import Engine
    from edtalk_server.evaluation.measures.judges import Judges
    from edtalk_server.evaluation.measures.reenactment import MetricSet
    from edtalk_server.evaluation.people.holdout import Person
    from edtalk_server.evaluation.report import Report

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `edtalk evaluate`."""
    parser.add_argument("--bundle", default="starter", help="folder or shipped name (default: starter)")
    _add_test_subjects(parser)
    _add_speech(parser)
    _add_results(parser)
    _add_own_weights(parser)
    parser.epilog = (
        "Clips with sound are also driven by it (a_…: the mouth from sound, the paper's setting A). Every number is "
        "printed with its definition. docs/evaluation.md has the reasons."
    )


def _add_test_subjects(parser: argparse.ArgumentParser) -> None:
    people = parser.add_argument_group("test subjects", "rendered people, unless --clips or --data is given")
    people.add_argument("--facekit", type=Path, help="packed ICT-FaceKit (.npz) to render people from")
    people.add_argument("--people", type=int, default=40, help="number of rendered people (default: 40)")
    people.add_argument("--clips", type=Path, metavar="DIR", help="folder of real videos, one face each")
    people.add_argument(
        "--frames", type=int, default=100, help="pictures of each video, 25 a second (default: 100)"
    )
    people.add_argument(
        "--layout",
        choices=("auto", "hdtf", "mead", "folder"),
        default="auto",
        help="how DIR is laid out; mead also says who feels what (default: by the names)",
    )
    people.add_argument(
        "--split",
        choices=("all", "paper"),
        default="all",
        help="paper: only the clips of HDTF and MEAD that the paper tests on (default: all)",
    )
    people.add_argument(
        "--size",
        type=whole_number,
        metavar="PIXELS",
        help="with --clips: also measure how sharp pictures of this size are (starter: 512, 768 or 1024)",
    )
    people.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="shards of `edtalk train data --holdout`: quick, fewer measures",
    )


def _add_speech(parser: argparse.ArgumentParser) -> None:
    head = parser.add_argument_group(
        "the head", "how the bundle's pose flow moves, against held-out movements"
    )
    head.add_argument(
        "--pose", action="store_true", help="measure the pose flow on synthetic speech, and nothing else"
    )
    head.add_argument(
        "--takes",
        type=int,
        default=24,
        help="minutes, or with --lips clips, of held-out speech (default: 24)",
    )
    head.add_argument("--voice", type=Path, metavar="SOUND", help="also measure on this voice")
    lips = parser.add_argument_group("the lips", "how the bundle's audio part follows held-out voices")
    lips.add_argument(
        "--lips", action="store_true", help="measure the lips on synthetic speech, and nothing else"
    )
    lips.add_argument(
        "--transcript",
        type=Path,
        metavar="FILE",
        help="what --voice says, in English: also count the p, b and m in which the lips meet",
    )


def _add_results(parser: argparse.ArgumentParser) -> None:
    out = parser.add_argument_group("results")
    out.add_argument("--json", type=Path, metavar="FILE", help="write the numbers to this file")
    out.add_argument(
        "--markdown", type=Path, metavar="FILE", help="write a table like the paper's, with the paper's rows"
    )
    out.add_argument("--sheet", type=Path, metavar="PNG", help="draw faces under the standard movements")
    out.add_argument(
        "--bases", type=Path, metavar="PNG", help="draw the first face at both ends of every basis"
    )
    out.add_argument("--sheet-people", type=int, default=20, help="faces on the sheet (default: 20)")
    out.add_argument("--cell", type=int, default=160, help="pixels of a face on the sheet (default: 160)")
    out.add_argument(
        "--portrait", type=Path, action="append", default=[], help="a photo on the sheets (repeatable)"
    )
    out.add_argument("--draw-only", action="store_true", help="draw the portraits and measure nothing")


def _add_own_weights(parser: argparse.ArgumentParser) -> None:
    own_weights = parser.add_argument_group(
        "your own weights", "nothing is downloaded; see docs/evaluation.md"
    )
    own_weights.add_argument(
        "--lpips-weights", type=Path, metavar="FILE", help="VGG-16 of torchvision, for LPIPS"
    )
    own_weights.add_argument(
        "--fid-weights", type=Path, metavar="FILE", help="Inception of pytorch-fid, for FID"
    )
    own_weights.add_argument(
        "--syncnet-weights",
        type=Path,
        metavar="FILE",
        help="syncnet_v2.model, for LSE-C, LSE-D and the offset",
    )
    own_weights.add_argument(
        "--identity-weights", type=Path, metavar="FILE", help="SFace of OpenCV's model zoo (.onnx), for AED"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the numbers with their definitions; write the files that the options name."""
    from edtalk_server.engine import Engine
    from edtalk_server.evaluation.evaluate import evaluate

    if arguments.pose:
        return _evaluate_pose(arguments)
    if arguments.lips:
        return _evaluate_lips(arguments)
    engine = Engine.open(arguments.bundle, "cpu")
    photos = [_photo(path, engine) for path in arguments.portrait]
    if not arguments.draw_only:
        metrics, judges = (
            _metrics(arguments),
            _judges(arguments),
        )  # first: a wrong file is found before the work
        people, data = _people(arguments, engine)
        line = ProgressLine(len(people), "evaluating", unit="people")
        report = evaluate(engine.bundle, people, {"data": data}, metrics, line.show, judges)
        if arguments.clips:
            report = replace(report, values={**report.values, **_film_values(arguments, engine)})
        print(*report.lines(), sep="\n")
        _write_report(arguments, report, data, engine.bundle)
        photos += [person.clip.frames[0] for person in people[: arguments.sheet_people]]
    _draw(arguments, engine, photos)
    return 0


def _film_values(arguments: argparse.Namespace, engine: Engine) -> dict[str, float]:
    """Measure the clips as the product uses them: a portrait of the first picture, read and captured."""
    from edtalk_server.evaluation.measures.film import film_rows
    from edtalk_server.evaluation.measures.model_under_test import ModelUnderTest
    from edtalk_server.evaluation.measures.reenactment import RunningMeans
    from edtalk_server.evaluation.people import splits
    from edtalk_server.training.datasets.film.layout import Layout, find_footage

    model, means = ModelUnderTest(engine.bundle.face), RunningMeans()
    find = model.landmarks if model.finds_landmarks else None
    chosen = splits.choose(
        find_footage(arguments.clips, Layout(arguments.layout)), splits.Split(arguments.split)
    )
    line = ProgressLine(len(chosen), "following films", unit="clips")
    for number, footage in enumerate(chosen):
        try:
            means.add(list(film_rows(engine, footage.path, find)))
        except EDTalkError as error:
            log.warning("%s is left out: %s", footage.path.name, error)
        line.show(number + 1)
    return means.values()


def _people(arguments: argparse.Namespace, engine: Engine) -> tuple[list[Person], str]:
    """Return the test subjects and what to call them."""
    from edtalk_server.evaluation.people import filmed, holdout, rendered_holdout, splits
    from edtalk_server.training.datasets.film.layout import Layout

    if arguments.clips:
        show = _counter("reading videos", "videos")
        layout, split = Layout(arguments.layout), splits.Split(arguments.split)
        people = filmed.filmed_people(
            arguments.clips,
            engine.size,
            arguments.frames,
            engine.landmark_detector(),
            show,
            layout,
            split,
            _fine_size(arguments.size, engine),
        )
        chosen = " (the paper's split)" if split is splits.Split.PAPER else ""
        return people, f"{len(people)} clips of {arguments.clips.name}{chosen}"
    if engine.size != holdout.SIZE:
        raise EDTalkError(
            ErrorCode.UNSUPPORTED,
            f"People are rendered with {holdout.SIZE} pixels, this bundle has {engine.size}.",
            "Evaluate it on videos with --clips.",
        )
    if arguments.data:
        clips = holdout.one_per_person(holdout.clips(arguments.data), arguments.people)
        return [holdout.Person(clip) for clip in clips], f"{len(clips)} clips of {arguments.data.name}"
    people_set = rendered_holdout.HoldoutSet.of(
        rendered_holdout.find_facekit(arguments.facekit), arguments.people
    )
    line = ProgressLine(arguments.people, "rendering", unit="people")
    return people_set.load(line.show), f"{arguments.people} rendered people"


def _fine_size(size: int | None, engine: Engine) -> int:
    """Return the larger size to measure in; 0: none. Raises `EDTalkError(UNSUPPORTED)` for one that is not drawn."""
    if size is None or size == engine.size:
        return 0
    if size not in engine.sizes:
        sizes = ", ".join(map(str, engine.sizes))
        raise EDTalkError(
            ErrorCode.UNSUPPORTED, f"This bundle draws no pictures of {size} pixels.", f"It draws {sizes}."
        )
    return size


def _counter(what: str, unit: str) -> Callable[[int], None]:
    """Return a progress callback for work of unknown length."""

    def show(done: int) -> None:
        ProgressLine(done, what, unit=unit).show(done)

    return show


def _metrics(arguments: argparse.Namespace) -> MetricSet:
    from edtalk_server.evaluation.measures.reenactment import MetricSet

    metrics = MetricSet.built_in()
    frame, distribution = dict(metrics.frame), dict(metrics.distribution)
    if arguments.lpips_weights:
        from edtalk_server.evaluation.metrics.lpips import Lpips

        frame["lpips"] = Lpips.from_file(arguments.lpips_weights).compare
    if arguments.fid_weights:
        from edtalk_server.evaluation.metrics.inception import FidFeatures

        distribution["fid"] = FidFeatures.from_file(arguments.fid_weights).summary
    return MetricSet(frame, distribution)


def _judges(arguments: argparse.Namespace) -> Judges:
    """Return the starter's judges, and those of the user's weights."""
    from edtalk_server import bundles
    from edtalk_server.evaluation.measures.judges import EmotionJudge, Judges, own_sync_judges
    from edtalk_server.evaluation.metrics.identity import IdentityNetwork
    from edtalk_server.evaluation.metrics.syncnet import SyncNetJudge

    starter = bundles.load()
    sync = own_sync_judges(starter)
    if arguments.syncnet_weights:
        sync[""] = SyncNetJudge.from_file(arguments.syncnet_weights)
    given = arguments.identity_weights
    return Judges(sync, EmotionJudge(starter), IdentityNetwork.from_file(given) if given else None)


def _write_report(arguments: argparse.Namespace, report: Report, data: str, bundle: bundles.Bundle) -> None:
    from edtalk_server.evaluation import tables
    from edtalk_server.media.video.sequence import make_folder, write_whole

    texts = {
        arguments.json: lambda: json.dumps(report.to_dict(), indent=1, ensure_ascii=False) + "\n",
        arguments.markdown: lambda: tables.markdown(bundle.manifest.title, data, report.values),
    }
    for path, text in texts.items():
        if path is not None:
            make_folder(path.absolute().parent)
            write_whole(path, text().encode())


def _draw(arguments: argparse.Namespace, engine: Engine, photos: list[Picture]) -> None:
    from edtalk_server.evaluation import sheets
    from edtalk_server.evaluation.measures.model_under_test import ModelUnderTest

    model, layout = ModelUnderTest(engine.bundle.face), engine.bundle.layout
    if arguments.sheet and photos:
        sheets.write(arguments.sheet, sheets.sheet(model, photos, layout, arguments.cell))
        print(f"drew {len(photos)} faces into {arguments.sheet}")
    if arguments.bases and photos:
        sheets.write(arguments.bases, sheets.bases_sheet(model, photos[0], layout))
        print(f"drew every basis into {arguments.bases}")


def _photo(path: Path, engine: Engine) -> Picture:
    from edtalk_server.media.faces import portrait

    image = portrait.load_portrait(path)
    return portrait.cut(image, engine.prepare(image).crop, engine.size)


def _evaluate_pose(arguments: argparse.Namespace) -> int:
    """Print how the bundle's flow moves heads; write the same as Markdown."""
    from edtalk_server import bundles
    from edtalk_server.evaluation.measures import head_motion
    from edtalk_server.evaluation.people.rendered_holdout import cache_folder
    from edtalk_server.media.audio.voice import load_voice
    from edtalk_server.training.head import corpus

    flow = bundles.load(arguments.bundle).audio_to_pose
    if flow is None:
        raise EDTalkError(
            ErrorCode.UNSUPPORTED,
            "This model bundle has no pose flow.",
            "Train one with `edtalk train stage pose`, or choose another bundle.",
        )
    _, takes = corpus.build(cache_folder() / "head", corpus.HeadCorpusConfig(0, held_out=arguments.takes))
    voice = load_voice(arguments.voice) if arguments.voice else None
    lines: list[str] = []
    for temperature in (1.0, 0.8):
        lines += [*head_motion.report(flow, takes, temperature), ""]
        if voice is not None:
            lines += [*head_motion.voice_report(flow, voice, temperature), ""]
    _print(lines, arguments.markdown)
    return 0


def _evaluate_lips(arguments: argparse.Namespace) -> int:
    """Print how the bundle's lips follow speech; write the same as Markdown."""
    from edtalk_server import api, bundles
    from edtalk_server.evaluation.measures import lips

    if (arguments.voice is None) != (arguments.transcript is None):
        raise EDTalkError(
            ErrorCode.BAD_MESSAGE,
            "p, b and m are found in a voice by its words.",
            "Give both --voice and --transcript, or neither.",
        )
    voices = []
    if arguments.voice is not None:
        spoken = api.load_voice(arguments.voice), api.load_transcript(arguments.transcript)
        voices.append((arguments.voice.name, *spoken))
    network = bundles.load(arguments.bundle).audio_to_lip
    _print(lips.report(network, arguments.takes, voices), arguments.markdown)
    return 0


def _print(lines: list[str], markdown: Path | None) -> None:
    from edtalk_server.media.video.sequence import make_folder, write_whole

    print(*lines, sep="\n")
    if markdown is not None:
        make_folder(markdown.absolute().parent)
        write_whole(markdown, ("\n".join(lines) + "\n").encode())
