"""The command line's entry: quick, forgiving of missing parts, plain in its errors."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType
from typing import Any

import pytest

from edtalk_server import cli
from shared_protocol import __version__
from shared_protocol.errors import EDTalkError, ErrorCode


def test_help_lists_the_commands_without_importing_any(capsys: pytest.CaptureFixture[str]) -> None:
    script = "import sys; from edtalk_server import cli; cli._parser().format_help(); print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"
    with pytest.raises(SystemExit) as ended:
        cli.main(["--help"])
    assert ended.value.code == 0
    assert "List, import, download, check" in capsys.readouterr().out


def test_a_server_without_a_model_and_the_list_of_bundles_need_no_torch() -> None:
    """Importing it takes seconds, which a server would spend before it could say that it is starting."""
    script = (
        "import sys, edtalk_server.cli.serve, edtalk_server.service.server, edtalk_server.bundles.library\n"
    )
    script += (
        "from edtalk_server.service.model import FakeBackend; FakeBackend(); print('torch' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"


def test_the_help_of_a_command_needs_no_torch() -> None:
    script = (
        "import argparse, importlib, sys\n"
        "from edtalk_server import cli\n"
        "for name in cli.COMMANDS:\n"
        "    if name != 'train':\n"
        "        module = importlib.import_module('edtalk_server.cli.' + name.replace('-', '_'))\n"
        "        module.add_arguments(argparse.ArgumentParser())\n"
        "print('torch' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--version"])
    assert capsys.readouterr().out.strip() == f"edtalk {__version__}"


def test_an_unknown_command_is_misuse() -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["dance"])
    assert ended.value.code == 2


@pytest.mark.parametrize(
    ("raised", "status", "said"),
    [
        (
            EDTalkError(ErrorCode.DISK, "The disk is full.", "Free some space."),
            1,
            "error: The disk is full. Free some",
        ),
        (KeyboardInterrupt(), 130, "interrupted"),
        (None, 0, ""),
    ],
    ids=["an error", "control-c", "well"],
)
def test_the_exit_status_and_one_line_tell_how_it_went(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    raised: BaseException | None,
    status: int,
    said: str,
) -> None:
    command = ModuleType("edtalk_server.cli.doctor", "Does something.")

    def run(_arguments: object) -> int:
        if raised is not None:
            raise raised
        return 0

    command.add_arguments = lambda parser: parser.add_argument("--speed", type=int)  # type: ignore[attr-defined]
    command.run = run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "edtalk_server.cli.doctor", command)
    assert cli.main(["doctor", "--speed", "3"]) == status
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("module", "said"),
    [
        ("torchmetrics", "torchmetrics is not installed. Run `python3 install.py --train`"),
        (
            "msgpack.exceptions",
            "msgpack is not installed. The installation is broken: run `python3 install.py`",
        ),
    ],
)
def test_a_package_that_is_not_installed_is_named_with_the_fix(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], module: str, said: str
) -> None:
    from edtalk_server.cli import evaluate

    def needs_it(_args: object) -> int:
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    monkeypatch.setattr(evaluate, "run", needs_it)
    assert cli.main(["evaluate"]) == 1
    assert said in capsys.readouterr().err


def test_the_options_about_words_may_all_be_left_out() -> None:
    from argparse import ArgumentParser

    from edtalk_server.cli.options import add_word_options

    parser = ArgumentParser()
    add_word_options(parser)
    assert not parser.parse_args([]).emotion
    assert parser.parse_args(["--emotion", "happy:0.5"]).emotion == "happy:0.5"
    with pytest.raises(SystemExit):
        parser.parse_args(["--emotion", "hapy"])


def test_programs_can_ask_for_json(capsys: pytest.CaptureFixture[str]) -> None:
    import json

    def asked(*arguments: str) -> dict[str, Any]:
        assert cli.main([*arguments, "--json"]) == 0
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    assert "starter" in [bundle["name"] for bundle in asked("bundle", "list")["installed"]]
    assert asked("bundle", "show")["parts"]["face"]["bytes"] > 0
    health = asked("doctor", "--draw", "--device", "cpu")
    assert health["well"] and health["version"] == __version__ and health["seconds"]["frame"] > 0
    assert cli.main(["doctor", "--bundle", "/nowhere", "--json"]) == 1
    assert "nowhere" in json.loads(capsys.readouterr().out)["error"]
