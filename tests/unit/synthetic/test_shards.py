"""Training shards: a generator may be stopped at any time and continued."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("numba", reason="the renderer needs the 'train' extra")
FACEKIT = Path(__file__).parents[4] / "shared" / "data" / "ict_facekit.npz"
if not FACEKIT.exists():
    pytest.skip("the face kit ../shared/data/ict_facekit.npz is not here", allow_module_level=True)

from edtalk_server.synthetic.data import shards  # noqa: E402
from edtalk_server.synthetic.data.generate import HOLDOUT_SEED, generate  # noqa: E402


def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    generate(FACEKIT, tmp_path / "whole", worker=0, frames=24, seed=3, size=128)
    generate(FACEKIT, tmp_path / "parts", worker=0, frames=24, seed=3, size=128)
    cut = np.lib.format.open_memmap(tmp_path / "parts" / "0_done.npy", mode="r+")
    cut[0] = 8
    image = np.lib.format.open_memmap(tmp_path / "parts" / "0_img.npy", mode="r+")
    image[8:] = 0
    generate(FACEKIT, tmp_path / "parts", worker=0, frames=24, seed=3, size=128)
    whole, parts = (shards.open_for_reading(tmp_path / name, 0) for name in ("whole", "parts"))
    assert whole.rows == parts.rows == 24
    for name in shards.FIELDS:
        assert np.array_equal(whole.arrays[name], parts.arrays[name]), name


def test_rows_hold_what_the_reader_is_promised(tmp_path: Path) -> None:
    generate(FACEKIT, tmp_path, worker=2, frames=16, seed=3, size=256)
    shard = shards.open_for_reading(tmp_path, 2)
    assert shard.arrays["img256"].shape == (16, 256, 256, 3)
    assert len(set(shard.arrays["identity"].tolist())) == 1
    assert (shard.arrays["src"][1:8, 0] == 0).all()
    assert (shard.arrays["src"][8:] >= 8).all()
    assert set(np.unique(shard.arrays["vis"])) == {0, 1, 2}
    halved = shard.arrays["img256"].reshape(16, 128, 2, 128, 2, 3).mean(axis=(2, 4))
    assert np.abs(halved - shard.arrays["img"]).max() <= 1


def test_hold_out_people_are_never_trained_on(tmp_path: Path) -> None:
    generate(FACEKIT, tmp_path / "train", worker=0, frames=8, seed=1, size=128)
    generate(FACEKIT, tmp_path / "held", worker=0, frames=8, seed=1 + HOLDOUT_SEED, size=128)
    train, held = (
        shards.open_for_reading(tmp_path / name, 0).arrays["identity"] for name in ("train", "held")
    )
    assert not set(train.tolist()) & set(held.tolist())
