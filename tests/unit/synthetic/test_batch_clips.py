"""Clips drawn together on a device are those drawn one by one: a run may change machines halfway."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("numba", reason="the renderer needs the 'train' extra")
FACEKIT = Path(__file__).parents[4] / "shared" / "data" / "ict_facekit.npz"
if not FACEKIT.exists():
    pytest.skip("the face kit ../shared/data/ict_facekit.npz is not here", allow_module_level=True)

from edtalk_server.synthetic.data import generate, shards  # noqa: E402


@pytest.mark.timeout(600)
def test_a_shard_from_a_card_is_the_shard_from_the_processor(tmp_path: Path) -> None:
    what = (0, 8, 5, 128)
    generate.generate(FACEKIT, tmp_path / "one", *what)
    generate.generate_on("cpu", FACEKIT, tmp_path / "many", *what, painters=1)
    one, many = (shards.open_for_reading(tmp_path / name, 0) for name in ("one", "many"))
    assert one.rows == many.rows == 8
    for name in ("weights", "src", "identity"):
        assert np.array_equal(one.arrays[name], many.arrays[name]), name
    assert np.abs(one.arrays["lm"] - many.arrays["lm"]).max() < 1e-4
    apart = np.abs(one.arrays["img"].astype(int) - many.arrays["img"])
    assert apart.mean() < 0.5
    assert np.mean(one.arrays["vis"] == many.arrays["vis"]) > 0.999
    seen = (one.arrays["vis"] == 1) & (many.arrays["vis"] == 1)
    flow = np.abs(one.arrays["flow"].astype(int) - many.arrays["flow"])[seen]
    assert np.mean(flow <= 1) > 0.999
