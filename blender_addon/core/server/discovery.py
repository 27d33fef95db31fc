# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the server that is installed on this machine, and those that run. No bpy here.

The installer writes a record into the user's data folder (`shared_protocol.paths.server_record`): `{"python":
path of the server environment's interpreter, "version": ..., "checkout": ..., "others": [...]}`; the others count when
the first is gone. `EDTALK_SERVER_PYTHON` overrides it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared_protocol import connection, paths
from shared_protocol.connection import Connection
from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.messages import PROTOCOL_MAX, PROTOCOL_MIN

MAX_RECORD_BYTES = 64 * 1024
_INSTALL = (
    "Press Install Server in the panel EDTalk, or choose the server's Python in the add-on's preferences."
)


@dataclass(frozen=True)
class ServerInstall:
    """An installed server: the Python of its environment, its version and checkout as far as they are known.

    With `options` (of `edtalk serve`) the user wants a server of this kind: one of his own, shared with nobody.
    """

    python: Path
    version: str = ""
    checkout: str = ""
    options: tuple[str, ...] = ()

    def command(self, connection_file: Path, parent_pid: int) -> list[str]:
        """Return the command line that starts it, isolated from the Python settings of the parent process."""
        return [
            *(str(self.python), "-I", "-m", "edtalk_server.cli", "serve"),
            *("--parent-pid", str(parent_pid), "--connection-file", str(connection_file)),
            *self.options,
        ]

    def connection_file(self, name: str) -> Path:
        """Return where a server that this process starts writes its keys. Others look only for names with `server-`."""
        return paths.runtime_dir() / f"{'own-' if self.options else ''}server-{name}.json"

    def runs(self, server: Connection) -> bool:
        """Return whether a running server is of this install and speaks our protocol."""
        same = Path(server.install) == self.python.parent.parent
        return same and server.protocol_min <= PROTOCOL_MAX and server.protocol_max >= PROTOCOL_MIN


def find_install(chosen: str = "", environ: Mapping[str, str] | None = None) -> ServerInstall:
    """Return the server of this user: `chosen` (a Python, from the preferences), else the environment's, else the
    recorded one.

    Raises `EDTalkError(SERVER_UNREACHABLE)` that says what is missing.
    """
    env = os.environ if environ is None else environ
    if python := chosen or env.get("EDTALK_SERVER_PYTHON", ""):
        return _checked(ServerInstall(Path(python).expanduser()))
    record = _read_record(paths.server_record())
    others = record.get("others")
    recorded = [_recorded(each) for each in (record, *(others if isinstance(others, list) else ()))]
    return _checked(next((each for each in recorded if each.python.is_file()), recorded[0]))


def find_running(install: ServerInstall) -> Connection | None:
    """Return the newest running server of this install. Its options are unknown: none fits an install with options."""
    if install.options:
        return None
    return next((server for server in connection.find_live() if install.runs(server)), None)


def _read_record(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            record = json.loads(file.read(MAX_RECORD_BYTES))
    except FileNotFoundError as error:
        raise _missing("The EDTalk server is not installed.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise _missing(f"The record of the installed server ({path}) cannot be read.") from error
    if not isinstance(record, dict):
        raise _missing(f"The record of the installed server ({path}) is damaged.")
    return record


def _recorded(entry: object) -> ServerInstall:
    facts = entry if isinstance(entry, dict) else {}
    python, version, checkout = (str(facts.get(name) or "") for name in ("python", "version", "checkout"))
    return ServerInstall(Path(python), version, checkout)


def _checked(install: ServerInstall) -> ServerInstall:
    if not install.python.is_file():
        raise _missing(f"The server's Python no longer exists: {install.python}.")
    return install


def _missing(cause: str) -> EDTalkError:
    return EDTalkError(ErrorCode.SERVER_UNREACHABLE, cause, _INSTALL)
