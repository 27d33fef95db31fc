"""What is measured on clips with sound and a known emotion: synchrony, the mouth from sound, feelings, identity."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import blockface
import numpy as np
import pytest
import torch
from blockface import BlockFace

import edtalk_server
from edtalk_server.cli import main
from edtalk_server.evaluation import tables
from edtalk_server.evaluation.evaluate import evaluate
from edtalk_server.evaluation.measures.judges import EmotionJudge, Judges, own_sync_judges
from edtalk_server.evaluation.metrics.identity import IdentityNetwork
from edtalk_server.evaluation.metrics.landmarks import coordinate_distance
from edtalk_server.evaluation.metrics.sync import ExpertJudge, score, sync
from edtalk_server.evaluation.metrics.syncnet import SyncNet, SyncNetJudge, mfcc
from edtalk_server.evaluation.people.filmed import voice_of
from edtalk_server.evaluation.people.holdout import Clip, Person
from edtalk_server.evaluation.people.splits import HDTF_RECORDINGS, Split, choose
from edtalk_server.evaluation.report import DEFINITIONS
from edtalk_server.media.audio.mel import SAMPLES_PER_FRAME, mel_spectrogram, windows
from edtalk_server.media.audio.voice import Waveform, load_voice
from edtalk_server.networks.config import SyncConfig
from edtalk_server.networks.sync import SyncExpert
from edtalk_server.synthetic.controls import EXPRESSION, MOUTH, STARTER_LAYOUT
from edtalk_server.training.datasets.film.layout import Footage, Layout, find_footage
from shared_protocol.errors import EDTalkError

SAMPLES = Path(edtalk_server.__file__).parent / "samples"


def noise(frames: int) -> Waveform:
    samples = np.random.default_rng(3).normal(0, 0.1, frames * SAMPLES_PER_FRAME)
    return Waveform(samples.astype(np.float32))


# --- synchrony ---


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("early", [0, 4, -7])
def test_the_offset_is_found_and_the_rest_of_the_distances_make_the_confidence(
    early: int, padded: bool
) -> None:
    rows = np.random.default_rng(0).normal(size=(60, 32)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    lips, sound = rows[10:50], rows[10 + early : 50 + early]  # sound i is what lips i + early say
    found = score(lips, sound, padded=padded)
    assert found.offset == early
    assert found.distance < (0.2 if padded else 1e-6)
    assert found.confidence == pytest.approx(np.sqrt(2) - found.distance, abs=0.15)


def test_lips_that_fit_no_sound_have_no_confidence() -> None:
    random = np.random.default_rng(1)
    lips, sound = (random.normal(size=(80, 64)).astype(np.float32) for _ in range(2))
    assert score(lips, sound).confidence < 0.1 * score(lips, lips).confidence


def test_an_expert_hears_the_sound_of_the_frames_that_it_sees() -> None:
    heard: list[torch.Tensor] = []

    def embed_sound(mel: torch.Tensor) -> torch.Tensor:
        heard.append(mel)
        return mel.flatten(1)

    def cut(frames: torch.Tensor, landmarks: torch.Tensor) -> torch.Tensor:
        assert frames.shape[1] == landmarks.shape[1] == 20
        return torch.zeros(1, frames.shape[1] - 4, 15, 48, 96)

    judge = ExpertJudge(lambda halves: torch.ones(len(halves), 1280), embed_sound, cut)
    voice, frames = noise(20), np.zeros((20, 8, 8, 3), np.uint8)
    assert sync(judge, frames, np.zeros((20, 68, 2), np.float32), voice) is not None
    expected = windows(mel_spectrogram(voice.samples), 20)[2:18]  # the window of the run's middle frame
    assert np.array_equal(torch.cat(heard)[:, 0].numpy(), expected)
    assert sync(judge, frames[:7], np.zeros((7, 68, 2), np.float32), voice) is None  # too short to say


class FaceWithLandmarks(BlockFace):
    """Finds the same landmarks in every picture."""

    def cropped_landmarks_of(self, images: torch.Tensor) -> torch.Tensor:
        points = 0.3 + 0.4 * torch.rand(68, 2, generator=torch.Generator().manual_seed(0))
        points[:17, 0], points[:17, 1] = torch.linspace(0.2, 0.8, 17), 0.8
        return points.expand(len(images), -1, -1)


def test_the_sync_expert_of_a_bundle_judges_what_is_drawn_by_pictures_by_sound_and_what_is_true() -> None:
    torch.manual_seed(0)
    expert = SyncExpert(SyncConfig(widths=(8, 8, 8, 8, 8), embedding=16)).eval()
    assert own_sync_judges(blockface.bundle(BlockFace())) == {}
    judges = Judges(sync=own_sync_judges(SimpleNamespace(sync=expert)))  # type: ignore[arg-type]
    person, bundle = speaking(0.4, 0.4)
    face = replace(bundle, face=FaceWithLandmarks())  # type: ignore[type-var]
    values = evaluate(face, [person], {}, judges=judges).values  # type: ignore[arg-type]
    for driven in ("", "a_", "true_"):
        assert {f"{driven}own_{name}" for name in ("lse_c", "lse_d", "av_offset")} <= set(values)
        assert 0 <= values[f"{driven}own_lse_d"] <= np.sqrt(2)
    assert values["akd"] == values["a_m_lmd"] == 0.0  # the same landmarks everywhere
    assert set(values) <= set(DEFINITIONS)


def test_syncnet_hears_what_its_authors_program_hears() -> None:
    t = np.arange(16000) / 16000
    sound = 0.3 * np.sin(2 * np.pi * (200 + 300 * t) * t) + 0.05 * np.sin(2 * np.pi * 2500 * t)
    cepstra = mfcc(sound.astype(np.float32))
    assert cepstra.shape == (99, 13)
    expected = [
        20.205,
        14.918,
        -15.43,
        14.832,
        -17.248,
        -50.099,
        6.77,
        18.34,
        -26.583,
        1.23,
        22.12,
        -21.271,
        -14.124,
    ]
    assert cepstra.mean(0) == pytest.approx(expected, abs=1e-3)  # of python_speech_features 0.6


def test_syncnet_has_the_tensors_of_its_published_file_and_embeds_both_senses_alike() -> None:
    torch.manual_seed(0)
    network = SyncNet()
    names = network.state_dict()
    assert names["netcnnlip.18.weight"].shape == (512, 256, 1, 6, 6)
    assert names["netcnnaud.18.weight"].shape == (512, 256, 5, 4)
    assert names["netfclip.3.bias"].shape == names["netfcaud.3.bias"].shape == (1024,)
    judge = SyncNetJudge(network)
    frames = np.random.default_rng(0).integers(0, 255, (7, 32, 32, 3), np.uint8)
    lips, sound = judge.lips(frames, None), judge.sound(noise(7), 7)
    assert lips.shape == sound.shape == (3, 1024)
    assert not np.allclose(lips[0], lips[1])


def test_syncnet_weights_of_something_else_are_refused_by_name(tmp_path: Path) -> None:
    torch.save({"netcnnaud.0.weight": torch.zeros(1)}, tmp_path / "syncnet_v2.model")
    with pytest.raises(EDTalkError, match=r"syncnet_v2\.model"):
        SyncNetJudge.from_file(tmp_path / "syncnet_v2.model")


# --- the mouth from sound ---


def speaking(mouth: float, said: float) -> tuple[Person, object]:
    """A person whose mouth stands at `mouth` after the first frame, and an audio part that says `said`."""
    rows = np.random.default_rng(0).uniform(-0.2, 0.2, (12, 36)).astype(np.float32)
    rows[0, MOUTH], rows[1:, MOUTH] = 0.0, mouth
    person = Person(Clip(np.stack([blockface.picture(row) for row in rows])), voice=noise(12))
    bundle = replace(blockface.bundle(BlockFace()), audio_to_lip=lambda mel: torch.full((len(mel), 20), said))
    return person, bundle


def test_the_mouth_follows_the_sound_and_the_rest_the_frames() -> None:
    person, right = speaking(0.4, 0.4)
    _, wrong = speaking(0.4, 0.0)
    by_right, by_wrong = (evaluate(b, [person], {}).values for b in (right, wrong))  # type: ignore[arg-type]
    assert by_right["a_psnr"] > 45  # exactly drawn: pose and expression too
    assert by_right["a_ssim"] == pytest.approx(by_right["ssim"], abs=1e-3)
    assert by_wrong["a_psnr"] < by_wrong["self_psnr"] - 10
    assert set(by_right) <= set(DEFINITIONS)


def test_without_a_sound_or_an_audio_part_nothing_is_driven_by_sound() -> None:
    person, bundle = speaking(0.4, 0.4)
    mute = replace(person, voice=None)
    for one, of in ((mute, bundle), (person, blockface.bundle(BlockFace()))):
        assert not any(name.startswith("a_") for name in evaluate(of, [one], {}).values)  # type: ignore[arg-type]


def test_the_table_has_a_row_for_each_way_of_driving_and_keeps_own_judges_apart() -> None:
    values = {
        "self_psnr": 25.0,
        "a_psnr": 22.0,
        "a_ssim": 0.7,
        "own_lse_c": 0.3,
        "a_own_lse_c": 0.2,
        "true_own_lse_c": 0.4,
    }
    text = tables.markdown("Mine", "home", values)
    assert "| Mine (V), self-reenactment | home | 25.00 |" in text
    assert "| Mine (A), mouth from sound | home | 22.00 | 0.700 |" in text
    assert "| own LSE-C | 0.300 | 0.200 | 0.400 |" in text
    assert "not comparable" in text and DEFINITIONS["own_lse_c"] in text
    assert "own LSE-C" not in tables.markdown("Mine", "home", {"self_psnr": 25.0})


# --- feelings, identity, landmarks ---


def test_the_emotion_that_the_data_name_is_recognised_by_the_expression() -> None:
    bundle = blockface.bundle(BlockFace())
    names = [basis.identifier for basis in STARTER_LAYOUT.bases[EXPRESSION]]
    presets = {"happy": {names[0]: 0.5}, "sad": {names[1]: 0.5}, "neutral": {}}
    judge = EmotionJudge(replace(bundle, manifest=replace(bundle.manifest, presets=presets)))

    def shown(index: int, amount: float) -> np.ndarray:
        row = np.zeros(36, np.float32)
        row[EXPRESSION.start + index] = amount
        return np.stack([blockface.picture(row)] * 3)

    assert [judge.emotion_of(shown(0, 0.4)), judge.emotion_of(shown(1, 0.6))] == ["happy", "sad"]
    assert judge.emotion_of(shown(0, 0.1)) == "neutral"
    judges = Judges(emotion=judge)
    right, wrong = (Person(Clip(shown(0, 0.5)), emotion=name) for name in ("happy", "sad"))
    values = evaluate(bundle, [right, wrong], {}, judges=judges).values
    assert values["own_emotion_accuracy"] == values["true_own_emotion_accuracy"] == 50.0
    assert (
        "own_emotion_accuracy"
        not in evaluate(bundle, [Person(Clip(shown(0, 0.5)))], {}, judges=judges).values
    )


def test_the_distance_of_identities_is_that_of_their_vectors() -> None:
    class Faces:
        """Knows a face by its mean colour, and remembers where it was told to look."""

        def __init__(self) -> None:
            self.looked: list[np.ndarray] = []

        def alignCrop(self, frame: np.ndarray, face: np.ndarray) -> np.ndarray:  # noqa: N802 (OpenCV's)
            self.looked.append(face[0])
            return frame

        def feature(self, aligned: np.ndarray) -> np.ndarray:
            return aligned.mean((0, 1))[None] + 1e-3

    faces = Faces()
    points = np.zeros((2, 68, 2), np.float32)
    points[:, 36:42] = 0.25
    points[:, 54] = 0.75
    frames = np.zeros((2, 8, 8, 3), np.uint8)
    frames[0, ..., 0], frames[1, ..., 2] = 200, 100
    rows = IdentityNetwork(faces).embed(frames, points)  # type: ignore[arg-type]
    assert np.linalg.norm(rows, axis=1) == pytest.approx([1, 1])
    assert np.linalg.norm(rows[0] - rows[1]) == pytest.approx(np.sqrt(2), abs=1e-3)
    assert faces.looked[0].tolist()[4:6] == [2, 2] and faces.looked[0].tolist()[-2:] == [6, 6]  # in pixels


def test_identity_weights_of_something_else_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "face.onnx").write_bytes(b"no network")
    with pytest.raises(EDTalkError, match=r"face\.onnx"):
        IdentityNetwork.from_file(tmp_path / "face.onnx")


def test_the_keypoint_distance_forgives_no_shift() -> None:
    points = np.random.default_rng(0).random((68, 2)).astype(np.float32)
    assert coordinate_distance(points + np.float32(0.01), points, 256) == pytest.approx(2.56, rel=1e-3)


# --- whose clips ---


def touched(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_the_papers_split_takes_its_people_of_mead_and_its_recordings_of_hdtf(tmp_path: Path) -> None:
    mead = touched(
        tmp_path / "mead",
        "M003/video/front/happy/level_3/001.mp4",
        "M003/video/down/happy/level_3/001.mp4",
        "M005/video/front/sad/level_1/002.mp4",
    )
    chosen = choose(find_footage(mead, Layout.MEAD), Split.PAPER)
    assert [(clip.person, clip.emotion, clip.level) for clip in chosen] == [("M003", "happy", 3)]
    hdtf = touched(
        tmp_path / "hdtf",
        "WDA_DougJones_000.mp4",
        "WDA_DougJones_001.mp4",
        "RD_Radio34_001#2.mp4",
        "WRA_Nobody_000.mp4",
    )
    found = find_footage(hdtf, Layout.AUTO)
    assert {clip.person for clip in found} == {"WDA_DougJones", "RD_Radio34", "WRA_Nobody"}
    assert [clip.path.stem for clip in choose(found, Split.PAPER)] == [
        "RD_Radio34_001#2",
        "WDA_DougJones_000",
    ]
    assert len(choose(found, Split.ALL)) == 4
    assert len(HDTF_RECORDINGS) == 77


def test_a_split_that_none_of_the_clips_belongs_to_is_explained(tmp_path: Path) -> None:
    found = find_footage(touched(tmp_path, "me.mp4"))
    with pytest.raises(EDTalkError, match="paper tests on"):
        choose(found, Split.PAPER)


def test_the_sound_of_a_clip_is_as_long_as_its_pictures(tmp_path: Path) -> None:
    voice = voice_of(Footage(SAMPLES / "voice.flac", "voice", "me"), 50)
    assert voice is not None and len(voice.samples) == 50 * SAMPLES_PER_FRAME
    whole = load_voice(SAMPLES / "voice.flac").samples[: 50 * SAMPLES_PER_FRAME]
    assert np.abs(voice.samples - whole).max() < 1e-3
    assert voice_of(Footage(SAMPLES / "portrait.png", "portrait", "me"), 50) is None


def test_the_help_names_layouts_split_and_judges(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["evaluate", "--help"])
    text = capsys.readouterr().out
    for word in (
        "--layout",
        "--split",
        "--syncnet-weights",
        "--identity-weights",
        "driven by it",
        "definition",
    ):
        assert word in text
