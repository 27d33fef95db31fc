"""Set up EDTalk for Blender from a checkout.

  python3 install.py          the server, in .venv of this folder (the same as `install.py server`)
  python3 install.py demo     everything, then a talking character: demo/demo.blend and demo/demo.mp4
  python3 install.py test     lint, types and all tests
  python3 install.py release  the files of a release, in dist: extension packages and a sample

Outside this folder only one small file changes, which tells the add-on where the server is. Blender's own Python is
never touched. Running it again does only what is missing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from . import checks, demo, release, server
from .options import TORCH_INDEX, Options, Thoroughness
from .steps import Runner, SetupError


def parse(arguments: Sequence[str]) -> Options:
    """Parse the command line. Ends the program with a message when it is misused."""
    parser = argparse.ArgumentParser(
        prog="install.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("command", nargs="?", default="server", choices=("server", "demo", "test", "release"))
    add("--dry-run", action="store_true", help="say each step, do nothing")
    add("--wheels", type=Path, metavar="DIR", help="install from this folder of packages, without a network")
    add(
        "--torch", choices=("auto", "cpu", "cuda"), default="auto", help="which PyTorch; auto asks the driver"
    )
    add("--torch-index", default=TORCH_INDEX, metavar="URL", help="a mirror of PyTorch's own index")
    add("--train", action="store_true", help="server, demo: also the packages of training and evaluation")
    add("--blender", type=Path, metavar="PATH", help="demo, release: use this Blender (4.2 or newer)")
    extent = parser.add_mutually_exclusive_group()
    quick = "test: neither the slow ones nor those inside Blender"
    extent.add_argument(
        "--quick", dest="thoroughness", action="store_const", const=Thoroughness.QUICK, help=quick
    )
    whole = "test: everything, as before a release: each test in each Blender"
    extent.add_argument(
        "--all", dest="thoroughness", action="store_const", const=Thoroughness.ALL, help=whole
    )
    parser.set_defaults(thoroughness=Thoroughness.PLAIN)
    options = Options(**vars(parser.parse_args(arguments)))
    if options.wheels is None:
        return options
    if not options.wheels.is_dir():
        parser.error(f"--wheels: there is no folder {options.wheels}")
    return replace(options, wheels=options.wheels.resolve())


def main(arguments: Sequence[str]) -> int:
    """Do what the command line asks for, and return the exit status."""
    options = parse(arguments)
    runner = Runner(options.root / "runs" / "install.log", options.dry_run)
    try:
        return _run(options, runner)
    except SetupError as error:
        print(f"\nerror: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"\nerror: {error.filename or 'A file'}: {error.strerror or error}.", file=sys.stderr)
        print("  Make sure that this folder can be written, and that its disk is not full.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped; run it again to continue", file=sys.stderr)
        return 130


def _run(options: Options, runner: Runner) -> int:
    match options.command:
        case "test":
            return checks.run(options, runner)
        case "demo":
            demo.run(options, runner)
        case "release":
            release.run(options, runner)
        case _:
            server.record(options, runner, server.install(options, runner))
            runner.say("\nNothing was changed." if runner.dry else "\nThe server is installed.")
    return 0
