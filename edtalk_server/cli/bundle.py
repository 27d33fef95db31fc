"""List, import, download, check and show model bundles."""

from __future__ import annotations

import argparse

from edtalk_server.cli import library
from shared_protocol.banks import Bank


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `cli.library` adds, `check [DIR]`, `show [DIR]`."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    library.add_arguments(actions)
    for action, text in (("check", "verify every file and tensor"), ("show", "print what the bundle is")):
        one = actions.add_parser(action, help=text)
        one.add_argument("bundle", nargs="?", default="starter", help="folder or name (default: starter)")


def run(arguments: argparse.Namespace) -> int:
    """Do the action; problems are `EDTalkError`s that name the file, field or tensor."""
    match arguments.action:
        case "list" | "import" | "download":
            return library.run(arguments)
        case "check":
            return _check(arguments.bundle)
        case _:
            return _show(arguments.bundle)


def _check(name: str) -> int:
    from edtalk_server import bundles

    bundle = bundles.load(name)
    print(f"{name}: {bundle.manifest.title} {bundle.manifest.version} is complete and unchanged")
    print(f"digest {bundle.digest}")
    return 0


def _show(name: str) -> int:
    from edtalk_server.bundles.load import read_manifest

    manifest, digest = read_manifest(name)
    print(f"{manifest.title} ({manifest.name} {manifest.version}), {manifest.size} pixels")
    if manifest.description:
        print(manifest.description)
    print(f"licence  {manifest.licence}\ndigest   {digest}")
    for role, part in manifest.parts().items():
        print(f"{role:8} {part.kind} ({part.file}, {manifest.files[part.file].size / 1e6:.1f} MB)")
    for bank in Bank:
        bases = manifest.layout.bases[manifest.layout.slice_of(bank)]
        print(f"{bank.value:10} {len(bases)}: {', '.join(basis.identifier for basis in bases)}")
    print(f"presets    {', '.join(manifest.presets) or 'none'}")
    return 0
