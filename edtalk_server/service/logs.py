"""The server's log: a rotating file, and the error stream for the program that started it."""

from __future__ import annotations

import logging
import sys
from logging.handlers import RotatingFileHandler
from pathlib import Path

from shared_protocol import paths

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def set_up(file: Path | None = None) -> Path | None:
    """Log to `file` (default: `server.log` in the user's log folder) and to stderr. Return the file.

    If the file cannot be written, the server runs anyway, with stderr alone; then return None.
    """
    target = file or paths.log_dir() / "server.log"
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    problem = None
    try:
        paths.make_private_folder(target.parent)
        handlers.append(RotatingFileHandler(target, maxBytes=1_000_000, backupCount=3, encoding="utf-8"))
    except OSError as error:
        problem = error
    logging.basicConfig(level=logging.INFO, format=_FORMAT, handlers=handlers, force=True)
    if problem is not None:
        logging.getLogger(__name__).warning("no log file: %s", problem)
        return None
    return target
