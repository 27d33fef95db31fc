"""Order, signs and names for the bases of a bundle whose training left them unnamed.

A probe is a bundle whose weights are named controls (the starter). Each basis is moved down and up on a few faces, and
the probe's motion encoder estimates the controls of every rendered picture. Each control gets a share: how much of the
whole change, in standard deviations of the controls, is a linear response of this control. Within each bank, bases and
controls are paired for the largest sum of shares. Bases are then ordered by their shares, and their signs follow the
control's positive direction (open, left, up, smiling); bases without a clear control keep a number and come last.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import linear_sum_assignment
from torch import nn

from edtalk_server.bundles import Bundle, BundleManifest
from edtalk_server.bundles.manifest import PoseMap, Statistic
from edtalk_server.evaluation.evaluate import deviations
from edtalk_server.evaluation.measures.model_under_test import ModelUnderTest
from edtalk_server.evaluation.metrics.image_distance import Picture
from edtalk_server.networks.audio2lip import Audio2Lip
from edtalk_server.networks.blocks import EqualLinear
from edtalk_server.networks.edtalk import EDTalk
from shared_protocol.banks import Bank, BankLayout, Basis
from shared_protocol.errors import EDTalkError, ErrorCode

CLEAR = 0.15
"""The least share of a control that a basis is named after."""
_PART_OF_RANGE = 0.3
"""How far each basis is moved each way, in parts of its slider's range."""

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Meaning:
    """One channel of the arranged bundle: its former channel, its sign (-1: reversed), the control that it resembles
    (None: none clearly), and that control's share of its change."""

    channel: int
    sign: int
    control: Basis | None
    share: float


@dataclass(frozen=True)
class Responses:
    """[C, K] each: the shares of the probe's K controls in the change of each of C bases, and their directions, 1 or
    -1."""

    shares: Doubles
    signs: Doubles


def measure_responses(bundle: Bundle, probe: Bundle, photos: Sequence[Picture]) -> Responses:
    """Move each basis on well-cropped faces [S, S, 3] of both bundles' size, and measure the probe's response."""
    model, probe_model = ModelUnderTest(bundle.face), ModelUnderTest(probe.face)
    scale = deviations(probe, probe_model, [])
    amounts = np.array(
        [_PART_OF_RANGE * (basis.maximum - basis.minimum) for basis in bundle.layout.bases], np.float32
    )
    changes = []
    for photo in photos:
        own, source = model.estimate(photo[None])[0], model.prepare(photo)
        steps = np.diag(amounts)
        up, down = (probe_model.estimate(model.draw(source, own + sign * steps)) for sign in (1, -1))
        rest = probe_model.estimate(model.draw(source, own[None]))
        changes.append(np.stack([up - rest, rest - down]) / scale)
    return _linear_responses(np.concatenate(changes).astype(np.float64))


def _linear_responses(changes: Doubles) -> Responses:
    """Return the mean response to N equal steps of each basis and the share it explains, from changes [N, C, K]."""
    mean = changes.mean(0)
    moved = np.square(changes).mean(0).sum(1, keepdims=True)
    return Responses(np.square(mean) / np.maximum(moved, 1e-12), np.where(mean < 0, -1.0, 1.0))


def find_meanings(responses: Responses, layout: BankLayout, controls: BankLayout) -> list[Meaning]:
    """Return the channels of the arranged bundle, in order."""
    out: list[Meaning] = []
    for bank in Bank:
        own, theirs = layout.slice_of(bank), controls.slice_of(bank)
        rows, columns = linear_sum_assignment(responses.shares[own, theirs], maximize=True)
        paired = {
            own.start + int(row): theirs.start + int(column)
            for row, column in zip(rows, columns, strict=True)
        }
        named = [
            _meaning(responses, channel, paired.get(channel), controls)
            for channel in range(own.start, own.stop)
        ]
        out += sorted(named, key=lambda meaning: (meaning.control is None, -meaning.share))
    return out


def _meaning(responses: Responses, channel: int, control: int | None, controls: BankLayout) -> Meaning:
    share = float(responses.shares[channel, control]) if control is not None else 0.0
    if control is None or share < CLEAR:
        return Meaning(channel, 1, None, share)
    return Meaning(channel, int(responses.signs[channel, control]), controls.bases[control], share)


# --- arranging a bundle ---


