# SPDX-License-Identifier: GPL-3.0-or-later
"""What operators' polls share: a grey button says why it is grey."""

from __future__ import annotations

import bpy

from ...core.text.translate import rpt_, tip_
from ...scene import character


def refuse(cls: type[bpy.types.Operator], reason: str, **values: object) -> bool:
    """Grey a button out and say why (a template and its values). Return False, for `return refuse(cls, ...)`."""
    cls.poll_message_set(tip_(reason, **values))
    return False


def has_editable_character(cls: type[bpy.types.Operator], context: bpy.types.Context) -> bool:
    """Return whether the active object is a character that can be changed; say why not otherwise."""
    if not character.is_character(context.object):
        return refuse(cls, "Select a character")
    if not context.object.is_editable:
        return refuse(cls, "This character is linked from another file: make a library override of it")
    return True


def is_not_tweaking(cls: type[bpy.types.Operator], context: bpy.types.Context) -> bool:
    """Return whether no strip of the active object is in tweak mode; say what to do otherwise."""
    ob = context.object
    if ob is not None and ob.animation_data is not None and ob.animation_data.use_tweak_mode:
        return refuse(cls, "The prediction is being edited: switch Layer to Tweaks first")
    return True


def is_in_view(context: bpy.types.Context) -> bool:
    """Return whether the operator runs in a 3D view."""
    return context.area is not None and context.area.type == "VIEW_3D"


def report_error(operator: bpy.types.Operator, cause: str, fix: str) -> None:
    """Report the cause and fix of an `EDTalkError`, in the user's language."""
    operator.report({"ERROR"}, f"{rpt_(cause)} {rpt_(fix)}")
