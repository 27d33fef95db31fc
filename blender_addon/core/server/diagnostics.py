# SPDX-License-Identifier: GPL-3.0-or-later
"""What a bug report needs, as one block of text without anything private. No bpy here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ..tasks import format_duration
from .process import StateChange

LOG_LINES = 40
MASK = "***"
_TAIL_BYTES = 64 * 1024
_NAMED = re.compile(
    r"(?i)(\w*(?:password|passwd|secret|token|api_?key|authorization)\w*[\"']?\s*[=:]\s*)(\"[^\"]*\"|'[^']*'|.+)"
)
_IN_ADDRESS = re.compile(r"(?i)(\b[a-z][a-z0-9+.-]*://)[^/\s@]+@")


def report(
    facts: Mapping[str, str],
    history: Iterable[StateChange],
    now: float,
    logs: Mapping[str, Sequence[str]],
    home: str,
    secrets: Iterable[str] = (),
) -> str:
    """Facts by name, how the server's state went until `now`, and the last lines of logs by file name; masked."""
    lines = ["EDTalk diagnostics", *(f"{name}: {value}" for name, value in facts.items())]
    lines += ["", "Server's states"]
    lines += [f"  {format_duration(now - change.since)} ago: {change.state.value}" for change in history]
    for name, tail in logs.items():
        lines += ["", f"Last lines of {name}", *(f"  {line}" for line in tail)]
    return masked("\n".join(lines), home, secrets) + "\n"


def masked(text: str, home: str, secrets: Iterable[str] = ()) -> str:
    """Text without the home folder's name (`~`), without these secrets, and without what looks like one."""
    for secret in filter(None, secrets):
        text = text.replace(secret, MASK)
    text = _IN_ADDRESS.sub(rf"\1{MASK}@", _NAMED.sub(rf"\1{MASK}", text))
    if len(home) < 2:  # of "/" there is nothing to hide
        return text
    forms = {home, home.replace("\\", "/"), home.replace("\\", "\\\\")}
    pattern = "|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True))
    return re.sub(rf"(?:{pattern})(?![\w-])", "~", text, flags=re.IGNORECASE)


def tail(file: Path, most: int = LOG_LINES) -> list[str]:
    """The last lines of a log; none where there is no such file."""
    try:
        with file.open("rb") as stream:
            stream.seek(max(0, file.stat().st_size - _TAIL_BYTES))
            text = stream.read(_TAIL_BYTES).decode("utf-8", "replace")
    except OSError:
        return []
    return text.splitlines()[-most:]
