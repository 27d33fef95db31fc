"""A bundle is read exactly as it was written, and every kind of damage is named."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from edtalk_server import bundles
from edtalk_server.bundles import BundleManifest, NetworkPart
from edtalk_server.cli import main
from edtalk_server.networks.audio2lip import Audio2Lip
from edtalk_server.networks.config import Audio2LipConfig, EDTalkConfig
from edtalk_server.networks.edtalk import EDTalk
from shared_protocol.banks import Bank, numbered_layout
from shared_protocol.errors import EDTalkError, ErrorCode

FACE = EDTalkConfig(size=16, style_dim=40, width_base=128, width_max=4, enhancement_hidden=4)
VOICE = Audio2LipConfig(widths=(2, 2, 2, 4, 4))
MANIFEST = BundleManifest(
    name="tiny",
    title="Tiny",
    version="0.1",
    licence="CC0-1.0",
    size=16,
    face=NetworkPart("edtalk", FACE.to_dict(), "face.safetensors"),
    audio_to_lip=NetworkPart("audio2lip", VOICE.to_dict(), "audio_to_lip.safetensors"),
    layout=numbered_layout(),
    presets={"happy": {"expression_01": 2.5, "expression_10": -1.0}},
    statistics={"mouth_01": bundles.manifest.Statistic(0.1, 0.4)},
)


@pytest.fixture
def networks() -> dict[str, torch.nn.Module]:
    torch.manual_seed(0)
    return {"face": EDTalk(FACE), "audio_to_lip": Audio2Lip(VOICE)}


@pytest.fixture
def folder(tmp_path: Path, networks: dict[str, torch.nn.Module]) -> Path:
    bundles.save(tmp_path / "tiny", MANIFEST, networks)
    return tmp_path / "tiny"


def test_a_saved_bundle_comes_back_the_same(folder: Path, networks: dict[str, torch.nn.Module]) -> None:
    bundle = bundles.load(folder)
    assert bundle.manifest == replace(MANIFEST, files=bundle.manifest.files)
    assert bundle.layout.slice_of(Bank.EXPRESSION) == slice(26, 36)
    assert bundle.digest == hashlib.sha256((folder / "bundle.json").read_bytes()).hexdigest()
    picture, weights = torch.rand(1, 3, 16, 16), torch.rand(1, 36)
    networks["face"].eval()
    with torch.no_grad():
        expected = networks["face"](picture, weights)
        assert torch.equal(bundle.face(picture, weights), expected)  # type: ignore[operator]
    assert not bundle.audio_to_lip.training
    assert not any(parameter.requires_grad for parameter in bundle.audio_to_lip.parameters())


def test_half_precision_is_a_way_to_store_and_not_to_compute(
    tmp_path: Path, networks: dict[str, torch.nn.Module]
) -> None:
    bundles.save(tmp_path / "half", MANIFEST, networks, half=True)
    bundles.save(tmp_path / "full", MANIFEST, networks)
    file = "face.safetensors"
    assert (tmp_path / "half" / file).stat().st_size < 0.8 * (tmp_path / "full" / file).stat().st_size
    half, full = bundles.load(tmp_path / "half"), bundles.load(tmp_path / "full")
    for name, tensor in half.face.state_dict().items():  # type: ignore[attr-defined]
        assert tensor.dtype == torch.float32
        assert torch.allclose(tensor, full.face.state_dict()[name], rtol=1e-3, atol=1e-6)  # type: ignore[attr-defined]
    assert half.digest != full.digest


def test_tensors_too_large_for_half_precision_are_not_stored_as_infinity(
    tmp_path: Path, networks: dict[str, torch.nn.Module]
) -> None:
    with torch.no_grad():
        networks["face"].banks.directions[0, 0] = 1e6  # type: ignore[union-attr,operator,index]
    with pytest.raises(EDTalkError, match=r"banks\.directions"):
        bundles.save(tmp_path / "half", MANIFEST, networks, half=True)
    assert list(tmp_path.iterdir()) == []


def test_what_a_client_is_told_has_names_ranges_and_presets_but_no_files() -> None:
    told = json.loads(MANIFEST.public_json())
    assert told["bases"][0] == {
        "identifier": "mouth_01",
        "name": "Mouth 1",
        "bank": "mouth",
        "minimum": -6.0,
        "maximum": 6.0,
        "description": "",
    }
    assert told["presets"]["happy"]["expression_01"] == 2.5
    assert told["size"] == 16
    assert {"face", "audio_to_lip", "files"}.isdisjoint(told)


def test_only_a_bundle_with_newer_fields_needs_the_newer_format(
    folder: Path, networks: dict[str, torch.nn.Module]
) -> None:
    assert json.loads((folder / "bundle.json").read_text())["format_version"] == 1
    assert bundles.load(folder).pose_map is None
    rows = tuple(tuple(float(i == j) for j in range(6)) for i in range(6))
    bundles.save(folder, replace(MANIFEST, pose_map=rows), networks)
    assert json.loads((folder / "bundle.json").read_text())["format_version"] == 2
    loaded = bundles.load(folder)
    assert loaded.manifest.pose_map == rows
    assert loaded.pose_map is not None
    assert loaded.pose_map.tolist() == torch.eye(6).tolist()
    assert (loaded.audio_to_pose, loaded.semantics, loaded.sync) == (None, None, None)
    assert "pose_map" not in json.loads(loaded.manifest.public_json())


def test_saving_again_replaces_the_older_bundle(folder: Path, networks: dict[str, torch.nn.Module]) -> None:
    bundles.save(folder, replace(MANIFEST, version="0.2"), networks, extra_files={"model_card.md": b"# Tiny"})
    assert bundles.load(folder).manifest.version == "0.2"
    assert (folder / "model_card.md").read_bytes() == b"# Tiny"
    assert [path.name for path in folder.parent.iterdir()] == ["tiny"]


@pytest.mark.parametrize("beside", [{}, {"bundle.json": '{"name": "of another program"}'}])
def test_a_folder_of_something_else_is_never_replaced(
    tmp_path: Path, networks: dict[str, torch.nn.Module], beside: dict[str, str]
) -> None:
    for name, text in {"thesis.txt": "irreplaceable", **beside}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(EDTalkError, match="not a bundle"):
        bundles.save(tmp_path, MANIFEST, networks)
    assert (tmp_path / "thesis.txt").read_text(encoding="utf-8") == "irreplaceable"


def test_what_a_user_put_into_a_bundles_folder_stays(
    folder: Path, networks: dict[str, torch.nn.Module]
) -> None:
    (folder / "notes.txt").write_text("mine", encoding="utf-8")
    (folder / "tests").mkdir()
    (folder / "tests" / "anna.png").write_bytes(b"also mine")
    bundles.save(folder, replace(MANIFEST, audio_to_lip=None), {"face": networks["face"]})
    assert (folder / "notes.txt").read_text(encoding="utf-8") == "mine"
    assert (folder / "tests" / "anna.png").read_bytes() == b"also mine"
    assert not (folder / "audio_to_lip.safetensors").exists(), "what the older bundle brought goes with it"


# --- damage ---


def _edit(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        values = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
        change(values)
        (folder / "bundle.json").write_text(json.dumps(values), encoding="utf-8")

    return edit


def _tensors(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    """Change the face's tensors and record the new file honestly, so that only the tensors are wrong."""

    def edit(folder: Path) -> None:
        tensors = safetensors.torch.load_file(folder / "face.safetensors")
        change(tensors)
        _replace_face(folder, safetensors.torch.save(tensors))

    return edit


