"""Clips for training: whatever they come from, they keep the promises of the interface."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from cartoons import Cartoons, SwappingCartoons
from test_training_run import write_shard

from edtalk_server.synthetic.controls import EXPRESSION, MOUTH, POSE
from edtalk_server.training.datasets.cached import CachedClips
from edtalk_server.training.datasets.interface import ClipBatch, ClipSet, Mixed, SwapBatch, swap_sets
from edtalk_server.training.datasets.opening import open_sets
from edtalk_server.training.paper.supervision import true_grid
from shared_protocol.errors import EDTalkError

FACEKIT = Path(__file__).parents[4] / "shared" / "data" / "ict_facekit.npz"
SIZE = 64


@pytest.fixture(scope="module")
def rendered() -> ClipSet:
    pytest.importorskip("numba", reason="the renderer needs the 'train' extra")
    if not FACEKIT.exists():
        pytest.skip("the face kit ../shared/data/ict_facekit.npz is not here")
    from edtalk_server.training.datasets.rendered import RenderedClips

    return RenderedClips(FACEKIT, SIZE, people=2)


@pytest.fixture(scope="module")
def cached(tmp_path_factory: pytest.TempPathFactory) -> ClipSet:
    folder = tmp_path_factory.mktemp("shards")
    write_shard(folder)
    return CachedClips(folder, SIZE)


def any_random() -> np.random.Generator:
    return np.random.default_rng(4)


def keeps_promises(data: ClipSet, count: int, length: int) -> ClipBatch:
    batch = data.clips(any_random(), count, length)
    shape = (count, length)
    assert batch.source.shape == (count, 3, data.size, data.size)
    assert batch.frames.shape == (*shape, 3, data.size, data.size)
    assert batch.frames.dtype == torch.float32
    assert -1 <= float(batch.frames.min()) < float(batch.frames.max()) <= 1
    assert batch.landmarks.shape == (*shape, 68, 2)
    assert batch.identity.shape == (count,)
    assert batch.has_truth == data.has_truth
    again = data.clips(any_random(), count, length)
    assert torch.equal(batch.frames, again.frames)
    return batch


def warp_error(source: torch.Tensor, target: torch.Tensor, batch_motion: object) -> tuple[float, float]:
    """Mean error of the source pulled along the flow, and of the source as it stands, where the truth is trusted."""
    grid, trust = true_grid(batch_motion, source.shape[-1])  # type: ignore[arg-type]
    pulled = torch.nn.functional.grid_sample(source, grid.permute(0, 2, 3, 1), align_corners=False)
    return tuple(float(((p - target).abs() * trust).mean()) for p in (pulled, source))  # type: ignore[return-value]


def test_cached_clips_keep_the_promises(cached: ClipSet) -> None:
    batch = keeps_promises(cached, 3, 2)
    assert batch.motion is not None and batch.weights is not None and batch.parts is not None
    with pytest.raises(ValueError, match="7 frames"):
        cached.clips(any_random(), 1, 8)


def test_cached_flow_leads_from_the_frame_back_to_the_source(tmp_path: Path) -> None:
    """In these shards odd rows are the row before them moved; so is row 1 the clip's first, moved."""
    write_shard(tmp_path, rows=8)
    for name in ("img", "flow", "src"):
        path = tmp_path / f"0_{name}.npy"
        values = np.load(path)
        values[2:] = values[1] if name != "src" else 0
        np.save(path, values)
    batch = CachedClips(tmp_path, 128).clips(any_random(), 2, 1)
    assert batch.motion is not None
    pulled, unmoved = warp_error(batch.source, batch.frames[:, 0], batch.motion.frame(0))
    assert pulled < 0.3 * unmoved


def test_shards_without_a_finished_clip_are_named(tmp_path: Path) -> None:
    write_shard(tmp_path, done=0)
    with pytest.raises(EDTalkError, match="not one finished clip"):
        CachedClips(tmp_path, SIZE)


def test_rendered_clips_keep_the_promises_and_move_smoothly(rendered: ClipSet) -> None:
    batch = keeps_promises(rendered, 2, 4)
    assert batch.weights is not None and batch.motion is not None
    steps = batch.weights.diff(dim=1).abs()
    assert float(steps[..., POSE].max()) < 0.35
    assert float(steps.max()) > 0
    pulled, unmoved = warp_error(batch.source, batch.frames[:, -1], batch.motion.frame(3))
    assert pulled < 0.7 * unmoved


def test_a_rendered_swap_has_each_factor_of_its_driver(rendered: ClipSet) -> None:
    (able,) = swap_sets(rendered)
    swap = able.factor_swaps(any_random(), 1, cross=1.0)
    assert isinstance(swap, SwapBatch)
    assert swap.target.shape == (1, 3, SIZE, SIZE)
    assert not torch.equal(swap.weights, swap.source_weights)
    kept = able.factor_swaps(any_random(), 1, keep_expression=True)
    assert torch.equal(kept.weights[:, EXPRESSION], kept.source_weights[:, EXPRESSION])
    assert torch.equal(kept.expression, kept.source)
    assert not torch.equal(kept.weights[:, MOUTH], kept.source_weights[:, MOUTH])


def test_a_mixture_gives_each_set_its_share_and_whole_batches() -> None:
    mixed = Mixed([(Cartoons(truth=False), 3.0), (SwappingCartoons(), 1.0)])
    assert not mixed.has_truth
    assert len(swap_sets(mixed)) == 1
    batches = [mixed.clips(np.random.default_rng(seed), 1, 1) for seed in range(200)]
    assert 25 <= sum(batch.has_truth for batch in batches) <= 75


def test_mixtures_that_cannot_work_are_refused(cached: ClipSet) -> None:
    for parts in ([], [(Cartoons(), 0.0)], [(Cartoons(), 1.0), (cached, 1.0)]):
        with pytest.raises(ValueError, match="sets"):
            Mixed(parts)


def test_a_config_opens_sets_and_their_mixture(tmp_path: Path) -> None:
    write_shard(tmp_path)
    one = {"kind": "cached", "folder": str(tmp_path)}
    assert isinstance(open_sets([one], SIZE), CachedClips)
    both = open_sets([{**one, "share": 1}, {**one, "share": 3}], SIZE)
    assert isinstance(both, Mixed)
    assert both.shares == [0.25, 0.75]


def test_a_batch_moves_to_a_device_as_a_whole() -> None:
    moved = Cartoons().clips(any_random(), 1, 2).to(torch.device("meta"))
    assert moved.motion is not None and moved.weights is not None
    assert {t.device.type for t in (moved.frames, moved.weights, moved.motion.flow)} == {"meta"}
    assert Cartoons(truth=False).clips(any_random(), 1, 2).to(torch.device("cpu")).weights is None
