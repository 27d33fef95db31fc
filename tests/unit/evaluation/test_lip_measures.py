"""What is said of lips: whether they meet in p, b and m, and how the jaw follows held-out voices."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from edtalk_server.cli import main
from edtalk_server.evaluation.measures import lips
from edtalk_server.media.audio.voice import Waveform
from edtalk_server.motion import recognizer
from edtalk_server.networks.audio2lip import Audio2Lip
from edtalk_server.networks.config import Audio2LipConfig
from edtalk_server.training.speech.espeak import Espeak, Manner
from edtalk_server.training.speech.visemes import MOUTH_NAMES
from shared_protocol.errors import EDTalkError
from shared_protocol.transcripts import parse

TEXT = "Maybe a baby puppy jumped upon my mother's map."
needs_recognizer = pytest.mark.skipif(not recognizer.is_available(), reason="pocketsphinx is not installed")


def still(jaw: float) -> Audio2Lip:
    """Lips that never move, with the jaw open by so much."""
    network = Audio2Lip(Audio2LipConfig((4, 4, 6, 6, 8), len(MOUTH_NAMES))).eval()
    torch.nn.init.zeros_(network.mapping.weight)
    with torch.no_grad():
        network.mapping.bias.zero_()[MOUTH_NAMES.index("jaw_open")] = jaw
    return network


@pytest.fixture(scope="module")
def voice() -> Waveform:
    try:
        return Waveform(Espeak.shared().speak(TEXT, Manner("en-us", 150)).samples)
    except EDTalkError as error:
        pytest.skip(error.cause)


@needs_recognizer
def test_lips_that_never_part_meet_in_every_p_b_and_m_and_open_ones_in_none(voice: Waveform) -> None:
    shut, apart = (lips.closures(still(jaw), voice, parse(TEXT)) for jaw in (0.0, 0.3))
    assert shut.heard == apart.heard
    assert 10 <= shut.heard <= 14, "m b b b p p m p p m m m p"
    assert (shut.closed, apart.closed) == (shut.heard, 0)


@needs_recognizer
def test_a_voice_without_such_sounds_is_explained(voice: Waveform) -> None:
    with pytest.raises(EDTalkError, match="No p, b or m"):
        lips.closures(still(0.0), voice, parse("She is as there as one can see."))


def test_a_table_tells_the_jaw_of_each_kind_of_voice_and_closures(voice: Waveform) -> None:
    text = "\n".join(lips.report(still(0.0), 1))
    assert "| correlation of the jaw: espeak-ng, unheard voices | 0.00 | ≥ .80 |" in text
    assert "| p, b and m in which the lips meet | 1.00 | ≥ .85 |" in text


def test_other_mouth_weights_cannot_be_measured() -> None:
    with pytest.raises(EDTalkError, match="named mouth weights"):
        lips.report(Audio2Lip(Audio2LipConfig((4, 4, 6, 6, 8), 7)), 1)


def test_a_voice_needs_its_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--lips", "--voice", str(tmp_path / "voice.wav")]) != 0
    assert "Give both --voice and --transcript" in capsys.readouterr().err
