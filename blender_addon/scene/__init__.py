# SPDX-License-Identifier: GPL-3.0-or-later
"""The only place that reads and writes Blender's data: characters, curves, planes, sound."""

from __future__ import annotations


def register() -> None:
    """Declare the character's properties."""
    from . import plane
    from .properties import character_properties, naming

    character_properties.register()
    character_properties.follow_show(plane.apply_show)
    naming.register()


def unregister() -> None:
    """Remove them."""
    from .properties import character_properties, naming

    naming.unregister()
    character_properties.follow_show(None)
    character_properties.unregister()
