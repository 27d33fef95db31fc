# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
"""How a character's frames are baked (`ob.edtalk.bake`)."""

from __future__ import annotations

import bpy
from bpy.props import BoolProperty, EnumProperty

from ...core.takes import OLD_SIZE
from ...core.text.translate import CONTEXT
from .options import OVERRIDABLE


def _on_framing(group: EDTalkBake, _context: bpy.types.Context) -> None:
    group.id_data.update_tag()  # the live picture follows, and with it the plane's shape


class EDTalkBake(bpy.types.PropertyGroup):
    """What a take's frames look like, and how they are kept."""

    framing: EnumProperty(
        name="Framing",
        items=(
            ("FACE", "Face", "The square around the face"),
            ("FULL", "Full picture", "The face pasted back into the whole portrait"),
        ),
        translation_context=CONTEXT,
        update=_on_framing,
        override=OVERRIDABLE,
    )
    size: EnumProperty(
        name="Size",
        description="Largest width of the face's pictures in pixels, as far as the model and the portrait go",
        items=(
            ("256", "256", "Quick"),
            ("512", "512", "For film"),
            ("768", "768", "For close-ups"),
            ("1024", "1024", "For close-ups in large pictures"),
        ),
        default=OLD_SIZE,
        translation_context=CONTEXT,
        update=_on_framing,
        override=OVERRIDABLE,
    )
    alpha: BoolProperty(
        name="Matte",
        description="Store the face's soft matte as alpha, so that the plane is transparent around the face",
        override=OVERRIDABLE,
    )
    encoding: EnumProperty(
        name="Format",
        items=(
            ("PNG", "PNG", "8 bits per channel: small, with the same colours under every view transform"),
            ("EXR", "OpenEXR", "Half float in linear light, for compositing"),
        ),
        override=OVERRIDABLE,
    )
