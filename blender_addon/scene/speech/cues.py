# SPDX-License-Identifier: GPL-3.0-or-later
"""Write emotions from timeline markers or a transcript onto the character's track for them."""

from __future__ import annotations

from collections.abc import Iterable

import bpy
import numpy as np

from shared_protocol.emotions import Cue, exceeds, meant, parse
from shared_protocol.timebase import TimeBase

from ...core.text.translate import iface_
from ...core.weights.curves import Keys
from ...core.weights.emotions import cues_to_curves
from ..keys import layers


def time_of(scene: bpy.types.Scene) -> TimeBase:
    """Return the time base of a scene, counted from its frame 0."""
    return TimeBase.from_blender(scene.render.fps, scene.render.fps_base)


def from_markers(scene: bpy.types.Scene, ob: bpy.types.Object) -> list[Cue]:
    """What the markers say for a character: "happy 0.7" is for all, "NAME: happy 0.7" for the one of that name.

    Times are seconds since frame 0. Other markers are left alone.
    """
    cues, time = [], time_of(scene)
    for marker in scene.timeline_markers:
        emotions = parse(_words_for(marker.name, ob))
        if emotions is not None:
            cues.append(Cue(time.seconds(marker.frame), emotions))
    return cues


def doubts(scene: bpy.types.Scene, ob: bpy.types.Object) -> list[str]:
    """Return what markers say that is not understood, or not as it stands, as sentences in the user's language."""
    sentences = []
    for marker in scene.timeline_markers:
        words = _words_for(marker.name, ob)
        if name := meant(words):
            text = "Marker “{marker}” names no emotion: is {name} meant?"
            sentences.append(iface_(text, marker=marker.name, name=name))
        elif exceeds(words):
            text = "Marker “{marker}” counts as 1: intensities are 0 to 1, or 0 % to 100 %"
            sentences.append(iface_(text, marker=marker.name))
    return sentences


def _words_for(marker: str, ob: bpy.types.Object) -> str:
    """Return what a marker's name says for a character, without the character's own name before it."""
    name, colon, words = marker.partition(":")
    return words if colon and name.strip().lower() == ob.name.lower() else marker


def mark(scene: bpy.types.Scene, words: str) -> None:
    """Put a marker for everyone's emotion at the current frame; one that is there says something else from now on."""
    current = [marker for marker in scene.timeline_markers if marker.frame == scene.frame_current]
    marker = next((marker for marker in current if parse(marker.name) is not None), None)
    if marker is None:
        scene.timeline_markers.new(words, frame=scene.frame_current)
    else:
        marker.name = words


def write(ob: bpy.types.Object, scene: bpy.types.Scene, cues: Iterable[Cue]) -> int:
    """Write cues (seconds since frame 0) as the character's emotions, blended as its settings say; how many emotions
    move. What was written so before is replaced, keys by hand stay.

    Raises `EDTalkError` while a strip is being edited.
    """
    curves = cues_to_curves(cues, time_of(scene).fps, ob.edtalk.emotion.blend)
    layers.write_emotions(ob, {name: _eased(keys) for name, keys in curves.items()})
    return len(curves)


def _eased(points: list[tuple[float, float]]) -> Keys:
    """Return keys whose handles Blender chooses, so that changes ease in and out."""
    frames, values = np.array(points, np.float64).T
    return Keys(frames, values)
