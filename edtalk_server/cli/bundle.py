"""List, import, download, check, show and describe model bundles."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edtalk_server.cli import bundle_library
from edtalk_server.cli.options import add_json_option, print_json
from shared_protocol.banks import NATURAL_POSE, Bank

if TYPE_CHECKING:
    from edtalk_server.bundles.manifest import BundleManifest


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the actions of `cli.bundle_library`, `check [DIR]`, `show [DIR]` and `describe [DIR]`."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    bundle_library.add_arguments(actions)
    for action, text in (("check", "verify every file and tensor"), ("show", "print what the bundle is")):
        parser_of_action = actions.add_parser(action, help=text)
        parser_of_action.add_argument(
            "bundle", nargs="?", default="starter", help="folder or name (default: starter)"
        )
        add_json_option(parser_of_action)
    _add_describe(
        actions.add_parser(
            "describe", help="measure its weights and presets, draw its bases, and note both in it"
        )
    )


def _add_describe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", nargs="?", default="starter", help="folder or name (default: starter)")
    parser.add_argument("--facekit", type=Path, help="packed ICT-FaceKit (.npz) to render people from")
    parser.add_argument("--data", type=Path, help="rendered shards, for the usual values of each weight")
    parser.add_argument("--people", type=int, default=40, help="rendered people to measure on (default: 40)")
    parser.add_argument(
        "--emotional", type=int, default=16, help="people who show the emotions (default: 16)"
    )
    parser.add_argument(
        "--name-bases",
        action="store_true",
        help="order, sign and name bases that training left unnamed, by the starter's motion encoder",
    )


def run(arguments: argparse.Namespace) -> int:
    """Do the action; problems are `EDTalkError`s that name the file, field or tensor."""
    match arguments.action:
        case "list" | "import" | "download" | "encoders":
            return bundle_library.run(arguments)
        case "check":
            return _check(arguments.bundle, arguments.json)
        case "describe":
            return _describe(arguments)
        case _:
            return _show(arguments.bundle, arguments.json)


def _check(name: str, as_json: bool) -> int:
    from edtalk_server import bundles

    bundle = bundles.load(name)
    if as_json:
        print_json(_facts(bundle.manifest, bundle.digest) | {"whole": True})
        return 0
    print(f"{name}: {bundle.manifest.title} {bundle.manifest.version} is complete and unchanged")
    print(f"digest {bundle.digest}")
    return 0


def _facts(manifest: BundleManifest, digest: str) -> dict[str, Any]:
    """Return what a bundle is, for programs."""
    parts = {
        role: {"kind": part.kind, "file": part.file, "bytes": manifest.files[part.file].size}
        for role, part in manifest.parts().items()
    }
    bases = {
        bank.value: [basis.identifier for basis in manifest.layout.bases if basis.bank is bank]
        for bank in Bank
    }
    plain = {key: getattr(manifest, key) for key in ("name", "title", "version", "licence", "size")}
    return plain | {"digest": digest, "parts": parts, "bases": bases, "presets": list(manifest.presets)}


def _show(name: str, as_json: bool) -> int:
    from edtalk_server.bundles.load import read_manifest

    manifest, digest = read_manifest(name)
    if as_json:
        print_json(_facts(manifest, digest))
        return 0
    print(f"{manifest.title} ({manifest.name} {manifest.version}), {manifest.size} pixels")
    if manifest.description:
        print(manifest.description)
    print(f"licence  {manifest.licence}\ndigest   {digest}")
    for role, part in manifest.parts().items():
        print(f"{role:13} {part.kind} ({part.file}, {manifest.files[part.file].size / 1e6:.1f} MB)")
    for bank in Bank:
        bases = manifest.layout.bases[manifest.layout.slice_of(bank)]
        print(f"{bank.value:10} {len(bases)}: {', '.join(basis.identifier for basis in bases)}")
    print(f"presets    {', '.join(manifest.presets) or 'none'}")
    if manifest.pose_map is not None:
        print(f"pose_map   {', '.join(NATURAL_POSE)} to {len(manifest.pose_map)} pose weights")
    return 0


def _describe(arguments: argparse.Namespace) -> int:
    from edtalk_server.cli.options import ProgressLine
    from edtalk_server.evaluation.meaning.describe import describe, name_bases
    from edtalk_server.evaluation.people import rendered_holdout

    facekit = rendered_holdout.find_facekit(arguments.facekit)
    line = ProgressLine(arguments.people, "rendering", unit="people")
    people = rendered_holdout.HoldoutSet.of(facekit, arguments.people).load(line.show)
    if arguments.name_bases:
        name_bases(arguments.bundle, people)
    line = ProgressLine(arguments.emotional, "emotions", unit="people")
    manifest = describe(arguments.bundle, people, facekit, arguments.data, arguments.emotional, line.show)
    print(f"{'':22} {'1 %':>7} {'mean':>7} {'99 %':>7} {'read':>7} {'drawn':>7}")
    for name, known in manifest.statistics.items():
        row = (known.low, known.mean, known.high, known.read, known.drawn)
        print(
            f"{name:22} " + " ".join(f"{'-' if value is None else format(value, '.3f'):>7}" for value in row)
        )
    if manifest.pose_map is not None:
        _print_pose_map(manifest)
    for emotion, preset in manifest.presets.items():
        print(f"{emotion:10} " + ", ".join(f"{name} {value:g}" for name, value in preset.items() if value))
    return 0


def _print_pose_map(manifest: BundleManifest) -> None:
    print(f"{'one unit of':22} " + " ".join(f"{name:>7}" for name in NATURAL_POSE))
    bases = manifest.layout.bases[manifest.layout.slice_of(Bank.POSE)]
    for basis, row in zip(bases, manifest.pose_map or (), strict=True):
        print(f"{basis.identifier:22} " + " ".join(f"{factor:7.3f}" for factor in row))
