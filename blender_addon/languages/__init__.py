# SPDX-License-Identifier: GPL-3.0-or-later
"""The add-on's words in other languages: a module for each, English -> its own. No bpy here.

Tests hold that each is complete and has nothing that the add-on does not say (any more).
"""

from __future__ import annotations

from collections.abc import Mapping

from . import de

CATALOGUES: Mapping[str, Mapping[str, str]] = {"de": de.MESSAGES}
"""By language, as Blender begins the names of its locales: `de` serves `de_DE` too."""


def messages() -> frozenset[str]:
    """All that is translated."""
    return frozenset(message for catalogue in CATALOGUES.values() for message in catalogue)
