# SPDX-License-Identifier: GPL-3.0-or-later
"""`ob.edtalk` itself: the weights' names, ranges and tooltips are those of the bundle that a character was made with.

Blender gives all objects the same properties, so there is one set of names at a time: that of the active character's
bundle (what panels, the Graph Editor, menus and tooltips show is mostly his). Each set is a class of its own with the
same properties, and `Object.edtalk` is pointed at the one that is wanted: paths, values, keys, drivers, overrides and
undo lie in the data and do not notice. A class that was in use stays registered, because the window refers to the
properties of what it has drawn (a slider under the mouse, say) until it draws anew: redefining them in place would free
them under its hands.
"""

from __future__ import annotations

from typing import cast

import bpy
from bpy.props import FloatProperty, PointerProperty

from shared_protocol.banks import BankLayout
from shared_protocol.errors import EDTalkError

from ...core.weights import layouts
from .. import character
from .character_properties import EDTalkCharacter
from .options import OVERRIDABLE

_EVALUATING_JOBS = ("RENDER", "RENDER_PREVIEW", "OBJECT_BAKE")
"""While these run, other threads may be reading the properties."""

Naming = tuple[BankLayout, tuple[str, str]]
"""The bundle's weights, and the language of their tooltips."""

_classes: dict[Naming, type[bpy.types.PropertyGroup]] = {}
_in_use: Naming | None = None


def follow(ob: bpy.types.Object) -> bool:
    """Let the weights be called as in the bundle of this character; True when they had other names before.

    Not for drawing code and handlers that other threads call. During a render everything stays as it is.
    """
    wanted = character.layout_of(ob), layouts.language()
    if wanted == _in_use or any(map(bpy.app.is_job_running, _EVALUATING_JOBS)):
        return False
    try:
        _use(wanted)
    except EDTalkError:  # a file from a newer add-on, with more weights than there are here
        return False
    return True


def first_character() -> bpy.types.Object | None:
    """The first character of the file, if there is one."""
    return next(filter(character.is_character, bpy.data.objects), None)


def _use(wanted: Naming) -> None:
    global _in_use
    if wanted not in _classes:
        _classes[wanted] = _registered(wanted[0])
    bpy.types.Object.edtalk = PointerProperty(type=_classes[wanted], override=OVERRIDABLE)
    _in_use = wanted


def _registered(layout: BankLayout) -> type[bpy.types.PropertyGroup]:
    """A new class with the names of a layout. Raises `EDTalkError` when it has too many weights."""
    weights = {name: _weight(label) for name, label in layouts.labels(layout).items()}
    name = f"EDTalkCharacter{len(_classes) + 1}"
    made = type(name, (EDTalkCharacter, bpy.types.PropertyGroup), {"__annotations__": weights})
    cls = cast("type[bpy.types.PropertyGroup]", made)
    bpy.utils.register_class(cls)
    return cls


def _weight(label: layouts.Label) -> object:
    return FloatProperty(
        name=label.name,
        description=label.description,
        soft_min=label.minimum,
        soft_max=label.maximum,
        step=1,
        precision=3,
        override=OVERRIDABLE,
    )


def register() -> None:
    _use((layouts.starter_layout(), layouts.language()))


def unregister() -> None:
    global _in_use
    del bpy.types.Object.edtalk
    for cls in _classes.values():
        bpy.utils.unregister_class(cls)
    _classes.clear()
    _in_use = None
