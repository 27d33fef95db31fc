# SPDX-License-Identifier: GPL-3.0-or-later
"""Move keys in time: to another frame rate, and by an offset. A voice keeps its seconds, so keys change frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

import bpy
import numpy as np
import numpy.typing as npt

from shared_protocol.timebase import TimeBase

from .. import character
from . import actions, layers

Frames = npt.NDArray[np.float32]
_IN_TIME = ("co", "handle_left", "handle_right")


def rate_of(scene: bpy.types.Scene) -> Fraction:
    """Return a scene's frame rate."""
    return TimeBase.from_blender(scene.render.fps, scene.render.fps_base).fps


def note_rate(ob: bpy.types.Object, scene: bpy.types.Scene) -> None:
    """Remember the frame rate for which a character's performance was written."""
    ob.edtalk.writing.rate = str(rate_of(scene))


def written_rate(ob: bpy.types.Object) -> Fraction | None:
    """Return the frame rate for which a character's performance was written; None where that is not known."""
    try:
        rate = Fraction(ob.edtalk.writing.rate)
    except (ValueError, ZeroDivisionError):
        return None
    return rate if rate > 0 else None


def has_drifted(ob: bpy.types.Object, scene: bpy.types.Scene) -> bool:
    """Return whether a character's performance was written for another frame rate than the scene has now."""
    written = written_rate(ob)
    return written is not None and written != rate_of(scene)


class Shift:
    """A mapping of frames at one rate to those at another: `pivot` stays, then all move by `offset` frames."""

    def __init__(self, old: Fraction, new: Fraction, pivot: float, offset: float = 0.0) -> None:
        self._factor = TimeBase(new).frame(TimeBase(old).seconds(1))
        self._pivot, self._offset = pivot, offset

    def frame(self, frame: float) -> float:
        """Return where a frame goes."""
        return self._pivot + (frame - self._pivot) * self._factor + self._offset

    def frames(self, frames: Frames) -> Frames:
        """Return where frames [n] go."""
        moved = self._pivot + (frames.astype(np.float64) - self._pivot) * self._factor + self._offset
        return moved.astype(np.float32)


def retime(ob: bpy.types.Object, shift: Shift, with_tweaks: bool) -> int:
    """Move all keys that we wrote for a character, and with them the artist's own on its weights; return how many
    curves. Other curves, and strips that the artist moved, stay.

    Raises `EDTalkError` while a strip is being edited.
    """
    layers.refuse_tweaking(ob)
    predicted = layers.predicted_roles(ob)
    curves = [curve for sheet in layers.sheets_as_written(ob) for curve in sheet.curves()]
    own = actions.assigned_sheet(ob) if with_tweaks else None
    paths = {*layers.weight_paths(ob), *character.mixing_settings(ob)}
    curves += [curve for curve in (own.curves() if own is not None else ()) if curve.data_path in paths]
    _move(curves, shift.frames)
    layers.fit_strips(ob)
    layers.note_predicted(ob, predicted)
    ob.update_tag(refresh={"OBJECT", "TIME"})
    return len(curves)


def _move(curves: Sequence[bpy.types.FCurve], moved: Callable[[Frames], Frames]) -> None:
    """Move the keys of curves with their handles, so that the curves keep their shapes."""
    for curve in curves:
        points = curve.keyframe_points
        for part in _IN_TIME:
            values = np.empty((len(points), 2), np.float32)
            points.foreach_get(part, values.ravel())
            values[:, 0] = moved(values[:, 0])
            points.foreach_set(part, values.ravel())
        curve.update()
