"""Says why this folder is skipped where there is no Blender."""

from __future__ import annotations

import pytest


def test_blender_is_here() -> None:
    pytest.importorskip(
        "bpy", reason="no bpy here: run these tests with a Python that has it (see conftest.py)"
    )
