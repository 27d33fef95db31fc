# SPDX-License-Identifier: GPL-3.0-or-later
"""What waits for the task that runs: one piece of work after the other, each on the character that it was asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count

import bpy

from shared_protocol.errors import EDTalkError, ErrorCode

from ...scene import character
from ...scene.references import find_object, get_scene

_numbers = count(1)


@dataclass(eq=False)
class Waiting:
    """Work that waits. `asked`: what was asked for, to know it again; `uid` is the object's and `scene_uid` the scene's
    `session_uid` (`uid` 0: no object); `subject` is the character's name for people; `number` names it to buttons."""

    title: str
    asked: str
    uid: int
    scene_uid: int
    subject: str
    number: int
    is_cancelled: bool = False

    @contextmanager
    def place(self) -> Iterator[None]:
        """Work on what was active when it was asked for. Raises `GoneError` when the scene was removed, and
        `EDTalkError` when the object was."""
        scene, ob = get_scene(self.scene_uid), find_object(self.uid) if self.uid else None
        if self.uid and ob is None:
            raise EDTalkError(
                ErrorCode.UNKNOWN_SOURCE,
                "The character was removed before its turn came.",
                "Select another one and start again.",
            )
        layer = next(
            (layer for layer in scene.view_layers if ob is None or ob.name in layer.objects),
            scene.view_layers[0],
        )
        chosen = [ob] if ob is not None else []
        with bpy.context.temp_override(
            scene=scene, view_layer=layer, object=ob, active_object=ob, selected_objects=chosen
        ):
            yield


class Line:
    """All work that waits, in the order in which it was asked for."""

    def __init__(self) -> None:
        self._all: list[Waiting] = []

    def __iter__(self) -> Iterator[Waiting]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def join(self, context: bpy.types.Context, title: str, asked: str) -> Waiting | None:
        """Wait as the last one. Return None when the same work waits already."""
        ob = context.object
        uid, scene_uid = (ob.session_uid if ob is not None else 0), context.scene.session_uid
        for other in self._all:
            if (other.asked, other.uid, other.scene_uid) == (asked, uid, scene_uid):
                return None
        subject = ob.name if character.is_character(ob) else ""
        self._all.append(Waiting(title, asked, uid, scene_uid, subject, next(_numbers)))
        return self._all[-1]

    def is_first(self, waiting: Waiting) -> bool:
        """Return whether its turn is next."""
        return bool(self._all) and self._all[0] is waiting

    def leave(self, waiting: Waiting) -> None:
        """Wait no longer: it begins, or was cancelled."""
        if waiting in self._all:
            self._all.remove(waiting)

    def cancel(self, number: int) -> None:
        """Cancel the work with this number."""
        for waiting in list(self._all):
            if waiting.number == number:
                waiting.is_cancelled = True
                self.leave(waiting)

    def clear(self) -> None:
        """Cancel all: another file is opened."""
        for waiting in list(self._all):
            self.cancel(waiting.number)


LINE = Line()
