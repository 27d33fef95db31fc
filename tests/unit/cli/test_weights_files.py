"""Files of weights are read as they were written, at any rate, and what is wrong with one is said."""

from __future__ import annotations

import io
import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from shared_protocol import weights_file
from shared_protocol.banks import numbered_layout
from shared_protocol.emotions import EMOTIONS
from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.weights_file import as_csv, as_npz, read

NAMES = ("mouth_01", "pose_02")
NTSC = Fraction(24_000, 1001)


@pytest.fixture
def weights() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 1, (50, 2)).astype(np.float32)


@pytest.mark.parametrize("fps", [Fraction(24), NTSC, Fraction(30_000, 1001), Fraction(60), Fraction(25, 2)])
@pytest.mark.parametrize("kind", ["npz", "csv"])
def test_what_was_written_is_read(tmp_path: Path, weights: np.ndarray, kind: str, fps: Fraction) -> None:
    felt = np.zeros((50, len(EMOTIONS)), np.float32)
    felt[:, EMOTIONS.index("sad")] = 0.4
    path = tmp_path / f"weights.{kind}"
    path.write_bytes((as_csv if kind == "csv" else as_npz)(weights, NAMES, fps, {"emotions": felt}))
    found = read(path)
    assert (found.names, found.fps) == (NAMES, fps)
    np.testing.assert_allclose(found.weights, weights, rtol=1e-5, atol=1e-6)
    assert found.emotions is not None
    np.testing.assert_allclose(found.emotions, felt, atol=1e-6)


def test_a_file_of_one_frame_and_one_without_emotions_are_read(tmp_path: Path, weights: np.ndarray) -> None:
    path = tmp_path / "one.csv"
    path.write_bytes(as_csv(weights[:1], NAMES, Fraction(24)))
    found = read(path)
    assert found.weights.shape == (1, 2) and found.emotions is None


def test_another_rate_keeps_every_movement_at_its_second(tmp_path: Path) -> None:
    path = tmp_path / "ramp.npz"
    ramp = np.arange(100, dtype=np.float32)[:, None] / 25  # a weight that is its second
    path.write_bytes(as_npz(ramp, NAMES[:1], Fraction(25)))
    slow = read(path).at_rate(NTSC)
    assert (len(slow.weights), slow.fps) == (95, NTSC)
    np.testing.assert_allclose(slow.weights[:, 0], np.arange(95) * 1001 / 24_000, atol=1e-5)


def test_weights_go_to_their_names_and_the_rest_is_the_portraits(tmp_path: Path, weights: np.ndarray) -> None:
    layout = numbered_layout()
    path = tmp_path / "w.npz"
    path.write_bytes(as_npz(weights, ("pose_02", "elsewhere"), Fraction(25)))
    fitted, unknown = read(path).fitted(layout, np.full(len(layout), 0.5, np.float32))
    assert unknown == ("elsewhere",)
    assert (fitted[:, layout.index("pose_02")] == weights[:, 0]).all()
    assert (np.delete(fitted, layout.index("pose_02"), axis=1) == 0.5).all()
    path.write_bytes(as_npz(weights, ("jaw_open", "elsewhere"), Fraction(25)))
    with pytest.raises(EDTalkError, match="other names") as caught:
        read(path).fitted(layout, np.zeros(len(layout), np.float32))
    assert caught.value.code is ErrorCode.BAD_WEIGHTS


HEAD = b"frame,seconds,jaw\n"
LOCKED = b"-\3-\0\0\0", b"-\3-\0\1\0"
"""What a .zip file lists of an entry (versions and flags), and the same of one with a password."""


def _npz(fps: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, weights=np.zeros((2, 1), np.float32), names=np.array(["jaw"]), fps=fps)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.txt", b"", "those end in .npz or .csv"),
        ("a.csv", b"", "it is empty"),
        ("a.csv", b"jaw,yaw\n1,2\n", "must begin with frame,seconds"),
        ("a.csv", HEAD, "as many numbers"),
        ("a.csv", HEAD + b"0,0,1\n1,0.04\n", "cannot be understood"),
        ("a.csv", HEAD + b"0,0,1\n1,0,2\n", "do not rise"),
        ("a.csv", HEAD + b"0,0,nan\n1,0.04,2\n", "no numbers"),
        ("a.csv", b"frame,seconds,jaw,jaw\n0,0,1,1\n1,0.04,2,2\n", "the same name"),
        ("a.csv", HEAD + b"0,0," + b"1" * 200_000, "cannot be understood"),
        ("a.npz", b"PK no zip", "cannot be understood"),
        ("a.npz", _npz(np.array([np.inf, 1.0])), "cannot convert float infinity"),
        ("a.npz", _npz(np.array([25, 1])).replace(LOCKED[0], LOCKED[1]), "is encrypted"),
        ("a.npz", as_npz(np.zeros((2, 3), np.float32), ("jaw",), Fraction(25)), "with 1 names"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path: Path, name: str, data: bytes, said: str) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(EDTalkError, match=said) as caught:
        read(path)
    assert caught.value.code is ErrorCode.BAD_WEIGHTS and name in caught.value.cause


def test_pickles_bombs_and_pipes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "evil.npz"
    np.savez(path, weights=np.array([object()], dtype=object), names=np.array(["jaw"]), fps=np.array([25, 1]))
    with pytest.raises(EDTalkError, match="cannot be understood"):
        read(path)
    np.savez_compressed(path, weights=np.zeros((9999, 1), np.float32), names=np.array(["jaw"]))
    monkeypatch.setattr(weights_file, "MOST_BYTES", 20_000)
    with pytest.raises(EDTalkError, match="unpacks to more than a gigabyte"):
        read(path)
    pipe = tmp_path / "pipe.npz"
    os.mkfifo(pipe)
    with pytest.raises(EDTalkError, match="it is no file"):
        read(pipe)
    with pytest.raises(EDTalkError, match="could not be opened"):
        read(tmp_path / "missing.npz")
