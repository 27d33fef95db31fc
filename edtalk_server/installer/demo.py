"""The demo: from nothing to a talking character, as a .blend and a movie."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

from . import server
from .blender import Host, find_host
from .environments import explain
from .options import Options
from .steps import Runner, SetupError

SCRIPT = "docs/examples/demo_scene.py"
BLEND = "demo.blend"
RECORD = "demo.blend.sha256"


def run(options: Options, runner: Runner) -> None:
    """Install what is missing, make the character in a Blender, and say where it is."""
    host = find_host(options, runner)  # first: what a bare system lacks is known before the downloads
    environment = server.install(options, runner)
    own_server = server.record(options, runner, environment, takes_over=False)
    extension = build_extension(options, runner, environment.python, "--flavor", host.flavor)[0]
    settings = options.root / "demo" / "blender-settings"
    place = free_place(options.root / "demo")
    script = scene_script(options, host, extension, place / BLEND, "--movie")
    try:
        make_character(runner, script, BLENDER_USER_RESOURCES=str(settings), **own_server)
    finally:
        if not runner.dry:
            remember_ours(place)  # also the remains of a failed run
    mark = "import sys; from pathlib import Path; from edtalk_server.media.video.writer import mark_movie; "
    mark += "mark_movie(Path(sys.argv[1]))"
    runner.run("mark the movie as synthetic", [environment.python, "-c", mark, str(place / "demo.mp4")])
    if not runner.dry:
        runner.say(
            f"\nThe demo is ready:\n  {place / BLEND}\n  {place / 'demo.mp4'}\n  frames: {place / 'edtalk'}"
        )


def build_extension(options: Options, runner: Runner, python: str, *choice: str) -> list[Path]:
    """Build the zips of the extension for the chosen flavours and platforms."""
    out = options.root / "dist"
    command = [python, str(options.root / "blender_addon" / "build.py"), "--out", str(out), *choice]
    command += ["--wheels", str(options.wheels)] if options.wheels else []
    try:
        output = runner.run("build the extension", command)
    except subprocess.CalledProcessError as error:
        raise explain(error.output, options.wheels) from error
    return [Path(line) for line in output.strip().splitlines()] or [out / "EXTENSION.zip"]


def scene_script(options: Options, host: Host, extension: Path, blend: Path, *more: str) -> list[str]:
    """Return the command that makes a character from the samples in `blend`."""
    samples = options.root / "edtalk_server" / "samples"
    return host.command(
        options.root / SCRIPT,
        *("--extension", str(extension), "--blend", str(blend), *more),
        *("--portrait", str(samples / "portrait.png"), "--voice", str(samples / "voice.flac")),
    )


def make_character(runner: Runner, command: list[str], **environment: str) -> None:
    """Run the script in Blender; with its own BLENDER_USER_RESOURCES it touches nobody's settings."""
    try:
        runner.run("make the character in Blender", command, **environment)
    except subprocess.CalledProcessError as error:
        lines = "\n    ".join(error.output.strip().splitlines()[-12:])
        raise SetupError(
            f"The script stopped in Blender:\n    {lines}", f"The whole output is in {runner.log}."
        ) from error


def free_place(folder: Path) -> Path:
    """Return `folder`, or a new one in it if somebody changed the file that we made: their work is never replaced."""
    place, number = folder, 1
    while not _is_free(place):
        number += 1
        place = folder / f"demo-{number}"
    return place


def remember_ours(place: Path) -> None:
    """Record the content of the .blend that we wrote, if there is one."""
    if (place / BLEND).exists():
        (place / RECORD).write_text(_digest(place / BLEND), encoding="ascii")


def _is_free(place: Path) -> bool:
    blend, record = place / BLEND, place / RECORD
    ours = record.read_text(encoding="ascii") if record.is_file() else None
    return not blend.exists() or ours == _digest(blend)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
