"""The command line: `edtalk serve | predict | capture | render | bake-many | train | evaluate | bundle | bench | …`.

Each command is a module of this package with a one-line docstring (its help), `add_arguments(parser)` and
`run(args) -> int`. Only the chosen one is imported, so that `edtalk --help` needs no torch.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from shared_protocol.errors import EDTalkError

COMMANDS = (
    "serve",
    "predict",
    "capture",
    "render",
    "bake-many",
    "train",
    "evaluate",
    "bundle",
    "bench",
    "doctor",
)

_PYTHON = "py" if sys.platform == "win32" else "python3"
_FOR_TRAINING = f"Run `{_PYTHON} install.py --train` in the EDTalk folder."
_FOR_ALL = f"The installation is broken: run `{_PYTHON} install.py` in the EDTalk folder again."
OPTIONAL_PACKAGES = {
    "numba": _FOR_TRAINING,
    "scipy": _FOR_TRAINING,
    "torchmetrics": _FOR_TRAINING,
    "tensorboard": _FOR_TRAINING,
    "ray": "Run `python -m pip install ray` with the server's Python, on every machine of the cluster.",
    "transformers": "Run `python -m pip install transformers` with the server's Python.",
}
"""Packages that only some commands need, and how to get them."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status: 0 success, 1 failure, 2 misuse, 130 interrupted."""
    arguments = _parser().parse_args(argv)
    _set_up_logging(arguments.verbose)
    _let_waiting_threads_sleep()
    try:
        return _run(arguments.command, arguments.arguments)
    except EDTalkError as error:
        print(f"error: {error.cause} {error.fix}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        if package in ("None", "edtalk_server", "shared_protocol"):
            raise
        fix = OPTIONAL_PACKAGES.get(package, _FOR_ALL)
        print(f"error: The package {package} is not installed. {fix}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _run(command: str, given: Sequence[str]) -> int:
    module = importlib.import_module(f"{__name__}.{_module(command)}")
    parser = argparse.ArgumentParser(prog=f"edtalk {command}", description=module.__doc__)
    module.add_arguments(parser)
    return int(module.run(parser.parse_args(given)))


def _parser() -> argparse.ArgumentParser:
    present = {name: summary for name in COMMANDS if (summary := _summary(name)) is not None}
    listing = "\n".join(f"  {name:10} {summary}" for name, summary in present.items())
    parser = argparse.ArgumentParser(
        prog="edtalk",
        description="EDTalk for Blender: a portrait and a voice become an editable, talking plane.",
        epilog=f"commands:\n{listing}\n\n`edtalk COMMAND --help` explains one of them.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"edtalk {_version()}")
    parser.add_argument("-v", "--verbose", action="count", default=0, help="say more (twice: everything)")
    parser.add_argument("command", choices=tuple(present), metavar="COMMAND", help="one of those below")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser


def _summary(command: str) -> str | None:
    """Return the first line of a command's docstring, read without importing it; None where it is not installed."""
    path = Path(__file__).with_name(f"{_module(command)}.py")
    if not path.is_file():
        return None
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0]


def _module(command: str) -> str:
    return command.replace("-", "_")


def _version() -> str:
    from shared_protocol import __version__

    return __version__


def _let_waiting_threads_sleep() -> None:
    """Let torch's threads sleep while they wait for each other. Spinning, one that shares its core with another program
    slows all of them down, up to fifty times. OpenMP reads this when torch is loaded."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def _set_up_logging(verbosity: int) -> None:
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbosity, 2)]
    logging.basicConfig(level=level, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
