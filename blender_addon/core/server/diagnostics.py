# SPDX-License-Identifier: GPL-3.0-or-later
"""Diagnostics for bug reports: one block of text without private data. No bpy here."""

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
    """Return a masked report.

    It holds facts by name, the history of the server's state up to `now` (in seconds, the clock of `history`), and the
    last lines of logs by file name.
    """
    lines = ["EDTalk diagnostics", *(f"{name}: {value}" for name, value in facts.items())]
    lines += ["", "Server's states"]
    lines += [f"  {format_duration(now - change.since)} ago: {change.state.value}" for change in history]
    for name, tail in logs.items():
        lines += ["", f"Last lines of {name}", *(f"  {line}" for line in tail)]
    return masked("\n".join(lines), home, secrets) + "\n"


def masked(text: str, home: str, secrets: Iterable[str] = ()) -> str:
    """Return the text with `~` for the home folder, and without these secrets and whatever looks like one."""
    for secret in filter(None, secrets):
        text = text.replace(secret, MASK)
    text = _IN_ADDRESS.sub(rf"\1{MASK}@", _NAMED.sub(rf"\1{MASK}", text))
    if len(home) < 2:  # "/" reveals nothing
        return text
    forms = {home, home.replace("\\", "/"), home.replace("\\", "\\\\")}
    pattern = "|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True))
    return re.sub(rf"(?:{pattern})(?![\w-])", "~", text, flags=re.IGNORECASE)


def tail(file: Path, most: int = LOG_LINES) -> list[str]:
    """Return the last lines of a log; none when the file cannot be read."""
    try:
        with file.open("rb") as stream:
            stream.seek(max(0, file.stat().st_size - _TAIL_BYTES))
            text = stream.read(_TAIL_BYTES).decode("utf-8", "replace")
    except OSError:
        return []
    return text.splitlines()[-most:]
