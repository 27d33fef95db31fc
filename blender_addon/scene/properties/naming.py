# SPDX-License-Identifier: GPL-3.0-or-later
"""`ob.edtalk` with the weights' names, ranges and tooltips from the active character's bundle.

All objects in Blender have the same properties, so only one set of names is in use at a time: that of the active
character's bundle, because panels, the Graph Editor, menus and tooltips mostly show this character. Each set is a class
with the same properties, and `Object.edtalk` points to the wanted one. Paths, values, keys, drivers, overrides and undo
are in the data, which does not change. Classes stay registered after use, because a window refers to the properties
that it has drawn (a slider under the mouse, say) until it redraws; redefining them in place would free them too early.
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
"""Jobs whose threads may read the properties."""

Naming = tuple[BankLayout, tuple[str, str]]
"""The bundle's weights, and the language of their tooltips."""

_classes: dict[Naming, type[bpy.types.PropertyGroup]] = {}
_in_use: Naming | None = None


def follow(ob: bpy.types.Object) -> bool:
    """Name the weights as in this character's bundle, and return whether their names changed.

    Do not call it while drawing, or from handlers that run on other threads. During a render it does nothing.
    """
    wanted = character.layout_of(ob), layouts.language()
    if wanted == _in_use or any(map(bpy.app.is_job_running, _EVALUATING_JOBS)):
        return False
    try:
        _use(wanted)
    except EDTalkError:  # a newer add-on's file, with more weights than this version has
        return False
    return True


def first_character() -> bpy.types.Object | None:
    """Return the first character of the file, or None."""
    return next(filter(character.is_character, bpy.data.objects), None)


def _use(wanted: Naming) -> None:
    global _in_use
    if wanted not in _classes:
        _classes[wanted] = _registered(wanted[0])
    bpy.types.Object.edtalk = PointerProperty(type=_classes[wanted], override=OVERRIDABLE)
    _in_use = wanted


def _registered(layout: BankLayout) -> type[bpy.types.PropertyGroup]:
    """Register a new class with the names of a layout. Raises `EDTalkError` when it has too many weights."""
    weights = {name: _weight(label) for name, label in layouts.labels(layout).items()}
    name = f"EDTalkCharacter{len(_classes) + 1}"
    new_class = type(name, (EDTalkCharacter, bpy.types.PropertyGroup), {"__annotations__": weights})
    cls = cast("type[bpy.types.PropertyGroup]", new_class)
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
