# SPDX-License-Identifier: GPL-3.0-or-later
"""Write weights over time as a character's performance."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from shared_protocol.banks import Bank
from shared_protocol.emotions import EMOTIONS

from ...core.tasks import Progress, Steps, run_to_end, time_sliced
from ...core.text.translate import rpt_
from ...core.weights import curves
from ...scene import character
from ...scene.keys import layers, retiming
from ...scene.references import CharacterRef


def write_performance(
    ref: CharacterRef,
    frames: range,
    weights: np.ndarray,
    progress: Progress,
    banks: Collection[Bank] = tuple(Bank),
) -> Steps[layers.WriteResult]:
    """Write weights [frames, channels] of some banks as the performance, and show its live picture."""
    keys = yield from fit_curves(ref, frames, weights, progress, banks)
    progress.stage, progress.total = "Writing keys", 0
    written = yield from time_sliced(layers.write_performance(ref.get_character(), frames, keys))
    ob, scene = ref.get_character(), ref.get_scene()
    ob.edtalk.show = "LIVE"
    retiming.note_rate(ob, scene)
    scene.frame_set(scene.frame_current, subframe=scene.frame_subframe)
    return written


def fit_curves(
    ref: CharacterRef, frames: range, weights: np.ndarray, progress: Progress, banks: Collection[Bank]
) -> Steps[list[curves.Keys | None]]:
    """Return the keys of a curve for each column of weights [frames, channels]; None for other banks.

    With *Simplify Curves* these are as few as its error allows.
    """
    layout = character.layout_of(ref.get_character())
    progress.stage, progress.done, progress.total, progress.eta = "Choosing keys", 0, len(layout), -1.0
    keys: list[curves.Keys | None] = []
    yield
    for basis, column in zip(layout.bases, weights.T, strict=True):
        if basis.bank in banks:
            keys.append((yield from fit_curve(ref, frames, column, basis.maximum - basis.minimum)))
        else:
            keys.append(None)
        progress.done += 1
        yield
    return keys


def fit_curve(ref: CharacterRef, frames: range, column: np.ndarray, span: float) -> Steps[curves.Keys]:
    """Return the keys of one curve through a column [frames] whose usual values span this much."""
    settings = ref.get_character().edtalk.writing
    if not settings.reduce:
        return curves.dense(frames[0], column)
    return (yield from time_sliced(curves.reduce(frames[0], column, settings.error / 100.0 * span)))


def fit_emotions(ref: CharacterRef, frames: range, felt: np.ndarray) -> Steps[dict[str, curves.Keys]]:
    """Return the keys of the emotions' curves through intensities [frames, 8]."""
    keys = {}
    for name, column in zip(EMOTIONS, felt.T, strict=True):
        keys[name] = yield from fit_curve(ref, frames, column, 1.0)
        yield
    return keys


def write_emotions(ref: CharacterRef, frames: range, felt: dict[str, curves.Keys]) -> layers.WriteResult:
    """Write the emotions' curves on their track; nothing where there are none."""
    if not felt:
        return layers.WriteResult()
    ob, scene = ref.get_character(), ref.get_scene()
    kept = run_to_end(layers.write_predicted_emotions(ob, frames, felt)).kept
    scene.frame_set(scene.frame_current, subframe=scene.frame_subframe)
    return layers.WriteResult(kept)


def describe_side_effects(written: layers.WriteResult) -> str:
    """Return what else the artist should know, as sentences that follow a first one."""
    sentences = []
    if written.kept:
        sentences.append(rpt_("The keys that you had edited are saved in {action}", action=written.kept))
    if written.hiding:
        text = "Your own keys in {action} hide it: choose the layer Tweaks to add new keys on top of both"
        sentences.append(rpt_(text, action=written.hiding))
    if written.covered:
        text = "It hides your track {tracks}: move it down in the NLA editor if you want that track to show"
        sentences.append(rpt_(text, tracks=", ".join(written.covered)))
    return "".join(f". {sentence}" for sentence in sentences)
