"""Import, check and show model bundles."""

from __future__ import annotations

import argparse

from shared_protocol.banks import Bank


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`import FILE... -o DIR`, `check [DIR]`, `show [DIR]`."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    importing = actions.add_parser("import", help="turn the official checkpoints into a bundle")
    importing.add_argument(
        "files",
        nargs="+",
        metavar="FILE.pt",
        help="EDTalk.pt, EDTalk_lip_pose.pt, Audio2Lip.pt (each recognised by its content)",
    )
    importing.add_argument("-o", "--output", required=True, metavar="DIR", help="folder of the new bundle")
    for action, text in (("check", "verify every file and tensor"), ("show", "print what the bundle is")):
        one = actions.add_parser(action, help=text)
        one.add_argument("bundle", nargs="?", default="starter", help="folder or name (default: starter)")


def run(arguments: argparse.Namespace) -> int:
    """Do the action; problems are `EDTalkError`s that name the file, field or tensor."""
    match arguments.action:
        case "import":
            return _import(arguments.files, arguments.output)
        case "check":
            return _check(arguments.bundle)
        case _:
            return _show(arguments.bundle)


def _import(files: list[str], output: str) -> int:
    from edtalk_server.bundles import official

    manifest = official.import_checkpoints(files, output)
    megabytes = sum(entry.size for entry in manifest.files.values()) / 1e6
    print(f"{output}: {manifest.title}, {', '.join(manifest.parts())}, {megabytes:.0f} MB")
    return 0


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
