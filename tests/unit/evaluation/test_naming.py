"""Bases that training left without a name get order, sign and name by what they do, and draw the same pictures."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import blockface
import numpy as np
import pytest
import torch
from blockface import BlockFace

from edtalk_server import bundles
from edtalk_server.bundles import Bundle, BundleManifest, NetworkPart
from edtalk_server.bundles.manifest import Statistic
from edtalk_server.cli import bundle as bundle_command
from edtalk_server.evaluation.meaning import naming
from edtalk_server.evaluation.meaning.naming import Meaning
from edtalk_server.networks.audio2lip import Audio2Lip
from edtalk_server.networks.config import Audio2LipConfig, EDTalkConfig
from edtalk_server.networks.edtalk import EDTalk
from edtalk_server.synthetic.controls import STARTER_LAYOUT, neutral
from shared_protocol.banks import Bank, numbered_layout
from shared_protocol.errors import EDTalkError

FACE = EDTalkConfig(size=16, style_dim=40, width_base=128, width_max=4, enhancement_hidden=4)
VOICE = Audio2LipConfig(widths=(2, 2, 2, 4, 4))
BANKS = [STARTER_LAYOUT.slice_of(bank) for bank in Bank]


def shuffled(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A channel for each channel, within its bank, and a sign."""
    random = np.random.default_rng(seed)
    order = np.concatenate([part.start + random.permutation(part.stop - part.start) for part in BANKS])
    return order, random.choice([-1, 1], 36)


def test_shuffled_and_turned_bases_are_recognised() -> None:
    order, signs = shuffled(0)
    crosstalk = np.zeros((36, 36))
    crosstalk[np.arange(36), order] = 0.2 * signs  # unnamed basis i draws control order[i], up or down
    unnamed = blockface.bundle(BlockFace(crosstalk), numbered_layout())
    probe = blockface.bundle(BlockFace())
    photos = [blockface.picture(neutral(), tint) for tint in (0, 20)]
    found = naming.find_meanings(
        naming.measure_responses(unnamed, probe, photos), unnamed.layout, probe.layout
    )
    for one in found:
        assert one.control == STARTER_LAYOUT.bases[order[one.channel]]
        assert one.sign == signs[one.channel]
        assert one.share > 0.95
    assert [unnamed.layout.bases[one.channel].bank for one in found] == [
        basis.bank for basis in STARTER_LAYOUT.bases
    ]


def test_what_does_a_bit_of_everything_keeps_a_number_and_comes_last() -> None:
    crosstalk = 0.2 * np.eye(36)
    crosstalk[0] = 0.05
    unnamed = blockface.bundle(BlockFace(crosstalk), numbered_layout())
    found = naming.measure_responses(unnamed, blockface.bundle(BlockFace()), [blockface.picture(neutral())])
    order = naming.find_meanings(found, unnamed.layout, STARTER_LAYOUT)
    assert [one.channel for one in order if one.control is None] == [0]
    assert order[19].control is None  # the last of the mouth
    layout = naming.arrange_manifest(unnamed.manifest, order).layout
    assert layout.bases[19].identifier == "mouth_20"
    assert layout.bases[18].identifier in {basis.identifier for basis in STARTER_LAYOUT.bases}


@pytest.fixture
def paper() -> Bundle:
    torch.manual_seed(0)
    layout = numbered_layout()
    manifest = BundleManifest(
        name="paper",
        title="Paper",
        version="1",
        licence="CC0-1.0",
        size=16,
        face=NetworkPart("edtalk", FACE.to_dict(), "face.safetensors"),
        audio_to_lip=NetworkPart("audio2lip", VOICE.to_dict(), "audio_to_lip.safetensors"),
        layout=layout,
        presets={"happy": {"expression_03": 2.0}},
        statistics={"mouth_02": Statistic(0.5, 1.0, -1.0, 3.0)},
    )
    return Bundle(manifest, layout, "", Path(), EDTalk(FACE).eval(), None, Audio2Lip(VOICE).eval())


def arrangement(seed: int) -> list[Meaning]:
    order, signs = shuffled(seed)
    controls = STARTER_LAYOUT.bases
    return [
        Meaning(int(c), int(s), controls[i], 0.5) for i, (c, s) in enumerate(zip(order, signs, strict=True))
    ]


@torch.no_grad()
def test_an_arranged_network_draws_and_reads_the_same_under_its_new_order(
    paper: Bundle, tmp_path: Path
) -> None:
    order = arrangement(1)
    channels, signs = [one.channel for one in order], torch.tensor([float(one.sign) for one in order])
    manifest, networks = naming.arrange(paper, order)
    bundles.save(tmp_path / "named", manifest, networks)
    named = bundles.load(tmp_path / "named")  # the signs survive the file
    photo, weights = torch.rand(1, 3, 16, 16) * 2 - 1, torch.randn(3, 36)
    before = paper.face.decode(paper.face.prepare(photo), weights)
    after = named.face.decode(named.face.prepare(photo), weights[:, channels] * signs)
    assert torch.allclose(before, after, atol=1e-4)
    assert not torch.allclose(before, named.face.decode(named.face.prepare(photo), weights), atol=1e-2)
    read = paper.face.weights_of(photo)[:, channels] * signs
    assert torch.allclose(named.face.weights_of(photo), read, atol=1e-5)
    mel = torch.randn(2, 1, 80, 16)
    heard = paper.audio_to_lip(mel)[:, channels[:20]] * signs[:20]
    assert torch.allclose(named.audio_to_lip(mel), heard, atol=1e-5)


def test_presets_and_statistics_go_along_and_turn_round(paper: Bundle) -> None:
    order = arrangement(1)
    manifest = naming.arrange_manifest(paper.manifest, order)
    mouth = next(one for one in order if one.channel == 1)
    assert mouth.control is not None
    known = manifest.statistics[mouth.control.identifier]
    expected = Statistic(0.5, 1.0, -1.0, 3.0) if mouth.sign > 0 else Statistic(-0.5, 1.0, -3.0, 1.0)
    assert known == expected
    happy = next(one for one in order if one.channel == 28)
    assert happy.control is not None
    assert manifest.presets["happy"] == {happy.control.identifier: 2.0 * happy.sign}


def test_other_networks_are_left_alone_with_an_explanation() -> None:
    with pytest.raises(EDTalkError, match="paper"):
        naming.arrange(blockface.bundle(BlockFace()), arrangement(0))


def test_signs_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="36 directions"):
        replace(FACE, signs=(1, -1))
    assert "signs" not in FACE.to_dict()
    assert EDTalkConfig.from_dict(replace(FACE, signs=(1,) * 36).to_dict()).signs == (1,) * 36


def test_bases_are_named_when_it_is_asked_for() -> None:
    parser = argparse.ArgumentParser()
    bundle_command.add_arguments(parser)
    assert parser.parse_args(["describe"]).name_bases is False
    assert parser.parse_args(["describe", "mine", "--name-bases"]).name_bases is True
