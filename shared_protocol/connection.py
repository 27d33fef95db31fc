"""The connection file: how a client finds a running server and proves that it belongs to the same user.

Each server writes one file `server-*.json`, which only its owner can read, into the runtime folder, and
removes it when it ends. The file holds the endpoint, the server's public CURVE key and the one key pair the server
accepts. A file whose process is gone, or whose process number now belongs to another one, is stale:
it is never used.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from . import paths
from .errors import EDTalkError, ErrorCode
from .messages import PROTOCOL_MAX, PROTOCOL_MIN
from .processes import is_running

MAX_FILE_BYTES = 16 * 1024


@dataclass(frozen=True)
class Connection:
    """What a client needs to connect.

    Keys are Z85 texts of 40 characters. `started` is `processes.process_start` of `pid`. `install` is the
    environment that the server runs from (its Python's `sys.prefix`), `workers` how many processes draw.
    """

    endpoint: str
    server_public: str
    client_public: str
    client_secret: str = field(repr=False)
    pid: int
    started: str
    version: str = ""
    install: str = ""
    protocol_min: int = PROTOCOL_MIN
    protocol_max: int = PROTOCOL_MAX
    workers: int = 1

    def is_live(self) -> bool:
        """Return whether the process that wrote this is still running."""
        return is_running(self.pid, self.started)


class ConnectionFileError(EDTalkError):
    """A connection file that is missing, damaged, open to others, or stale."""

    def __init__(self, cause: str) -> None:
        super().__init__(ErrorCode.SERVER_UNREACHABLE, cause, "Start the EDTalk server again.")


class StaleConnectionError(ConnectionFileError):
    """A connection file whose server has ended."""


def default_path(pid: int | None = None) -> Path:
    """Return where the server with this process number (default: this process) writes its file."""
    return paths.runtime_dir() / f"server-{os.getpid() if pid is None else pid}.json"


def write(path: Path, connection: Connection) -> None:
    """Write the file for its owner only, whole or not at all."""
    paths.write_private(path, json.dumps(asdict(connection), indent=1).encode())


def read(path: Path) -> Connection:
    """Return the file's content. Raises `ConnectionFileError`, also when the server it names is gone."""
    try:
        with open(path, "rb", opener=_open_itself) as file:
            if not _is_private(file.fileno()) or not paths.is_safe_folder(path.parent):
                raise ConnectionFileError(f"{path.name} can be read or changed by other users.")
            content = file.read(MAX_FILE_BYTES)
    except OSError as error:
        raise ConnectionFileError(f"{path.name} cannot be read ({error.strerror}).") from error
    connection = _parse(path.name, content)
    if not connection.is_live():
        raise StaleConnectionError("The EDTalk server that was running has ended.")
    return connection


def remove(path: Path, pid: int | None = None) -> None:
    """Remove the file if it belongs to the given process (default: this one).

    Another server may have reused the name.
    """
    try:
        owner = _parse(path.name, path.read_bytes()).pid
    except (OSError, ConnectionFileError):
        return
    if owner == (os.getpid() if pid is None else pid):
        with suppress(OSError):  # its folder may have become read-only
            path.unlink(missing_ok=True)


def find_live() -> Iterator[Connection]:
    """Yield this user's running servers, the newest file first, and delete files of servers that were killed."""
    for path in sorted(paths.runtime_dir().glob("server-*.json"), key=_age):
        try:
            yield read(path)
        except StaleConnectionError:
            with suppress(OSError):  # a folder that cannot be written to
                path.unlink(missing_ok=True)
        except ConnectionFileError:
            continue


def _open_itself(path: str, flags: int) -> int:
    """Open a file, never one that a link names, and without waiting for a pipe's writer."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))


def _is_private(descriptor: int) -> bool:
    """Return whether an open file is a plain one of this user's that no other can access. On Windows it always is."""
    if sys.platform == "win32":
        return True
    status = os.fstat(descriptor)
    return stat.S_ISREG(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o077


def _age(path: Path) -> float:
    try:
        return -path.stat().st_mtime
    except FileNotFoundError:  # its server ended between listing and looking
        return 0.0


def _parse(name: str, content: bytes) -> Connection:
    try:
        values = json.loads(content)
        known = {f.name: values[f.name] for f in fields(Connection) if f.name in values}
        connection = Connection(**known)
    except (ValueError, TypeError, RecursionError) as error:
        raise ConnectionFileError(f"{name} is not a connection file.") from error
    for f in fields(Connection):
        wanted = int if f.name in ("pid", "protocol_min", "protocol_max", "workers") else str
        if type(getattr(connection, f.name)) is not wanted:
            raise ConnectionFileError(f"{name} is not a connection file.")
    return connection
