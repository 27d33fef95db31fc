"""The compiled generator: the same frames within 50 dB, in the background, and never in the way."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from edtalk_server import bundles
from edtalk_server.bundles import Bundle, BundleManifest, NetworkPart
from edtalk_server.bundles.official import convert
from edtalk_server.bundles.official_names import face_tensors
from edtalk_server.engine import Engine
from edtalk_server.engine.compiled import frame, winograd
from edtalk_server.engine.compiled.compilation import LEAST_PSNR, Compilation, library_folder, psnr
from edtalk_server.engine.compiled.frame import draw, fuse
from edtalk_server.engine.compiled.library import FrameLibrary, LibraryError
from edtalk_server.engine.compiled.settings import CompileSettings, Precision
from edtalk_server.evaluation.golden import rule
from edtalk_server.media.output_spec import DEFAULT_OUTPUT
from edtalk_server.networks.config import EDTalkConfig
from edtalk_server.networks.edtalk import EDTalk
from edtalk_server.networks.fast import FastEDTalk, enhanced
from shared_protocol import processes
from shared_protocol.banks import numbered_layout
from shared_protocol.messages import Crop
from shared_protocol.processes import find_compiler

SMALL = EDTalkConfig(size=16, style_dim=48, width_base=256, width_max=16, enhancement_hidden=8)
LARGE = EDTalkConfig(size=128, style_dim=64, width_base=4096, width_max=64, enhancement_hidden=16)
PORTRAIT = np.random.default_rng(3).integers(0, 256, (16, 16, 3), np.uint8)
WHOLE = Crop(8.0, 8.0, 16.0, 0.0)


def _network(config: EDTalkConfig) -> EDTalk:
    names = face_tensors(config)
    face = EDTalk(config)
    face.load_state_dict(convert(rule.checkpoint("TEST", "edtalk", names), names, "rule"))
    return face.eval().requires_grad_(False)


def _open(folder: Path, settings: CompileSettings) -> Engine:
    manifest = BundleManifest(
        name="tiny",
        title="Tiny",
        version="1",
        licence="CC0-1.0",
        size=SMALL.size,
        face=NetworkPart("edtalk", SMALL.to_dict(), "face.safetensors"),
        layout=numbered_layout(),
    )
    if not folder.exists():
        bundles.save(folder, manifest, {"face": _network(SMALL)})
    bundle: Bundle = bundles.load(folder)
    engine = Engine.open(bundle, "cpu")
    engine.start_compiling(settings)
    return engine


@pytest.mark.parametrize(
    ("precision", "least"), [(Precision.FLOAT32, 100.0), (Precision.BFLOAT16, LEAST_PSNR)]
)
def test_the_form_for_the_compiler_draws_the_same_frames(
    precision: Precision, least: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame, "_WINOGRAD_WIDTH", 64)  # as wide as this network's maps of 16 to 64 pixels
    face = FastEDTalk(_network(LARGE))
    waves = torch.from_numpy(rule.waves("TEST/portrait", (3, 128, 128), 4, 4.0, 0.9)).float()
    with torch.inference_mode():
        prepared = face.prepare(waves[None])
        fused = fuse(prepared.constants, precision)
        for row in prepared.weights + 0.3 * torch.randn(3, 36, generator=torch.Generator().manual_seed(0)):
            weights = row[None]
            features = enhanced(prepared, weights[:, prepared.constants.expression_start :])
            difference = draw(fused, prepared.latent, features, weights) - face.decode(prepared, weights)
            assert psnr(difference) >= least


def test_winograd_is_the_same_convolution() -> None:
    random = torch.Generator().manual_seed(0)
    x, weight = torch.randn(1, 5, 8, 12, generator=random), torch.randn(7, 5, 3, 3, generator=random)
    made = winograd.convolve(x, winograd.transformed(weight))
    torch.testing.assert_close(made, torch.nn.functional.conv2d(x, weight, padding=1), rtol=1e-4, atol=1e-4)


@pytest.mark.skipif(find_compiler() is None, reason="there is no C++ compiler")
def test_a_compiled_path_is_used_when_ready_and_found_in_the_cache_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDTALK_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr("edtalk_server.engine.compiled.compilation._give_way", lambda _: None)  # tests wait
    engine = _open(tmp_path / "tiny", CompileSettings())
    source = engine.prepare(PORTRAIT, WHOLE)
    rows = np.random.default_rng(0).normal(size=(4, 36)).astype(np.float32)
    before = engine.render_each(source, rows, DEFAULT_OUTPUT, np.copy, path="")
    assert engine.wait_until_compiled()
    assert engine.path == "compiled float32"
    compiled = engine.render(source, rows)
    assert np.array_equal(engine.render_each(source, rows, DEFAULT_OUTPUT, np.copy, path=""), before), (
        "a job that began uncompiled stays so"
    )
    assert np.abs(compiled.astype(int) - np.array(before, int)).max() <= 1
    one_by_one = np.concatenate([engine.render(source, row[None]) for row in rows])
    assert np.array_equal(one_by_one, compiled), "whatever the batch"

    monkeypatch.setattr("edtalk_server.engine.compiled.compilation.find_compiler", lambda: None)
    again = _open(tmp_path / "tiny", CompileSettings())
    assert again.wait_until_compiled(), "without compiling"
    assert np.array_equal(again.render(again.prepare(PORTRAIT, WHOLE), rows), compiled)


def test_without_a_compiler_frames_are_drawn_as_always(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("EDTALK_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr("edtalk_server.engine.compiled.compilation.find_compiler", lambda: None)
    engine = _open(tmp_path / "tiny", CompileSettings())
    assert not engine.wait_until_compiled()
    assert engine.path == ""
    assert "there is no C++ compiler" in caplog.text


def test_a_library_that_is_no_library_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("EDTALK_CACHE_DIR", str(tmp_path / "cache"))
    folder = library_folder(FastEDTalk(_network(SMALL)), Precision.FLOAT32)
    folder.mkdir(parents=True)
    (folder / "frame.json").write_text("[]")
    (folder / "frame.so").write_bytes(b"nothing")
    engine = _open(tmp_path / "tiny", CompileSettings())
    assert not engine.wait_until_compiled()
    assert "frames stay uncompiled" in caplog.text
    shutil.rmtree(folder)


def test_a_library_that_fails_later_is_used_no_more(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise LibraryError("the library failed")

    face = FastEDTalk(_network(SMALL))
    compilation = Compilation(face, Precision.FLOAT32)
    monkeypatch.setattr(FrameLibrary, "decode", fail)
    compilation._library = FrameLibrary.__new__(FrameLibrary)
    prepared = face.prepare(torch.zeros(1, 3, 16, 16))
    drawn = compilation.decode(prepared, prepared.weights)
    assert torch.equal(drawn, face.decode(prepared, prepared.weights))
    assert not compilation.is_ready
    assert "uncompiled from now on" in caplog.text


@pytest.mark.parametrize(("status", "expected"), [(0, "/usr/bin/clang++"), (2, None)])
def test_a_mac_without_its_tools_has_no_compiler(
    monkeypatch: pytest.MonkeyPatch, status: int, expected: str | None
) -> None:
    monkeypatch.setattr(processes.sys, "platform", "darwin")
    monkeypatch.setattr(
        processes.shutil, "which", lambda name: f"/usr/bin/{name}" if name == "clang++" else None
    )
    answer = processes.subprocess.CompletedProcess((), status)
    monkeypatch.setattr(processes.subprocess, "run", lambda *_, **__: answer)
    assert find_compiler({}) == expected


def test_the_switch_and_the_precision_come_from_the_environment(tmp_path: Path) -> None:
    assert CompileSettings.from_environment({}) == CompileSettings(True, Precision.FLOAT32)
    assert CompileSettings.from_environment({"EDTALK_COMPILE": "0", "EDTALK_PRECISION": "bfloat16"}) == (
        CompileSettings(False, Precision.BFLOAT16)
    )
    assert CompileSettings.from_environment({"EDTALK_PRECISION": "int3"}).precision is Precision.FLOAT32
    engine = _open(tmp_path / "tiny", CompileSettings(is_on=False))
    assert not engine.wait_until_compiled()
