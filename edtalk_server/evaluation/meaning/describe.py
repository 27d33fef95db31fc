"""Measure a finished bundle and write the results into its folder: statistics, presets, how its pose weights turn the
head, a picture of its bases.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import safe_open

from edtalk_server import bundles
from edtalk_server.bundles import Bundle, BundleManifest
from edtalk_server.bundles.manifest import MANIFEST_FILE
from edtalk_server.engine.engine import Engine
from edtalk_server.evaluation import sheets
from edtalk_server.evaluation.evaluate import is_controlled
from edtalk_server.evaluation.meaning import naming, pose_map, statistics
from edtalk_server.evaluation.meaning.emotions import PEOPLE, Presets, render_emotions
from edtalk_server.evaluation.measures.model_under_test import ModelUnderTest
from edtalk_server.evaluation.metrics.image_distance import Picture
from edtalk_server.evaluation.people.holdout import Person
from edtalk_server.media.faces import portrait
from edtalk_server.media.video.sequence import write_whole
from shared_protocol.errors import EDTalkError, ErrorCode

BASES_FILE = "bases.jpg"
SAMPLE = Path(__file__).parents[2] / "samples" / "portrait.png"

OnProgress = Callable[[int], None]


def describe(
    name: str | Path,
    people: Sequence[Person],
    facekit: Path,
    data: Path | None = None,
    emotional: int = PEOPLE,
    on_progress: OnProgress = lambda _done: None,
) -> BundleManifest:
    """Measure the bundle of a folder or shipped name and rewrite its manifest; its tensors stay the same.

    `people` of the hold-out set measure how well weights are estimated and rendered; shards in `data` give the usual
    values. Presets of named weights stay; for others, `emotional` other people show the emotions, and `on_progress`
    receives how many of these are done.
    """
    bundle = bundles.load(name)
    known = statistics.measure(bundle, people, data)
    presets = bundle.manifest.presets
    if not (presets and is_controlled(bundle.layout)):  # those of named weights were chosen by eye
        presets = measure_presets(bundle, facekit, emotional, on_progress) or presets
    manifest = replace(
        bundle.manifest, statistics=known, presets=presets, pose_map=pose_map.measure(bundle, people)
    )
    described = BundleManifest.from_dict(manifest.to_dict())
    write_whole(bundle.folder / BASES_FILE, sheets.encode_jpeg(draw_bases(bundle)))
    write_whole(bundle.folder / MANIFEST_FILE, described.to_json().encode())
    return described


def name_bases(
    name: str | Path, people: Sequence[Person], probe: str | Path = bundles.STARTER
) -> BundleManifest:
    """Order, sign and name the bases of a bundle by what the probe bundle estimates when they move on these people.

    Curves and presets elsewhere that use the old names no longer fit. Raises `EDTalkError(UNSUPPORTED)` for a bundle
    with other networks than the paper's, or of another size than the probe.
    """
    bundle, probe_bundle = bundles.load(name), bundles.load(probe)
    if bundle.face.size != probe_bundle.face.size:
        raise EDTalkError(
            ErrorCode.UNSUPPORTED,
            f"The bundle has {bundle.face.size} pixels, the probe {probe_bundle.face.size}.",
            "Name the bases of a bundle of the probe's size.",
        )
    responses = naming.measure_responses(bundle, probe_bundle, [person.clip.frames[0] for person in people])
    order = naming.find_meanings(responses, bundle.layout, probe_bundle.layout)
    manifest, networks = naming.arrange(bundle, order)
    return bundles.save(bundle.folder, manifest, networks, half=_is_half(bundle))


def _is_half(bundle: Bundle) -> bool:
    with safe_open(bundle.folder / bundle.manifest.face.file, "pt") as file:
        return any(file.get_tensor(name).dtype == torch.float16 for name in file.keys())  # noqa: SIM118


def measure_presets(
    bundle: Bundle, facekit: Path, emotional: int, on_progress: OnProgress
) -> dict[str, dict[str, float]]:
    """Return the emotion presets of a bundle; none for one without an expression bank."""
    if not bundle.face.bank_sizes[2]:
        return {}
    presets = Presets(ModelUnderTest(bundle.face), bundle.layout, is_controlled(bundle.layout))
    for number, pictures in enumerate(render_emotions(facekit, emotional)):
        presets.add(pictures)
        on_progress(number + 1)
    return presets.values()


def draw_bases(bundle: Bundle) -> Picture:
    """Draw every basis on the sample portrait, which is of no real person."""
    engine = Engine.open(bundle, "cpu")
    image = portrait.load_portrait(SAMPLE)
    face = portrait.cut(image, engine.prepare(image).crop, engine.size)
    return sheets.bases_sheet(ModelUnderTest(bundle.face), face, bundle.layout)
