"""`edtalk evaluate` and `edtalk bundle describe` on the bundle that ships: on rendered people, and on a video."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from edtalk_server import bundles
from edtalk_server.bundles.load import find
from edtalk_server.cli import main
from edtalk_server.engine.engine import Engine
from edtalk_server.evaluation.meaning.describe import BASES_FILE, SAMPLE, describe
from edtalk_server.evaluation.people import filmed, rendered_holdout, rendered_people
from edtalk_server.evaluation.people.rendered_holdout import HoldoutSet
from edtalk_server.evaluation.report import DEFINITIONS
from edtalk_server.media.video.writer import MovieWriter
from edtalk_server.synthetic.controls import STARTER_LAYOUT
from shared_protocol.errors import EDTalkError

PROMISED = {
    "self_psnr",
    "unmoved_psnr",
    "cross_psnr",
    "cross_unmoved_psnr",
    "disentanglement_max",
    "disentanglement_mean",
    "landmark_px",
    "rest_psnr",
    "fps",
    "ssim",
    "features",
    "m_lmd",
    "f_lmd",
    "flicker",
    "leakage",
    "true_psnr",
    "face_self_psnr",
}


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def facekit(shared: Path) -> Path:
    pytest.importorskip("numba", reason="rendering people needs numba")
    return shared / "data" / "ict_facekit.npz"


@pytest.fixture
def _cached(cache: Path, facekit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDTALK_CACHE_DIR", str(cache))
    monkeypatch.setenv("EDTALK_FACEKIT", str(facekit))


@pytest.mark.usefixtures("_cached")
def test_the_shipped_bundle_is_judged_on_rendered_people_with_every_promised_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, table, sheet = tmp_path / "new" / "r.json", tmp_path / "r.md", tmp_path / "r.png"
    options = ["--json", str(out), "--markdown", str(table), "--sheet", str(sheet)]
    assert main(["evaluate", "--people", "2", *options]) == 0
    values = json.loads(out.read_text())
    assert set(values) >= PROMISED
    assert values["self_psnr"] > values["unmoved_psnr"] + 1
    assert values["cross_psnr"] > values["cross_unmoved_psnr"] + 1
    assert values["rest_psnr"] >= 30
    assert 0 < values["leakage"] < values["leakage_movement"]
    assert values["flicker_true"] == 0.0
    printed = capsys.readouterr().out
    assert all(DEFINITIONS[name] in printed for name in PROMISED)
    assert "2 rendered people" in table.read_text()
    assert sheet.read_bytes().startswith(b"\x89PNG")


@pytest.mark.usefixtures("_cached")
def test_people_are_drawn_once_and_what_a_crash_left_is_drawn_again(
    facekit: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = HoldoutSet.of(facekit, 2, cache)
    first = chosen.load()
    assert all(path.suffix == ".npz" for path in chosen.folder.iterdir())  # nothing half-written
    monkeypatch.setattr(rendered_people, "PersonRenderer", _refuse)
    again = chosen.load()
    assert np.array_equal(again[1].clip.frames, first[1].clip.frames)
    assert again[0].driver is not None
    assert np.array_equal(again[0].driver.frames, again[1].clip.frames)
    (chosen.folder / "000.npz").rename(chosen.folder / "000.npz.partial")
    with pytest.raises(AssertionError, match="draws"):
        chosen.load()
    (chosen.folder / "000.npz.partial").rename(chosen.folder / "000.npz")


def _refuse(*_arguments: object) -> None:
    raise AssertionError("draws again")


def test_another_kit_or_another_renderer_makes_another_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kit = tmp_path / "kit.npz"
    kit.write_bytes(b"one")
    before = rendered_holdout.key(kit)
    assert rendered_holdout.key(kit) == before
    monkeypatch.setattr(
        rendered_holdout, "_SOURCES", (*rendered_holdout._SOURCES, "training/starter/losses.py")
    )
    assert rendered_holdout.key(kit) != before
    monkeypatch.undo()
    kit.write_bytes(b"two")
    assert rendered_holdout.key(kit) != before


@pytest.mark.usefixtures("_cached")
def test_describing_a_bundle_measures_its_weights_and_keeps_its_tensors_and_the_emotions_of_named_weights(
    facekit: Path, cache: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(find("starter"), folder)
    before = bundles.load(folder)
    describe(folder, HoldoutSet.of(facekit, 2, cache).load(), facekit, emotional=1)
    bundle = bundles.load(folder)
    assert bundle.manifest.files == before.manifest.files
    known = bundle.manifest.statistics
    assert known["yaw"].read is not None and known["yaw"].read > 0.7
    assert known["yaw"].drawn is not None and known["yaw"].drawn > 0.5
    assert bundle.manifest.presets == before.manifest.presets
    assert 20_000 < (folder / BASES_FILE).stat().st_size < 1.5e6
    assert bundle.layout == STARTER_LAYOUT


# --- videos ---


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video in which the bundle itself lets the sample portrait look round: a face that surely is one."""
    engine = Engine.open("starter", "cpu")
    from edtalk_server.media.faces import portrait

    source = engine.prepare(portrait.load_portrait(SAMPLE))
    rows = np.repeat(source.weights[None], 6, axis=0)
    rows[:, STARTER_LAYOUT.index("yaw")] += np.linspace(0, 0.4, 6)
    folder = tmp_path_factory.mktemp("clips")
    (folder / "deeper").mkdir()
    with MovieWriter(folder / "deeper" / "round.mp4", Fraction(25), (320, 320)) as writer:
        for frame in engine.render(source, rows.astype(np.float32)):
            writer.write(np.pad(frame, ((32, 32), (32, 32), (0, 0)), mode="edge"))
    return folder


def test_a_folder_of_videos_is_judged_without_the_truth_that_only_renders_have(
    clips: Path, tmp_path: Path
) -> None:
    out = tmp_path / "r.json"
    (clips / "broken.mp4").write_bytes(b"no video")  # is left out
    assert main(["evaluate", "--clips", str(clips), "--json", str(out)]) == 0
    values = json.loads(out.read_text())
    assert values["data"].startswith("1 clips")
    assert values["self_psnr"] > values["unmoved_psnr"]
    assert values["m_lmd"] < 5
    assert {"disentanglement_max", "flicker", "ssim", "fps"} <= set(values)
    assert not {"cross_psnr", "true_psnr", "landmark_px", "leakage"} & set(values)


def test_a_folder_without_videos_is_explained(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no video")
    with pytest.raises(EDTalkError, match="no video"):
        filmed.filmed_people(tmp_path, 256, 10, None)


def test_what_stands_still_is_told_from_what_moves_and_from_noise() -> None:
    frames = np.full((8, 4, 4, 3), 100, np.uint8)
    frames[:, 0, 0] = np.linspace(0, 200, 8, dtype=np.uint8)[:, None]  # moves evenly
    frames[::2, 1, 1] += 40  # flashes
    frames[3, 2, 2] += 1  # a camera's noise
    still = filmed.find_still_pixels(frames)
    assert not still[0, 0] and not still[1, 1]
    assert still[2, 2] and still.sum() == 14
