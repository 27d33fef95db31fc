# SPDX-License-Identifier: GPL-3.0-or-later
"""The only place that reads and writes Blender's data: characters, curves, planes, sound."""

from __future__ import annotations


def register() -> None:
    """Declare the character's properties."""
    from . import character, naming

    character.register()
    naming.register()


def unregister() -> None:
    """Take them back."""
    from . import character, naming

    naming.unregister()
    character.unregister()
