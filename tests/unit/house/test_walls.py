"""The walls of docs/architecture.md stand: who imports what, nothing unpickles, no machine's paths."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import walls

ROOT = Path(__file__).resolve().parents[3]

THROUGH_A_WALL = [
    ("shared_protocol/a.py", "import bpy"),
    ("shared_protocol/a.py", "import torch"),
    ("shared_protocol/a.py", "def f():\n    import zmq"),
    ("shared_protocol/a.py", "from edtalk_server.media import mel"),
    ("blender_addon/core/a.py", "import bpy"),
    ("blender_addon/core/a.py", "from mathutils import Vector"),
    ("blender_addon/core/a.py", "from ..scene import character"),
    ("blender_addon/core/a.py", "from blender_addon import ui"),
    ("blender_addon/scene/a.py", "from ..ui import panels"),
    ("blender_addon/scene/a.py", "import cv2"),
    ("blender_addon/ui/a.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch"),
    ("blender_addon/ui/a.py", "import edtalk_server.engine"),
    ("blender_addon/__init__.py", "import scipy.signal"),
    ("blender_addon/build.py", "import msgpack"),
    ("edtalk_server/networks/a.py", "import cv2"),
    ("edtalk_server/networks/a.py", "from shared_protocol.banks import BankLayout"),
    ("edtalk_server/networks/a.py", "from ..media import mel"),
    ("edtalk_server/media/a.py", "import torch.nn.functional"),
    ("edtalk_server/media/a.py", "from edtalk_server.networks import config"),
    ("edtalk_server/bundles/a.py", "from edtalk_server.training import stage"),
    ("edtalk_server/bundles/a.py", "from edtalk_server.engine import engine"),
    ("edtalk_server/engine/a.py", "import importlib\nimportlib.import_module('edtalk_server.service.jobs')"),
    ("edtalk_server/engine/a.py", "import bpy"),
    ("edtalk_server/motion/a.py", "from ..training import speech"),
    ("edtalk_server/service/a.py", "from edtalk_server import training"),
    ("edtalk_server/service/a.py", "from edtalk_server.evaluation import metrics"),
    ("edtalk_server/synthetic/a.py", "from edtalk_server.training import datasets"),
    ("edtalk_server/training/a.py", "from edtalk_server.cli import main"),
    ("edtalk_server/training/a.py", "from edtalk_server.evaluation import metrics"),
    ("edtalk_server/training/a.py", "command = ['-m', 'edtalk_server.cli', 'evaluate']"),
    ("edtalk_server/training/a.py", "maker = 'edtalk_server.evaluation:evaluate'"),
    ("edtalk_server/evaluation/a.py", "from edtalk_server import service"),
    ("blender_addon/ui/a.py", "command = ['-m', 'edtalk_server.cli', 'serve']"),
    ("edtalk_server/installer/a.py", "import torch"),
    ("edtalk_server/installer/a.py", "import numpy"),
    ("edtalk_server/a.py", "import torch"),
]


def test_no_room_imports_what_it_must_not_know() -> None:
    assert [str(breach) for breach in walls.breaches(ROOT)] == []


@pytest.mark.parametrize(("file", "line"), THROUGH_A_WALL)
def test_an_import_through_a_wall_would_be_found(tmp_path: Path, file: str, line: str) -> None:
    for room in walls.ROOMS:
        (tmp_path / room.replace(".", "/")).mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text(line, encoding="utf-8")
    assert len(walls.breaches(tmp_path)) == 1


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("blender_addon/ui/a.py", "from ..scene import character\nimport bpy, numpy"),
        ("blender_addon/core/a.py", "import zmq\nfrom shared_protocol.banks import Bank"),
        ("edtalk_server/networks/a.py", "from .config import Config\nimport torch.nn, numpy, math"),
        (
            "edtalk_server/cli/a.py",
            "from edtalk_server.training import stage\nfrom edtalk_server.service import loop",
        ),
        ("edtalk_server/engine/a.py", "from edtalk_server import media, bundles"),
        ("edtalk_server/evaluation/a.py", "from edtalk_server import training, synthetic"),
        ("blender_addon/core/a.py", "command = ['-m', 'edtalk_server.cli', 'serve']"),
    ],
)
def test_an_import_down_the_house_is_allowed(tmp_path: Path, file: str, line: str) -> None:
    for room in walls.ROOMS:
        (tmp_path / room.replace(".", "/")).mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text(line, encoding="utf-8")
    assert walls.breaches(tmp_path) == []


def test_every_package_is_a_room_with_a_rule() -> None:
    packages = {
        f"{path.parent.parent.name}.{path.parent.name}"
        for package in ("blender_addon", "edtalk_server")
        for path in (ROOT / package).glob("*/__init__.py")
    }
    assert packages - set(walls.ROOMS) == set()


def run_python(code: str, *flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *flags, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_shared_protocol_works_where_bpy_torch_and_zmq_do_not_exist() -> None:
    modules = [walls.module_name(path, ROOT) for path in sorted((ROOT / "shared_protocol").glob("*.py"))]
    hide = "import sys\nfor name in ('bpy', 'torch', 'zmq'): sys.modules[name] = None\n"
    answer = run_python(hide + "import " + ", ".join(modules))
    assert (answer.returncode, answer.stderr) == (0, "")


def test_the_installer_runs_on_a_bare_python() -> None:
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import edtalk_server.installer.command"
    answer = run_python(code, "-I", "-S")  # -S: no installed packages
    assert (answer.returncode, answer.stderr) == (0, "")


def test_nothing_unpickles_evaluates_or_runs_a_shell() -> None:
    assert [line for path in walls.python_files(ROOT) for line in walls.unsafe_lines(path)] == []


@pytest.mark.parametrize(
    "line",
    [
        "import pickle\npickle.load(file)",
        "import joblib\nload = joblib.load",
        "from pickle import loads",
        "import torch\ntorch.load('a.pt')",
        "import torch\ntorch.load('a.pt', weights_only=False)",
        "import numpy\nnumpy.load('a.npy', allow_pickle=True)",
        "import subprocess\nsubprocess.run('ls', shell=True)",
        "import os\nos.system('ls')",
        "eval('1')",
    ],
)
def test_an_unsafe_line_would_be_found(tmp_path: Path, line: str) -> None:
    file = tmp_path / "a.py"
    file.write_text(line, encoding="utf-8")
    assert len(walls.unsafe_lines(file)) == 1


def test_the_addon_starts_no_thread() -> None:
    files = sorted((ROOT / "blender_addon").rglob("*.py"))
    assert [line for path in files for line in walls.thread_lines(path)] == []


def test_a_thread_would_be_found(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text("import threading\nthreading.Thread(target=print).start()", encoding="utf-8")
    assert walls.thread_lines(file) == ["a.py:2 Thread"]


# brackets, so that this file does not hold what it looks for
MACHINE_PATH = re.compile(
    r"(?<![\w.~$}/-])/(?:[w]ork|[r]oot|[t]mp|[h]ome/\w|[o]pt/(?:[w]heels|[p]ypi))(?![\w-])"
)


def tracked_texts() -> dict[str, str]:
    answer = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if answer.returncode:
        pytest.skip("not a git checkout: which files belong to the project is not known")
    files = [ROOT / name for name in answer.stdout.split("\0") if name]
    texts = (path for path in files if path.is_file() and b"\0" not in path.read_bytes()[:8000])
    return {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in texts}


def test_no_tracked_file_names_a_place_of_somebodys_machine() -> None:
    found = [
        f"{name}: {match.group()}"
        for name, text in tracked_texts().items()
        for match in MACHINE_PATH.finditer(text)
    ]
    assert found == []


@pytest.mark.parametrize("text", ["cd /{}/main", "see (/{}/x)", '"/{}"', "path=/{}/x"])
def test_a_machines_path_would_be_found(text: str) -> None:
    assert all(MACHINE_PATH.search(text.format(place)) for place in ("work", "root", "tmp"))