def _replace_face(folder: Path, data: bytes) -> None:
    (folder / "face.safetensors").write_bytes(data)
    entry = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    _edit(lambda values: values["files"].update({"face.safetensors": entry}))(folder)


def _flip_a_byte(folder: Path) -> None:
    data = bytearray((folder / "face.safetensors").read_bytes())
    data[-1] ^= 1
    (folder / "face.safetensors").write_bytes(data)


def _cut(folder: Path) -> None:
    data = (folder / "face.safetensors").read_bytes()
    (folder / "face.safetensors").write_bytes(data[:-10])


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no manifest": (lambda f: (f / "bundle.json").unlink(), "no bundle at"),
    "not json": (lambda f: (f / "bundle.json").write_text("{", encoding="utf-8"), "not JSON"),
    "a list": (lambda f: (f / "bundle.json").write_text("[]", encoding="utf-8"), "JSON object"),
    "deep json": (lambda f: (f / "bundle.json").write_text("[" * 100_000, encoding="utf-8"), "not JSON"),
    "not text": (lambda f: (f / "bundle.json").write_bytes(b"\xff\xfe\x00"), "not JSON"),
    "other format": (_edit(lambda v: v.update(format="gltf")), "not an EDTalk bundle"),
    "newer version": (_edit(lambda v: v.update(format_version=3)), "format version 3"),
    "field missing": (_edit(lambda v: v.pop("licence")), "licence is missing"),
    "field misspelled": (_edit(lambda v: v.update(presests={})), "presests is not a known field"),
    "field mistyped": (_edit(lambda v: v.update(size="16")), "size must be a positive integer"),
    "true is no number": (_edit(lambda v: v.update(size=True)), "size must be a positive integer"),
    "bad name": (_edit(lambda v: v.update(name="../x")), "name must be"),
    "unknown kind": (_edit(lambda v: v["face"].update(kind="gan")), "unknown kind 'gan'"),
    "kind in the wrong place": (_edit(lambda v: v["face"].update(kind="audio2lip")), "unknown kind"),
    "bad config": (_edit(lambda v: v["face"]["config"].update(size=17)), "config of face.*power of two"),
    "endless number": (_edit(lambda v: v["presets"].update(sly={"mouth_01": 10**400})), "finite number"),
    "endless size": (_edit(lambda v: v.update(size=2**60)), "size must be"),
    "endless file": (
        _edit(lambda v: v["files"]["face.safetensors"].update(size=10**300)),
        "positive integer",
    ),
    "absurd width": (
        _edit(lambda v: v["face"]["config"].update(width_max=10**300)),
        "config of face.*number",
    ),
    "huge network": (
        _edit(lambda v: v["face"]["config"].update(style_dim=2**19)),
        "config of face.*far larger than its file",
    ),
    "endless config": (
        _edit(lambda v: v["face"]["config"].update(signs=[1] * 100_000)),
        "config of face.*more than",
    ),
    "config of nonsense": (_edit(lambda v: v["face"]["config"].update(mouth=[1])), "config of face"),
    "unknown config": (_edit(lambda v: v["face"]["config"].update(depth=3)), "config of face.*depth"),
    "path for a file": (_edit(lambda v: v["face"].update(file="../face.safetensors")), "plain file name"),
    "file not listed": (_edit(lambda v: v["files"].pop("face.safetensors")), "not listed in files"),
    "bad hash": (_edit(lambda v: v["files"]["face.safetensors"].update(sha256="x")), "64 lower-case"),
    "unknown bank": (_edit(lambda v: v["bases"][0].update(bank="ear")), r"bases\[0\]: bank"),
    "twin bases": (_edit(lambda v: v["bases"].__setitem__(1, v["bases"][0])), "same identifier"),
    "banks out of order": (_edit(lambda v: v["bases"].reverse()), "in the order"),
    "empty range": (_edit(lambda v: v["bases"][3].update(minimum=6.0)), "minimum must be below"),
    "infinite range": (_edit(lambda v: v["bases"][3].update(maximum=float("inf"))), "finite number"),
    "a basis too few": (_edit(lambda v: (v["bases"].pop(0), v["statistics"].clear())), "19, 6, 10"),
    "no bases": (_edit(lambda v: v.update(bases=[])), "at least one basis"),
    "preset of nothing": (
        _edit(lambda v: v["presets"].update(sly={"wink": 1})),
        "'sly' names the basis 'wink'",
    ),
    "preset of text": (_edit(lambda v: v["presets"].update(sly={"mouth_01": "1"})), "finite number"),
    "statistic of nothing": (_edit(lambda v: v["statistics"].update(x={"mean": 0, "deviation": 1})), "'x'"),
    "newer field in an older bundle": (
        _edit(lambda v: v.update(pose_map=[[0.0] * 6] * 6)),
        "pose_map needs format version 2",
    ),
    "pose map of another bank": (
        _edit(lambda v: v.update(format_version=2, pose_map=[[0.0] * 6] * 5)),
        "a row for each of the 6 pose bases",
    ),
    "pose map of other movements": (
        _edit(lambda v: v.update(format_version=2, pose_map=[[0.0] * 5] * 6)),
        r"pose_map\[0\] must have 6 numbers",
    ),
    "pose map beyond reason": (
        _edit(lambda v: v.update(format_version=2, pose_map=[[1e9] * 6] * 6)),
        "must lie within",
    ),
    "pose map of text": (
        _edit(lambda v: v.update(format_version=2, pose_map="eye")),
        "pose_map must be a list",
    ),
    "unknown semantics": (
        _edit(lambda v: v.update(format_version=2, semantics={**v["audio_to_lip"], "kind": "oracle"})),
        "semantics has the unknown kind 'oracle'",
    ),
    "other size": (_edit(lambda v: v.update(size=32)), "size is 32"),
    "file gone": (lambda f: (f / "face.safetensors").unlink(), "face.safetensors cannot be read"),
    "file cut": (_cut, "bytes instead of"),
    "file changed": (_flip_a_byte, "face.safetensors was changed"),
    "no safetensors": (lambda f: _replace_face(f, b"PK\x03\x04 a pickle in a zip"), "not a safetensors file"),
    "tensor missing": (_tensors(lambda t: t.pop("banks.directions")), "tensor banks.directions is missing"),
    "tensor surplus": (_tensors(lambda t: t.update(extra=torch.zeros(1))), "tensor extra does not belong"),
    "tensor misshapen": (
        _tensors(lambda t: t.update({"banks.directions": torch.zeros(40, 35)})),
        r"banks.directions has the shape \[40, 35\] instead of \[40, 36\]",
    ),
    "tensor mistyped": (
        _tensors(lambda t: t.update({"banks.directions": torch.zeros(40, 36, dtype=torch.int64)})),
        "banks.directions has the type",
    ),
    "tensor not finite": (
        _tensors(lambda t: t["banks.directions"].fill_(float("nan"))),
        "banks.directions has values that are not finite",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_bundle_is_refused_and_the_damage_is_named(folder: Path, damage: str) -> None:
    do, named = DAMAGE[damage]
    do(folder)
    with pytest.raises(EDTalkError, match=named) as caught:
        bundles.load(folder)
    assert caught.value.code is ErrorCode.BUNDLE_INVALID
    assert caught.value.fix


# --- the command ---


def test_check_says_that_a_bundle_is_complete(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bundle", "check", str(folder)]) == 0
    assert "complete and unchanged" in capsys.readouterr().out


def test_check_names_the_damage_and_fails(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _flip_a_byte(folder)
    assert main(["bundle", "check", str(folder)]) == 1
    assert "face.safetensors was changed" in capsys.readouterr().err


def test_show_prints_banks_presets_and_licence(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bundle", "show", str(folder)]) == 0
    out = capsys.readouterr().out
    assert "CC0-1.0" in out
    assert "happy" in out
    assert "mouth_20" in out
