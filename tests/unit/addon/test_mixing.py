"""Gains, emotions, mirrors and poses: what reaches the picture, and what stays exactly as it was."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from blender_addon.core.weights import asset_catalogs, layouts, mirror, mixing, poses
from edtalk_server.synthetic import controls
from shared_protocol.banks import Bank, numbered_layout
from shared_protocol.emotions import EMOTIONS, Mixer, Presets, make_mixer
from shared_protocol.errors import EDTalkError

LAYOUT = layouts.starter_layout()
BUNDLE = Path(__file__).resolve().parents[3] / "edtalk_server" / "bundles" / "starter" / "bundle.json"
REST = np.random.default_rng(0).uniform(-0.2, 0.4, len(LAYOUT)).astype(np.float32)
ANIMATED = np.random.default_rng(1).uniform(-1.2, 1.2, len(LAYOUT)).astype(np.float32)
ONES = np.ones(3, np.float32)


@pytest.fixture(scope="module")
def presets() -> Presets:
    return mixing.presets_from_rows(json.loads(BUNDLE.read_text("utf-8"))["presets"])


@pytest.fixture(scope="module")
def mixer(presets: Presets) -> Mixer:
    return make_mixer(LAYOUT, REST, presets)


def felt(**values: float) -> np.ndarray:
    return np.array([values.get(name, 0.0) for name in EMOTIONS], np.float32)


def expected(presets: Presets, weights: np.ndarray, name: str) -> np.ndarray:
    row = weights.copy()
    for identifier, value in presets[name].items():
        row[LAYOUT.index(identifier)] = value
    return row


def test_the_shipped_bundle_has_the_eight_emotions(presets: Presets) -> None:
    assert set(presets) == set(EMOTIONS)


def test_without_gains_and_emotions_every_bit_of_the_weights_stays(mixer: Mixer) -> None:
    np.testing.assert_array_equal(mixer.mix(ANIMATED, ONES, felt()), ANIMATED)


def test_gain_zero_is_exactly_the_portrait_in_that_bank_alone(mixer: Mixer) -> None:
    for i, bank in enumerate(Bank):
        gains = ONES.copy()
        gains[i] = 0
        mixed, part = mixer.mix(ANIMATED, gains, felt()), LAYOUT.slice_of(bank)
        np.testing.assert_array_equal(mixed[part], REST[part])
        np.testing.assert_array_equal(np.delete(mixed, part), np.delete(ANIMATED, part))


def test_a_gain_scales_the_way_from_the_portrait(mixer: Mixer) -> None:
    mixed = mixer.mix(ANIMATED, ONES * 1.5, felt())
    np.testing.assert_allclose(mixed - REST, 1.5 * (ANIMATED - REST), rtol=1e-5, atol=1e-6)


def test_neutral_and_an_emotion_are_exactly_its_preset(mixer: Mixer, presets: Presets) -> None:
    for name in ("happy", "angry", "disgusted"):
        shown = mixer.mix(REST, ONES, felt(neutral=1, **{name: 1}))
        for identifier, value in presets[name].items():
            if identifier in presets["neutral"]:
                assert shown[LAYOUT.index(identifier)] == pytest.approx(value, abs=1e-6)


def test_neutral_takes_the_portraits_own_expression_away(mixer: Mixer, presets: Presets) -> None:
    np.testing.assert_allclose(
        mixer.mix(REST, ONES, felt(neutral=1)), expected(presets, REST, "neutral"), atol=1e-6
    )


def test_emotions_mix_and_lie_on_top_of_the_speech(mixer: Mixer) -> None:
    rows = json.loads(BUNDLE.read_text("utf-8"))["presets"]
    happy, surprised = (rows[name]["brow_raise"] for name in ("happy", "surprised"))
    speech = REST.copy()
    speech[LAYOUT.index("jaw_open")] = 0.8
    both = mixer.mix(speech, ONES, felt(happy=0.5, surprised=0.25))
    jaw = 0.5 * rows["happy"].get("jaw_open", 0) + 0.25 * rows["surprised"].get("jaw_open", 0)
    assert both[LAYOUT.index("jaw_open")] == pytest.approx(0.8 + jaw), "surprise drops the jaw further"
    raised = REST[LAYOUT.index("brow_raise")] + 0.5 * happy + 0.25 * surprised
    assert both[LAYOUT.index("brow_raise")] == pytest.approx(raised, abs=1e-6)


def test_an_emotion_ends_at_the_range_but_leaves_what_lies_beyond_it(mixer: Mixer) -> None:
    row, smile = REST.copy(), LAYOUT.index("smile")
    row[smile] = 0.9
    assert mixer.mix(row, ONES, felt(happy=1))[smile] == 1.0
    row[smile] = 1.4  # typed in beyond the slider's end
    assert mixer.mix(row, ONES, felt(happy=1))[smile] == np.float32(1.4)


def test_a_bundle_without_presets_has_no_emotions() -> None:
    mixer = make_mixer(LAYOUT, REST, {})
    np.testing.assert_array_equal(mixer.mix(ANIMATED, ONES, felt(happy=1)), ANIMATED)


def test_what_the_file_keeps_is_read_back_and_damage_is_forgiven(presets: Presets) -> None:
    assert mixing.presets_from_json(mixing.presets_to_json(presets)) == presets
    for text in ("", "{", "[1]", '{"happy": 3}', '{"happy": {"smile": "much"}}'):
        assert mixing.presets_from_json(text) == {}
    for text in ("", "[1, 2]", '["a"]', "{}"):
        np.testing.assert_array_equal(mixing.rest_from_json(text, 36), np.zeros(36))


def test_the_mirror_of_the_starter_is_the_one_it_was_trained_with() -> None:
    found = mirror.find_mirror(LAYOUT)
    assert found is not None
    np.testing.assert_array_equal(found.order, controls.MIRROR_PERMUTATION)
    np.testing.assert_array_equal(found.sign, controls.MIRROR_SIGN)
    np.testing.assert_array_equal(found.apply(ANIMATED), controls.mirror(ANIMATED))
    np.testing.assert_array_equal(found.apply(found.apply(ANIMATED)), ANIMATED)


def test_numbered_weights_know_no_left() -> None:
    assert mirror.find_mirror(numbered_layout()) is None


def test_a_pose_goes_through_text() -> None:
    pose = {"jaw_open": 0.5, "yaw": -1.25}
    assert poses.from_text(poses.to_text(pose)) == pose


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "[]",
        "{}",
        '{"edtalk_pose": 1}',
        '{"edtalk_pose": 1, "weights": {"a": "b"}}',
        '{"edtalk_pose": 9, "weights": {"a": 1}}',
        '{"edtalk_pose": 1, "weights": {"a": NaN}}',
    ],
)
def test_other_text_is_no_pose(text: str) -> None:
    with pytest.raises(EDTalkError):
        poses.from_text(text)


def test_a_catalog_is_added_once_and_leaves_the_others_alone(tmp_path: Path) -> None:
    path = asset_catalogs.add(tmp_path, asset_catalogs.EDTALK, "EDTalk")
    first = path.read_text("utf-8")
    assert "VERSION 1\n" in first and f"{asset_catalogs.EDTALK}:EDTalk:EDTalk\n" in first
    assert asset_catalogs.add(tmp_path, asset_catalogs.EDTALK, "EDTalk") == path
    assert path.read_text("utf-8") == first
    theirs = "VERSION 1\n\n11111111-2222-3333-4444-555555555555:Props:Props"
    path.write_text(theirs, "utf-8")
    below = tmp_path / "shots"
    below.mkdir()
    assert asset_catalogs.add(below, asset_catalogs.EDTALK, "EDTalk") == path, (
        "one list serves the folders below it"
    )
    assert path.read_text("utf-8") == f"{theirs}\n{asset_catalogs.EDTALK}:EDTalk:EDTalk\n"
    assert sorted(tmp_path.iterdir()) == sorted([path, below])
