"""The published checkpoints import, tensor for tensor; anything else is refused by name."""

from __future__ import annotations

import argparse
import json
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from edtalk_server import bundles
from edtalk_server.bundles import library, official
from edtalk_server.bundles.official import AUDIO, FACE, LIP_POSE
from edtalk_server.bundles.official_names import OfficialTensor, audio_tensors, face_tensors
from edtalk_server.cli import main
from edtalk_server.evaluation.golden import rule
from edtalk_server.media.steps import Step, run_to_end
from edtalk_server.networks.audio2lip import Audio2Lip
from edtalk_server.networks.config import EDTalkConfig
from edtalk_server.networks.edtalk import EDTalk
from shared_protocol import paths
from shared_protocol.banks import Bank
from shared_protocol.errors import EDTalkError, ErrorCode

TINY = EDTalkConfig(size=16, style_dim=40, width_base=128, width_max=4, enhancement_hidden=4)
Stored = dict[str, torch.Tensor]


@pytest.mark.parametrize(
    ("file", "ours"),
    [
        ("EDTalk.pt", face_tensors(FACE)),
        ("EDTalk_lip_pose.pt", face_tensors(LIP_POSE)),
        ("Audio2Lip.pt", audio_tensors(AUDIO)),
    ],
)
def test_names_shapes_and_uses_are_those_of_the_release(
    shared: Path, file: str, ours: list[OfficialTensor]
) -> None:
    manifest = json.loads((shared / "spec" / "edtalk_manifest.json").read_text(encoding="utf-8"))
    theirs = next(one["tensors"] for one in manifest["files"] if one["file"] == file)
    assert {t["name"]: (tuple(t["shape"]), t["dtype"]) for t in theirs} == {
        t.name: (t.shape, "int64" if t.integer else "float32") for t in ours
    }
    kept = {t["name"] for t in theirs if "unused" not in t and not t["name"].endswith(".kernel")}
    assert kept == {t.name for t in ours if t.target and not t.integer}


def test_every_tensor_of_our_networks_is_filled_from_the_release() -> None:
    for network, names in ((EDTalk(TINY), face_tensors(TINY)), (Audio2Lip(AUDIO), audio_tensors(AUDIO))):
        assert {one.target for one in names} - {""} == set(network.state_dict())


# --- whole files: small ones by the audio network, the face once in full ---


@pytest.fixture(scope="module")
def audio() -> Stored:
    return rule.checkpoint("TEST", "audio2lip", audio_tensors(AUDIO))


@pytest.fixture
def tiny_release(monkeypatch: pytest.MonkeyPatch) -> Stored:
    """A release of tiny networks, so that every case is quick; names and order are the official ones."""
    monkeypatch.setattr(official, "FACE", TINY)
    return rule.checkpoint("TEST", "edtalk", face_tensors(TINY))


def _save(path: Path, content: object) -> str:
    torch.save(content, path)
    return str(path)


@pytest.mark.slow
def test_the_full_release_becomes_a_bundle_with_numbered_bases_and_the_eight_presets(
    tmp_path: Path, audio: Stored, capsys: pytest.CaptureFixture[str]
) -> None:
    face = {
        one.name: torch.zeros(one.shape) if one.constant is None else one.constant
        for one in face_tensors(FACE)
    }
    face["direction_exp.weight"] = torch.eye(512, 10)
    files = [
        _save(tmp_path / "EDTalk.pt", {"gen": face}),
        _save(tmp_path / "Audio2Lip.pt", {"audio2lip": audio, "args": argparse.Namespace(lr=0.002)}),
    ]
    assert main(["bundle", "import", *files, "-o", str(tmp_path / "official")]) == 0
    assert "face, audio_to_lip" in capsys.readouterr().out
    bundle = bundles.load(tmp_path / "official")
    assert [len(range(36)[bundle.layout.slice_of(bank)]) for bank in Bank] == [20, 6, 10]
    assert bundle.face.size == 256
    assert len(bundle.manifest.presets) == 8
    assert bundle.manifest.presets["happy"]["expression_06"] == 5.286979
    assert torch.equal(bundle.face.banks.directions[:, 26:], torch.eye(512, 10))  # type: ignore[attr-defined]


