"""Help and the doctor come at once: what they import stays light."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from edtalk_server.cli import COMMANDS
from edtalk_server.cli.training import ablations, film, finetune, semantics, starter

HEAVY = ("torch", "cv2", "scipy", "numba", "av", "transformers")
ACTIONS = (
    "data",
    "preview-data",
    "starter",
    "run",
    "export",
    "stage",
    "features",
    "export-stages",
    "export-sync",
    "semantics",
    "ablations",
    "video-data",
    "spoken-data",
    "finetune",
)
_PROGRAM = """
import contextlib, io, json, sys
from edtalk_server import cli
for words in json.loads(sys.argv[1]):
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
        cli.main(words)
print(*(name for name in {heavy!r} if name in sys.modules))
"""


def imported_by(*calls: list[str]) -> str:
    program = _PROGRAM.format(heavy=HEAVY)
    command = [sys.executable, "-c", program, json.dumps(calls)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


def test_help_imports_nothing_heavy() -> None:
    commands = [[command, "--help"] for command in COMMANDS]
    assert imported_by(["--help"], *commands, *(["train", action, "--help"] for action in ACTIONS)) == ""


def test_the_doctor_imports_nothing_heavy() -> None:
    assert imported_by(["doctor"]) == ""


def test_what_the_help_says_without_importing_it_is_true() -> None:
    from edtalk_server.evaluation.ablations import VARIANTS
    from edtalk_server.training.datasets.film.layout import Layout
    from edtalk_server.training.datasets.film.prepare import Limits
    from edtalk_server.training.finetune.trainer import Plan
    from edtalk_server.training.semantics.trainer import SemanticsConfig
    from edtalk_server.training.starter.pipeline import SCALES
    from edtalk_server.training.starter.run import Part

    assert tuple(VARIANTS) == ablations.ROWS
    assert (tuple(Layout), Limits.seconds) == (film.LAYOUTS, film.LEAST_SECONDS)
    assert (Plan.minutes, Plan.batch, Plan.keep) == (finetune.MINUTES, finetune.BATCH, finetune.KEEP)
    assert SemanticsConfig.steps == semantics.STEPS
    assert (tuple(SCALES), tuple(Part)) == (starter.SCALES, starter.PARTS)


@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_of_training_has_help(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    from edtalk_server import cli

    with pytest.raises(SystemExit) as end:
        cli.main(["train", action, "--help"])
    assert end.value.code == 0
    assert "usage: edtalk train" in capsys.readouterr().out
