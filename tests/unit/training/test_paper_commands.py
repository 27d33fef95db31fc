"""`edtalk train stage`: configs, several processes, and the bundle at the end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cartoons import SwappingCartoons
from test_training_run import write_shard

import edtalk_server
from edtalk_server import bundles
from edtalk_server.cli import main
from edtalk_server.engine import Engine
from edtalk_server.networks.audio2lip import Audio2Lip
from edtalk_server.networks.config import EDTalkConfig
from edtalk_server.training.loop import checkpoint
from edtalk_server.training.loop.processes import ProcessGroup
from edtalk_server.training.paper import config as configs
from edtalk_server.training.paper import export, voice_part
from edtalk_server.training.paper.config import Ablation, StageConfig, StageName
from edtalk_server.training.paper.model import PaperModel
from edtalk_server.training.paper.trainer import PaperTrainer
from shared_protocol.errors import EDTalkError
from shared_protocol.messages import Crop

ALONE = ProcessGroup()
ROOT = Path(__file__).parents[3]
TINY: dict[str, Any] = {
    "network": {"size": 32, "style_dim": 40, "width_base": 256, "width_max": 16, "enhancement_hidden": 8},
    "critic": {"width": 8, "depth": 2, "scales": 1},
    "judging": {"scales": 1},
    "batch": 2,
    "steps": 2,
    "log_every": 1,
}


def tiny(**changes: Any) -> StageConfig:
    return replace(configs.from_dict({**TINY, "tensorboard": False}, StageConfig()), **changes)


def config_file(folder: Path, **more: Any) -> Path:
    write_shard(folder / "data")
    data = [{"kind": "cached", "folder": str(folder / "data")}]
    path = folder / f"config{len(more)}.json"
    path.write_text(json.dumps({**TINY, "data": data, **more}), encoding="utf-8")
    return path


# --- configs ---


def test_the_printed_config_reads_back_as_the_same(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name in StageName:
        assert main(["train", "stage", name, "--print-config"]) == 0
        path = tmp_path / f"{name}.json"
        path.write_text(capsys.readouterr().out, encoding="utf-8")
        assert configs.read(path, name) == configs.defaults(name)
    assert configs.defaults(StageName.EXPRESSION).network == EDTalkConfig()


def test_a_config_may_be_toml_and_name_only_what_differs(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text(
        'steps = 7\n[critic]\nkind = "hinge"\n[weights]\nflow = 0\n[[data]]\nkind = "cached"\nfolder = "x"\n'
        "[ablation]\nbank = false\n",
        encoding="utf-8",
    )
    config = configs.read(path, StageName.MOUTH_POSE)
    assert (config.steps, config.critic.kind, config.weights.flow) == (7, "hinge", 0.0)
    assert config.data == ({"kind": "cached", "folder": "x"},)
    assert config.ablation == Ablation(bank=False)
    assert config.optimization == StageConfig().optimization


@pytest.mark.parametrize("name", [StageName.RECONSTRUCTION, StageName.MOUTH_POSE, StageName.EXPRESSION])
def test_the_papers_configs_are_read_and_leave_out_what_the_paper_has_not(name: StageName) -> None:
    config = configs.read(ROOT / "docs" / "configs" / f"paper_{name}.toml", name)
    assert (config.weights.flow, config.weights.mask, config.weights.probe) == (0, 0, 0)
    assert config.weights.motion == 10
    assert config.optimization == StageConfig().optimization  # the release's rates, to the last digit
    assert all(described["kind"] == "filmed" for described in config.data)
    if name is StageName.MOUTH_POSE:
        assert (config.steps, config.batch, config.freeze_backbone, config.swap_share) == (4000, 4, True, 0)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"stepps": 1}, "stepps"),
        ({"weights": {"percep": 1}}, "percep"),
        ({"steps": "many"}, "steps"),
        ({"bf16": 1}, "bf16"),
        ({"critic": {"kind": "wasserstein"}}, "wasserstein"),
        ({"network": {"size": 33}}, "power of two"),
        ({"batch": 0}, "batch"),
        ([], "object"),
    ],
)
def test_a_config_that_does_not_fit_is_refused_by_name(values: Any, named: str, tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(EDTalkError, match=named):
        configs.read(path, StageName.MOUTH_POSE)


@pytest.mark.parametrize(
    ("data", "named"),
    [
        ([], "no data"),
        ([{"kind": "films"}], "films"),
        ([{"kind": "cached", "folder": "nowhere"}], "nowhere"),
        ([{"kind": "cached", "place": "x"}], "place"),
    ],
)
def test_data_that_is_not_there_is_named(
    data: list[dict[str, str]], named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = config_file(tmp_path, data=data)
    arguments = ["train", "stage", "reconstruction", "--config", str(path), "--out", str(tmp_path / "run")]
    assert main(arguments) != 0
    assert named in capsys.readouterr().err


# --- commands ---


@pytest.mark.slow
def test_two_processes_of_torchrun_are_one_with_twice_the_batch(tmp_path: Path) -> None:
    command = ["-m", "edtalk_server.cli", "train", "stage", "mouth_pose", "--device", "cpu", "--threads", "1"]
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    subprocess.run(
        [sys.executable, *torchrun, *command, "--out", tmp_path / "two", "--config", config_file(tmp_path)],
        check=True,
        env=environment,
        timeout=240,
    )
    twice = config_file(tmp_path, accumulate=2)
    assert main([*command[2:], "--out", str(tmp_path / "one"), "--config", str(twice)]) == 0
    two, one = (checkpoint.load(tmp_path / name / "mouth_pose.pt") for name in ("two", "one"))
    assert two["progress"]["step"] == one["progress"]["step"] == 2
    start = PaperTrainer(StageName.MOUTH_POSE, tiny(), SwappingCartoons(), tmp_path / "new", ALONE)
    for part, module in (("network", start.stage), ("critic", start.critic), ("average", start.stage.model)):
        assert all(torch.allclose(v, one[part][k], atol=1e-5) for k, v in two[part].items()), part
        assert any(not torch.equal(v, one[part][k]) for k, v in module.state_dict().items()), part


@pytest.mark.slow
def test_stages_follow_each_other_from_the_command_line_to_a_bundle(tmp_path: Path) -> None:
    config, out = str(config_file(tmp_path, window=1)), str(tmp_path / "run")
    rest = ["--config", config, "--out", out, "--device", "cpu"]
    assert main(["train", "features", *rest]) == 0
    for name in ("reconstruction", "mouth_pose", "expression"):
        assert main(["train", "stage", name, *rest, "--until", "1"]) == 0
        assert main(["train", "stage", name, *rest]) == 0
        assert checkpoint.load(tmp_path / "run" / f"{name}.pt")["finished"]
        assert list((tmp_path / "run" / "tensorboard" / name).glob("events.*"))
    bundle = str(tmp_path / "bundle")
    assert main(["train", "export-stages", "--run", out, "-o", bundle, "--pictures", "8"]) == 0
    exported = bundles.load(bundle)
    assert exported.manifest.face.kind == "edtalk"
    assert exported.audio_to_lip is not None


# --- bundles ---


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    for name in (StageName.RECONSTRUCTION, StageName.MOUTH_POSE, StageName.EXPRESSION):
        PaperTrainer(name, tiny(), SwappingCartoons(), folder, ALONE).train()
    return folder


def _drawn(bundle: Path, weights: np.ndarray) -> np.ndarray:
    network = bundles.load(bundle).face
    source = SwappingCartoons().clips(np.random.default_rng(3), 1, 1).source
    picture: np.ndarray = network.decode(network.prepare(source), torch.from_numpy(weights)).numpy()
    return picture


def test_the_bundle_draws_what_the_averaged_model_draws(trained: Path, tmp_path: Path) -> None:
    manifest = export.export(trained, SwappingCartoons(), tmp_path / "b", pictures=32, half=False)
    assert [len(list(manifest.layout.bases)), manifest.face.kind] == [36, "edtalk"]
    assert all(basis.minimum < basis.maximum for basis in manifest.layout.bases)
    assert set(manifest.statistics) == {basis.identifier for basis in manifest.layout.bases}
    model = PaperModel(tiny().network)
    model.load_state_dict(checkpoint.load(trained / "expression.pt")["average"])
    weights = np.random.default_rng(1).normal(size=(1, 36)).astype(np.float32)
    source = SwappingCartoons().clips(np.random.default_rng(3), 1, 1).source
    with torch.no_grad():
        q = model.basis()
        assert q is not None
        style, expression = torch.from_numpy(weights) @ q.T, torch.from_numpy(weights[:, 26:]) @ q[:, 26:].T
        expected = model.draw(model.encode(source), style, expression).picture.numpy()
    assert np.abs(_drawn(tmp_path / "b", weights) - expected).max() < 1e-4


def test_the_engine_takes_the_bundle(trained: Path, tmp_path: Path) -> None:
    export.export(trained, SwappingCartoons(), tmp_path / "b", pictures=16)
    engine = Engine.open(tmp_path / "b", "cpu")
    portrait = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    source = engine.prepare(portrait, Crop(32.0, 32.0, 64.0, 0.0))
    weights = np.random.default_rng(1).normal(size=(3, 36)).astype(np.float32)
    frames = engine.render(source, weights)
    assert frames.shape == (3, 32, 32, 3)
    assert not np.array_equal(frames[0], frames[1])


def test_before_the_expression_stage_a_run_exports_as_a_lip_pose_model(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "mouth_pose.pt").write_bytes((trained / "mouth_pose.pt").read_bytes())
    manifest = export.export(tmp_path, SwappingCartoons(), tmp_path / "b", pictures=16)
    assert manifest.face.kind == "edtalk_lip_pose"
    assert len(manifest.layout) == 26
    assert _drawn(tmp_path / "b", np.zeros((1, 26), np.float32)).shape == (1, 3, 32, 32)


def test_a_run_without_enhancement_exports_one_that_does_nothing(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "mouth_pose.pt").write_bytes((trained / "mouth_pose.pt").read_bytes())
    config = tiny(ablation=Ablation(enhancement=False))
    trainer = PaperTrainer(StageName.EXPRESSION, config, SwappingCartoons(), tmp_path, ALONE)
    trainer.train()
    export.export(tmp_path, SwappingCartoons(), tmp_path / "b", pictures=16, half=False)
    weights = np.random.default_rng(1).normal(size=(1, 36)).astype(np.float32)
    source = SwappingCartoons().clips(np.random.default_rng(3), 1, 1).source
    model = PaperModel(config.network, config.ablation)
    model.load_state_dict(checkpoint.load(tmp_path / "expression.pt")["average"])
    with torch.no_grad():
        q = model.basis()
        assert q is not None
        expected = model.draw(model.encode(source), torch.from_numpy(weights) @ q.T).picture.numpy()
    assert np.abs(_drawn(tmp_path / "b", weights) - expected).max() < 1e-4


def test_an_exported_run_follows_a_voice(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    starter = bundles.load()
    export.export(trained, SwappingCartoons(), tmp_path / "b", pictures=64, voice=starter)
    voice = Path(edtalk_server.__file__).parent / "samples" / "voice.flac"
    command = [
        "predict",
        "--voice",
        str(voice),
        "--bundle",
        str(tmp_path / "b"),
        "--blinks",
        "0",
        "--head",
        "0",
    ]
    assert main([*command, "-o", str(tmp_path / "w.npz"), "--device", "cpu"]) == 0
    mouth = np.load(tmp_path / "w.npz")["weights"][:, :20]
    assert mouth.std(0).max() > 0.001  # it moves with the voice


def test_a_mapped_audio_part_says_in_the_runs_weights_what_it_said_in_its_own() -> None:
    torch.manual_seed(0)
    spoken = Audio2Lip().eval()
    matrix, offset = torch.randn(20, 20), torch.randn(20)
    natural = torch.randn(400, 20)
    found = voice_part.fit(natural, natural @ matrix + offset)
    assert found.explained == pytest.approx(1.0, abs=1e-4)
    windows = torch.randn(3, 1, 80, 16)
    with torch.no_grad():
        expected = spoken(windows) @ matrix + offset
        assert torch.allclose(voice_part.mapped(spoken, found)(windows), expected, atol=0.02)


def test_a_bundle_without_an_audio_part_cannot_lend_one(trained: Path, tmp_path: Path) -> None:
    export.export(trained, SwappingCartoons(), tmp_path / "mute", pictures=16)
    with pytest.raises(EDTalkError, match="no audio part"):
        export.export(trained, SwappingCartoons(), tmp_path / "b", voice=bundles.load(tmp_path / "mute"))


@pytest.mark.parametrize("ablation", [Ablation(bank=False), Ablation(orthogonal=False)])
def test_ablations_that_are_no_edtalk_network_are_not_exported(ablation: Ablation, tmp_path: Path) -> None:
    PaperTrainer(
        StageName.RECONSTRUCTION, tiny(ablation=ablation), SwappingCartoons(), tmp_path, ALONE
    ).train(until_step=1)
    with pytest.raises(EDTalkError, match="comparison only"):
        export.export(tmp_path, SwappingCartoons(), tmp_path / "b")


def test_an_empty_folder_has_nothing_to_export(tmp_path: Path) -> None:
    with pytest.raises(EDTalkError, match="no trained stage"):
        export.export(tmp_path, SwappingCartoons(), tmp_path / "b")
