"""Many shots in one queue: what is finished stays, what fails fails alone, and nothing of others is overwritten."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edtalk_server.cli import bake_many, main
from edtalk_server.cli.baking import jobs
from edtalk_server.cli.baking.queue import Queue
from edtalk_server.engine import Engine
from edtalk_server.workers import DrawTask, EncodedImage, Pool, encode
from shared_protocol.errors import EDTalkError
from shared_protocol.weights_file import as_csv

SAMPLES = Path(__file__).resolve().parents[3] / "edtalk_server" / "samples"


class OwnPool(Pool):
    """The pool's place, taken by the engine of this process: starting others takes seconds. `drawn` counts frames."""

    def __init__(self, engine: Engine) -> None:
        super().__init__([])
        self._engine, self.drawn, self.fails_at = engine, 0, -1

    def __len__(self) -> int:
        return 1

    def draw(self, task: DrawTask) -> list[EncodedImage]:
        if self.drawn == self.fails_at:
            raise KeyboardInterrupt
        self.drawn += len(task.weights)
        frames = self._engine.render(task.source, task.weights, task.output)
        return [encode(frame, task.encoding) for frame in frames]


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine.open(device="cpu")


@pytest.fixture
def pool(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnPool]:
    """The workers of the command."""
    pool = OwnPool(engine)
    monkeypatch.setattr(bake_many, "_workers", lambda _: (engine, pool))
    yield pool


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a portrait and a performance of six frames."""
    shutil.copy(SAMPLES / "portrait.png", tmp_path / "anna.png")
    write_weights(tmp_path, [0.0, 0.1, 0.2, 0.3, 0.4, 0.5])
    return tmp_path


def write_weights(folder: Path, jaw: list[float]) -> None:
    """A performance of the jaw alone."""
    rows = np.array(jaw, np.float32)[:, None]
    (folder / "line.csv").write_bytes(as_csv(rows, ["jaw_open"], Fraction(25), {}))


def write_jobs(folder: Path, *shots: dict[str, Any], **others: Any) -> Path:
    """A file of jobs."""
    defaults = {"portrait": "anna.png", "weights": "line.csv", "size": 256}
    values = {"format": "edtalk-jobs", "format_version": 1, "defaults": defaults, "shots": list(shots)}
    file = folder / "jobs.json"
    file.write_text(json.dumps(values | others), encoding="utf-8")
    return file


def bake(file: Path, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, list[dict[str, Any]]]:
    """The exit status of the command, and what it says of each shot."""
    status = main(["bake-many", str(file), "--json", *options])
    told = capsys.readouterr().out
    return status, json.loads(told)["shots"] if told else []


def pictures(folder: Path) -> dict[str, bytes]:
    """The frames of a shot."""
    return {file.name: file.read_bytes() for file in sorted(folder.glob("*.png"))}


def test_shots_are_baked_and_a_second_run_draws_nothing(
    folder: Path, pool: OwnPool, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_jobs(
        folder, {"name": "a", "output": "a/%04d.png"}, {"name": "b", "output": "b/%04d.png", "full": True}
    )
    status, shots = bake(file, capsys)
    assert status == 0 and [(shot["state"], shot["drawn"]) for shot in shots] == [("done", 6), ("done", 6)]
    first = pictures(folder / "a")
    assert list(first) == [f"{number:04d}.png" for number in range(1, 7)]
    status, shots = bake(file, capsys)
    assert status == 0 and [shot["drawn"] for shot in shots] == [0, 0] and pool.drawn == 12
    assert pictures(folder / "a") == first


def test_only_frames_that_changed_are_drawn_again(
    folder: Path, pool: OwnPool, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_jobs(folder, {"output": "a/%04d.png"})
    bake(file, capsys)
    write_weights(folder, [0.0, 0.1, 0.2, 0.9, 0.4, 0.5])
    (folder / "a" / "0001.png").unlink()
    _, (shot,) = bake(file, capsys)
    assert shot["drawn"] == 2


def test_a_run_that_was_interrupted_goes_on(
    folder: Path, pool: OwnPool, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = write_jobs(folder, {"output": "whole/%04d.png"})
    bake(whole, capsys)
    file = write_jobs(folder, {"output": "a/%04d.png"})
    pool.fails_at = pool.drawn + 4
    assert main(["bake-many", str(file)]) == 130
    pool.fails_at = -1
    with (folder / "a" / ".04d.png.baked").open("a") as record:
        record.write("7 half a li")
    _, (shot,) = bake(file, capsys)
    assert shot["drawn"] == 2 and pictures(folder / "a") == pictures(folder / "whole")


def test_a_shot_that_fails_leaves_the_others_alone(
    folder: Path, pool: OwnPool, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "text.png").write_text("no picture")
    file = write_jobs(
        folder, {"name": "bad", "portrait": "text.png", "output": "a/%04d.png"}, {"output": "b/%04d.png"}
    )
    status, (bad, good) = bake(file, capsys)
    assert status == 1 and bad["state"] == "failed" and bad["error"]["code"] == "image_unreadable"
    assert good["state"] == "done" and len(pictures(folder / "b")) == 6


def test_files_of_others_are_not_replaced_unless_that_is_asked_for(
    folder: Path, pool: OwnPool, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "a").mkdir()
    (folder / "a" / "0003.png").write_bytes(b"a painting")
    file = write_jobs(folder, {"output": "a/%04d.png"})
    status, (shot,) = bake(file, capsys)
    assert status == 1 and "0003.png" in shot["error"]["cause"]
    assert pictures(folder / "a") == {"0003.png": b"a painting"}
    status, (shot,) = bake(file, capsys, "--overwrite")
    assert status == 0 and shot["drawn"] == 6


def test_a_movie_follows_its_frames(folder: Path, pool: OwnPool, capsys: pytest.CaptureFixture[str]) -> None:
    shot = {"output": "a/%04d.png", "movie": "films/a.mp4", "voice": str(SAMPLES / "voice.flac")}
    file = write_jobs(folder, shot)
    assert bake(file, capsys)[0] == 0
    written = (folder / "films" / "a.mp4").stat().st_mtime_ns
    bake(file, capsys)
    assert (folder / "films" / "a.mp4").stat().st_mtime_ns == written, "nothing is new"


@pytest.mark.parametrize(
    ("shot", "reason"),
    [
        ({"output": "a/frame.png"}, "frame number"),
        ({"output": "a/%04d.png", "seed": 10**400}, "whole number"),
        ({"output": "a/%04d.png", "size": float("nan")}, "whole number"),
        ({"output": "a/%04d.png", "fps": 0}, "fps"),
        ({"output": "a/%04d.png", "colour": "red"}, "colour is not a known field"),
        ({"output": "a/%04d.png", "weights": None}, "weights cannot be null"),
        ({"output": "a/%04d.png", "crop": [1, 2]}, "crop"),
        ({"output": "a/%04d.png", "movie": "film.txt"}, "movie"),
        ({}, "output is missing"),
    ],
)
def test_a_file_of_jobs_says_what_is_wrong_with_it(folder: Path, shot: dict[str, Any], reason: str) -> None:
    with pytest.raises(EDTalkError, match=reason):
        jobs.read(write_jobs(folder, shot))


def test_shots_that_would_write_the_same_files_and_other_files_are_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    same = write_jobs(folder, {"name": "a", "output": "a/%04d.png"}, {"name": "b", "output": "a/%04d.png"})
    assert main(["bake-many", str(same)]) == 2
    assert "a and b both write %04d.png" in capsys.readouterr().err
    assert main(["bake-many", str(folder / "none.json")]) == 2
    assert main(["bake-many", str(folder / "anna.png")]) == 2


def test_the_queue_is_the_same_for_one_shot_and_many(folder: Path, engine: Engine) -> None:
    """The order of shots does not change their frames."""
    shots = jobs.read(write_jobs(folder, *({"name": n, "output": f"{n}/%04d.png"} for n in "abc")))
    Queue(engine, OwnPool(engine)).bake(shots[::-1])
    assert pictures(folder / "a") == pictures(folder / "b") == pictures(folder / "c")
    assert np.frombuffer(pictures(folder / "a")["0001.png"], np.uint8).size > 1000
