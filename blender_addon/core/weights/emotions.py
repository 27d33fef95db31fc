# SPDX-License-Identifier: GPL-3.0-or-later
"""Curves of the eight emotion intensities, from cues such as "happy 0.7" at a time. No bpy here.

From its time on, a cue sets the emotions that it names and clears all others. The change begins at the cue and takes
the blend time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

from shared_protocol.emotions import EMOTIONS, Cue
from shared_protocol.timebase import TimeBase

Keys = list[tuple[float, float]]
"""(frame, intensity) of each key, in rising order of frames."""


def cues_to_curves(cues: Iterable[Cue], fps: Fraction | float, blend: float) -> dict[str, Keys]:
    """Return the keys of each emotion that any cue names; frame 0 is at second 0, `blend` is in seconds.

    A cue that interrupts a change begins from the intensity reached so far (intensities change linearly between keys).
    Of several cues at the same time, the last counts.
    """
    rows = sorted({cue.time: cue for cue in cues}.values(), key=lambda cue: cue.time)
    names = {name for cue in rows for name, _ in cue.emotions}
    time = TimeBase(Fraction(fps))
    return {name: _keys(name, rows, time, blend) for name in EMOTIONS if name in names}


def _keys(name: str, cues: Sequence[Cue], base: TimeBase, blend: float) -> Keys:
    """Return the keys of one emotion: two for each change."""
    keys: Keys = []
    value, start, began, target = 0.0, 0.0, 0.0, 0.0  # the last change: from `start` at `began` to `target`
    for cue in cues:
        wanted = dict(cue.emotions).get(name, 0.0)
        if wanted == target:
            continue
        done = 1.0 if blend <= 0 or not keys else min((cue.time - began) / blend, 1.0)
        value = start + (target - start) * done
        if keys and done < 1.0:
            keys.pop()  # the change that this cue interrupts is never complete
        keys += [_key(cue.time, base, value), _key(cue.time + max(blend, 0.0), base, wanted)]
        start, began, target = value, cue.time, wanted
    return _without_doubles(keys)


def _key(time: float, base: TimeBase, value: float) -> tuple[float, float]:
    return round(base.frame(time), 3), round(value, 6)


def _without_doubles(keys: Keys) -> Keys:
    """Keep only the last of several keys at the same frame; a jump (no blend time) begins one frame earlier."""
    tidy: Keys = []
    for frame, value in keys:
        if tidy and frame <= tidy[-1][0]:
            before = tidy.pop()
            if not tidy or tidy[-1][0] < frame - 1:
                tidy.append((frame - 1, before[1]))
        tidy.append((frame, value))
    return tidy
