# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
"""The portrait's picture and its crop (`ob.edtalk.picture`)."""

from __future__ import annotations

import bpy
from bpy.props import FloatProperty, PointerProperty, StringProperty

from ...core.text.translate import CONTEXT
from ..portrait_crop import can_be_portrait
from .options import OVERRIDABLE


def _on_crop(group: EDTalkPicture, _context: bpy.types.Context) -> None:
    group.id_data.update_tag()  # a script's change is noticed too


def _is_portrait(_group: EDTalkPicture, image: bpy.types.Image) -> bool:
    return can_be_portrait(image)


class EDTalkPicture(bpy.types.PropertyGroup):
    """The portrait's picture and the square of it that is the face, in pixels from the picture's left top."""

    image: PointerProperty(
        name="Image Block",
        description="A picture in this .blend, packed or not; it is used instead of the portrait's file",
        type=bpy.types.Image,
        poll=_is_portrait,
        update=_on_crop,
        override=OVERRIDABLE,
    )
    center_x: FloatProperty(
        name="Center X",
        translation_context=CONTEXT,
        description="Pixels from the picture's left edge to the middle of the face's square",
        precision=1,
        step=100,
        update=_on_crop,
        override=OVERRIDABLE,
    )
    center_y: FloatProperty(
        name="Y",
        description="Pixels from the picture's upper edge to the middle of the face's square",
        precision=1,
        step=100,
        update=_on_crop,
        override=OVERRIDABLE,
    )
    side: FloatProperty(
        name="Side",
        description="Width of the face's square in pixels. 0: find the face automatically",
        min=0.0,
        precision=1,
        step=100,
        update=_on_crop,
        override=OVERRIDABLE,
    )
    roll: FloatProperty(
        name="Roll",
        description="Clockwise rotation of the square, for tilted heads",
        subtype="ANGLE",
        update=_on_crop,
        override=OVERRIDABLE,
    )
    seen: StringProperty(
        name="Seen", description="What the server saw in the picture (JSON)", override=OVERRIDABLE
    )
