"""The measures say what their definitions promise: on made-up faces whose every weight is known."""

from __future__ import annotations

from pathlib import Path

import blockface
import numpy as np
import pytest
import safetensors.torch
import torch
from blockface import BlockFace

import edtalk_server
from edtalk_server.cli import main
from edtalk_server.evaluation import sheets, tables
from edtalk_server.evaluation.evaluate import evaluate
from edtalk_server.evaluation.measures.disentanglement import Disentanglement, matrix, off_diagonal
from edtalk_server.evaluation.measures.model_under_test import ModelUnderTest
from edtalk_server.evaluation.metrics import features, image_distance
from edtalk_server.evaluation.metrics.inception import FidFeatures, Inception
from edtalk_server.evaluation.metrics.landmarks import MOUTH, centred_distance
from edtalk_server.evaluation.metrics.lpips import Lpips, Vgg, _channel_weights
from edtalk_server.evaluation.people.holdout import (
    Clip,
    Footage,
    Person,
    PerturbedFrames,
    transfer,
    with_drivers,
)
from edtalk_server.evaluation.people.perturbations import choose_perturbations, perturbed_rows
from edtalk_server.evaluation.report import DEFINITIONS
from edtalk_server.synthetic.controls import EXPRESSION, POSE, STARTER_LAYOUT, neutral, weights_of
from edtalk_server.synthetic.controls import MOUTH as MOUTH_BANK
from shared_protocol.banks import Bank, numbered_layout
from shared_protocol.errors import EDTalkError

RANDOM = np.random.default_rng(0)


def performance(seed: int, frames: int = 4) -> np.ndarray:
    """Small weights [frames, 36] that blocks can show without clipping."""
    return np.random.default_rng(seed).uniform(-0.3, 0.3, (frames, 36)).astype(np.float32)


def person(seed: int, tint: float = 0.0) -> Person:
    """One block face with its clip and its truly drawn moves."""
    weights = performance(seed)
    moved = perturbed_rows(weights[0], choose_perturbations(STARTER_LAYOUT, weights[0], seed))
    clip = Clip(np.stack([blockface.picture(row, tint) for row in weights]), weights, None, seed + 1)
    return Person(
        clip, perturbed=PerturbedFrames(moved, np.stack([blockface.picture(row, tint) for row in moved]))
    )


def people(count: int = 3, tint: float = 0.0) -> list[Person]:
    """People that drive each other, with the true pictures of that; each has more of the tint."""
    from dataclasses import replace

    driven = []
    for number, one in enumerate(with_drivers([person(n, n * tint) for n in range(count)])):
        assert one.driver is not None and one.driver.weights is not None and one.clip.weights is not None
        change = one.driver.weights[1:] - one.driver.weights[0]
        rows = transfer(one.clip.weights[0], change, STARTER_LAYOUT)
        driven.append(replace(one, driven=np.stack([blockface.picture(row, number * tint) for row in rows])))
    return driven


# --- pictures ---


