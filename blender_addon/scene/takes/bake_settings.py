# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
"""How a character's frames are baked (`ob.edtalk.bake`)."""

from __future__ import annotations

import bpy
from bpy.props import BoolProperty, EnumProperty

from shared_protocol.messages import Prepared

from ...core.takes.takes import Look
from ...core.text.translate import CONTEXT

OVERRIDABLE = {"LIBRARY_OVERRIDABLE"}


def _on_framing(group: EDTalkBake, _context: bpy.types.Context) -> None:
    group.id_data.update_tag()  # the live picture follows, and with it the plane's shape


class EDTalkBake(bpy.types.PropertyGroup):
    """What a take's frames look like, and how they are kept."""

    framing: EnumProperty(
        name="Framing",
        items=(
            ("FACE", "Face", "The square around the face, in the model's own size"),
            ("FULL", "Full picture", "The face pasted back into the whole portrait"),
        ),
        translation_context=CONTEXT,
        update=_on_framing,
        override=OVERRIDABLE,
    )
    alpha: BoolProperty(
        name="Matte",
        description="Keep the face's soft matte in the alpha channel: around it the plane is transparent",
        override=OVERRIDABLE,
    )
    encoding: EnumProperty(
        name="Format",
        items=(
            ("PNG", "PNG", "8 bits a channel: small, the same colours under every view transform"),
            ("EXR", "OpenEXR", "Half float in linear light, for compositing"),
        ),
        override=OVERRIDABLE,
    )


def look_of(ob: bpy.types.Object, prepared: Prepared) -> Look:
    """The look that the character's settings ask for, of this source's size."""
    bake = ob.edtalk.bake
    full = bake.framing == "FULL"
    width, height = (prepared.full_width, prepared.full_height) if full else (prepared.width, prepared.height)
    return Look(bake.encoding.lower(), bake.framing.lower(), bake.alpha, width, height)