def arrange(bundle: Bundle, order: Sequence[Meaning]) -> tuple[BundleManifest, dict[str, nn.Module]]:
    """Return manifest and networks in the new order: the same pictures for the same weights under other names.

    Raises `EDTalkError(UNSUPPORTED)` for a bundle whose face network is not the paper's.
    """
    face, voice = bundle.face, bundle.audio_to_lip
    if not isinstance(face, EDTalk) or bundle.lip_pose is not None:
        raise EDTalkError(
            ErrorCode.UNSUPPORTED,
            "Only the bases of a single network of the paper can be arranged.",
            "Leave the names of this bundle as they are.",
        )
    turned = arrange_face(face, order)
    networks: dict[str, nn.Module] = {role: getattr(bundle, role) for role in bundle.manifest.parts()}
    networks["face"] = turned
    if isinstance(voice, Audio2Lip):
        networks["audio_to_lip"] = arrange_voice(voice, order[bundle.layout.slice_of(Bank.MOUTH)])
    manifest = arrange_manifest(bundle.manifest, order)
    return replace(manifest, face=replace(manifest.face, config=turned.config.to_dict())), networks


def arrange_manifest(manifest: BundleManifest, order: Sequence[Meaning]) -> BundleManifest:
    """Return a manifest with bases, presets and statistics in the new order and under the new names."""
    old = manifest.layout.bases
    layout = BankLayout(tuple(_bases(old, order)))
    renamed = {
        old[meaning.channel].identifier: (basis.identifier, meaning.sign)
        for meaning, basis in zip(order, layout.bases, strict=True)
    }
    presets = {
        emotion: {renamed[name][0]: renamed[name][1] * value for name, value in preset.items()}
        for emotion, preset in manifest.presets.items()
    }
    known = {
        renamed[name][0]: _turn(statistic, renamed[name][1])
        for name, statistic in manifest.statistics.items()
    }
    return replace(
        manifest, layout=layout, presets=presets, statistics=known, pose_map=_turn_pose_map(manifest, order)
    )


def _turn_pose_map(manifest: BundleManifest, order: Sequence[Meaning]) -> PoseMap | None:
    old, pose = manifest.pose_map, manifest.layout.slice_of(Bank.POSE)
    if old is None:
        return None
    return tuple(
        tuple(meaning.sign * factor for factor in old[meaning.channel - pose.start])
        for meaning in order[pose]
    )


def _bases(old: Sequence[Basis], order: Sequence[Meaning]) -> Iterator[Basis]:
    places = dict.fromkeys(Bank, 0)
    for meaning in order:
        basis, control = old[meaning.channel], meaning.control
        places[basis.bank] += 1
        if control is None:
            place = places[basis.bank]
            label = f"{basis.bank.value.capitalize()} {place}"
            yield replace(basis, identifier=f"{basis.bank.value}_{place:02d}", name=label)
            continue
        low, high = sorted((meaning.sign * basis.minimum, meaning.sign * basis.maximum))
        text = f"{control.description}; {meaning.share:.0%} of what it moves"
        yield Basis(control.identifier, control.name, basis.bank, low, high, text)


def _turn(statistic: Statistic, sign: int) -> Statistic:
    if sign > 0:
        return statistic
    low, high = (None if end is None else -end for end in (statistic.high, statistic.low))
    return replace(statistic, mean=-statistic.mean, low=low, high=high)


@torch.no_grad()
def arrange_face(network: EDTalk, order: Sequence[Meaning]) -> EDTalk:
    """Return the same network whose channel k is `order[k]`: old weights w are sign · w there."""
    channels = [meaning.channel for meaning in order]
    wanted = network.banks.orthonormal()[:, channels] * torch.tensor([meaning.sign for meaning in order])
    plain = EDTalk(replace(network.config, signs=()))
    plain.load_state_dict(network.state_dict())
    plain.banks.directions.copy_(wanted)
    # the factorisation gives these directions back, but chooses their signs by itself
    signs = tuple(1 if value > 0 else -1 for value in (plain.banks.orthonormal() * wanted).sum(0))
    turned = EDTalk(replace(network.config, signs=signs))
    turned.load_state_dict(plain.state_dict())
    start = 0
    for head in turned.heads.banks:
        last = cast(EqualLinear, cast(nn.Sequential, head)[-1])
        part = order[start : start + len(last.bias)]
        _arrange_rows(
            last.weight, last.bias, [replace(meaning, channel=meaning.channel - start) for meaning in part]
        )
        start += len(last.bias)
    return turned.eval().requires_grad_(requires_grad=False)


@torch.no_grad()
def arrange_voice(network: Audio2Lip, order: Sequence[Meaning]) -> Audio2Lip:
    """Return the audio network with its outputs in the mouth's new order."""
    turned = copy.deepcopy(network)
    _arrange_rows(turned.mapping.weight, turned.mapping.bias, order)
    return turned


def _arrange_rows(weight: torch.Tensor, bias: torch.Tensor, order: Sequence[Meaning]) -> None:
    channels = [meaning.channel for meaning in order]
    signs = torch.tensor([float(meaning.sign) for meaning in order])
    weight.copy_(weight[channels] * signs[:, None])
    bias.copy_(bias[channels] * signs)
