# SPDX-License-Identifier: GPL-3.0-or-later
"""Weights over time, as the evaluated scene has them: F-Curves, drivers and NLA all count."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence

import bpy
import numpy as np

from shared_protocol.errors import EDTalkError, ErrorCode

from ...core.tasks import PACE, TICK_S
from .. import character
from ..references import CharacterRef

HEAVY_SLICE_SECONDS = 0.03
"""How long a scene is stepped in one go before the window gets its turn, where every frame takes longer than a tick:
the way back to the scene's own frame takes as much."""

_sampling = False


def is_sampling() -> bool:
    """Are frames being stepped just now (so that previews should not answer them)?"""
    return _sampling


def sample(ref: CharacterRef, frames: Sequence[int]) -> Iterator[np.ndarray | None]:
    """Step through `frames` and read the weights. The scene's own frame is restored at each pause.

    Yields None at each pause, and at last the weights, float32 [frames, channels]. Raises `GoneError` when the
    character was removed, and `EDTalkError` when it is not evaluated, so that its values would be outdated.
    """
    ob = ref.get_character()
    weights = np.zeros((len(frames), len(character.channels_of(ob))), np.float32)
    done, fastest = 0, math.inf
    # Blender does not update its evaluated copy of an action after a script's `keyframe_insert`
    ob.update_tag(refresh={"OBJECT", "TIME"})
    while done < len(frames):
        done, fastest = _sample_slice(ref.get_character(), ref.get_scene(), frames, weights, done, fastest)
        yield None
    yield weights


def _sample_slice(
    ob: bpy.types.Object,
    scene: bpy.types.Scene,
    frames: Sequence[int],
    weights: np.ndarray,
    start: int,
    fastest: float,
) -> tuple[int, float]:
    """Fill `weights` from row `start` for a short time; the next row to fill, and the fastest frame's seconds so far
    (others may have been slow for reasons of their own)."""
    global _sampling
    frame, subframe = scene.frame_current, scene.frame_subframe
    row, before = start, time.perf_counter()
    begun = before
    layer = next((layer for layer in scene.view_layers if ob.name in layer.objects), scene.view_layers[0])
    _sampling = True
    try:
        while row < len(frames) and (row == start or before - begun < _slice(fastest)):
            scene.frame_set(frames[row])
            evaluated = ob.evaluated_get(layer.depsgraph)
            if not evaluated.is_evaluated:
                raise EDTalkError(
                    ErrorCode.UNSUPPORTED,
                    f"{ob.name} is disabled in viewports, or not in a view layer of {scene.name}: it does not move.",
                    "Enable it in the Outliner (hiding it with the eye is fine), then bake again.",
                )
            weights[row] = character.final_weights(evaluated)
            now = time.perf_counter()
            before, fastest = now, min(fastest, now - before)
            row += 1
    finally:
        scene.frame_set(frame, subframe=subframe)
        _sampling = False
    return row, fastest


def _slice(fastest: float) -> float:
    return max(HEAVY_SLICE_SECONDS if fastest > TICK_S else 0.0, PACE.slice_s)
