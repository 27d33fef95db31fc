"""Film measures: slopes of known movements, and one short film through the whole protocol."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from edtalk_server.engine import Engine
from edtalk_server.evaluation.measures import film
from edtalk_server.evaluation.report import DEFINITIONS
from edtalk_server.media.faces.portrait import load_portrait
from edtalk_server.media.video.writer import MovieWriter

PORTRAIT = Path(__file__).resolve().parents[3] / "edtalk_server" / "samples" / "portrait.png"


def faces(opening: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Landmarks of a face whose lips open by `opening`, and nothing else moves."""
    points = np.zeros((len(opening), 68, 2), np.float32)
    points[:, 36], points[:, 39], points[:, 42], points[:, 45] = (
        (0.2, 0.4),
        (0.4, 0.4),
        (0.6, 0.4),
        (0.8, 0.4),
    )
    points[:, 17:27, 1], points[:, 30] = 0.3, (0.5, 0.55)
    points[:, 62], points[:, 66, 0] = (0.5, 0.7), 0.5
    points[:, 66, 1] = 0.7 + opening
    return points


def test_a_slope_says_how_much_of_a_movement_is_drawn() -> None:
    true = np.linspace(0, 0.2, 20)
    found = film.slopes(film.shape(faces(0.6 * true)), film.shape(faces(true)))
    assert found == {"film_slope_opening": pytest.approx(0.6, abs=1e-4)}, "what does not move has no slope"


@pytest.fixture
def short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The sample portrait, which opens its mouth, as a film of nine pictures."""
    monkeypatch.setattr(film, "FRAMES", 9)
    engine = Engine.open(device="cpu")
    source = engine.prepare(load_portrait(PORTRAIT))
    rows = np.repeat(source.weights[None], 9, axis=0)
    rows[:, engine.bundle.layout.index("jaw_open")] += np.linspace(0, 0.6, 9, dtype=np.float32)
    path = tmp_path / "film.mp4"
    with MovieWriter(path, Fraction(25), (256, 256)) as writer:
        for picture in engine.render(source, rows):
            writer.write(picture)
    yield path


def test_a_film_is_read_and_captured_and_both_beat_an_unmoved_picture(short: Path) -> None:
    engine = Engine.open(device="cpu")
    find = engine.bundle.face.cropped_landmarks_of  # type: ignore[attr-defined]

    def landmarks(pictures: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        return np.stack(
            [engine._compute(lambda manager, p=p: find(manager.tensor(p[None])))[0] for p in pictures]
        )

    rows = list(film.film_rows(engine, short, landmarks))
    names = {name for row in rows for name in row}
    assert names <= set(DEFINITIONS), "every number is explained"
    last = {name: max(row[name] for row in rows if name in row) for name in names}
    assert last["film_read_psnr"] > last["film_unmoved_psnr"]
    assert last["film_captured_psnr"] > last["film_unmoved_psnr"]
    assert last["emotion_happy"] > 1.0
