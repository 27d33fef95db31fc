"""What is measured about a bundle's weights is what was put into them: on made-up faces whose every weight is known."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import blockface
import numpy as np
import pytest
from blockface import BlockFace
from test_evaluation import people

from edtalk_server.bundles import BundleManifest
from edtalk_server.bundles.load import read_manifest
from edtalk_server.bundles.manifest import FileEntry, Statistic
from edtalk_server.evaluation.meaning import pose_map, statistics
from edtalk_server.evaluation.meaning.emotions import Presets
from edtalk_server.evaluation.measures.model_under_test import ModelUnderTest
from edtalk_server.synthetic import controls
from edtalk_server.synthetic.controls import CHANNELS, STARTER_LAYOUT, weights_of
from edtalk_server.synthetic.data.statistics import of_rows
from edtalk_server.synthetic.presets import EMOTIONS, PRESETS
from shared_protocol.banks import NATURAL_POSE, Bank, numbered_layout

EIGHT = ["angry", "contempt", "disgusted", "fear", "happy", "neutral", "sad", "surprised"]
BY_NAME = [basis.identifier for basis in STARTER_LAYOUT.bases]


def test_usual_values_are_the_mean_and_the_tails() -> None:
    rows = np.zeros((1001, CHANNELS), np.float32)
    rows[:, 3] = np.linspace(-1, 1, 1001)
    known = of_rows(rows, STARTER_LAYOUT)[BY_NAME[3]]
    assert (known.mean, known.low, known.high) == pytest.approx((0.0, -0.98, 0.98), abs=1e-4)
    assert known.deviation == pytest.approx(np.linspace(-1, 1, 1001).std(), abs=1e-3)


def test_reading_is_explained_fully_partly_not_at_all_or_worse() -> None:
    true = np.random.default_rng(0).standard_normal((2000, 5)).astype(np.float32)
    true[:, 4] = 0.5
    read = np.stack([true[:, 0], 0.5 * true[:, 1], 0 * true[:, 2], -true[:, 3], true[:, 4]], axis=1)
    found = statistics.explained_variance(read, true)
    assert found[:4] == pytest.approx([1.0, 0.75, 0.0, -3.0], abs=0.02)
    assert np.isnan(found[4])  # nothing to explain


def test_a_weight_that_draws_its_opposite_is_found_and_a_weak_one_is_not_blamed() -> None:
    crosstalk = np.eye(CHANNELS)
    smile, frown, jaw = (STARTER_LAYOUT.index(name) for name in ("smile", "frown", "jaw_open"))
    crosstalk[smile] *= -1
    crosstalk[frown] *= 0.5
    crosstalk[jaw] = np.roll(crosstalk[jaw], 1)  # draws its neighbour instead
    found = statistics.render_correlation(ModelUnderTest(BlockFace(crosstalk)), people(), CHANNELS)
    assert found[smile] == pytest.approx(-1.0, abs=0.02)
    assert found[frown] == pytest.approx(1.0, abs=0.02)
    assert found[jaw] == pytest.approx(0.0, abs=0.05)
    assert np.delete(found, [smile, jaw]) == pytest.approx(1.0, abs=0.02)


def test_the_pose_map_of_unnamed_pose_weights_is_how_they_answer_the_head() -> None:
    mixed = np.random.default_rng(3).normal(0, 0.3, (6, 6)) + np.eye(6)
    pose = STARTER_LAYOUT.slice_of(Bank.POSE)
    bundle = blockface.bundle(BlockFace(reading=mixed), numbered_layout())
    measured = pose_map.measure(bundle, people())
    named = [STARTER_LAYOUT.index(name) - pose.start for name in NATURAL_POSE]
    assert np.asarray(measured) == pytest.approx(mixed[:, named], abs=0.08)  # few pictures of 8 bits


def test_named_pose_weights_need_no_map() -> None:
    assert pose_map.measure(blockface.bundle(BlockFace()), people()) is None


def test_a_bundles_statistics_say_what_is_usual_and_how_it_is_read_and_drawn() -> None:
    known = statistics.measure(blockface.bundle(BlockFace()), people())
    assert list(known) == BY_NAME
    for one in known.values():
        assert one.low is not None and one.high is not None and one.low <= one.mean <= one.high
        assert one.read is not None and one.read > 0.98
        assert one.drawn is not None and one.drawn > 0.98


def shown(rows: dict[str, np.ndarray], tint: float) -> dict[str, np.ndarray]:
    return {emotion: blockface.picture(row, tint) for emotion, row in rows.items()}


def test_presets_are_the_expression_part_of_what_people_show() -> None:
    rows = {
        "neutral": weights_of(),
        "happy": weights_of(smile=0.7, brow_raise=0.3, jaw_open=0.4),
        "sad": weights_of(frown=0.5, blink_left=0.2, blink_right=0.2),
    }
    presets = Presets(ModelUnderTest(BlockFace()), STARTER_LAYOUT, symmetric=True)
    for tint in (0, 15):
        presets.add(shown(rows, tint))
    found = presets.values()
    assert found["happy"] == pytest.approx(
        {"smile": 0.7, "frown": 0, "brow_raise": 0.3, "blink_left": 0, "blink_right": 0}, abs=0.04
    )
    assert found["sad"]["frown"] == pytest.approx(0.5, abs=0.04)
    assert found["sad"]["blink_left"] == found["sad"]["blink_right"] == pytest.approx(0.2, abs=0.04)
    assert set(found["neutral"].values()) == {0.0}


def test_a_preset_asks_for_more_of_what_is_drawn_weakly_within_the_sliders_range() -> None:
    crosstalk = np.eye(CHANNELS)
    crosstalk[STARTER_LAYOUT.index("smile")] *= 0.5
    crosstalk[STARTER_LAYOUT.index("frown")] *= 0.3
    presets = Presets(ModelUnderTest(BlockFace(crosstalk)), STARTER_LAYOUT, symmetric=True)
    presets.add(shown({"neutral": weights_of(), "mixed": weights_of(smile=0.4, frown=0.6)}, 0))
    found = presets.values()["mixed"]
    assert found["smile"] == pytest.approx(0.8, abs=0.06)
    assert found["frown"] == 1.0


def test_the_starters_presets_are_faces_as_facial_action_coding_knows_them() -> None:
    presets = read_manifest()[0].presets
    assert presets == PRESETS, "a new export has the same"
    assert sorted(presets) == sorted(EMOTIONS) == EIGHT
    bases = {basis.identifier: basis for basis in STARTER_LAYOUT.bases if basis.bank is not Bank.POSE}
    for preset in presets.values():
        assert not {"gaze_left", "gaze_up"} & set(preset)
        assert all(bases[name].minimum <= value <= bases[name].maximum for name, value in preset.items())
    shown = {name: defaultdict(float, preset) for name, preset in presets.items()}
    surprised, sad, happy = shown["surprised"], shown["sad"], shown["happy"]
    assert surprised["jaw_open"] > 0.3 and surprised["brow_raise"] > 0.5 and surprised["brow_furrow"] == 0
    assert surprised["blink_left"] < -0.5, "eyes wide open"
    assert sad["brow_raise"] > 0.3 and sad["brow_furrow"] > 0.5 and sad["frown"] > 0.5, "the inner brow rises"
    assert happy["smile"] > 0.5 and happy["squint"] > 0.3 and happy["frown"] == 0, "cheeks rise"
    assert shown["fear"]["brow_raise"] > 0.5 and shown["fear"]["stretch"] > 0.5 > shown["fear"]["jaw_open"]
    assert (
        shown["angry"]["brow_furrow"] > 0.5
        and shown["angry"]["press"] > 0.5
        and shown["angry"]["brow_raise"] == 0
    )
    assert shown["disgusted"]["sneer"] > 0.5
    contempt = np.array([shown["contempt"][basis.identifier] for basis in STARTER_LAYOUT.bases], np.float32)
    one_sided = np.abs(contempt - controls.mirror(contempt))
    assert one_sided.max() > 0.5, "contempt is on one side"
    assert set(presets["neutral"].values()) == {0.0} and not {"jaw_open", "press"} & set(presets["neutral"])


def test_what_is_known_about_weights_survives_the_manifest_and_may_be_absent() -> None:
    manifest = blockface.bundle(BlockFace()).manifest
    known = {"smile": Statistic(0.1, 0.2, -0.1, 0.9, 0.8, 0.7), "frown": Statistic(0.1, 0.2, low=0.0)}
    listed = {"face.safetensors": FileEntry("0" * 64, 1)}
    again = BundleManifest.from_json(replace(manifest, statistics=known, files=listed).to_json())
    assert again.statistics == known
    assert "read" not in again.to_dict()["statistics"]["frown"]
