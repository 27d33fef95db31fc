"""Opens the sets that a training config describes: `{"kind": "cached", "folder": "...", "share": 0.5}`."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edtalk_server.training.datasets.interface import ClipSet, Mixed
from shared_protocol.errors import EDTalkError, ErrorCode

KINDS = {
    "rendered": "edtalk_server.training.datasets.rendered:RenderedClips",
    "cached": "edtalk_server.training.datasets.cached:CachedClips",
    "filmed": "edtalk_server.training.datasets.film.clips:FilmedClips",
}
"""The class of each kind, called with `size` and the config's other options. Imported only when used, because some
need more packages than training itself."""

_PATHS = ("facekit", "folder")


def open_sets(descriptions: Sequence[Mapping[str, Any]], size: int) -> ClipSet:
    """Open the described sets, mixed by their shares (1 where not given), in pictures of `size` pixels.

    `EDTalkError(BAD_MESSAGE)` for a description that does not fit, and whatever the sets themselves raise.
    """
    if not descriptions:
        raise _misfit("it names no data", 'Give "data": [{"kind": "cached", "folder": ...}].')
    parts = [(_open(words, size), float(words.get("share", 1.0))) for words in descriptions]
    return parts[0][0] if len(parts) == 1 else Mixed(parts)


def _open(description: Mapping[str, Any], size: int) -> ClipSet:
    options = {name: value for name, value in description.items() if name not in ("kind", "share")}
    target = KINDS.get(str(description.get("kind")))
    if target is None:
        raise _misfit(
            f"it names data of the kind {description.get('kind')!r}",
            f"Kinds are: {', '.join(sorted(KINDS))}.",
        )
    module, _, name = target.partition(":")
    maker = getattr(importlib.import_module(module), name)
    arguments = {key: Path(value) if key in _PATHS else value for key, value in options.items()}
    try:
        opened: ClipSet = maker(size=size, **arguments)
    except TypeError as error:
        raise _misfit(f"data of the kind {description['kind']!r} does not fit: {error}") from error
    return opened


def _misfit(cause: str, fix: str = "See docs/training_paper.md for the options of each kind.") -> EDTalkError:
    return EDTalkError(ErrorCode.BAD_MESSAGE, f"The training config cannot be used: {cause}.", fix)
