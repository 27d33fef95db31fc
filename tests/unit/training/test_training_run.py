"""A training run: it takes data as it comes, survives being killed, and ends in a bundle."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from edtalk_server import bundles
from edtalk_server.cli import main
from edtalk_server.synthetic.controls import MIRROR_LANDMARKS, STARTER_LAYOUT
from edtalk_server.training.loop.metrics import MetricLogger
from edtalk_server.training.starter import augment, export, losses
from edtalk_server.training.starter.generator_stage import GeneratorPlan, GeneratorTrainer, dress
from edtalk_server.training.starter.loader import Corpus
from edtalk_server.training.starter.motion_stage import MotionPlan, MotionTrainer, estimate_weights
from edtalk_server.training.starter.trainer import Paths
from shared_protocol.errors import EDTalkError

ROWS = 32
SHIFT = 4  # pixels that every target's picture lies to the right of its source


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def write_shard(folder: Path, rows: int = ROWS, done: int | None = None, seed: int = 0) -> None:
    """A shard of smooth noise in which the odd frames are the even ones moved to the right, as the flow says."""
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    coarse = torch.from_numpy(random.random((rows // 2, 3, 16, 16), dtype=np.float32))
    smooth = (
        torch.nn.functional.interpolate(coarse, size=(128, 128), mode="bilinear").permute(0, 2, 3, 1).numpy()
    )
    images = np.empty((rows, 128, 128, 3), np.uint8)
    images[0::2] = np.round(smooth * 255)
    images[1::2] = np.roll(images[0::2], SHIFT, axis=2)
    flow = np.zeros((rows, 2, 128, 128, 2), np.int16)
    flow[1::2, ..., 0] = -SHIFT * 64
    weights = np.zeros((rows, 36), np.float32)
    weights[1::2, STARTER_LAYOUT.index("shift_x")] = 0.3
    even = np.arange(rows) // 2 * 2
    arrays = {
        "img": images,
        "mat": np.zeros((rows, 128, 128), np.uint8),
        "lm": (0.25 + 0.5 * random.random((rows, 68, 2))).astype(np.float32),
        "weights": weights,
        "flow": flow,
        "vis": np.ones((rows, 2, 128, 128), np.uint8),
        "src": np.stack([even, even], 1).astype(np.int32),
        "identity": (np.arange(rows) // 16).astype(np.int32),
        "done": np.array([rows if done is None else done], np.int32),
    }
    for name, values in arrays.items():
        np.save(folder / f"0_{name}.npy", values)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    write_shard(tmp_path / "data")
    write_shard(tmp_path / "holdout", 16, seed=1)
    (tmp_path / "run").mkdir()
    return Paths(tmp_path / "run", tmp_path / "data", tmp_path / "holdout")


def test_rows_are_taken_in_while_they_are_being_rendered(tmp_path: Path) -> None:
    write_shard(tmp_path, done=19)
    corpus = Corpus(tmp_path)
    assert corpus.refresh() == 16  # whole clips only
    np.save(tmp_path / "0_done.npy", np.array([ROWS], np.int32))
    assert corpus.refresh() == ROWS


def test_a_folder_without_clips_is_explained(tmp_path: Path) -> None:
    with pytest.raises(EDTalkError, match="finished clip"):
        Corpus(tmp_path).refresh()


@pytest.mark.parametrize("size", [64, 128])
def test_the_flow_of_a_pair_carries_its_source_onto_its_target_also_mirrored(paths: Paths, size: int) -> None:
    corpus = Corpus(paths.data)
    corpus.refresh()
    pairs = corpus.pairs(np.random.default_rng(0), 16, size)
    flow = torch.nn.functional.interpolate(pairs.flow, size=(size, size))
    from edtalk_server.networks.compact_blocks import warp

    inside = (..., slice(8, -8), slice(8, -8))
    moved = (warp(pairs.source, flow) - pairs.target)[inside].abs().mean()
    unmoved = (pairs.source - pairs.target)[inside].abs().mean()
    assert moved < 0.1 * unmoved
    shift = pairs.target_weights[:, STARTER_LAYOUT.index("shift_x")]
    assert torch.equal(torch.sign(shift), -torch.sign(pairs.flow[:, 0].mean((1, 2))))
    assert (shift < 0).any() and (shift > 0).any()  # both handednesses are seen


def test_mirrored_landmarks_keep_their_names(paths: Paths) -> None:
    corpus = Corpus(paths.data, coarse=False)
    corpus.refresh()
    stored = np.load(paths.data / "0_lm.npy")
    mirrored = stored[:, MIRROR_LANDMARKS] * [-1, 1] + [1, 0]
    known = torch.from_numpy(np.concatenate([stored, mirrored]).astype(np.float32))
    for points in corpus.views(np.random.default_rng(0), 8).landmarks:
        assert (known - points).abs().amax((1, 2)).min() < 1e-6


def test_a_careless_crop_takes_its_landmarks_along() -> None:
    torch.manual_seed(0)
    dots = torch.zeros(6, 3, 128, 128)
    points = torch.tensor([[0.5, 0.5], [0.45, 0.55], [0.55, 0.52]]).repeat(6, 1, 1)
    for x, y in points[0]:
        dots[:, :, int(y * 128) - 2 : int(y * 128) + 3, int(x * 128) - 2 : int(x * 128) + 3] = 1
    pictures, moved = augment.reframed(dots, points, strength=0.6)
    for picture, row in zip(pictures, moved, strict=True):
        for x, y in row:
            assert picture[0, int(y * 128), int(x * 128)] > 0.5


def test_augmented_pictures_stay_pictures_and_identity_pairs_rest(paths: Paths) -> None:
    torch.manual_seed(0)
    corpus = Corpus(paths.data)
    corpus.refresh()
    pairs = dress(corpus.pairs(np.random.default_rng(0), 16, 64), rest_share=1.0)
    assert pairs.source.abs().max() <= 1
    assert torch.equal(pairs.source, pairs.target)
    assert not pairs.flow.any()
    assert torch.equal(pairs.source_weights, pairs.target_weights)
    views = corpus.views(np.random.default_rng(0), 32)
    seen = augment.photographed(views.images)
    assert seen.shape == views.images.shape and seen.min() >= 0 and seen.max() <= 1


def test_attention_peaks_at_the_mouth() -> None:
    torch.manual_seed(0)
    points = torch.rand(1, 68, 2) * 0.1
    points[:, losses.RIGHT_EYE] += torch.tensor([0.1, 0.2])
    points[:, losses.LEFT_EYE] += torch.tensor([0.8, 0.2])
    points[:, losses.MOUTH] = torch.tensor([0.75, 0.75]) + 0.05 * torch.rand(20, 2)
    look = losses.attention(points, 64, mouth=6.0, eyes=5.0)[0, 0]
    y, x = divmod(int(look.argmax()), 64)
    assert abs(x / 64 - 0.775) < 0.05 and abs(y / 64 - 0.775) < 0.05


def test_a_generator_run_learns_is_killed_and_continues_where_it_was(paths: Paths) -> None:
    plan = GeneratorPlan(minutes=600, trunk_batch=8, every_seconds=600)
    trainer = GeneratorTrainer(paths, plan)
    trainer.refresh()
    before = trainer.validate()["flow"]
    for _ in range(30):
        trainer.advance()
    assert trainer.validate()["flow"] < before
    trainer.state.seconds = 60.0
    trainer.save()
    again = GeneratorTrainer(paths, plan)
    assert (again.state.step, again.state.seconds) == (30, 60.0)
    for name, value in trainer.tensors_of(trainer.network).items():
        assert torch.equal(value, again.tensors_of(again.network)[name]), name


def test_a_run_that_has_blown_up_keeps_its_last_good_checkpoint(paths: Paths) -> None:
    trainer = MotionTrainer(paths, MotionPlan(minutes=0.01, batch=8))
    trainer.train()
    good = (paths.out / "motion.pt").read_bytes()
    with torch.no_grad():
        trainer.parameters()[0].fill_(float("nan"))
    with pytest.raises(EDTalkError, match="not finite"):
        trainer.save()
    assert (paths.out / "motion.pt").read_bytes() == good


def test_a_whole_run_ends_in_a_bundle_that_opens_and_rests(paths: Paths, tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text('{"motion": {"batch": 8}, "generator": {"trunk_batch": 4, "picture_batch": 4}}')
    options = ["--out", str(paths.out), "--data", str(paths.data), "--holdout", str(paths.holdout)]
    options += ["--minutes", "0.04", "--niceness", "0", "--config", str(config)]
    assert main(["train", "run", *options]) == 0
    corpus = Corpus(paths.data, limit=ROWS // 2)
    corpus.refresh()
    assert estimate_weights(paths.out, corpus, torch.device("cpu"))
    (shard,) = corpus.shards.values()
    early = shard.estimated
    corpus.limit = None
    corpus.refresh()
    corpus.pairs(np.random.default_rng(0), 32, 64, estimate_share=1.0)  # also of rows without an estimate
    assert estimate_weights(paths.out, corpus, torch.device("cpu"))
    assert shard.estimated is not None and len(shard.estimated) == ROWS
    np.testing.assert_array_equal(shard.estimated[: ROWS // 2], early)

    export.export(export.Inputs(paths.out, data=paths.data), tmp_path / "bundle")
    bundle = bundles.load(tmp_path / "bundle")
    assert bundle.layout == STARTER_LAYOUT
    assert bundle.manifest.presets.keys() >= {"happy", "sad", "angry", "neutral"}
    photo = torch.zeros(1, 3, 256, 256)
    rest = bundle.face.decode(bundle.face.prepare(photo), bundle.face.weights_of(photo))
    assert (rest - photo).abs().max() < 1 / 255


def test_exporting_half_a_run_names_what_is_missing(paths: Paths, tmp_path: Path) -> None:
    with pytest.raises(EDTalkError, match="checkpoint"):
        export.export(export.Inputs(paths.out), tmp_path / "bundle")


def test_a_config_with_an_unknown_field_is_refused(
    paths: Paths, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.json"
    config.write_text('{"motion": {"colour": 1}}')
    options = [
        "--out",
        str(paths.out),
        "--data",
        str(paths.data),
        "--stage",
        "motion",
        "--config",
        str(config),
    ]
    assert main(["train", "run", *options, "--niceness", "0"]) != 0
    assert "colour" in capsys.readouterr().err


def test_motion_steps_lower_the_reading_error(paths: Paths) -> None:
    trainer = MotionTrainer(paths, MotionPlan(minutes=600, batch=16))
    trainer.refresh()
    first = trainer.advance().values["encoder"].item()
    for _ in range(15):
        last = trainer.advance().values["encoder"].item()
    assert last < first


def test_a_run_shows_its_curves_in_tensorboard(tmp_path: Path) -> None:
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="needs the 'train' extra"
    )
    logger = MetricLogger(tmp_path, "generator")
    for step, error in ((10, 0.5), (20, 0.25)):
        logger.curves(step, {"train": {"l1": error}, "holdout": {"l1": 2 * error}})
    logger.close()
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard" / "generator")).Reload()
    assert [(e.step, e.value) for e in events.Scalars("holdout/l1")] == [(10, 1.0), (20, 0.5)]
    assert [e.value for e in events.Scalars("train/l1")] == [0.5, 0.25]
