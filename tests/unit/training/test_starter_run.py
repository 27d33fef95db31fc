"""The one command that trains the starter: it stops in time, goes on, and ends in a bundle that was judged."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from argparse import Namespace
from pathlib import Path

import pytest
import torch

from edtalk_server import bundles
from edtalk_server.cli.training import starter
from edtalk_server.training.loop.checkpoint import load, save
from edtalk_server.training.starter import packing, pipeline
from edtalk_server.training.starter.fit_stage import FitPlan
from edtalk_server.training.starter.generator_stage import GeneratorPlan, GeneratorTrainer
from edtalk_server.training.starter.motion_stage import MotionPlan
from edtalk_server.training.starter.trainer import Paths
from shared_protocol.errors import EDTalkError

FACEKIT = Path(__file__).resolve().parents[4] / "shared" / "data" / "ict_facekit.npz"


def _checkpoint(values: float) -> dict[str, object]:
    tensors = {"decoder.a": torch.full((5, 1000, 1000), values), "decoder.count": torch.tensor(7)}
    return {"config": {}, "progress": {"step": 4}, "finished": False, "network": tensors, "average": tensors}


def test_a_state_travels_in_small_files(tmp_path: Path) -> None:
    run, parcel = tmp_path / "run", tmp_path / "parcel"
    run.mkdir()
    for stage, value in (("motion", 0.5), ("generator", 1.5)):
        save(run / f"{stage}.pt", _checkpoint(value))
    written = packing.pack(run, parcel)
    assert len(written) == 3
    assert all(path.stat().st_size <= 16 * 2**20 for path in written)
    assert packing.unpack(parcel, tmp_path / "elsewhere") == ["motion", "generator"]
    restored = load(tmp_path / "elsewhere" / "generator.pt")
    assert restored["progress"] == {"step": 4}
    assert torch.equal(restored["average"]["decoder.a"], torch.full((5, 1000, 1000), 1.5))
    assert restored["network"]["decoder.count"] == 7
    assert packing.unpack(parcel, run) == [], "what a run has is not replaced"


def test_a_parcel_with_a_part_missing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    save(tmp_path / "run" / "motion.pt", _checkpoint(0.5))
    first = packing.pack(tmp_path / "run", tmp_path)[0]
    first.unlink()
    with pytest.raises(ValueError, match="lacks state-00"):
        packing.unpack(tmp_path, tmp_path / "other")


@pytest.mark.skipif(not FACEKIT.is_file(), reason="no face kit beside the checkout")
@pytest.mark.timeout(900)
def test_from_nothing_to_a_judged_bundle_in_two_sittings(tmp_path: Path) -> None:
    given = Namespace(facekit=FACEKIT, out=tmp_path / "run", scale="tiny", pack=None, unpack=None, start=None)
    starter.run(Namespace(**vars(given), minutes=0.02))
    assert not (tmp_path / "run" / "bundle").exists()
    starter.run(Namespace(**vars(given), minutes=1e6))
    loaded = bundles.load(tmp_path / "run" / "bundle")
    assert loaded.audio_to_lip is not None
    numbers = json.loads((tmp_path / "run" / "evaluation.json").read_text(encoding="utf-8"))
    assert numbers["self_psnr"] > 0
    assert numbers["rest_psnr"] > 30


def test_each_scale_names_fields_that_the_plans_have() -> None:
    for scale in pipeline.SCALES.values():
        plans = MotionPlan(**scale.motion), GeneratorPlan(**scale.generator)
        assert min(plan.minutes for plan in (*plans, FitPlan(**scale.fit))) > 0
        assert scale.first_frames <= scale.frames


def test_a_run_may_begin_with_the_shipped_bundle(tmp_path: Path) -> None:
    face = bundles.load(bundles.STARTER).folder / "face.safetensors"
    scale = pipeline.begun(pipeline.SCALES["tiny"], face)
    plan = GeneratorPlan(**scale.generator)
    assert plan.trunk_share == 0
    trainer = GeneratorTrainer(Paths(tmp_path, tmp_path), plan)
    shipped = bundles.load(bundles.STARTER).face.state_dict()
    assert torch.equal(trainer.network.banks, shipped["banks"])
    assert torch.equal(trainer.average.decoder.draw.weight, shipped["decoder.draw.weight"])


def test_it_does_not_wait_beyond_its_time() -> None:
    assert not pipeline._wait(time.monotonic() - 1, lambda: False, "nothing")
    assert pipeline._wait(time.monotonic() + 60, lambda: True, "nothing")


def test_a_process_that_fails_ends_the_waiting_with_a_word_where_to_look() -> None:
    failed = subprocess.Popen([sys.executable, "-c", "raise SystemExit(1)"])
    with pytest.raises(EDTalkError, match="process failed"):
        pipeline._wait(time.monotonic() + 60, lambda: False, "rendered frames", [failed])
