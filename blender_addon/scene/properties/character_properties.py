# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
"""What makes an object a character (`ob.edtalk`), but for the weights, which `naming` adds."""

from __future__ import annotations

from collections.abc import Callable

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

from ..paths import PATH_OPTIONS
from . import bake_settings, emotion, key_settings, portrait_picture, speech
from .options import OVERRIDABLE

_on_show_changed: list[Callable[[bpy.types.Object], None]] = []


def follow_show(follow: Callable[[bpy.types.Object], None] | None) -> None:
    """Call `follow` with the character whenever *Live* or *Baked* is chosen; None: call nobody."""
    _on_show_changed[:] = [follow] if follow is not None else []


def _on_show(group: bpy.types.PropertyGroup, _context: bpy.types.Context) -> None:
    for follow in _on_show_changed:
        follow(group.id_data)


def _further_picture() -> bpy.props._PropertyDeferred:
    return StringProperty(
        name="Further Picture",
        description="Another picture of the same person, laughing or with an open mouth, for what the portrait does "
        "not show",
        subtype="FILE_PATH",
        options=PATH_OPTIONS,
        override=OVERRIDABLE,
    )


class EDTalkCharacter:
    """Mix-in of the classes that `naming` makes."""

    is_character: BoolProperty(name="Is a character", override=OVERRIDABLE)
    portrait: StringProperty(
        name="Portrait",
        description="The picture of the face",
        subtype="FILE_PATH",
        options=PATH_OPTIONS,
        override=OVERRIDABLE,
    )
    also_1: _further_picture()
    also_2: _further_picture()
    also_3: _further_picture()
    also_4: _further_picture()
    voice_from: EnumProperty(
        name="Voice",
        items=(
            ("FILE", "File", "A sound file"),
            ("SCENE", "Scene", "All that the scene's sequencer plays in its frame range, mixed down"),
            ("STRIP", "Strip", "One sound strip of the sequencer, regardless of the others"),
        ),
        override=OVERRIDABLE,
    )
    voice: StringProperty(
        name="Voice file",
        description="A recording of speech",
        subtype="FILE_PATH",
        options=PATH_OPTIONS,
        override=OVERRIDABLE,
    )
    voice_start: FloatProperty(
        name="Starts at",
        description="Frame at which the voice file begins",
        default=1.0,
        step=100,
        precision=1,
        override=OVERRIDABLE,
    )
    voice_offset: FloatProperty(
        name="Sync Offset",
        description="Frames by which the face lags behind the sound. Negative: it leads",
        default=0.0,
        soft_min=-10.0,
        soft_max=10.0,
        step=10,
        precision=2,
        override=OVERRIDABLE,
    )
    transcript: StringProperty(
        name="Transcript file",
        description="What the voice says: a .txt, .srt or .vtt file",
        subtype="FILE_PATH",
        options=PATH_OPTIONS,
        override=OVERRIDABLE,
    )
    show: EnumProperty(
        name="Show",
        items=(
            ("LIVE", "Live", "The picture follows the weights while you scrub and edit"),
            ("TAKE", "Baked", "The plane shows the baked frames"),
        ),
        update=_on_show,
        override=OVERRIDABLE,
    )
    bundle: StringProperty(name="Bundle", description="Name and version of the model", override=OVERRIDABLE)
    source: StringProperty(
        name="Source", description="Content hash of the prepared portrait", override=OVERRIDABLE
    )
    notes: StringProperty(name="Notes", description="What to know about this portrait", override=OVERRIDABLE)
    layout: StringProperty(name="Layout", description="The bundle's bases (JSON)", override=OVERRIDABLE)
    rest: StringProperty(name="Rest", description="The portrait's own weights (JSON)", override=OVERRIDABLE)
    predicted: StringProperty(
        name="Predicted",
        description="Fingerprint of the keys as the last prediction left them",
        override=OVERRIDABLE,
    )
    take: StringProperty(name="Take", description="Folder of the baked frames", override=OVERRIDABLE)
    take_first: IntProperty(name="First baked frame", override=OVERRIDABLE)
    take_last: IntProperty(name="Last baked frame", default=-1, override=OVERRIDABLE)
    live_image: PointerProperty(name="Live picture", type=bpy.types.Image, override=OVERRIDABLE)
    take_image: PointerProperty(name="Baked frames", type=bpy.types.Image, override=OVERRIDABLE)
    bake: PointerProperty(type=bake_settings.EDTalkBake, override=OVERRIDABLE)
    emotion: PointerProperty(type=emotion.EDTalkEmotion, override=OVERRIDABLE)
    gain: PointerProperty(type=key_settings.EDTalkGain, override=OVERRIDABLE)
    writing: PointerProperty(type=key_settings.EDTalkWriting, override=OVERRIDABLE)
    strengths: CollectionProperty(type=key_settings.EDTalkStrength, override=OVERRIDABLE | {"USE_INSERTION"})
    speech: PointerProperty(type=speech.EDTalkSpeech, override=OVERRIDABLE)
    picture: PointerProperty(type=portrait_picture.EDTalkPicture, override=OVERRIDABLE)


CLASSES = (
    bake_settings.EDTalkBake,
    portrait_picture.EDTalkPicture,
    *emotion.CLASSES,
    *key_settings.CLASSES,
    *speech.CLASSES,
)


def register() -> None:
    """Register the groups that a character points at."""
    for cls in CLASSES:
        bpy.utils.register_class(cls)


def unregister() -> None:
    """Unregister them."""
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
