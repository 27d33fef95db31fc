"""The bundles of this installation on the command line: list them, import one, download one."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from edtalk_server.cli.options import add_json_option, clean_termination, print_json

if TYPE_CHECKING:
    from edtalk_server.media.steps import Step, Steps

Result = TypeVar("Result")


def add_arguments(actions: Any) -> None:
    """Add `list`, `import FILE... [-o DIR | --name NAME]`, `download NAME [--mirror URL]` and `encoders DIR`."""
    add_json_option(actions.add_parser("list", help="what is installed, and what can be downloaded"))
    importing = actions.add_parser("import", help="turn the official checkpoints into a bundle")
    importing.add_argument(
        "files",
        nargs="+",
        metavar="FILE.pt",
        help="EDTalk.pt, EDTalk_lip_pose.pt, Audio2Lip.pt (each recognised by its content), or their folder",
    )
    place = importing.add_mutually_exclusive_group()
    place.add_argument(
        "-o", "--output", metavar="DIR", help="folder of the new bundle (default: among the installed ones)"
    )
    place.add_argument(
        "--name", default="", help="what the installed bundle is called (default: as released)"
    )
    download = actions.add_parser("download", help="fetch a bundle that `list` offers, and install it")
    download.add_argument("name", help="as `list` calls it")
    download.add_argument("--mirror", default="", metavar="URL", help="instead of the catalogue's address")
    encoders = actions.add_parser(
        "encoders",
        help="fetch HuBERT and EmoBERTa, with which `edtalk train stage semantics` hears and reads",
    )
    encoders.add_argument("folder", type=Path, metavar="DIR", help="folder for both; fetches what is missing")
    encoders.add_argument("--mirror", default="", metavar="URL", help="instead of the site's address")
    for action in (importing, download, encoders):
        add_json_option(action)


def run(arguments: argparse.Namespace) -> int:
    """Do the action."""
    match arguments.action:
        case "list":
            return _list(arguments.json)
        case "download":
            return _download(arguments.name, arguments.mirror, arguments.json)
        case "encoders":
            return _fetch_encoders(arguments.folder, arguments.mirror, arguments.json)
        case _:
            files = [Path(file) for file in arguments.files]
            return _import(files, arguments.output, arguments.name, arguments.json)


def _list(as_json: bool) -> int:
    from edtalk_server.bundles import library

    if as_json:
        print_json({"installed": _installed(), "available": _available()})
        return 0
    for bundle in library.installed():
        manifest = bundle.manifest
        print(
            f"{bundle.name:24} {_size(bundle.bytes)}  {manifest.size:4} px  {manifest.licence:16} {manifest.title}"
        )
    for offer in library.available():
        print(f"{offer.name:24} {_size(offer.bytes)}  can be downloaded; {offer.licence}; {offer.title}")
    return 0


def _installed() -> list[dict[str, Any]]:
    from edtalk_server.bundles import library

    return [
        {"name": bundle.name, "bytes": bundle.bytes}
        | {key: getattr(bundle.manifest, key) for key in ("title", "version", "licence", "size")}
        for bundle in library.installed()
    ]


def _available() -> list[dict[str, Any]]:
    from edtalk_server.bundles import library

    keys = ("name", "title", "licence", "bytes")
    return [{key: getattr(offer, key) for key in keys} for offer in library.available()]


def _import(files: list[Path], output: str | None, name: str, as_json: bool) -> int:
    from edtalk_server.bundles import library
    from edtalk_server.bundles.load import read_manifest

    folder = _show_steps(library.import_official(files, name, Path(output) if output else None))
    manifest, _ = read_manifest(folder)
    size = sum(entry.size for entry in manifest.files.values())
    if as_json:
        print_json(
            {"folder": str(folder), "title": manifest.title, "parts": list(manifest.parts()), "bytes": size}
        )
        return 0
    print(f"{folder}: {manifest.title}, {', '.join(manifest.parts())}, {size / 1e6:.0f} MB")
    return 0


def _download(name: str, mirror: str, as_json: bool) -> int:
    from edtalk_server.bundles.download import download_bundle

    folder = _show_steps(download_bundle(name, mirror))
    if as_json:
        print_json({"folder": str(folder), "name": name})
    else:
        print(f"{folder}: installed; use it with --bundle {name}")
    return 0


def _fetch_encoders(folder: Path, mirror: str, as_json: bool) -> int:
    from edtalk_server.bundles import encoders

    for encoder in () if as_json else encoders.ENCODERS:
        print(f"{encoder.title}, licence {encoder.licence}: {mirror or encoders.SITE}/{encoder.place}")
    found = _show_steps(encoders.fetch_encoders(folder, mirror))
    if as_json:
        print_json({"folder": str(folder), "sha256": {name: entry.sha256 for name, entry in found.items()}})
        return 0
    print(*(f"{entry.sha256}  {name}" for name, entry in sorted(found.items())), sep="\n")
    print(
        f"{folder / encoders.RECORD} keeps these hashes: compare them with somebody else's, nothing else is taken."
    )
    return 0


def _show_steps(steps: Steps[Result]) -> Result:
    """Run the steps to their end, with a line on standard error that rewrites itself."""
    from edtalk_server.media.steps import run_to_end

    live = sys.stderr.isatty()

    def show(step: Step) -> None:
        share = f" {100 * step.done // step.total} %" if step.total else ""
        if live:
            print(f"\r\033[K{step.stage}{share}", end="", file=sys.stderr, flush=True)

    with clean_termination():
        result = run_to_end(steps, show)
    if live:
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    return result


def _size(count: int) -> str:
    return f"{count / 1e6:8.1f} MB"
