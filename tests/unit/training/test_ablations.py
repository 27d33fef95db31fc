"""`edtalk train ablations`: rows that differ in one thing, several seeds, one table."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from cartoons import SwappingCartoons
from test_paper_commands import ROOT, config_file, tiny

from edtalk_server.cli import main
from edtalk_server.evaluation import ablations
from edtalk_server.evaluation.ablations import STAGES, VARIANTS, Grid
from edtalk_server.training.loop import checkpoint
from edtalk_server.training.loop.processes import ProcessGroup
from edtalk_server.training.paper import config as configs
from edtalk_server.training.paper.config import StageName, path_of

DATA = dict.fromkeys(STAGES, SwappingCartoons())


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def grid_of(folder: Path, *rows: str, seeds: tuple[int, ...] = (0, 1), steps: int = 1) -> Grid:
    return Grid({stage: tiny(steps=steps) for stage in STAGES}, rows, seeds, folder)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Grid:
    grid = grid_of(tmp_path_factory.mktemp("grid"), "full", "bank", seeds=(0, 1))
    assert ablations.train(grid, DATA, ProcessGroup(), on_run=lambda _: None)
    return grid


def test_each_row_differs_from_the_full_model_in_its_one_thing(tmp_path: Path) -> None:
    grid = grid_of(tmp_path, *VARIANTS)
    for name, variant in VARIANTS.items():
        for stage in grid.stages_of(name):
            config, full = grid.config(name, 5, stage), grid.config("full", 5, stage)
            changed = configs.from_dict(variant.changes, full)
            assert replace(config, start="") == changed
            assert (config == full) == (name == "full")
            assert config.seed == 5


def test_rows_begin_where_the_full_model_ended_before_they_differ(tmp_path: Path) -> None:
    grid = grid_of(tmp_path, "motion", "feature")
    assert grid.stages_of("motion") == (StageName.EXPRESSION,)
    full = grid.place("full", 1)
    assert grid.config("motion", 1, StageName.EXPRESSION).start == str(path_of(full, StageName.MOUTH_POSE))
    assert grid.config("feature", 1, StageName.MOUTH_POSE).start == str(
        path_of(full, StageName.RECONSTRUCTION)
    )
    assert grid.config("feature", 1, StageName.EXPRESSION).start == ""
    assert list(grid.runs())[:2] == [("full", 0), ("full", 1)]  # needed, though not asked for
    assert list(grid_of(tmp_path, "bank").runs()) == [("bank", 0), ("bank", 1)]


def test_every_run_is_trained_once_and_gone_on_with(trained: Grid) -> None:
    for name, seed in trained.runs():
        for stage in trained.stages_of(name):
            assert checkpoint.load(path_of(trained.place(name, seed), stage))["finished"]
    again: list[str] = []
    assert ablations.train(trained, DATA, ProcessGroup(), on_run=again.append)
    assert again == []


def test_the_table_has_means_and_deviations_over_the_seeds(trained: Grid) -> None:
    found = ablations.measure(trained, SwappingCartoons(), clips=4, batch=2)
    assert set(found["bank"][0]) == set(ablations.DEFINITIONS)
    first, second = (values["psnr"] for values in found["full"])
    assert first != second  # two seeds, two models
    table = ablations.markdown(found, trained, "Cartoons.")
    mean, spread = (first + second) / 2, abs(first - second) / 2**0.5
    assert f"| full | {mean:.2f} ± {spread:.2f} |" in table
    assert "| without bank | " in table
    assert all(definition in table for definition in ablations.DEFINITIONS.values())
    alone = {"full": found["full"][:1]}
    assert f"| full | {first:.2f} |" in ablations.markdown(alone, trained, "")


def test_the_command_trains_measures_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = config_file(tmp_path, steps=1, window=1, tensorboard=False)
    out = tmp_path / "runs"
    command = ["train", "ablations", "--config", str(config), "--test", str(config), "--out", str(out)]
    rest = ["--rows", "full,mouth", "--seeds", "3", "--clips", "2", "--device", "cpu", "--threads", "1"]
    assert main([*command, *rest]) == 0
    table = (out / "ablations.md").read_text(encoding="utf-8")
    assert "| without L_m-c |" in table and "held-out" in table
    assert table.strip() in capsys.readouterr().out
    assert set(json.loads((out / "ablations.json").read_text())["rows"]) == {"full", "mouth"}
    assert main([*command, "--rows", "fool"]) != 0
    assert "enhancement" in capsys.readouterr().err


def test_a_folder_of_configs_has_one_for_each_stage() -> None:
    from edtalk_server.cli.training.ablations import _config

    steps = [_config(ROOT / "docs" / "configs", stage).steps for stage in STAGES]
    assert steps == [300_000, 4_000, 24_000]
