"""`edtalk train preview-data`: a sheet on which eyes can check what training data know about themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edtalk_server import cli
from edtalk_server.media.faces.portrait import load_portrait

pytest.importorskip("numba", reason="the renderer needs the 'train' extra")
FACEKIT = Path(__file__).parents[4] / "shared" / "data" / "ict_facekit.npz"
if not FACEKIT.exists():
    pytest.skip("the face kit ../shared/data/ict_facekit.npz is not here", allow_module_level=True)

from edtalk_server.synthetic.renderer.frame import Renderer  # noqa: E402
from edtalk_server.synthetic.sheets.data_sheet import data_sheet  # noqa: E402

SIZE = 64


def test_a_sheet_has_a_row_for_each_person_and_flow_that_explains_the_frames() -> None:
    sheet = data_sheet(Renderer(FACEKIT), [3, 5], SIZE)
    height, width, _ = sheet.picture.shape
    assert (height - 2 * SIZE, width) == (18, 11 * SIZE)
    assert sheet.warped < 0.6 * sheet.unmoved
    source, frame = (sheet.picture[18 : 18 + SIZE, c * SIZE : (c + 1) * SIZE] for c in (0, 1))
    assert not np.array_equal(source, frame)


def test_the_command_writes_the_sheet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "new folder" / "sheet.png"
    given = [
        "--facekit",
        str(FACEKIT),
        "--people",
        "1",
        "--seed",
        "3",
        "--size",
        str(SIZE),
        "-o",
        str(target),
    ]
    assert cli.main(["train", "preview-data", *given]) == 0
    assert load_portrait(target).shape == (18 + SIZE, 11 * SIZE, 3)
    assert "grey levels" in capsys.readouterr().out


def test_a_missing_face_kit_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--facekit", str(tmp_path / "none.npz"), "-o", str(tmp_path / "sheet.png")]
    assert cli.main(["train", "preview-data", *given]) == 1
    assert "face kit none.npz cannot be read" in capsys.readouterr().err
