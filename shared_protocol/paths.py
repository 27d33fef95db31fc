"""Where things live on a user's machine: one rule for the server, the add-on and the installer.

Standard library only, because Blender and `install.py` use it too. The places are those of the package
`platformdirs` for the application `edtalk` (no author folder). Each can be moved by an environment variable:
`EDTALK_RUNTIME_DIR`, `EDTALK_DATA_DIR`, `EDTALK_LOG_DIR`.
"""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from . import atomic_write

APPLICATION = "edtalk"
PRIVATE_FOLDER = 0o700
PRIVATE_FILE = 0o600


def runtime_dir(environ: Mapping[str, str] | None = None) -> Path:
    """Connection files of running servers. Emptied by the system at log-out or restart where it has such a
    place."""
    env = os.environ if environ is None else environ
    if override := env.get("EDTALK_RUNTIME_DIR"):
        return Path(override)
    if sys.platform == "win32":
        return _local_app_data(env) / "Temp" / APPLICATION
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "TemporaryItems" / APPLICATION
    return _unix_runtime(env) / APPLICATION


def data_dir(environ: Mapping[str, str] | None = None) -> Path:
    """What outlives a restart: the record of the installed server, added bundles."""
    env = os.environ if environ is None else environ
    if override := env.get("EDTALK_DATA_DIR"):
        return Path(override)
    if sys.platform == "win32":
        return _local_app_data(env) / APPLICATION
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / APPLICATION
    return _xdg(env, "XDG_DATA_HOME", ".local/share") / APPLICATION


def bundles_dir() -> Path:
    """The model bundles of this user: a folder for each."""
    return data_dir() / "bundles"


def catalogue_file() -> Path:
    """What this user or site offers for download, beside what ships (docs/bundles.md)."""
    return data_dir() / "catalogue.json"


def log_dir(environ: Mapping[str, str] | None = None) -> Path:
    """Log files, rotated."""
    env = os.environ if environ is None else environ
    if override := env.get("EDTALK_LOG_DIR"):
        return Path(override)
    if sys.platform == "win32":
        return data_dir(env) / "Logs"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Logs" / APPLICATION
    return _xdg(env, "XDG_STATE_HOME", ".local/state") / APPLICATION / "log"


def server_record() -> Path:
    """The file in which the installer says where the server is: `{"python", "version", "checkout"}`."""
    return data_dir() / "server.json"


def make_private_folder(folder: Path) -> Path:
    """Create `folder` for this user alone.

    Raises `PermissionError` when it belongs to somebody else (who could then read or exchange our files).
    """
    folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    if sys.platform != "win32":  # on Windows the user's local folder is private by inheritance
        if not is_mine(folder):
            raise PermissionError(f"{folder} belongs to another user")
        folder.chmod(PRIVATE_FOLDER)
    return folder


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only this user can read, whole or not at all."""
    make_private_folder(path.parent)
    atomic_write.write(path, content, private=True, durable=True)


def is_mine(path: Path) -> bool:
    """Does the file or folder (not a link's target) belong to this user? Always true on Windows."""
    if sys.platform == "win32":
        return True
    return path.lstat().st_uid == os.getuid() and not path.is_symlink()


def is_private(path: Path) -> bool:
    """Is the file this user's, and closed to all others?"""
    if sys.platform == "win32":
        return True
    return is_mine(path) and stat.S_IMODE(path.stat().st_mode) & 0o077 == 0


def _local_app_data(env: Mapping[str, str]) -> Path:
    return Path(env.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")


def _xdg(env: Mapping[str, str], name: str, default: str) -> Path:
    value = env.get(name, "")
    return Path(value) if Path(value).is_absolute() else Path.home() / default


def _unix_runtime(env: Mapping[str, str]) -> Path:
    """The session's own folder, else the system's for this user, else one in the temporary folder."""
    assert sys.platform != "win32"  # noqa: S101 (tells the type checker that getuid exists)
    user = os.getuid()
    for candidate in (env.get("XDG_RUNTIME_DIR", ""), f"/run/user/{user}"):
        path = Path(candidate)
        if path.is_absolute() and path.is_dir() and is_private(path):
            return path
    return Path(tempfile.gettempdir()) / f"runtime-{user}"
