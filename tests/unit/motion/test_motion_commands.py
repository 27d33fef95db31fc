"""`edtalk predict` and `edtalk render` do what they say, and say what is wrong with an exit status."""

from __future__ import annotations

import csv
import dataclasses
import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import OpenEXR
import pytest
import soundfile
import torch

from edtalk_server import bundles
from edtalk_server.bundles import BundleManifest, NetworkPart
from edtalk_server.cli import main
from edtalk_server.media.faces.portrait import load_portrait
from edtalk_server.media.output_spec import linear_light_of_bytes
from edtalk_server.networks.audio2lip import Audio2Lip
from edtalk_server.networks.compact import CompactConfig, CompactNetwork
from edtalk_server.networks.config import Audio2LipConfig
from edtalk_server.synthetic.controls import STARTER_LAYOUT
from shared_protocol.banks import Bank
from shared_protocol.timebase import frame_rate


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A real bundle with real networks that have learnt nothing: it draws the portrait as it is."""
    torch.manual_seed(0)
    face, audio = CompactNetwork(CompactConfig()), Audio2Lip(Audio2LipConfig((4, 8, 8, 16, 16), 20))
    manifest = BundleManifest(
        name="untrained",
        title="Untrained",
        version="0",
        licence="CC0-1.0",
        size=face.size,
        face=NetworkPart("compact", dataclasses.asdict(CompactConfig()), "face.safetensors"),
        layout=STARTER_LAYOUT,
        audio_to_lip=NetworkPart("audio2lip", audio.config.to_dict(), "audio_to_lip.safetensors"),
    )
    folder = tmp_path_factory.mktemp("bundles") / "untrained"
    bundles.save(folder, manifest, {"face": face, "audio_to_lip": audio}, half=True)
    return str(folder)


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("voices") / "Stimme é 日本.wav"
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 22_050 // 2), 22_050)
    return str(path)


@pytest.fixture(scope="module")
def portrait(shared: Path) -> str:
    return str(shared / "data" / "astronaut.png")


def test_a_voice_becomes_weights_at_the_asked_rate(
    bundle: str, voice: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "new" / "weights.npz"
    arguments = ["predict", "--voice", voice, "--bundle", bundle, "--fps", "23.976", "-o", str(target)]
    assert main(arguments) == 0
    with np.load(target, allow_pickle=False) as data:
        assert data["weights"].shape == (11, 36)
        assert data["names"].tolist() == [basis.identifier for basis in STARTER_LAYOUT.bases]
        assert Fraction(*data["fps"].tolist()) == Fraction(24_000, 1001)
    assert "11 frames" in capsys.readouterr().out


def test_blinks_and_the_heads_motion_can_be_chosen(bundle: str, voice: str, tmp_path: Path) -> None:
    lively = {}
    for options in (("--blinks", "0", "--head", "0"), ("--head", "2"), ("--head", "2", "--seed", "1")):
        target = tmp_path / f"weights{len(lively)}.npz"
        assert main(["predict", "--voice", voice, "--bundle", bundle, "-o", str(target), *options]) == 0
        with np.load(target, allow_pickle=False) as data:
            lively[options] = data["weights"][:, STARTER_LAYOUT.index("yaw")]
    still, moved, otherwise = lively.values()
    assert np.ptp(still) == 0 and np.ptp(moved) > 0
    assert np.abs(moved - otherwise).max() > 0.001


@pytest.mark.parametrize(
    "option",
    [
        ("--blinks", "41"),
        ("--blinks", "-1"),
        ("--head", "often"),
        ("--seed", "x"),
        ("--emotion", "bored"),
        ("--emotion-gain", "4"),
        ("--banks", "mouth,nose"),
        ("--temperature", "3"),
    ],
)
def test_impossible_wishes_are_refused(option: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["predict", "--voice", "x.wav", "-o", "x.npz", *option])
    assert caught.value.code == 2
    assert option[0] in capsys.readouterr().err


def test_an_emotion_and_banks_can_be_chosen(bundle: str, voice: str, tmp_path: Path) -> None:
    target = tmp_path / "weights.npz"
    options = ["--emotion", "sad:0.4", "--banks", "pose,expression", "--bundle", bundle]
    assert main(["predict", "--voice", voice, *options, "-o", str(target)]) == 0
    with np.load(target, allow_pickle=False) as data:
        felt = dict(zip(data["emotion_names"].tolist(), data["emotions"].T, strict=True))
        assert set(felt["sad"]) == {np.float32(0.4)} and not felt["happy"].any()
        assert not data["weights"][:, STARTER_LAYOUT.slice_of(Bank.MOUTH)].any(), "not asked for"
    table = tmp_path / "weights.csv"
    assert main(["predict", "--voice", voice, *options, "-o", str(table)]) == 0
    rows = list(csv.DictReader(table.read_text("utf-8").splitlines()))
    assert [row["emotion_sad"] for row in rows] == ["0.4"] * 12


def test_a_prediction_needs_a_voice_or_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "-o", "x.npz"]) == 1
    assert "--transcript" in capsys.readouterr().err


def test_a_portrait_and_a_voice_become_an_image_sequence(
    voice: str, portrait: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pattern = str(tmp_path / "frames" / "%04d.png")
    arguments = ["render", "--portrait", portrait, "--voice", voice, "--size", "256", "--device", "cpu"]
    assert main([*arguments, "-o", pattern]) == 0
    files = sorted((tmp_path / "frames").iterdir())
    assert [file.name for file in files] == [f"{i:04d}.png" for i in range(1, 13)]
    assert load_portrait(files[0]).shape == (256, 256, 3)
    assert "12/12 frames" in capsys.readouterr().err


def rendered(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def test_predicted_weights_are_drawn_as_if_they_had_been_predicted_at_once(
    voice: str, portrait: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights, words = tmp_path / "weights.npz", ["--voice", voice, "--emotion", "happy:0.5"]
    assert main(["predict", *words, "--portrait", portrait, "-o", str(weights)]) == 0
    render = ["render", "--portrait", portrait, "--size", "256", "--frames", "3-4"]
    assert main([*render, *words, "-o", str(tmp_path / "whole" / "%04d.png")]) == 0
    stored = [*render, "--weights", str(weights), "-o"]
    assert main([*stored, str(tmp_path / "stored" / "%04d.png")]) == 0
    assert rendered(tmp_path / "stored") == rendered(tmp_path / "whole")
    assert list(rendered(tmp_path / "whole")) == ["0003.png", "0004.png"], "their own numbers"
    sad = [*stored, str(tmp_path / "sad" / "%04d.png"), "--emotion", "sad", "--crop", "220,130,180"]
    assert main(sad) == 0
    assert rendered(tmp_path / "sad") != rendered(tmp_path / "whole")
    assert main([*stored, str(tmp_path / "none.mp4"), "--frames", "40-50"]) == 1
    assert "has frames 1 to 12" in capsys.readouterr().err


def test_files_that_are_there_are_replaced_only_when_told(
    bundle: str, voice: str, portrait: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights, frames = tmp_path / "weights.npz", tmp_path / "frames"
    frames.mkdir()
    for kept in (weights, frames / "0007.png", tmp_path / "out.mp4"):
        kept.write_bytes(b"hours of work")
    commands = [
        ["predict", "--voice", voice, "--bundle", bundle, "-o", str(weights)],
        ["capture", "film.mp4", "-o", str(weights)],
        ["render", "--portrait", portrait, "--voice", voice, "-o", str(frames / "%04d.png")],
        ["render", "--portrait", portrait, "--voice", voice, "-o", str(tmp_path / "out.mp4")],
    ]
    for arguments in commands:
        assert main(arguments) == 1, arguments
        assert "is there already" in capsys.readouterr().err
    assert weights.read_bytes() == (tmp_path / "out.mp4").read_bytes() == b"hours of work"
    assert main([*commands[0], "--overwrite"]) == 0
    assert weights.read_bytes() != b"hours of work"


@pytest.mark.parametrize(
    "wrong", [("--frames", "0-3"), ("--frames", "4-2"), ("--crop", "1,2"), ("--crop", "1,2,-3")]
)
def test_impossible_frames_and_crops_are_misuse(
    wrong: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["render", "--portrait", "a.png", "--voice", "a.wav", "-o", "a.mp4", *wrong])
    assert ended.value.code == 2 and wrong[0] in capsys.readouterr().err


def test_a_transcript_beside_weights_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "render",
        "--portrait",
        "a.png",
        "--weights",
        "w.npz",
        "--transcript",
        "a.txt",
        "-o",
        "a.mp4",
    ]
    assert main(arguments) == 1
    assert "nothing is predicted" in capsys.readouterr().err


def test_a_portrait_and_a_voice_become_a_movie(voice: str, portrait: str, tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    arguments = ["render", "--portrait", portrait, "--voice", voice, "--size", "256", "--fps", "30"]
    assert main([*arguments, "-o", str(target)]) == 0
    assert target.stat().st_size > 1000
    assert [file.name for file in tmp_path.iterdir()] == ["out.mp4"]


def test_the_whole_portrait_can_be_rendered_as_exr_with_the_faces_matte(
    voice: str, portrait: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["render", "--portrait", portrait, "--voice", voice, "--full", "--alpha"]
    assert main([*arguments, "-o", str(tmp_path / "%04d.exr")]) == 0
    assert "512 x 512" in capsys.readouterr().out
    (channel,) = OpenEXR.File(str(tmp_path / "0012.exr")).channels().values()
    assert (channel.pixels.shape, channel.pixels.dtype) == ((512, 512, 4), np.float16)
    photo = linear_light_of_bytes(load_portrait(portrait))
    assert np.array_equal(channel.pixels[300:, :, :3], photo[300:])
    assert (channel.pixels[300:, :, 3] == 0).all() and channel.pixels[112, 218, 3] == 1


def test_a_movie_can_show_the_whole_portrait_but_no_alpha(
    voice: str, portrait: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "out.mp4"
    arguments = ["render", "--portrait", portrait, "--voice", voice, "--full"]
    assert main([*arguments, "-o", str(target)]) == 0
    assert "512 x 512" in capsys.readouterr().out
    assert main([*arguments, "--alpha", "-o", str(tmp_path / "other.mp4")]) == 1
    assert "holds no alpha" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["out.mp4"]


def test_what_is_wrong_is_said_with_cause_and_fix(
    bundle: str, voice: str, portrait: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "text.png"
    text.write_text("no picture")
    noise = tmp_path / "noise.png"
    noise.write_bytes(_noise_png())
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF....WAVE")
    cases = [
        (text, voice, "not a picture"),
        (noise, voice, "No face"),
        (portrait, broken, "not a sound file"),
        (portrait, tmp_path / "missing.wav", "could not be opened"),
    ]
    for picture, sound, cause in cases:
        arguments = ["--portrait", str(picture), "--voice", str(sound), "--bundle", bundle]
        assert main(["render", *arguments, "-o", str(tmp_path / "out.mp4")]) == 1
        assert cause in capsys.readouterr().err
    assert not (tmp_path / "out.mp4").exists()


def _noise_png() -> bytes:
    from edtalk_server.media.video.sequence import encode_png

    return encode_png(np.random.default_rng(0).integers(0, 255, (300, 300, 3), dtype=np.uint8))


@pytest.mark.parametrize(
    "output", ["out.gif", "frame.png", "weights.txt", "a%d_%d.png", "%04d.mp4", "f%d/a.png"]
)
def test_an_output_of_an_unknown_kind_is_refused_before_any_work(output: str, voice: str) -> None:
    for command in (["predict"], ["render", "--portrait", "x.png"]):
        with pytest.raises(SystemExit) as caught:
            main([*command, "--voice", voice, "-o", output])
        assert caught.value.code == 2


def test_a_mistyped_device_is_refused_before_the_work(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["predict", "--voice", "x.wav", "--device", "bogus", "-o", "x.csv"])
    assert caught.value.code == 2
    assert "'bogus'" in capsys.readouterr().err


def test_frame_rates_are_exact() -> None:
    assert frame_rate("23.976") == frame_rate("23.98") == Fraction(24_000, 1001)
    assert frame_rate("29.97") == Fraction(30_000, 1001)
    assert frame_rate("59.94") == Fraction(60_000, 1001)
    assert frame_rate("25") == 25
    assert frame_rate("12.5") == Fraction(25, 2)
    assert frame_rate("30000/1001") == Fraction(30_000, 1001)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no way to ask a process to terminate")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_movie_that_is_stopped_halfway_leaves_nothing_behind(
    number: signal.Signals, portrait: str, tmp_path: Path
) -> None:
    voice = tmp_path / "long.wav"
    soundfile.write(voice, np.zeros(16_000 * 40, np.float32), 16_000)
    out = tmp_path / "out"
    arguments = ["--portrait", portrait, "--voice", str(voice), "-o", str(out / "a.mp4")]
    command = [sys.executable, "-m", "edtalk_server.cli", "render", *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env=environment,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a job in the background ignores it
    ) as process:
        while process.poll() is None and not (out.is_dir() and any(out.iterdir())):
            time.sleep(0.05)
        time.sleep(0.3)
        os.killpg(process.pid, number)  # as a terminal does: to all that the command has started
        _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + number, said.decode()
    assert list(out.iterdir()) == []


def test_a_device_that_is_not_here_is_refused_even_where_no_picture_is_drawn(
    bundle: str, voice: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = "mps" if not torch.backends.mps.is_available() else "cuda"
    target = tmp_path / "w.npz"
    command = ["predict", "--voice", voice, "--bundle", bundle, "--device", missing, "-o", str(target)]
    assert main(command) == 1
    assert "not available here" in capsys.readouterr().err
    assert not target.exists()