def test_the_files_are_recognised_by_content_and_give_the_same_networks(
    tmp_path: Path, tiny_release: Stored, audio: Stored
) -> None:
    files = [
        _save(tmp_path / "b.pt", {"audio2lip": audio}),
        _save(tmp_path / "a.pt", {"gen": tiny_release, "g_optim": {}}),
    ]
    official.import_checkpoints(files, tmp_path / "out")
    bundle = bundles.load(tmp_path / "out")
    assert list(bundle.manifest.parts()) == ["face", "audio_to_lip"]
    direct = official.convert(tiny_release, face_tensors(TINY), "test")
    for name, tensor in bundle.face.state_dict().items():  # type: ignore[attr-defined]
        assert torch.equal(tensor, direct[name])


def test_a_folder_becomes_an_installed_bundle_whatever_else_is_in_it(
    tmp_path: Path, tiny_release: Stored, audio: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDTALK_DATA_DIR", str(tmp_path / "data"))
    folder = tmp_path / "ckpts é"
    folder.mkdir()
    _save(folder / "Audio2Lip.pt", {"audio2lip": audio})
    _save(folder / "EDTalk.pt", {"gen": tiny_release})
    _save(folder / "another_model.pt", {"state_dict": {}})
    (folder / "readme.txt").write_text("not a checkpoint")
    told: list[Step] = []
    target = run_to_end(library.import_official([folder], "mine"), told.append)
    assert target == paths.bundles_dir() / "mine"
    assert list(bundles.load("mine").manifest.parts()) == ["face", "audio_to_lip"]
    assert [path.name for path in paths.bundles_dir().iterdir()] == ["mine"]
    assert {"reading EDTalk.pt", "writing the bundle"} <= {step.stage for step in told}
    with pytest.raises(EDTalkError, match="already"):
        run_to_end(library.import_official([folder], "mine"))


def test_an_import_that_is_stopped_leaves_nothing(
    tmp_path: Path, tiny_release: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDTALK_DATA_DIR", str(tmp_path / "data"))
    file = _save(tmp_path / "EDTalk.pt", {"gen": tiny_release})
    steps = library.import_official([Path(file)], "mine")
    while next(steps).done < 2:  # it is written, but not in its place
        pass
    steps.close()
    assert list(paths.bundles_dir().iterdir()) == []


def test_without_a_face_there_is_no_bundle(tmp_path: Path, audio: Stored) -> None:
    file = _save(tmp_path / "Audio2Lip.pt", {"audio2lip": audio})
    with pytest.raises(EDTalkError, match="holds a face network"):
        official.import_checkpoints([file], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_same_model_twice_is_a_mistake(tmp_path: Path, audio: Stored) -> None:
    file = _save(tmp_path / "Audio2Lip.pt", {"audio2lip": audio})
    with pytest.raises(EDTalkError, match="same model"):
        official.import_checkpoints([file, file], tmp_path / "out")


CHANGES: dict[str, tuple[Callable[[Stored], object], str]] = {
    "missing": (lambda t: t.pop("dec.convs.3.conv.weight"), "dec.convs.3.conv.weight is missing"),
    "missing though unused": (lambda t: t.pop("dec.to_rgb1.bias"), "dec.to_rgb1.bias is missing"),
    "surplus": (lambda t: t.update({"dec.extra": torch.zeros(1)}), "dec.extra does not belong"),
    "prefixed": (
        lambda t: t.update({"module.fc.0.bias": t.pop("fc.0.bias")}),
        r"module\.fc\.0\.bias does not",
    ),
    "misshapen": (
        lambda t: t.update({"direction_exp.weight": torch.zeros(40, 9)}),
        r"direction_exp.weight has the shape \[40, 9\] instead of \[40, 10\]",
    ),
    "mistyped": (
        lambda t: t.update({"fc.0.bias": torch.zeros(40, dtype=torch.int64)}),
        "fc.0.bias has the type",
    ),
    "other filter": (
        lambda t: t.update({"dec.convs.0.conv.blur.kernel": torch.ones(4, 4)}),
        "blur kernel dec.convs.0.conv.blur.kernel",
    ),
    "not finite": (lambda t: t["fc.0.bias"].fill_(float("inf")), "fc.0.bias has values that are not finite"),
    "sparse": (
        lambda t: t.update({"fc.0.weight": t["fc.0.weight"].to_sparse()}),
        "fc.0.weight is stored as torch.sparse_coo",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_checkpoint_that_differs_is_refused_by_the_tensors_name(
    tmp_path: Path, tiny_release: Stored, change: str
) -> None:
    do, named = CHANGES[change]
    do(tiny_release)
    file = _save(tmp_path / "EDTalk.pt", {"gen": tiny_release})
    with pytest.raises(EDTalkError, match=named) as caught:
        official.import_checkpoints([file], tmp_path / "out")
    assert caught.value.code is ErrorCode.BUNDLE_INVALID
    assert "EDTalk.pt" in caught.value.cause
    assert not (tmp_path / "out").exists()


class _Evil:
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch pwned",)


def test_code_inside_a_checkpoint_is_never_run(
    tmp_path: Path, audio: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = _save(tmp_path / "Audio2Lip.pt", {"audio2lip": audio, "args": _Evil()})
    with pytest.raises(EDTalkError, match=r"holds more than weights \((posix|nt)\.system\)") as caught:
        official.read_checkpoint(Path(file))
    assert "weights_only" not in str(caught.value), "nobody is told how to run the code after all"
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"", "not a checkpoint"),
        (b"hello", "not a checkpoint"),
        (b"<html>404</html>", "not a checkpoint"),
        (b"PK\x03\x04", "not a checkpoint"),
        (b"junk", "not a checkpoint"),
        (b"PK\x06\x07" + bytes(12) + b"\x02\0\0\0PK\x05\x06" + bytes(18), "not a checkpoint"),  # on two disks
    ],
)
def test_a_file_that_is_no_checkpoint_is_named(tmp_path: Path, content: bytes, named: str) -> None:
    file = tmp_path / "EDTalk.pt"
    file.write_bytes(content)
    with pytest.raises(EDTalkError, match=named) as caught:
        official.read_checkpoint(file)
    assert "EDTalk.pt" in caught.value.cause


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("is_archive", [False, True])
def test_whatever_is_damaged_in_a_checkpoint_is_told_in_words(tmp_path: Path, is_archive: bool) -> None:
    file = tmp_path / "EDTalk.pt"
    torch.save({"gen": {"a": torch.zeros(3)}}, file, _use_new_zipfile_serialization=is_archive)
    whole, chance, told = file.read_bytes(), random.Random(0), []
    for _ in range(300):
        damaged = bytearray(whole[: chance.randrange(1, len(whole) + 1)])
        damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        file.write_bytes(damaged)
        try:
            official.tensors_of(file)  # what is still whole is opened
        except EDTalkError as error:
            told.append(error.cause)
    assert len(told) > 100
    assert all("EDTalk.pt" in cause for cause in told)


def test_another_models_checkpoint_and_a_missing_file_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(EDTalkError, match="neither 'gen' nor 'audio2lip'"):
        official.read_checkpoint(Path(_save(tmp_path / "x.pt", {"state_dict": {}})))
    with pytest.raises(EDTalkError, match="no dictionary"):
        official.read_checkpoint(Path(_save(tmp_path / "y.pt", [1, 2])))
    with pytest.raises(EDTalkError, match="no file"):
        official.read_checkpoint(tmp_path / "z.pt")
