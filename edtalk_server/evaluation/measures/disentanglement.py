"""The disentanglement matrix: move one bank, measure all three.

A perturbation changes one weight of the first frame (`people.perturbations`). The network's own motion encoder
(`weights_of`) estimates all weights of the rendered picture; the estimate at rest is subtracted, and each weight's
change is divided by its standard deviation in the training performances (from `bundle.json`, else over the estimates
made here), so that a shift and a blink can be compared. The changes are signed by the direction of the perturbation and
averaged over people: the effect of the weight remains, errors on single faces cancel.

    effect(weight i on bank b) = root mean square of those means over the weights of b
    effect(bank m on bank b)   = root mean square of that over the weights i of m
    matrix[m][b]               = effect(m on b) / effect(m on m)

So the diagonal is 1; off it is how much another bank moves along, as a share of the intended change.

The motion encoder confuses movements that look alike. True renders of the same perturbations measure its share: a
perfect network would score that matrix, not zeros.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edtalk_server.evaluation.measures.model_under_test import ModelUnderTest
from edtalk_server.evaluation.metrics.image_distance import psnr
from edtalk_server.evaluation.people.holdout import FloatArray, Person
from edtalk_server.evaluation.people.perturbations import choose_perturbations, perturbed_rows
from shared_protocol.banks import Bank, BankLayout

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Response:
    """The result of one perturbation: `change` [C] in standard deviations, signed by its direction."""

    channel: int
    change: Doubles


def matrix(responses: list[Response], layout: BankLayout) -> dict[str, dict[str, float]]:
    """Return moved bank -> measured bank -> share, for the banks that were moved (see the module)."""
    parts = {bank: layout.slice_of(bank) for bank in Bank}
    out: dict[str, dict[str, float]] = {}
    for moved, own in parts.items():
        means = [
            np.mean([response.change for response in responses if response.channel == channel], axis=0)
            for channel in range(own.start, own.stop)
            if any(response.channel == channel for response in responses)
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
    """Return the shares of the banks that were not moved on purpose."""
    return [value for moved, row in shares.items() for bank, value in row.items() if bank != moved]


class Disentanglement:
    """The matrix of one model, gathered over many people."""

    def __init__(
        self, model: ModelUnderTest, layout: BankLayout, deviations: FloatArray, controlled: bool
    ) -> None:
        """`deviations` [C] of the weights; `controlled`: the layout is the renderer's, so its true renders apply."""
        self.model = model
        self.layout = layout
        self.deviations = deviations
        self.controlled = controlled
        self.made: list[Response] = []
        self.rendered: list[Response] = []
        self.errors: dict[str, list[float]] = {}

    def add(self, person: Person, number: int) -> None:
        """Perturb the weights of one person, who is the `number`th."""
        frame = person.clip.frames[0]
        own = self.model.estimate(frame[None])[0]
        if not (self.controlled and person.perturbed is not None and person.clip.weights is not None):
            self._perturb(
                frame, own, perturbed_rows(own, choose_perturbations(self.layout, own, number)) - own
            )
            return
        changes = person.perturbed.weights - person.clip.weights[0]
        drawn = self._perturb(frame, own, changes)
        self.rendered += self._responses(changes, self.model.estimate(person.perturbed.frames) - own)
        for change, picture, true in zip(changes, drawn, person.perturbed.frames, strict=True):
            bank = self.layout.bases[int(np.abs(change).argmax())].bank
            self.errors.setdefault(f"{bank.value}_psnr", []).append(psnr(picture, true))

    def _perturb(
        self, frame: npt.NDArray[np.uint8], own: FloatArray, changes: FloatArray
    ) -> npt.NDArray[np.uint8]:
        drawn = self.model.draw(self.model.prepare(frame), own + changes)
        self.made += self._responses(changes, self.model.estimate(drawn) - own)
        return drawn

    def _responses(self, changes: FloatArray, estimated: FloatArray) -> list[Response]:
        responses = []
        for change, estimate in zip(changes, estimated, strict=True):
            channel = int(np.abs(change).argmax())
            sign = 1.0 if change[channel] >= 0 else -1.0
            responses.append(Response(channel, np.asarray(sign * estimate / self.deviations, np.float64)))
        return responses

    def numbers(self) -> dict[str, float]:
        """Return the largest and the mean off-diagonal share of model and true renders, their ratio, and the PSNR of
        perturbed pictures by bank."""
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
        """Return the matrices `drawn` (by the model) and `rendered` (true): moved bank -> measured bank -> share."""
        out = {"drawn": matrix(self.made, self.layout)}
        return out | ({"rendered": matrix(self.rendered, self.layout)} if self.rendered else {})
