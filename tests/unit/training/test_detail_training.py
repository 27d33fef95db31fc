"""The painters of mouth and eyes: what they learn from, that they learn, and the bundle that comes out."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from edtalk_server import bundles
from edtalk_server.networks.compact import CompactNetwork
from edtalk_server.networks.detail.boxes import ANCHORS
from edtalk_server.networks.detail.network import TeethFinder
from edtalk_server.synthetic.controls import STARTER_LAYOUT
from shared_protocol.errors import EDTalkError

pytest.importorskip("numba", reason="the renderer needs the 'train' extra")
from edtalk_server.training.detail import export, render, stage, teeth
from edtalk_server.training.loop import checkpoint

FACEKIT = Path(__file__).resolve().parents[4] / "shared" / "data" / "ict_facekit.npz"
ROWS = 14


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people, seven moves each."""
    if not FACEKIT.is_file():
        pytest.skip("no face kit beside the checkout")
    folder = tmp_path_factory.mktemp("rows")
    render.main(["--facekit", str(FACEKIT), "--out", str(folder), "--rows", str(ROWS)])
    return folder


def test_rows_show_one_person_before_and_after_a_move(rendered: Path) -> None:
    rows, done = render.open_rows(rendered, 0)
    assert int(done[0]) == ROWS
    assert len(set(rows["identity"])) == 2
    mouths = rows["mouth"].astype(float)
    assert mouths[:, 2].std((1, 2, 3)).min() > 3, "the true box is drawn"
    assert np.abs(mouths[:7, 0] - mouths[:1, 0]).mean() < 12, "the source is the same, its box trembles"
    change = rows["weights"][:, 1] - rows["weights"][:, 0]
    assert np.abs(change).max(1).min() > 0.05
    opened = rows["weights"][:, 1, STARTER_LAYOUT.index("jaw_open")] > 0.4
    assert not opened.any() or rows["inside"][opened, 0].max() == 255


def test_rendering_goes_on_where_it_was_ended(rendered: Path, tmp_path: Path) -> None:
    again = Path(shutil.copytree(rendered, tmp_path / "again"))
    done = np.load(again / "0_done.npy", mmap_mode="r+")
    mouths = np.load(again / "0_mouth.npy", mmap_mode="r+")
    done[0], mouths[ROWS // 2 :] = ROWS // 2, 0
    done.flush()
    mouths.flush()
    render.main(["--facekit", str(FACEKIT), "--out", str(again), "--rows", str(ROWS)])
    assert np.array_equal(np.load(again / "0_mouth.npy"), np.load(rendered / "0_mouth.npy"))


def test_training_stops_goes_on_and_ends_in_a_bundle_that_paints(rendered: Path, tmp_path: Path) -> None:
    given = [
        "--data",
        str(rendered),
        "--holdout",
        str(rendered),
        "--out",
        str(tmp_path / "run"),
        "--batch",
        "2",
    ]
    stage.main([*given, "--minutes", "0.03", "--teeth-steps", "20"])
    first = checkpoint.load(tmp_path / "run" / stage.CHECKPOINT)
    stage.main([*given, "--minutes", "0.06", "--teeth-steps", "20"])
    second = checkpoint.load(tmp_path / "run" / stage.CHECKPOINT)
    assert 0 < first["progress"]["step"] < second["progress"]["step"]
    starter = bundles.load("starter")
    export.main(["--run", str(tmp_path / "run"), "-o", str(tmp_path / "bundle"), "--version", "9.9"])
    made = bundles.load(tmp_path / "bundle")
    assert made.manifest.version == "9.9" and (tmp_path / "bundle" / "LICENSE").is_file()
    assert isinstance(made.face, CompactNetwork) and made.face.detail is not None
    photo = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0)) * 2 - 1
    before, after = starter.face.prepare(photo), made.face.prepare(photo)
    assert torch.equal(before.weights, after.weights), "what is read is what it was"
    row = before.weights + 0.5
    plain = made.face.decode(replace(after, detail=None), row)
    assert torch.equal(starter.face.decode(replace(before, detail=None), row), plain)
    assert not torch.equal(made.face.decode(after, row), plain)


def test_a_bundle_may_have_the_painter_of_mouths_alone() -> None:
    whole = stage.new_network()
    less = export.mouth_only(whole)
    assert less.eye is None
    assert torch.equal(less.mouth.say.weight, whole.mouth.say.weight)


def test_a_run_without_a_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EDTalkError, match=r"detail\.pt"):
        export.trained(tmp_path)


def _arches(count: int) -> dict[str, np.ndarray]:
    """Made-up heads whose lower teeth go down with the jaw and whose arch is as wide as their mouth."""
    random = np.random.default_rng(0)
    weights = random.uniform(0, 1, (count, 2, 36)).astype(np.float32)
    points = np.repeat(random.uniform(0.3, 0.7, (1, 1, 68, 2)), count, 0).repeat(2, 1).astype(np.float32)
    points[:, :, list(ANCHORS)] = (
        np.array(
            [(94, 114), (118, 114), (154, 115), (176, 114), (127, 154), (141, 157), (152, 153)], np.float32
        )
        / 256
    )
    made = np.zeros((count, 2, 16, 2, 2), np.float32)
    made[..., 0] = np.linspace(-0.6, 0.6, 16)[None, None, :, None]
    made[:, 0, :, 1, 1] = -0.4
    made[:, 1, :, :, 1] = weights[:, 1, :1, None] * 0.5 + np.array([0.0, 0.4])
    frames = np.repeat(points[:, :1, list(ANCHORS)], 2, 1)
    return {"weights": weights, "points": points, "teeth": made, "frames": frames}


def test_teeth_are_found_from_the_weights_that_move_them() -> None:
    torch.manual_seed(0)
    finder = TeethFinder(36, 48, 4)
    rows = _arches(400)
    error = teeth.fit_teeth(finder, rows, 400)
    assert error < 0.06
    points, weights, _ = teeth.teeth_rows({name: values[:1] for name, values in rows.items()})
    told = torch.cat([weights[:, 0], weights[:, 1] - weights[:, 0]], 1)[:1].repeat(2, 1)
    told[:, 36] = torch.tensor([0.0, 0.8]) - told[:, 0]
    closed, opened = finder(points[:1].repeat(2, 1, 1), told)[:, 1, 8, 0, 1]
    assert float(opened - closed) == pytest.approx(0.4, abs=0.1)


def test_an_even_set_of_teeth_is_symmetric_and_white_at_most() -> None:
    enamel = teeth.even_enamel()
    assert torch.allclose(enamel, enamel.flip(-1), atol=1e-6)
    assert enamel.min() > 0
    assert enamel.max() == 1


def test_mirrored_rows_are_rows_of_the_mirrored_face() -> None:
    points, weights, arches = teeth.teeth_rows(_arches(3))
    at = STARTER_LAYOUT.index
    assert torch.equal(weights[3:, :, at("blink_left")], weights[:3, :, at("blink_right")])
    assert torch.allclose(arches[3:, ..., 1], arches[:3].flip(2)[..., 1])
    assert torch.allclose(points[3:, 48, 0], -points[:3, 54, 0])
