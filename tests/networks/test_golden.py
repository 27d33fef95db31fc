"""Our networks and pre-processing compute what the official code computed (skipped without the reference vectors)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edtalk_server.bundles.official import AUDIO, FACE, LIP_POSE
from edtalk_server.bundles.official_names import audio_tensors, face_tensors
from edtalk_server.cli import main
from edtalk_server.evaluation.golden import checks, folder, rule
from edtalk_server.evaluation.golden.compare import Comparison
from edtalk_server.networks.fast import FastEDTalk
from shared_protocol.errors import EDTalkError

FILES = {
    "dev_edtalk_b1.npz": 161,
    "dev_modes_b1.npz": 41,
    "dev_lip_pose_b1.npz": 32,
    "dev_audio.npz": 29,
    "dev_preproc.npz": 10,
}


@pytest.fixture(scope="session")
def golden(shared: Path) -> Path:
    directory = shared / "golden"
    if not directory.is_dir():
        pytest.skip("the golden vectors (../shared/golden) are not here")
    return directory


@pytest.fixture(scope="module")
def dev_set() -> checks.GoldenSet:
    return checks.GoldenSet("EDTALK-DEV-1")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("name", "quantities"), FILES.items())
def test_every_stored_quantity_is_within_its_tolerance(
    golden: Path, dev_set: checks.GoldenSet, name: str, quantities: int
) -> None:
    comparison = _compare(golden / name, dev_set)
    assert comparison.unchecked() == []
    assert len(comparison.findings) == quantities
    assert comparison.worst()[1].ratio <= 1.0, comparison.worst()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_full_picture_differs_by_less_than_a_hundred_thousandth(
    golden: Path, dev_set: checks.GoldenSet
) -> None:
    stored = folder.read(golden / "dev_edtalk_b1.npz")
    network = dev_set.edtalk
    weights = torch.from_numpy(
        np.concatenate([stored["alpha_lip"], stored["alpha_pose"], stored["alpha_exp"]], axis=1)
    )
    with torch.no_grad():
        for face in (network, FastEDTalk(network)):
            frame = face.decode(face.prepare(dev_set.images("source", 1)), weights).numpy()
            assert np.sqrt(np.mean((frame - stored["image"]) ** 2)) <= 1e-5


def test_the_sets_files_are_all_known(golden: Path) -> None:
    assert {file.name for file in folder.vector_files(golden)} == set(FILES)


@pytest.mark.parametrize(
    ("model", "name", "first", "total"),
    [
        ("edtalk", "enc.net_app.convs.0.0.weight", (1.856135, 0.5845566, -0.56502557), 3.714570),
        ("edtalk", "dec.convs.10.conv.modulation.bias", (1.0563254, 0.9873326, 1.0537064), 125.332606),
        ("edtalk", "direction_exp.weight", (-0.54882455, 0.90989757, 0.33062676), -1.246367),
        (
            "edtalk",
            "dec.fineadainresblock.3.norm2.mlp_gamma.bias",
            (-0.63019997, -0.94049495, -0.5506487),
            -193.155521,
        ),
        ("edtalk_lip_pose", "fc.0.weight", (0.90815324, 1.6230048, -1.974299), 417.918893),
        (
            "audio2lip",
            "audio_encoder.5.conv_block.1.running_var",
            (1.0193064, 0.7568995, 0.9204091),
            63.230044,
        ),
        ("audio2lip", "mapping.weight", (-0.010988032, -0.11631021, 0.19922708), -15.600723),
    ],
)
def test_the_rule_fills_weights_with_the_published_numbers(
    model: str, name: str, first: tuple[float, ...], total: float
) -> None:
    tensors = {
        "edtalk": face_tensors(FACE),
        "edtalk_lip_pose": face_tensors(LIP_POSE),
        "audio2lip": audio_tensors(AUDIO),
    }[model]
    filled = rule.tensor("EDTALK-DEV-1", model, next(one for one in tensors if one.name == name))
    assert filled.flatten()[:3].tolist() == pytest.approx(first, abs=1e-7)
    assert float(filled.double().sum()) == pytest.approx(total, abs=1e-6)


# --- the command, on folders that it has not seen ---


def test_doctor_accepts_the_public_vectors_and_says_so(
    golden: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = _folder(tmp_path, golden, "dev_audio.npz", "dev_preproc.npz", "README.md")
    assert main(["doctor", "--golden", str(directory)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("set EDTALK-DEV-1, 2 files")
    assert lines[1].startswith("ok   dev_audio.npz: largest error 0.")
    assert "29 compared" in lines[1]


def test_doctor_fails_and_names_the_quantity_that_is_wrong(
    golden: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = _folder(tmp_path, golden, "README.md")
    stored = folder.read(golden / "dev_audio.npz")
    stored["audio2lip"] = stored["audio2lip"].astype(np.float32) + np.float32(0.01)
    np.savez(directory / "dev_audio.npz", **stored)
    assert main(["doctor", "--golden", str(directory)]) == 1
    out = capsys.readouterr().out
    assert "FAIL dev_audio.npz" in out
    assert "(audio2lip: rms 0.01, accepted 2e-05)" in out


def test_doctor_counts_what_it_does_not_know(
    golden: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = _folder(tmp_path, golden, "README.md")
    stored = folder.read(golden / "dev_preproc.npz")
    np.savez(directory / "dev_preproc.npz", something_new=np.zeros(3), **stored)
    assert main(["doctor", "--golden", str(directory)]) == 0
    assert "1 not checked: something_new" in capsys.readouterr().out


def test_doctor_fails_on_a_file_of_which_it_knows_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "new_thing.npz", thing=np.zeros(3))
    assert main(["doctor", "--golden", str(tmp_path), "--set", "ANY"]) == 1
    assert "FAIL new_thing.npz: nothing in it is known" in capsys.readouterr().out


def test_a_folder_without_vectors_is_an_error_with_a_fix(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", "--golden", str(tmp_path)]) == 1
    assert "no vector files" in capsys.readouterr().err


def test_doctor_goes_on_after_a_damaged_file_and_fails(
    golden: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = _folder(tmp_path, golden, "dev_audio.npz", "README.md")
    whole = (golden / "dev_preproc.npz").read_bytes()
    (directory / "cut_off.npz").write_bytes(whole[: len(whole) // 2])
    (directory / "a_text.npz").write_text("not an archive", encoding="utf-8")
    np.savez(directory / "pickled.npz", wave=np.array([{}], dtype=object))
    assert main(["doctor", "--golden", str(directory)]) == 1
    out = capsys.readouterr().out
    assert "ok   dev_audio.npz" in out
    assert [f"FAIL {name}.npz cannot be read" in out for name in ("cut_off", "a_text", "pickled")] == [
        True
    ] * 3
    assert "3 of 4 files" in out


def test_doctor_fails_on_arrays_of_another_shape(
    golden: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = _folder(tmp_path, golden, "README.md")
    stored: dict[str, Any] = folder.read(golden / "dev_audio.npz")
    stored["mel_basis"] = stored["mel_basis"].ravel()
    np.savez(directory / "dev_audio.npz", **stored)
    assert main(["doctor", "--golden", str(directory)]) == 1
    assert "(mel_basis: shape [80, 401], stored [32080]" in capsys.readouterr().out


def test_without_a_stored_input_a_name_is_not_guessed(tmp_path: Path) -> None:
    np.savez(tmp_path / "dev_lip_pose_b2.npz", h_source=np.zeros((2, 512)), Q26=np.zeros((512, 26)))
    files = folder.vector_files(tmp_path)
    with pytest.raises(EDTalkError, match="--set NAME"):
        folder.find_set_name(tmp_path, files)
    (tmp_path / "README.md").write_text('`SET = "OTHER-7"`', encoding="utf-8")
    assert folder.find_set_name(tmp_path, files) == "OTHER-7"


@pytest.mark.parametrize(
    "hint", ["assigned in a text", "in a json", "mentioned", "file names", "in a vector file"]
)
def test_the_name_of_another_set_is_found_in_its_folder(tmp_path: Path, hint: str) -> None:
    name = "EDTALK-XYZ-4"
    content: dict[str, Any] = {
        "in_source_s8": rule.images(name, "source", 3)[:, :, ::8, ::8],
        "h_source": np.zeros((3, 512)),
    }
    match hint:
        case "assigned in a text":
            (tmp_path / "README.md").write_text(
                f'Not `EDTALK-DEV-1`. Here: `SET = "{name}"`.', encoding="utf-8"
            )
        case "in a json":
            (tmp_path / "about.json").write_text(json.dumps({"set": name}), encoding="utf-8")
        case "mentioned":
            (tmp_path / "README.md").write_text(f"Unlike EDTALK-DEV-1 this is {name}.", encoding="utf-8")
        case "in a vector file":
            content["set_name"] = np.array(name)
    prefix = "xyz" if hint == "file names" else "v"
    np.savez(tmp_path / f"{prefix}_edtalk_b3.npz", **content)
    assert folder.find_set_name(tmp_path, folder.vector_files(tmp_path)) == name


def test_a_set_name_that_makes_other_inputs_is_not_believed(tmp_path: Path) -> None:
    stored = rule.voice("EDTALK-XYZ-1", 16000)
    np.savez(tmp_path / "v_audio.npz", wave=stored)
    files = folder.vector_files(tmp_path)
    assert folder.verify("EDTALK-XYZ-1", files)
    assert not folder.verify("EDTALK-DEV-1", files)


def test_another_set_with_a_larger_batch_is_compared_in_full(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, windows = "EDTALK-XYZ", 6
    mouth = checks.GoldenSet(name).mouth_of_windows(windows).detach().numpy()
    formula = rule.mel_windows(name, windows)
    np.savez(
        tmp_path / "xyz_audio.npz",
        formula_windows=formula,
        formula_audio2lip=mouth.reshape(3, 2, 20),
        wave=rule.voice(name, 20000),
    )
    assert main(["doctor", "--golden", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert f"set {name}, " in out
    assert "3 compared" in out


def _compare(file: Path, golden_set: checks.GoldenSet) -> Comparison:
    stored = folder.read(file)
    comparison = Comparison(stored)
    check = checks.check_for(stored)
    assert check is not None
    with torch.no_grad():
        check(comparison, golden_set)
    return comparison


def _folder(where: Path, golden: Path, *names: str) -> Path:
    for name in names:
        shutil.copy(golden / name, where / name)
    return where
