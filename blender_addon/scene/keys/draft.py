# SPDX-License-Identifier: GPL-3.0-or-later
"""A performance or a pose that is written a little at a time, in an action that is not used yet.

It shows only when it is complete: then the character's strip plays it, or the Asset Browser shows it, in one go. An
undo during a pause leaves no reference alive, so everything is looked up by its `session_uid`.
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
        """Return what is written into. Raises `EDTalkError` when it is gone."""
        sheet = _find_sheet(self._draft)
        if sheet is None:
            raise _undone()
        return sheet

    @property
    def source(self) -> Sheet | None:
        """Return what was copied; None when there was nothing, or it is gone."""
        return _find_sheet(self._source)

    def curve(self, path: str) -> bpy.types.FCurve:
        """Return a curve of the draft. Raises `EDTalkError` when it is gone."""
        curve = self.sheet.find(path)
        if curve is None:
            raise _undone()
        return curve

    def mark_used(self) -> None:
        """Keep the draft: it is played or shown now."""
        self._is_used = True

    def drop(self) -> None:
        """Remove the draft, unless it is used."""
        sheet = _find_sheet(self._draft)
        if sheet is not None and not self._is_used:
            bpy.data.actions.remove(sheet.action)


def _identity(sheet: Sheet | None) -> tuple[int, int]:
    """Return how a sheet is found again: its action's `session_uid`, its slot's handle."""
    if sheet is None:
        return 0, 0
    return sheet.action.session_uid, sheet.slot.handle if sheet.slot is not None else 0


def _find_sheet(identity: tuple[int, int]) -> Sheet | None:
    uid, handle = identity
    action = next((candidate for candidate in bpy.data.actions if candidate.session_uid == uid), None)
    if action is None:
        return None
    slots = action.slots if actions.SLOTTED else ()
    return Sheet(action, next((slot for slot in slots if slot.handle == handle), None))


def _undone() -> EDTalkError:
    return EDTalkError(
        ErrorCode.UNKNOWN_SOURCE, "An undo changed the file while keys were written.", "Start again."
    )
