"""No test sees the user's servers, or another test's."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders of the test's own."""
    for name in ("RUNTIME", "DATA", "LOG"):
        monkeypatch.setenv(f"EDTALK_{name}_DIR", str(tmp_path / name.lower()))
