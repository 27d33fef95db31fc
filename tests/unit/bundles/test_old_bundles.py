"""A bundle that an earlier version wrote opens, and draws what it drew then."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from edtalk_server import bundles

OLD = Path(__file__).resolve().parents[2] / "data" / "version_0_1"


def test_a_bundle_of_version_0_1_draws_the_same_picture() -> None:
    bundle = bundles.load(OLD / "bundle")
    picture = torch.linspace(-1, 1, 3 * 16 * 16).reshape(1, 3, 16, 16)
    weights = torch.linspace(-0.5, 0.5, 36).reshape(1, 36)
    with torch.no_grad():
        drawn = bundle.face(picture, weights)  # type: ignore[operator]
    expected = np.loadtxt(OLD / "bundle_picture.txt").reshape(1, 3, 16, 16)
    np.testing.assert_allclose(drawn.numpy(), expected, atol=1e-4)


def test_its_names_ranges_and_presets_are_read() -> None:
    manifest = bundles.load(OLD / "bundle").manifest
    assert (manifest.name, manifest.title, manifest.size) == ("tiny", "Tiny", 16)
    assert manifest.presets == {"happy": {"expression_01": 2.5, "expression_10": -1.0}}
    assert manifest.statistics["mouth_01"].deviation == 0.4
