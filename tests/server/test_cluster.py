"""A Ray cluster draws what one machine draws, and a lost node costs nothing but time."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edtalk_server.cli import main

ROOT = Path(__file__).resolve().parents[2]
needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="ray is not installed (pip install '.[cluster]')"
)


@needs_ray
def test_frames_are_the_same_on_two_nodes_of_which_one_is_killed() -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "tests.server.drive_cluster"],
        cwd=ROOT,
        env=os.environ | {"RAY_DEDUP_LOGS": "0", "RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr[-3000:]
    told = json.loads(answer.stdout.splitlines()[-1])
    assert told["workers"] == 2 and told["nodes"] == 2, "a worker on each node"
    assert told["same"], "the frames are those of one engine, in their order"
    assert told["left"] == 1, "one node was lost on the way"


def test_without_ray_the_command_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    jobs = {"portrait": "a.png", "voice": "a.wav", "output": "a/%04d.png"}
    file = tmp_path / "jobs.json"
    file.write_text(json.dumps({"format": "edtalk-jobs", "format_version": 1, "shots": [jobs]}))
    assert main(["bake-many", str(file), "--cluster", "auto"]) == 1
    assert "pip install ray" in capsys.readouterr().err
