"""Folders and files on a user's machine, the same for the server, the add-on and the installer.

Standard library only, because Blender and `install.py` use it too. The folders match those of the package
`platformdirs` for the application `edtalk` (no author folder). Environment variables can move them:
`EDTALK_RUNTIME_DIR`, `EDTALK_DATA_DIR`, `EDTALK_LOG_DIR`, `EDTALK_CACHE_DIR`.
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
    """Return the folder for connection files of running servers.

    Where the system has such a folder, it empties it at log-out or restart.
    """
    env = os.environ if environ is None else environ
    if override := env.get("EDTALK_RUNTIME_DIR"):
        return Path(override)
    if sys.platform == "win32":
        return _local_app_data(env) / "Temp" / APPLICATION
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "TemporaryItems" / APPLICATION
    return _unix_runtime(env) / APPLICATION


def data_dir(environ: Mapping[str, str] | None = None) -> Path:
    """Return the folder for data that outlives a restart: the record of the installed server and added bundles."""
    env = os.environ if environ is None else environ
    if override := env.get("EDTALK_DATA_DIR"):
        return Path(override)
    if sys.platform == "win32":
        return _local_app_data(env) / APPLICATION
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / APPLICATION
    return _xdg(env, "XDG_DATA_HOME", ".local/share") / APPLICATION


def bundles_dir() -> Path:
    """Return the folder that holds this user's model bundles, one subfolder each."""
    return data_dir() / "bundles"


def catalogue_file() -> Path:
    """Return the file that lists this user's or site's own downloads, besides those that ship (docs/bundles.md)."""
    return data_dir() / "catalogue.json"


def log_dir(environ: Mapping[str, str] | None = None) -> Path:
    """Return the folder for log files, which are rotated."""
    env = os.environ if environ is None else environ
    if override := env.get("EDTALK_LOG_DIR"):
        return Path(override)
    if sys.platform == "win32":
        return data_dir(env) / "Logs"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Logs" / APPLICATION
    return _xdg(env, "XDG_STATE_HOME", ".local/state") / APPLICATION / "log"


def cache_dir(environ: Mapping[str, str] | None = None) -> Path:
    """Return the folder for what can be computed again. `EDTALK_CACHE_DIR` moves it."""
    env = os.environ if environ is None else environ
    if override := env.get("EDTALK_CACHE_DIR"):
        return Path(override)
    if sys.platform == "win32":
        return _local_app_data(env) / APPLICATION / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / APPLICATION
    return _xdg(env, "XDG_CACHE_HOME", ".cache") / APPLICATION


def server_record() -> Path:
    """Return the file in which the installer records the server: `{"python", "version", "checkout"}`."""
    return data_dir() / "server.json"


def make_private_folder(folder: Path) -> Path:
    """Create `folder`, and those above it that are missing, for this user alone.

    A folder that is there keeps its mode, unless it is one of this program's own. Raises `PermissionError` when it
    belongs to another user, who could then read or replace our files.
    """
    for missing in reversed([one for one in (folder, *folder.parents) if not one.exists()]):
        missing.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
    if sys.platform != "win32":  # on Windows the user's local folder is private by inheritance
        if not is_mine(folder):
            raise PermissionError(f"{folder} belongs to another user")
        if folder in (runtime_dir(), data_dir(), log_dir()) and not folder.stat().st_mode & stat.S_ISVTX:
            folder.chmod(PRIVATE_FOLDER)
    return folder


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only this user can read, whole or not at all."""
    make_private_folder(path.parent)
    atomic_write.write(path, content, private=True, durable=True)


def is_mine(path: Path) -> bool:
    """Return whether this user owns the file or folder (a link counts as not owned). Always true on Windows."""
    if sys.platform == "win32":
        return True
    return path.lstat().st_uid == os.getuid() and not path.is_symlink()


def is_safe_folder(folder: Path) -> bool:
    """Return whether no other user can put files into this folder, or another folder in its place.

    In the temporary folder, where anybody may make folders, those in between count too. Always true on Windows.
    """
    if sys.platform == "win32":
        return True
    shared = Path(tempfile.gettempdir())
    own = [folder, *(above for above in folder.parents if shared in above.parents)]
    return all(is_mine(one) and not one.stat().st_mode & 0o022 for one in own)


def is_private(path: Path) -> bool:
    """Return whether this user owns the file and no other user can access it. Always true on Windows."""
    if sys.platform == "win32":
        return True
    return is_mine(path) and stat.S_IMODE(path.stat().st_mode) & 0o077 == 0


def _local_app_data(env: Mapping[str, str]) -> Path:
    return Path(env.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")


def _xdg(env: Mapping[str, str], name: str, default: str) -> Path:
    value = env.get(name, "")
    return Path(value) if Path(value).is_absolute() else Path.home() / default


def _unix_runtime(env: Mapping[str, str]) -> Path:
    """Return the session's own folder, else the system's for this user, else one in the temporary folder."""
    assert sys.platform != "win32"  # noqa: S101 (tells the type checker that getuid exists)
    user = os.getuid()
    for candidate in (env.get("XDG_RUNTIME_DIR", ""), f"/run/user/{user}"):
        path = Path(candidate)
        if path.is_absolute() and path.is_dir() and is_private(path):
            return path
    return Path(tempfile.gettempdir()) / f"runtime-{user}"
