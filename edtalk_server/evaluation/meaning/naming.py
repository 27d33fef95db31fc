"""Order, signs and names for the bases of a bundle whose training left them without.

A *probe* is a bundle whose weights are named controls (the starter). Each basis is moved down and up on a few faces,
and the probe reads every drawn picture. For each control that gives a share: how much of all that the movement changed,
in standard deviations of the controls, is a straight response of this control. Within each bank bases and controls are
paired so that the shares add up to the most. Bases are then ordered by their shares and turned so that the control's
positive direction is theirs (open, to the left, up, smiling); those that are like no control keep a number and come
last.
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
from edtalk_server.bundles.manifest import Statistic
from edtalk_server.evaluation.evaluate import deviations
from edtalk_server.evaluation.measures.model_under_test import Judge
from edtalk_server.evaluation.metrics.image_distance import Picture
from edtalk_server.networks.audio2lip import Audio2Lip
from edtalk_server.networks.blocks import EqualLinear
from edtalk_server.networks.edtalk import EDTalk
from shared_protocol.banks import Bank, BankLayout, Basis
from shared_protocol.errors import EDTalkError, ErrorCode

CLEAR = 0.15
"""A basis is named after a control that has at least this share of what it moves."""
_PART_OF_RANGE = 0.3
"""So far each basis is moved each way, in its slider's range."""

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Meaning:
    """One channel of the arranged bundle: which channel it was, whether it is turned round (-1), the control that it is
    like (None: none clearly), and that control's share of what it moves."""

    channel: int
    sign: int
    control: Basis | None
    share: float


@dataclass(frozen=True)
class Responses:
    """[C, K] each: shares of the probe's K controls in what each of C bases moves, and the directions, 1 or -1."""

    shares: Doubles
    signs: Doubles


def responses(bundle: Bundle, probe: Bundle, photos: Sequence[Picture]) -> Responses:
    """What the probe reads when each basis is moved on these well-cropped faces [S, S, 3] of both bundles' size."""
    judge, reader = Judge(bundle.face), Judge(probe.face)
    scale = deviations(probe, reader, [])
    amounts = np.array(
        [_PART_OF_RANGE * (one.maximum - one.minimum) for one in bundle.layout.bases], np.float32
    )
    changes = []
    for photo in photos:
        own, source = judge.read(photo[None])[0], judge.source(photo)
        steps = np.diag(amounts)
        up, down = (reader.read(judge.draw(source, own + sign * steps)) for sign in (1, -1))
        rest = reader.read(judge.draw(source, own[None]))
        changes.append(np.stack([up - rest, rest - down]) / scale)
    return _straight(np.concatenate(changes).astype(np.float64))


def _straight(changes: Doubles) -> Responses:
    """From changes [N, C, K] for N equal steps of each basis: the mean response and what it explains."""
    mean = changes.mean(0)
    moved = np.square(changes).mean(0).sum(1, keepdims=True)
    return Responses(np.square(mean) / np.maximum(moved, 1e-12), np.where(mean < 0, -1.0, 1.0))


def meanings(found: Responses, layout: BankLayout, controls: BankLayout) -> list[Meaning]:
    """The channels of the arranged bundle, in order."""
    out: list[Meaning] = []
    for bank in Bank:
        own, theirs = layout.slice_of(bank), controls.slice_of(bank)
        rows, columns = linear_sum_assignment(found.shares[own, theirs], maximize=True)
        paired = {
            own.start + int(row): theirs.start + int(column)
            for row, column in zip(rows, columns, strict=True)
        }
        named = [
            _meaning(found, channel, paired.get(channel), controls) for channel in range(own.start, own.stop)
        ]
        out += sorted(named, key=lambda one: (one.control is None, -one.share))
    return out


def _meaning(found: Responses, channel: int, control: int | None, controls: BankLayout) -> Meaning:
    share = float(found.shares[channel, control]) if control is not None else 0.0
    if control is None or share < CLEAR:
        return Meaning(channel, 1, None, share)
    return Meaning(channel, int(found.signs[channel, control]), controls.bases[control], share)


# --- taking a bundle along ---


def arranged(bundle: Bundle, order: Sequence[Meaning]) -> tuple[BundleManifest, dict[str, nn.Module]]:
    """The bundle's manifest and networks in the new order: the same pictures for the same weights under other names.

    `EDTalkError(UNSUPPORTED)` for a bundle whose face network is not the paper's.
    """
    face, voice = bundle.face, bundle.audio_to_lip
    if not isinstance(face, EDTalk) or bundle.lip_pose is not None:
        raise EDTalkError(
            ErrorCode.UNSUPPORTED,
            "Only the bases of a single network of the paper can be arranged.",
            "Leave the names of this bundle as they are.",
        )
    turned = arranged_face(face, order)
    networks: dict[str, nn.Module] = {"face": turned}
    if isinstance(voice, Audio2Lip):
        networks["audio_to_lip"] = arranged_voice(voice, order[bundle.layout.slice_of(Bank.MOUTH)])
    manifest = arranged_manifest(bundle.manifest, order)
    return replace(manifest, face=replace(manifest.face, config=turned.config.to_dict())), networks


def arranged_manifest(manifest: BundleManifest, order: Sequence[Meaning]) -> BundleManifest:
    """Bases, presets and statistics in the new order, with the new names; networks are left as they are."""
    old = manifest.layout.bases
    layout = BankLayout(tuple(_bases(old, order)))
    renamed = {
        old[one.channel].identifier: (basis.identifier, one.sign)
        for one, basis in zip(order, layout.bases, strict=True)
    }
    presets = {
        emotion: {renamed[name][0]: renamed[name][1] * value for name, value in preset.items()}
        for emotion, preset in manifest.presets.items()
    }
    known = {renamed[name][0]: _turned(one, renamed[name][1]) for name, one in manifest.statistics.items()}
    return replace(manifest, layout=layout, presets=presets, statistics=known)


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


def _turned(one: Statistic, sign: int) -> Statistic:
    if sign > 0:
        return one
    low, high = (None if end is None else -end for end in (one.high, one.low))
    return replace(one, mean=-one.mean, low=low, high=high)


@torch.no_grad()
def arranged_face(network: EDTalk, order: Sequence[Meaning]) -> EDTalk:
    """The same network with channel k being `order[k]`: weights w of the old one are sign · w there."""
    channels = [one.channel for one in order]
    wanted = network.banks.orthonormal()[:, channels] * torch.tensor([one.sign for one in order])
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
        _arrange_rows(last.weight, last.bias, [replace(one, channel=one.channel - start) for one in part])
        start += len(last.bias)
    return turned.eval().requires_grad_(requires_grad=False)


@torch.no_grad()
def arranged_voice(network: Audio2Lip, order: Sequence[Meaning]) -> Audio2Lip:
    """The audio network whose outputs follow the mouth's new order."""
    turned = copy.deepcopy(network)
    _arrange_rows(turned.mapping.weight, turned.mapping.bias, order)
    return turned


def _arrange_rows(weight: torch.Tensor, bias: torch.Tensor, order: Sequence[Meaning]) -> None:
    channels = [one.channel for one in order]
    signs = torch.tensor([float(one.sign) for one in order])
    weight.copy_(weight[channels] * signs[:, None])
    bias.copy_(bias[channels] * signs)
