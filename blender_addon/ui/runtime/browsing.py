# SPDX-License-Identifier: GPL-3.0-or-later
"""How file browsers open."""

from __future__ import annotations

from typing import Any

from bpy.props import EnumProperty

_DISPLAYS = (
    ("DEFAULT", "Default", "As the last one", "NONE", 0),
    ("LIST_VERTICAL", "Vertical List", "A list", "LONGDISPLAY", 1),
    ("LIST_HORIZONTAL", "Horizontal List", "A short list", "SHORTDISPLAY", 2),
    ("THUMBNAIL", "Thumbnails", "Pictures", "IMGDISPLAY", 3),
)
"""The numbers are Blender's own (`FileSelectParams.display_type`)."""


def thumbnails() -> Any:
    """Return the property `display_type` of an operator whose file browser shows pictures of the files."""
    return EnumProperty(items=_DISPLAYS, default="THUMBNAIL", options={"HIDDEN", "SKIP_SAVE"})