def test_pictures_are_compared_one_pair_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    from torchmetrics.functional import image

    compare, sizes = image.structural_similarity_index_measure, list[int]()

    def counted(ours: torch.Tensor, theirs: torch.Tensor, **settings: object) -> object:
        sizes.append(len(ours))
        return compare(ours, theirs, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(image, "structural_similarity_index_measure", counted)
    frames = RANDOM.integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    assert len(image_distance.ssim(frames, frames)) == 5
    assert sizes == [1] * 5, "a hundred together took 31 GB of memory"


def test_equal_pictures_are_as_near_as_can_be_by_every_measure() -> None:
    frames = RANDOM.integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    assert image_distance.psnr(frames, frames) == image_distance.BEST_PSNR
    assert image_distance.ssim(frames, frames) == pytest.approx([1.0, 1.0])
    assert features.distances(frames, frames) == pytest.approx([0.0, 0.0], abs=1e-6)
    assert image_distance.difference(frames, frames) == 0.0


@pytest.mark.parametrize("kind", ["noise", "photo", "flat with a bright edge"])
def test_structural_similarity_is_scikit_images_with_the_settings_of_wang(kind: str) -> None:
    import cv2

    structural_similarity = pytest.importorskip("skimage.metrics").structural_similarity
    one = RANDOM.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    if kind == "photo":
        portrait = cv2.imread(str(Path(edtalk_server.__file__).parent / "samples" / "portrait.png"))
        one = cv2.resize(portrait, (96, 96), interpolation=cv2.INTER_AREA)
    if kind == "flat with a bright edge":
        one = np.full((64, 64, 3), 100, np.uint8)
        one[:, :3] = 250  # reflected borders would count it twice
    other = cv2.GaussianBlur(one, (0, 0), 1.3)
    wang = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    expected = structural_similarity(one, other, channel_axis=2, **wang)
    assert image_distance.ssim(other[None], one[None])[0] == pytest.approx(expected, abs=5e-5)


def test_structural_similarity_counts_no_place_twice_at_the_edge() -> None:
    noise = np.random.default_rng(7).integers(0, 256, (48, 48, 3), dtype=np.uint8)
    flat = np.full((48, 48, 3), 100, np.uint8)
    ramp = np.broadcast_to((np.arange(48, dtype=np.uint8) * 4)[None, :, None], flat.shape).copy()
    flat[:, :3] = ramp[:, :3] = 250
    assert image_distance.ssim(noise[None] // 2 + 40, noise[None]) == pytest.approx([0.784395], abs=5e-5)
    assert image_distance.ssim(ramp[None], flat[None]) == pytest.approx(
        [0.553310], abs=5e-5
    )  # scikit-image 0.26


def test_the_noise_ratio_of_a_known_offset_is_the_textbook_one() -> None:
    dark = np.full((1, 32, 32, 3), 100, np.uint8)
    assert image_distance.psnr(dark, dark + 5) == pytest.approx(20 * np.log10(255 / 5))
    assert image_distance.difference(dark, dark + 5) == 5.0


def test_more_blur_is_further_away_in_structure_and_in_features() -> None:
    import cv2

    sharp = RANDOM.integers(0, 256, (96, 96, 3), dtype=np.uint8)
    blurred = [cv2.GaussianBlur(sharp, (0, 0), sigma) for sigma in (0.5, 1.0, 2.0)]
    apart = [features.distances(one[None], sharp[None])[0] for one in blurred]
    alike = [image_distance.ssim(one[None], sharp[None])[0] for one in blurred]
    assert apart == sorted(apart) and apart[0] > 0
    assert alike == sorted(alike, reverse=True) and alike[0] < 1


def test_flicker_counts_trembling_of_what_stands_still_and_nothing_else() -> None:
    frames = np.full((5, 8, 8, 3), 100, np.uint8)
    frames[1::2, :, :4] += 10  # trembles on the left
    frames[:, :, 4:] += (np.arange(5, dtype=np.uint8) * 9)[
        :, None, None, None
    ]  # an even movement on the right
    left = np.zeros((8, 8), bool)
    left[:, :4] = True
    assert image_distance.flicker(frames, left) == 20.0
    assert image_distance.flicker(frames, ~left) == 0.0
    assert image_distance.flicker(frames, np.zeros((8, 8), bool)) == 0.0


def test_distributions_that_are_shifted_are_as_far_apart_as_the_shift() -> None:
    rows = RANDOM.standard_normal((400, 5))
    assert features.frechet(rows, rows) == pytest.approx(0.0, abs=1e-6)
    assert features.frechet(rows + np.array([3, 4, 0, 0, 0]), rows) == pytest.approx(25.0, abs=1e-3)
    assert features.frechet(rows * 2, rows) == pytest.approx(features.frechet(rows, rows * 2))
    assert features.frechet(rows * 2, rows) > 3


def test_landmark_distances_forgive_a_shift_and_nothing_more() -> None:
    points = RANDOM.random((68, 2)).astype(np.float32)
    assert centred_distance(points + 0.1, points, 256) == pytest.approx(0.0, abs=1e-3)
    mouth = points[MOUTH]
    centre = mouth.mean(0)
    spread = np.linalg.norm(mouth - centre, axis=1).mean() * 256
    assert centred_distance(centre + 1.5 * (mouth - centre), mouth, 256) == pytest.approx(
        0.5 * spread, rel=1e-4
    )


# --- movements ---


def test_a_transferred_change_stays_within_the_sliders_and_keeps_what_was_beyond() -> None:
    own = weights_of(jaw_open=0.8, smile=-0.2)
    change = np.stack([weights_of(jaw_open=0.9, smile=-0.5), weights_of(jaw_open=-0.3, yaw=0.4)])
    moved = transfer(own, change, STARTER_LAYOUT)
    at = STARTER_LAYOUT.index
    assert moved[:, at("jaw_open")] == pytest.approx([1.0, 0.5])
    assert moved[:, at("smile")] == pytest.approx([-0.2, -0.2])
    assert moved[1, at("yaw")] == pytest.approx(0.4)


@pytest.mark.parametrize("layout", [STARTER_LAYOUT, numbered_layout(), numbered_layout(5, 3, 4)])
def test_every_weight_has_its_turn_within_its_range(layout) -> None:  # type: ignore[no-untyped-def]
    own = np.array([0.5 * (basis.minimum + basis.maximum) for basis in layout.bases], np.float32)
    seen: dict[int, list[float]] = {}
    for number in range(40):
        moves = choose_perturbations(layout, own, number)
        assert {layout.bases[move.channel].bank for move in moves} == set(Bank)
        for move in moves:
            basis = layout.bases[move.channel]
            assert basis.minimum <= move.value <= basis.maximum
            assert abs(move.value - own[move.channel]) > 0.3 * basis.maximum
            seen.setdefault(move.channel, []).append(move.value - own[move.channel])
    assert sorted(seen) == list(range(len(layout)))
    assert all(min(changes) < 0 < max(changes) for changes in seen.values())


# --- disentanglement ---


def measured(face: BlockFace, count: int = 3) -> Disentanglement:
    found = Disentanglement(ModelUnderTest(face), STARTER_LAYOUT, np.ones(36, np.float32), controlled=True)
    for number in range(count):
        found.add(person(number), number)
    return found


def test_banks_that_do_not_touch_each_other_have_an_empty_matrix() -> None:
    found = measured(BlockFace())
    assert max(off_diagonal(matrix(found.made, STARTER_LAYOUT))) < 0.01
    numbers = found.numbers()
    assert numbers["disentanglement_max"] < 0.01
    assert numbers["disentanglement_reader_max"] < 0.01
    assert numbers["pose_psnr"] > 45


def test_known_crosstalk_is_found_where_it_is_and_as_large_as_it_is() -> None:
    crosstalk = np.eye(36)
    crosstalk[POSE, MOUTH_BANK] = 1 / 6  # every pose weight moves every mouth weight by a sixth of itself
    found = measured(BlockFace(crosstalk))
    shares = matrix(found.made, STARTER_LAYOUT)
    assert shares["pose"]["mouth"] == pytest.approx(np.sqrt(6) / 6, rel=0.03)
    assert shares["pose"]["expression"] < 0.01
    assert shares["mouth"]["pose"] < 0.01
    numbers = found.numbers()
    assert numbers["disentanglement_max"] == pytest.approx(shares["pose"]["mouth"])
    assert numbers["disentanglement_mean"] == pytest.approx(shares["pose"]["mouth"] / 6, abs=0.01)
    assert (
        numbers["disentanglement_reader_max"] < 0.01
    )  # true pictures read well, so it is the drawing's fault


def test_a_bundle_with_other_bases_is_measured_without_true_pictures() -> None:
    found = Disentanglement(
        ModelUnderTest(BlockFace()), numbered_layout(), np.ones(36, np.float32), controlled=False
    )
    clip = Clip(np.stack([blockface.picture(neutral())]))
    found.add(Person(clip), 0)
    assert "disentanglement_max" in found.numbers()
    assert "disentanglement_reader_max" not in found.numbers()


# --- reenactment ---


def test_a_perfect_network_scores_perfectly_and_says_what_standing_still_would_score() -> None:
    values = evaluate(blockface.bundle(BlockFace()), people(), {}).values
    for name in ("self_psnr", "true_psnr", "cross_psnr"):
        assert values[name] > 48, name  # what rounding to 8 bits leaves
    assert values["rest_psnr"] == 60
    assert values["unmoved_psnr"] < 30 and values["cross_unmoved_psnr"] < 30
    assert values["leakage"] < 0.5 < values["leakage_movement"]
    assert set(values) <= set(DEFINITIONS)


def test_leakage_is_what_only_the_drivers_identity_changes() -> None:
    faithful = evaluate(blockface.bundle(BlockFace()), people(tint=20), {}).values
    swayed = evaluate(blockface.bundle(BlockFace(bias=0.02)), people(tint=20), {}).values
    assert faithful["leakage"] < 0.5
    assert swayed["leakage"] > 2
    assert swayed["cross_psnr"] < faithful["cross_psnr"] - 5


def test_a_network_that_draws_half_of_each_movement_is_found_out() -> None:
    values = evaluate(blockface.bundle(BlockFace(0.5 * np.eye(36))), people(), {}).values
    assert (
        values["unmoved_psnr"] + 5 < values["self_psnr"] < values["unmoved_psnr"] + 7
    )  # half the error: 6 dB
    assert values["disentanglement_max"] < 0.02  # weak, but the banks are apart


def test_flicker_is_measured_on_a_moving_face() -> None:
    from dataclasses import replace

    rows = np.linspace(performance(1)[0], performance(1)[1], 6)
    frames = np.stack([blockface.picture(row) for row in rows])
    still = np.zeros(frames.shape[1:3], bool)
    still[:8, :8] = True
    one = replace(people()[0], motion=Footage(frames, still))
    values = evaluate(blockface.bundle(BlockFace()), [one, people()[1]], {}).values
    assert values["flicker"] == pytest.approx(values["flicker_true"], abs=0.5)


def test_what_was_filmed_has_no_numbers_that_need_the_truth() -> None:
    clips = [Person(Clip(one.clip.frames)) for one in people()]
    values = evaluate(blockface.bundle(BlockFace()), clips, {}).values
    assert {"self_psnr", "unmoved_psnr", "rest_psnr", "ssim", "features", "disentanglement_max"} <= set(
        values
    )
    assert not {"true_psnr", "cross_psnr", "landmark_px", "leakage", "disentanglement_reader_max"} & set(
        values
    )


# --- reports ---


def test_every_number_is_printed_with_its_meaning_and_stands_at_the_top_of_the_json() -> None:
    report = evaluate(blockface.bundle(BlockFace()), people(), {"data": "blocks"})
    text = "\n".join(report.lines())
    values = report.to_dict()
    for name in report.values:
        assert f"{name} " in text and DEFINITIONS[name] in text
        assert isinstance(values[name], float)
        assert values["definitions"][name] == DEFINITIONS[name]
    assert values["disentanglement"]["drawn"]["pose"]["pose"] == 1.0
    assert values["data"] == "blocks"


def test_the_table_has_the_papers_rows_and_warns_that_they_are_of_other_data() -> None:
    text = tables.markdown(
        "Mine", "3 clips of home", {"self_psnr": 24.5, "ssim": 0.8, "m_lmd": 1.5, "f_lmd": 2.0}
    )
    assert "| EDTalk (V), paper | HDTF | 26.50 | 0.845 | 1.197 | 1.111 | 13.17 | 6.732 | – |" in text
    assert "| EDTalk (A), paper | HDTF | 25.16 | 0.811 | 1.676 | 1.315 | 13.79 | 7.642 | – |" in text
    assert "| EDTalk (V), paper | MEAD | 22.77 | 0.769 | 1.102 | 1.060 | 15.55 | 6.889 | 68.85 |" in text
    assert "| EDTalk (A), paper | MEAD | 21.63 | 0.722 | 1.537 | 1.290 | 17.70 | 8.115 | 67.32 |" in text
    assert (
        "| Mine (V), self-reenactment | 3 clips of home | 24.50 | 0.800 | 1.500 | 2.000 | – | – | – |" in text
    )
    assert "not a ranking" in text


def test_the_sheet_of_bases_shows_each_basis_moved_and_only_there() -> None:
    sheet = sheets.bases_sheet(
        ModelUnderTest(BlockFace()), blockface.picture(neutral()), STARTER_LAYOUT, cell=48
    )
    assert sheet.shape[1] == 4 * 3 * 48 + 3 * 8
    assert len(sheet) == (5 + 2 + 3) * (48 + 18)
    pitch = sheet[5 * 66 + 18 : 6 * 66, : 3 * 48]  # the first line of the second bank
    low, own, high = (pitch[:, start : start + 48] for start in (0, 48, 96))
    assert image_distance.difference(low, own) > 1
    assert image_distance.difference(low, own) == pytest.approx(image_distance.difference(own, high))
    assert own.min() == own.max() == 128


def test_a_missing_face_kit_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EDTALK_FACEKIT", str(tmp_path / "none.npz"))
    assert main(["evaluate"]) == 1
    assert "--facekit" in capsys.readouterr().err


# --- weights that the user has ---


def test_lpips_is_zero_for_equal_pictures_and_grows_with_the_difference() -> None:
    torch.manual_seed(0)
    compare = Lpips(Vgg(), _channel_weights()).compare
    frames = RANDOM.integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
    near = np.clip(frames.astype(int) + RANDOM.integers(-10, 11, frames.shape), 0, 255).astype(np.uint8)
    assert compare(frames, frames) == pytest.approx([0.0], abs=1e-6)
    assert 0 < compare(near, frames)[0] < compare(255 - frames, frames)[0]


def test_the_network_of_fid_has_the_tensors_of_its_published_file() -> None:
    network = Inception()
    assert len(network.state_dict()) == 566
    assert network.state_dict()["Mixed_7c.branch3x3dbl_3b.conv.weight"].shape == (384, 384, 3, 1)
    frames = RANDOM.integers(0, 256, (1, 64, 64, 3), dtype=np.uint8)
    assert FidFeatures(network).summary(frames).shape == (1, 2048)


def test_weights_of_something_else_are_refused_by_name(tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    safetensors.torch.save_file({"features.0.weight": torch.zeros(1)}, other)
    with pytest.raises(EDTalkError, match=r"other\.safetensors"):
        Lpips.from_file(other)
    (tmp_path / "text.pth").write_text("no tensors")
    with pytest.raises(EDTalkError, match=r"text\.pth"):
        FidFeatures.from_file(tmp_path / "text.pth")


def test_moves_of_the_expression_bank_reach_the_expression_bank() -> None:
    shares = matrix(measured(BlockFace()).made, STARTER_LAYOUT)
    assert shares["expression"]["expression"] == 1.0
    assert EXPRESSION.stop - EXPRESSION.start == 10
