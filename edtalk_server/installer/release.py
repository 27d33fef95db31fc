"""The files of a release, in `dist`: the extension for every system, and a sample that plays in any Blender."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from shared_protocol import __version__

from . import server
from .blender import MODULE_FOR_RELEASE, Host, find_host, module_host
from .demo import build_extension, make_character, scene_script
from .options import Options
from .steps import Runner

SAMPLE = "edtalk-sample"
README = "docs/examples/sample_readme.txt"
EPOCH = (2020, 1, 1, 0, 0, 0)
"""The time of every file in the sample's zip, so that two builds are equal."""


def run(options: Options, runner: Runner) -> None:
    """Build all files of a release."""
    python = server.install(options, runner).python
    packages = build_extension(options, runner, python, "--platform", "all")
    host = find_blender(options, runner)
    extension = build_extension(options, runner, python, "--flavor", host.flavor)[0]
    sample = options.root / "dist" / f"{SAMPLE}-{__version__}.zip"
    with tempfile.TemporaryDirectory(prefix="edtalk-") as scratch:
        work = Path(scratch).resolve()
        folder = work / SAMPLE
        script = scene_script(options, host, extension, folder / "sample.blend")
        settings = str(work / "blender-settings")
        make_character(runner, script, BLENDER_USER_RESOURCES=settings, EDTALK_SERVER_PYTHON=python)
        if not runner.dry:
            shutil.copy(options.root / README, folder / "README.txt")
            pack(folder, sample, (work, options.root, Path.home()))
    if not runner.dry:
        lines = "\n  ".join(str(path) for path in (*packages, sample))
        runner.say(f"\nThe files of the release are ready:\n  {lines}")


def find_blender(options: Options, runner: Runner) -> Host:
    """Find the requested Blender, else the oldest that can make the sample."""
    if options.blender:
        return find_host(options, runner)
    return module_host(options, runner, [MODULE_FOR_RELEASE])


def pack(folder: Path, target: Path, private: Iterable[Path]) -> None:
    """Zip a sample's folder, and remove the names of the `private` folders from its .blend files."""
    target.parent.mkdir(parents=True, exist_ok=True)
    hidden = [variant for path in private for variant in spellings(path, folder)]
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            info = zipfile.ZipInfo(f"{folder.name}/{path.relative_to(folder).as_posix()}", EPOCH)
            info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            data = path.read_bytes()
            archive.writestr(info, without(data, hidden) if path.suffix == ".blend" else data)


def spellings(path: Path, folder: Path) -> Iterator[bytes]:
    """Yield the ways in which a .blend in `folder` may spell a path, also relative to itself; none for the root."""
    if path == Path(path.anchor):
        return
    yield os.fsencode(path)
    yield path.as_posix().encode()
    with contextlib.suppress(ValueError):  # another drive
        relative = Path(os.path.relpath(path, folder)).as_posix()
        if relative.strip("./"):
            yield f"//{relative}".encode()


def without(data: bytes, hidden: Iterable[bytes]) -> bytes:
    """Return a file's bytes with zeros in place of the hidden texts.

    Blender keeps a file's own path in each .blend, and leaves the rest of a longer text behind a shorter one in its
    field. It reads both up to the first zero, so zeros do no harm.
    """
    for text in hidden:
        # a folder whose name merely begins like this one is another folder
        data = re.sub(re.escape(text) + rb"(?![\w.-])", bytes(len(text)), data)
    return data
