"""Install the server for the Blender extension, which carries it as a wheel: no checkout, no terminal.

The extension runs this out of that wheel, with a Python that makes the environment:

    python -I -c "import sys; sys.path.insert(0, WHEEL); from edtalk_server.installer.from_addon import main; ..."

It says how far it is in lines that begin with `EDTALK: ` and go on as JSON: `stage`, `done` and `total` bytes (0:
unknown); at the end `python`, the server's, or `cause` and `fix`. It ends when its standard input is closed: Blender
was closed, or the user cancelled. What is there by then is kept, so that the next run goes on from it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shared_protocol import paths

from . import server
from .environments import OLDEST_PYTHON, TORCH, Environment
from .options import TORCH_INDEX, Options
from .steps import NEWS, Runner, SetupError, need_disk

EVERY_S = 0.3
"""Seconds between two signs of a download's progress."""

DIALOG = {
    "--wheels DIR with a folder of packages": "the field Packages with a folder of packages",
    "--wheels DIR": "the field Packages with a folder of packages",
    "name a mirror with --torch-index, or take the large build with --torch cuda": "or choose NVIDIA Graphics Card",
    "put the checkout on another disk": "name a folder on another disk in the variable EDTALK_DATA_DIR",
}
"""What the installer's fixes call its options, and what the add-on's dialog has for them."""


class NewsRunner(Runner):
    """Tells the add-on what it does, and ends its program when told to stop."""

    may_enlarge = False  # the user chose by the sizes that were shown

    def __init__(self, log: Path) -> None:
        super().__init__(log)
        self._told = 0.0

    def say(self, text: str) -> None:
        """Tell a stage; what belongs to one is for the log."""
        if text.startswith("- "):
            tell(stage=text[2:3].upper() + text[3:])
        else:
            with self.log.open("a", encoding="utf-8") as log:
                log.write(f"{text}\n")

    def progress(self, done: int, total: int) -> None:
        """Tell how many bytes of a download are there."""
        now = time.monotonic()
        if now - self._told > EVERY_S or done == total:
            self._told = now
            tell(done=done, total=total)


def tell(**values: Any) -> None:
    """Write one line for the add-on."""
    print(f"{NEWS}{json.dumps(values)}", flush=True)


def main(arguments: Sequence[str]) -> int:
    """Install, and tell what came of it. Returns the exit status."""
    options = parse(arguments)
    if options.watch_input:
        threading.Thread(target=end_with_input, daemon=True).start()
    log = paths.log_dir() / "install.log"
    try:
        paths.make_private_folder(log.parent)
        tell(python=install(options, NewsRunner(log)).python)
    except SetupError as error:
        tell(**in_words_of_the_dialog(error, log))
        return 1
    except (OSError, subprocess.CalledProcessError) as error:
        unforeseen = SetupError(f"Installing failed ({error}).", "runs/install.log has the whole output.")
        tell(**in_words_of_the_dialog(unforeseen, log))
        return 1
    return 0


def in_words_of_the_dialog(error: SetupError, log: Path) -> dict[str, str]:
    """Return an error's cause and fix; the fix names what the add-on's dialog has, not options of a command line."""
    cause, _, fix = str(error).rpartition("\n  ")
    for option, field in {**DIALOG, "runs/install.log": str(log)}.items():
        fix = fix.replace(option, field)
    return {"cause": cause, "fix": fix.strip()}


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="from_addon", description=__doc__)
    add = parser.add_argument
    add("--wheel", type=Path, required=True, help="the server")
    add("--pip", type=Path, required=True, help="a wheel of pip")
    add("--folder", type=Path, required=True, help="where the environment goes")
    add("--torch", choices=("cpu", "cuda"), required=True)
    add("--torch-index", default=TORCH_INDEX)
    add("--wheels", type=Path, help="install from this folder, without a network")
    add("--watch-input", action="store_true", help="end when standard input is closed")
    return parser.parse_args(arguments)


def end_with_input() -> None:
    """Wait until standard input is closed, then end this process and the program that it runs."""
    while os.read(0, 1024):  # not through sys.stdin, which a waiting thread would hold at Python's end
        pass
    if sys.platform == "win32":
        subprocess.run(["taskkill", "/F", "/T", "/PID", str(os.getpid())], check=False, capture_output=True)
    else:
        os.killpg(os.getpgid(0), 15)  # the add-on made a group of its own for it
    os._exit(130)


def install(options: argparse.Namespace, runner: Runner) -> Environment:
    """Make the environment, fill it, and record where it is. Does only what is missing. Raises `SetupError`."""
    if sys.version_info < OLDEST_PYTHON:
        raise SetupError("This Python is too old for the server.", "Install Python 3.11, 3.12 or 3.13.")
    environment = Environment(options.folder, runner, options.wheels, sys.executable, options.pip)
    mark = fingerprint(options.wheel, options.torch)
    if not environment.is_current(mark):
        options.folder.parent.mkdir(parents=True, exist_ok=True)
        need_disk(options.folder.parent, server.NEEDED_BYTES[options.torch])
        (options.folder / "edtalk-stamp").unlink(missing_ok=True)  # half an update is no server
        environment.create()
        kind = server.fill(environment, options.torch, options.torch_index)
        again = ["--no-deps", "--force-reinstall", "--no-index"]
        environment.install("the server", *again, str(options.wheel))
        server.report_device(environment, kind)
        environment.finish(mark)
    server.record(Options(root=Path()), runner, environment, checkout="")
    return environment


def fingerprint(wheel: Path, kind: str) -> str:
    """Return a digest that changes with the server or the kind of PyTorch."""
    return hashlib.sha256(wheel.read_bytes() + repr((TORCH, kind)).encode()).hexdigest()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
