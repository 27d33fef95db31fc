"""The disentanglement matrix: move one bank, measure all three.

A *move* changes one weight of the first frame (`moves`). What it does is read off the drawn picture by the network's
own reader (`weights_of`); what the reader says of the picture at rest is taken away, and each weight's change is
divided by its standard deviation in the training performances (`bundle.json`; where that is missing, by its deviation
in what was read here), so that a shift and a blink can be compared. The changes are signed by the direction of the
move and averaged over people: what remains is what the weight does to faces, while errors on single faces go.

    effect(weight i on bank b) = root mean square of those means over the weights of b
    effect(bank m on bank b)   = root mean square of that over the weights i of m
    matrix[m][b]               = effect(m on b) / effect(m on m)

So the diagonal is 1, and off it stands how much of another bank moves along, as a share of what was meant to move.

The reader confuses movements that look alike. Its own share is measured by the same moves, truly rendered: a perfect
network would score that matrix, not zeros.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edtalk_server.evaluation.measures.model_under_test import Judge
from edtalk_server.evaluation.metrics.image_distance import psnr
from edtalk_server.evaluation.people.holdout import FloatArray, Person
from edtalk_server.evaluation.people.perturbations import chosen_moves, moved_rows
from shared_protocol.banks import Bank, BankLayout

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Response:
    """What one move did: `change` [C] in standard deviations, signed by the direction of the move."""

    channel: int
    change: Doubles


def matrix(responses: list[Response], layout: BankLayout) -> dict[str, dict[str, float]]:
    """Moved bank -> measured bank -> share, of those banks that were moved; see the module."""
    parts = {bank: layout.slice_of(bank) for bank in Bank}
    out: dict[str, dict[str, float]] = {}
    for moved, own in parts.items():
        means = [
            np.mean([one.change for one in responses if one.channel == channel], axis=0)
            for channel in range(own.start, own.stop)
            if any(one.channel == channel for one in responses)
        ]
        if not means:
            continue
        effect = {bank: _root_mean_square(np.stack(means)[:, part]) for bank, part in parts.items()}
        meant = max(effect[moved], 1e-9)
        out[moved.value] = {bank.value: value / meant for bank, value in effect.items()}
    return out


def _root_mean_square(values: Doubles) -> float:
    return float(np.sqrt(np.mean(np.square(values)))) if values.size else 0.0


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def off_diagonal(shares: dict[str, dict[str, float]]) -> list[float]:
    """The shares of the banks that were not meant."""
    return [value for moved, row in shares.items() for bank, value in row.items() if bank != moved]


class Disentanglement:
    """Gathers moves of many people."""

    def __init__(self, judge: Judge, layout: BankLayout, deviations: FloatArray, controlled: bool) -> None:
        """`deviations` [C]; `controlled`: the layout is the renderer's, so its true renders apply."""
        self.judge = judge
        self.layout = layout
        self.deviations = deviations
        self.controlled = controlled
        self.made: list[Response] = []
        self.rendered: list[Response] = []
        self.errors: dict[str, list[float]] = {}

    def add(self, person: Person, number: int) -> None:
        """Move the weights of one person."""
        frame = person.clip.frames[0]
        own = self.judge.read(frame[None])[0]
        if not (self.controlled and person.moves is not None and person.clip.weights is not None):
            self._move(frame, own, moved_rows(own, chosen_moves(self.layout, own, number)) - own)
            return
        changes = person.moves.weights - person.clip.weights[0]
        drawn = self._move(frame, own, changes)
        self.rendered += self._responses(changes, self.judge.read(person.moves.frames) - own)
        for change, picture, true in zip(changes, drawn, person.moves.frames, strict=True):
            bank = self.layout.bases[int(np.abs(change).argmax())].bank
            self.errors.setdefault(f"{bank.value}_psnr", []).append(psnr(picture, true))

    def _move(
        self, frame: npt.NDArray[np.uint8], own: FloatArray, changes: FloatArray
    ) -> npt.NDArray[np.uint8]:
        drawn = self.judge.draw(self.judge.source(frame), own + changes)
        self.made += self._responses(changes, self.judge.read(drawn) - own)
        return drawn

    def _responses(self, changes: FloatArray, read: FloatArray) -> list[Response]:
        found = []
        for change, seen in zip(changes, read, strict=True):
            channel = int(np.abs(change).argmax())
            sign = 1.0 if change[channel] >= 0 else -1.0
            found.append(Response(channel, np.asarray(sign * seen / self.deviations, np.float64)))
        return found

    def numbers(self) -> dict[str, float]:
        """The largest and the mean share off the diagonal, of drawn and of true pictures, and what the one is of the
        other; how far drawn moves are from true ones."""
        out = {name: _mean(values) for name, values in self.errors.items()}
        drawn = off_diagonal(matrix(self.made, self.layout))
        if drawn:
            out |= {"disentanglement_max": max(drawn), "disentanglement_mean": _mean(drawn)}
        true = off_diagonal(matrix(self.rendered, self.layout))
        if true:
            out |= {
                "disentanglement_reader_max": max(true),
                "disentanglement_reader_mean": _mean(true),
                "disentanglement_ratio": _mean(drawn) / max(_mean(true), 1e-9),
            }
        return out

    def matrices(self) -> dict[str, dict[str, dict[str, float]]]:
        """`drawn` and `rendered`: moved bank -> measured bank -> share."""
        out = {"drawn": matrix(self.made, self.layout)}
        return out | ({"rendered": matrix(self.rendered, self.layout)} if self.rendered else {})
