"""A real Blender window on a virtual screen, driven by scripts that run inside it (`drive_*.py`).

Needs a folder with a Debian that has Blender and Xvfb (EDTALK_GUI_ROOT), root rights, and the script that runs it
(EDTALK_GUI_RUN, called with that folder, a source and an output folder, and Blender's arguments). The server runs
outside (see outside.py), without a model unless a test's module says `MODEL = True` or EDTALK_GUI_MODEL=1 asks for the
shipped bundle everywhere. EDTALK_GUI_OUT keeps what came of it in a folder for each run: the pictures,
`result.json`, and `blender.log` with all that Blender said. Blender must say nothing but its usual words.
EDTALK_GUI_PICTURES=1 draws views as smoothly as users see them, for the pictures of the docs; it takes twice as long.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import outside
import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SAMPLES = ROOT / "edtalk_server" / "samples"
PLACE, RUN = os.environ.get("EDTALK_GUI_ROOT", ""), os.environ.get("EDTALK_GUI_RUN", "")
Drive = Callable[..., dict[str, Any]]
HELPERS = ("hands.py", "stand_in.py", "drop_file.py")
"""What the scripts use, inside."""

USUAL = (
    r"Blender \d.*",
    r"Blender quit",
    r"Info: .*",
    r"(Saved|Read blend:) .*",
    r"[\d:.]+ +\w+ +\| (?!ERROR|WARNING).*",  # since 5.0: time, who says it, what
    r"(?i)([\d:.]+ +system.path +\| WARNING )?could not get a list of mounted file-systems",  # there are none
)
"""What Blender says of itself, line by line."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.gui)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(900))
            if not (PLACE and RUN):
                reason = "no Blender with a window here (EDTALK_GUI_ROOT, EDTALK_GUI_RUN)"
                item.add_marker(pytest.mark.skip(reason=reason))


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """A file whose tests are all left out (slow ones, in the older Blender) has not failed."""
    if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
        session.exitstatus = pytest.ExitCode.OK


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plain package, as a user of a distribution's Blender installs it: from EDTALK_TEST_PACKAGES, else made."""
    if packed := os.environ.get("EDTALK_TEST_PACKAGES"):
        return next(Path(packed).glob("edtalk-*-plain.zip"))
    command = [sys.executable, str(ROOT / "blender_addon" / "build.py"), "--flavor", "plain"]
    command += ["--out", str(tmp_path_factory.mktemp("dist"))]
    return Path(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())


@pytest.fixture(scope="module")
def servers_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of the servers: bundles, catalogue, logs."""
    return tmp_path_factory.mktemp("servers")


@pytest.fixture(scope="module")
def source(
    package: Path,
    servers_data: Path,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Path]:
    """What Blender sees: the package, portrait, voice, the scripts, and the way to servers."""
    folder = tmp_path_factory.mktemp("src")
    samples = (SAMPLES / "portrait.png", SAMPLES / "voice.flac")
    for file in (package, *samples, *HERE.glob("drive_*.py"), *(HERE / name for name in HELPERS)):
        shutil.copy(file, folder)
    shutil.copytree(ROOT / "shared_protocol", folder / "shared_protocol")
    has_model = getattr(request.module, "MODEL", False) or "EDTALK_GUI_MODEL" in os.environ
    with outside.servers(servers_data, has_model) as port:
        (folder / "outside.port").write_text(str(port))
        yield folder


@pytest.fixture(scope="session")
def shaders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which shaders are kept from one window to the next: without a graphics card, compiling them takes
    most of the time until a window is drawn."""
    kept = os.environ.get("EDTALK_GUI_OUT")
    return Path(kept) / "shaders" if kept else tmp_path_factory.mktemp("shaders")


@pytest.fixture(scope="module")
def drive(source: Path, shaders: Path, tmp_path_factory: pytest.TempPathFactory) -> Drive:
    """Run a script of this folder in a Blender window; what it saw."""

    def driven(
        script: str, frames: int, size: str = "1600x900", said: tuple[str, ...] = (), **variables: str
    ) -> dict[str, Any]:
        """`variables` are the script's; LIMIT is how many seconds it may take. `said`: what Blender may say (patterns
        of whole lines) because the script makes it fail on purpose."""
        kept = os.environ.get("EDTALK_GUI_OUT")
        name = "_".join((script, *(value for key, value in variables.items() if key != "LIMIT")))
        out = Path(kept) / name if kept else tmp_path_factory.mktemp(script)
        shutil.rmtree(out, ignore_errors=True)  # what came of an earlier run would be taken for this one's
        out.mkdir(parents=True)
        if shaders.exists():
            shutil.copytree(shaders, out / "shaders")
        for_blender = {"PICTURES": "1"} if "EDTALK_GUI_PICTURES" in os.environ else {}
        for_blender |= {"FRAMES": str(frames), "MESA_SHADER_CACHE_DIR": "/mnt/out/shaders", **variables}
        handed_on = " ".join(f"{name}={value}" for name, value in for_blender.items())
        environment = os.environ | {"LIMIT": "600", "GEOM": size, **variables, "PASS": handed_on}
        command = ["bash", RUN, PLACE, str(source), str(out), "--factory-startup"]
        command += ["--python", f"/mnt/src/{script}.py"]
        begun = time.monotonic()
        with (out / "blender.log").open("w") as log:
            subprocess.run(command, env=environment, stdout=log, stderr=subprocess.STDOUT, check=False)
        keep_shaders(out / "shaders", shaders)
        words = (out / "blender.log").read_text(errors="replace")
        assert (out / "result.json").exists(), words
        result = json.loads((out / "result.json").read_text())
        result["seconds"] = round(time.monotonic() - begun, 1)
        (out / "result.json").write_text(json.dumps(result, indent=1))
        assert "error" not in result, result["error"] + words
        assert complaints(words, said) == []
        return dict(result)

    return driven


def keep_shaders(made: Path, kept: Path) -> None:
    """Move the shaders of a window that has ended to those that are kept."""
    if made.exists():
        shutil.rmtree(kept, ignore_errors=True)
        shutil.move(made, kept)


def complaints(words: str, expected: tuple[str, ...] = ()) -> list[str]:
    """The lines in which Blender says something that it should not have to say."""
    patterns = [re.compile(one) for one in (*USUAL, *expected)]
    lines = filter(None, map(str.strip, words.splitlines()))
    return [line for line in lines if not any(pattern.fullmatch(line) for pattern in patterns)]
