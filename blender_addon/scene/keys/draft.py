# SPDX-License-Identifier: GPL-3.0-or-later
"""A performance or a pose that is being written, a little at a time, in an action that nobody uses yet.

Nothing of it is seen before it is whole: then the character's strip plays it, or the Asset Browser shows it, in one go.
Whoever works on a draft pauses, and an undo in between leaves no reference alive, so all is found anew by its
`session_uid`.
"""

from __future__ import annotations

import bpy

from shared_protocol.errors import EDTalkError, ErrorCode

from ..references import get_character
from . import actions
from .actions import Sheet


class Draft:
    """A copy of what the object's strip plays, to be changed; or, without `source`, a new action called `name`."""

    def __init__(self, ob: bpy.types.Object, source: Sheet | None, name: str, role: str) -> None:
        sheet = actions.copy_sheet(source) if source is not None else actions.new_sheet(name, role, ob)
        self._ob = ob.session_uid
        self._draft, self._source = _identity(sheet), _identity(source)
        self._is_used = False

    @property
    def owner(self) -> bpy.types.Object:
        """Return the object. Raises `GoneError` when it was removed."""
        return get_character(self._ob)

    @property
    def sheet(self) -> Sheet:
        """What is written into. Raises `EDTalkError` when it is gone."""
        sheet = _found(self._draft)
        if sheet is None:
            raise _undone()
        return sheet

    @property
    def source(self) -> Sheet | None:
        """What it began as; None when there was nothing."""
        return _found(self._source)

    def curve(self, path: str) -> bpy.types.FCurve:
        """A curve of the draft. Raises `EDTalkError` when it is gone."""
        curve = self.sheet.find(path)
        if curve is None:
            raise _undone()
        return curve

    def used(self) -> None:
        """It is played now, or shown."""
        self._is_used = True

    def drop(self) -> None:
        """Away with it, unless it is used."""
        sheet = _found(self._draft)
        if sheet is not None and not self._is_used:
            bpy.data.actions.remove(sheet.action)


def _identity(sheet: Sheet | None) -> tuple[int, int]:
    """How a sheet is found again: its action and slot."""
    if sheet is None:
        return 0, 0
    return sheet.action.session_uid, sheet.slot.handle if sheet.slot is not None else 0


def _found(identity: tuple[int, int]) -> Sheet | None:
    uid, handle = identity
    action = next((one for one in bpy.data.actions if one.session_uid == uid), None)
    if action is None:
        return None
    slots = action.slots if actions.SLOTTED else ()
    return Sheet(action, next((slot for slot in slots if slot.handle == handle), None))


def _undone() -> EDTalkError:
    return EDTalkError(
        ErrorCode.UNKNOWN_SOURCE, "An undo changed the file while keys were written.", "Start again."
    )
