# SPDX-License-Identifier: GPL-3.0-or-later
"""What a render borrows: planes show takes for as long as it runs, and the server's graphics memory is released."""

from __future__ import annotations

import bpy

from ...core import takes
from ...core.server.session import RELEASE
from ...scene import character, plane
from ...scene.references import find_object
from ..runtime import runtime
from ..runtime.live import is_rendering


class Loans:
    """The takes that are lent to planes for the current render."""

    def __init__(self) -> None:
        self._uids: set[int] = set()
        self.by_operator = False
        """Whether our operator started the current render."""
        self._released_memory = False
        """Whether the current render in the window got the server's graphics memory."""

    def lend(self, ob: bpy.types.Object, take: takes.Take, run: range) -> None:
        """Let the plane show this run of a take's finished frames for a render."""
        plane.lend_take(ob, take, run[0], run[-1])
        self._uids.add(ob.session_uid)

    def take_back(self) -> None:
        """Let the planes show again what they showed before."""
        self.by_operator = False
        for uid in self._uids:
            if (ob := find_object(uid)) is not None:
                plane.take_back(ob)
        self._uids.clear()

    def take_back_after_render(self) -> None:
        """At each tick: take back once the render is over. (While a bake runs, it may not have started yet.)"""
        if (self._uids or self.by_operator) and not is_rendering() and runtime.session().task is None:
            self.take_back()

    def tidy(self) -> None:
        """Take back what a file lends that was saved during a render, or what an undo brought back."""
        for ob in bpy.data.objects:
            is_lent = ob.session_uid in self._uids
            if character.is_character(ob) and not is_lent and plane.lent_image(ob) is not None:
                plane.take_back(ob)

    def forget(self) -> None:
        """Forget the loans of another file."""
        self._uids.clear()
        self.by_operator = False
        self.tidy()

    def release_memory(self) -> None:
        """At each tick: give a render in the window the server's graphics memory, once its bake is finished.

        Once a render: otherwise one that bakes again and again would load the model each time.
        """
        session = runtime.session()
        if not is_rendering():
            self._released_memory = False
            return
        if self._released_memory or session.task is not None or not session.is_ready:
            return
        if (
            session.can(RELEASE) and session.memory.device > 0
        ):  # the server reports it a moment after it takes it
            self._released_memory = True
            session.release()


LOANS = Loans()
