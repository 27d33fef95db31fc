"""The demo: from nothing to a talking character in a .blend and a movie."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

from . import server
from .blender import find_host
from .environments import explain
from .options import Options
from .steps import Runner, SetupError

SCRIPT = "docs/examples/demo_scene.py"
RECORD = "made.json"


def run(options: Options, runner: Runner) -> None:
    """Install what is missing, make the character in a Blender, and say where it is."""
    environment = server.install(options, runner)
    host = find_host(options, runner)
    extension = build_extension(options, runner, environment.python, host.flavor)
    folder = options.root / "demo"
    name = free_name(folder)
    samples = options.root / "edtalk_server" / "samples"
    script = host.command(
        options.root / SCRIPT,
        *("--extension", str(extension), "--out", str(folder), "--name", name),
        *("--portrait", str(samples / "portrait.png"), "--voice", str(samples / "voice.flac")),
    )
    make_character(runner, script, settings=folder / "blender-settings")
    if not runner.dry:
        remember_ours(folder, name)
        runner.say(f"\nThe demo is ready:\n  {folder / name}.blend\n  {folder / name}.mp4")


def build_extension(options: Options, runner: Runner, python: str, flavor: str) -> Path:
    """The zip of the extension for this machine and that Blender."""
    out = options.root / "dist"
    command = [
        python,
        str(options.root / "blender_addon" / "build.py"),
        "--out",
        str(out),
        "--flavor",
        flavor,
    ]
    command += ["--wheels", str(options.wheels)] if options.wheels else []
    try:
        output = runner.run("build the extension", command)
    except subprocess.CalledProcessError as error:
        raise explain(error.output, options.wheels) from error
    return Path(output.strip().splitlines()[-1]) if output else out / "EXTENSION.zip"


def make_character(runner: Runner, command: list[str], settings: Path) -> None:
    """Run the demo's script in Blender, with settings of its own so that nobody's are touched."""
    try:
        runner.run("make the character in Blender", command, BLENDER_USER_RESOURCES=str(settings))
    except subprocess.CalledProcessError as error:
        lines = "\n    ".join(error.output.strip().splitlines()[-12:])
        raise SetupError(
            f"The demo stopped in Blender:\n    {lines}", f"The whole output is in {runner.log}."
        ) from error


def free_name(folder: Path) -> str:
    """`demo`; or `demo-2` and so on when somebody has worked in the file that we made: theirs is never replaced."""
    ours = _read_record(folder)
    number, name = 1, "demo"
    while not _is_free(folder / f"{name}.blend", ours):
        number += 1
        name = f"demo-{number}"
    return name


def remember_ours(folder: Path, name: str) -> None:
    """Note what the .blend looked like when we had written it."""
    blend = folder / f"{name}.blend"
    record = _read_record(folder) | {blend.name: _digest(blend)}
    (folder / RECORD).write_text(json.dumps(record, indent=1), encoding="utf-8")


def _is_free(blend: Path, ours: dict[str, str]) -> bool:
    return not blend.exists() or ours.get(blend.name) == _digest(blend)


def _read_record(folder: Path) -> dict[str, str]:
    record = folder / RECORD
    return json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
