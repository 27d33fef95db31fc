"""`edtalk bench`: every number says what it is. What the numbers are is never asserted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from edtalk_server import cli
from edtalk_server.evaluation.speed import timing

FACEKIT = Path(__file__).parents[4] / "shared" / "data" / "ict_facekit.npz"


def test_what_is_compared_takes_turns_and_its_first_turn_does_not_count() -> None:
    turns: list[str] = []

    def work(name: str, units: float) -> timing.Work:
        return lambda: turns.append(name) or units  # type: ignore[func-returns-value]

    found = timing.speeds({"numba": work("numba", 1), "torch": work("torch", 1)}, rounds=3)
    assert turns == ["numba", "torch"] * 4
    assert set(found) == {"numba", "torch"}


def test_a_number_of_threads_holds_for_its_work_only() -> None:
    before = torch.get_num_threads()
    seen: list[int] = []
    timing.with_threads(2, lambda: seen.append(torch.get_num_threads()) or 1.0)()  # type: ignore[func-returns-value]
    assert seen == [2]
    assert torch.get_num_threads() == before


def test_the_networks_are_measured_cold_and_warm_alone_and_to_files(tmp_path: Path) -> None:
    # a process of its own: torch's threads must wait as the command tells them to before torch is loaded
    told = tmp_path / "bench.json"
    command = [sys.executable, "-m", "edtalk_server.cli", "bench", "--rounds", "1", "--device", "cpu"]
    ended = subprocess.run([*command, "--json", str(told)], capture_output=True, text=True, check=True)
    lines = {line["key"]: line for line in json.loads(told.read_text())["lines"]}
    works = {f"face_{kind}_{threads}" for kind in ("model", "engine", "png") for threads in (1, 2)}
    assert works | {"face_open", "face_first", "voice_1", "voice_2"} <= lines.keys()
    assert {key for key, line in lines.items() if line["unit"] == "x"} == {
        "face_png_to_model",
        "face_model_2_to_1",
        "face_png_2_to_1",
        "face_cold_to_warm",
        "voice_2_to_1",
    }
    assert all(line["value"] > 0 for line in lines.values())
    assert all(line["what"] in ended.stdout for line in lines.values())
    assert "--facekit" in ended.stdout


def test_both_paths_of_the_renderer_are_measured_on_the_same_frames(tmp_path: Path) -> None:
    pytest.importorskip("numba", reason="the renderer needs the 'train' extra")
    if not FACEKIT.exists():
        pytest.skip("the face kit ../shared/data/ict_facekit.npz is not here")
    from edtalk_server.evaluation.speed.renderer import renderer_lines

    lines = {line.key: line for line in renderer_lines(FACEKIT, rounds=1)}
    assert {"renderer_numba", "renderer_torch", "renderer_person", "renderer_torch_to_numba"} <= lines.keys()
    assert ("renderer_cuda" in lines) == torch.cuda.is_available()
    quotient = lines["renderer_torch"].value / lines["renderer_numba"].value
    assert lines["renderer_torch_to_numba"].value == pytest.approx(quotient)


@pytest.mark.parametrize("rounds", ["0", "-1", "many"])
def test_a_senseless_number_of_rounds_is_misuse(rounds: str) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["bench", "--rounds", rounds])
    assert ended.value.code == 2
