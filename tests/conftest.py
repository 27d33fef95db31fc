"""What all tests share: this user's own settings stay untouched, and the reference files are found."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"

# before anything is imported: one thread each, because tests compare numbers and share the machine
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")


@pytest.fixture(scope="session", autouse=True)
def own_user_folders() -> Iterator[None]:
    """Servers, connection files and records of the tests live in a folder of their own, for child processes too."""
    names = ("EDTALK_RUNTIME_DIR", "EDTALK_DATA_DIR", "EDTALK_LOG_DIR")
    before = {name: os.environ.get(name) for name in names}
    with tempfile.TemporaryDirectory(prefix="edtalk-tests-") as folder:
        for name in names:
            os.environ[name] = str(Path(folder) / name.split("_")[1].lower())
        yield
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference data beside the checkout; tests that need it are skipped where it is not."""
    if not SHARED.is_dir():
        pytest.skip("the reference data beside the checkout (../shared) is not here")
    return SHARED
