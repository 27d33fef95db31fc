"""Measure a finished bundle and write what was found into its folder: statistics, presets, a picture of its bases."""

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
from edtalk_server.evaluation.meaning import naming, statistics
from edtalk_server.evaluation.meaning.emotions import PEOPLE, Presets, emotional_people
from edtalk_server.evaluation.measures.model_under_test import Judge
from edtalk_server.evaluation.metrics.image_distance import Picture
from edtalk_server.evaluation.people.holdout import Person
from edtalk_server.media.faces import portrait
from edtalk_server.media.video.sequence import write_whole
from shared_protocol.errors import EDTalkError, ErrorCode

BASES_FILE = "bases.jpg"
SAMPLE = Path(__file__).parents[2] / "samples" / "portrait.png"

Progress = Callable[[int], None]


def describe(
    name: str | Path,
    people: Sequence[Person],
    facekit: Path,
    data: Path | None = None,
    emotional: int = PEOPLE,
    progress: Progress = lambda _done: None,
) -> BundleManifest:
    """Measure the bundle in the folder (or of the shipped name) and rewrite its manifest; tensors stay as they are.

    `people` of the hold-out set tell how well weights are read and drawn; `data` are shards that tell what is usual;
    `emotional` other people show the emotions. `progress` hears how many of those are done.
    """
    bundle = bundles.load(name)
    known = statistics.measured(bundle, people, data)
    presets = measured_presets(bundle, facekit, emotional, progress) or bundle.manifest.presets
    manifest = replace(bundle.manifest, statistics=known, presets=presets)
    described = BundleManifest.from_dict(manifest.to_dict())
    write_whole(bundle.folder / BASES_FILE, sheets.encode_jpeg(bases_picture(bundle)))
    write_whole(bundle.folder / MANIFEST_FILE, described.to_json().encode())
    return described


def name_bases(
    name: str | Path, people: Sequence[Person], probe: str | Path = bundles.STARTER
) -> BundleManifest:
    """Order, turn and name the bases of the bundle in the folder by what the probe sees of them on these people.

    What refers to its bases by their old names (curves, presets elsewhere) no longer fits. `EDTalkError(UNSUPPORTED)`
    for a bundle that is not of the paper's network alone, or of another size than the probe.
    """
    bundle, reader = bundles.load(name), bundles.load(probe)
    if bundle.face.size != reader.face.size:
        raise EDTalkError(
            ErrorCode.UNSUPPORTED,
            f"The bundle has {bundle.face.size} pixels, the probe {reader.face.size}.",
            "Name the bases of a bundle of the probe's size.",
        )
    found = naming.responses(bundle, reader, [person.clip.frames[0] for person in people])
    order = naming.meanings(found, bundle.layout, reader.layout)
    manifest, networks = naming.arranged(bundle, order)
    return bundles.save(bundle.folder, manifest, networks, half=_is_half(bundle))


def _is_half(bundle: Bundle) -> bool:
    with safe_open(bundle.folder / bundle.manifest.face.file, "pt") as file:
        return any(file.get_tensor(name).dtype == torch.float16 for name in file.keys())  # noqa: SIM118


def measured_presets(
    bundle: Bundle, facekit: Path, emotional: int, progress: Progress
) -> dict[str, dict[str, float]]:
    """The emotions of a bundle with an expression bank; nothing for one without."""
    if not bundle.face.bank_sizes[2]:
        return {}
    found = Presets(Judge(bundle.face), bundle.layout, is_controlled(bundle.layout))
    for number, pictures in enumerate(emotional_people(facekit, emotional)):
        found.add(pictures)
        progress(number + 1)
    return found.values()


def bases_picture(bundle: Bundle) -> Picture:
    """Every basis on the sample portrait, which is nobody's."""
    engine = Engine.open(bundle, "cpu")
    image = portrait.load_portrait(SAMPLE)
    face = portrait.cut(image, engine.prepare(image).crop, engine.size)
    return sheets.bases_sheet(Judge(bundle.face), face, bundle.layout)
