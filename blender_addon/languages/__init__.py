# SPDX-License-Identifier: GPL-3.0-or-later
"""The add-on's words in other languages: a JSON file for each, in sections of English -> its own. No bpy here.

Tests hold that each catalogue has all that the add-on says, and nothing else. How to translate: docs/translating.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def _read(file: Path) -> dict[str, str]:
    """Return the sentences of all sections. Raises `ValueError` when one is there twice."""
    sections: dict[str, dict[str, str]] = json.loads(file.read_text("utf-8"), object_pairs_hook=_unique)
    return _unique([pair for section in sections.values() for pair in section.items()])


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return pairs as a mapping. Of two with one key, as a merge can leave them, JSON would keep the last."""
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise ValueError(
            f"twice in one catalogue: {sorted({name for name in names if names.count(name) > 1})}"
        )
    return dict(pairs)


CATALOGUES: Mapping[str, Mapping[str, str]] = {
    file.stem: _read(file) for file in sorted(Path(__file__).parent.glob("*.json"))
}
"""By language, as Blender begins the names of its locales: `de` serves `de_DE` too."""


def messages() -> frozenset[str]:
    """Return all that is translated into any language."""
    return frozenset(message for catalogue in CATALOGUES.values() for message in catalogue)
