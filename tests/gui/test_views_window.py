"""The live picture is seen in every kind of shading."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

Drive = Callable[..., dict[str, Any]]


NOT_ALWAYS = pytest.mark.xfail(reason="Cycles' view now and then misses a live picture", strict=False)


@pytest.mark.parametrize("view", ["solid", pytest.param("cycles", marks=NOT_ALWAYS)])
def test_a_changed_weight_is_seen_at_once(drive: Drive, view: str) -> None:
    assert drive("drive_views", 25, "1000x640", VIEWS=view)["changes"] == {view: 3}


@pytest.mark.skipif(
    not os.environ.get("EDTALK_GUI_EEVEE"), reason="its shaders take many minutes without a graphics card"
)
@pytest.mark.timeout(2400)
def test_a_changed_weight_is_seen_by_eevee(drive: Drive) -> None:
    seen = drive("drive_views", 25, "1000x640", VIEWS="material,eevee", LIMIT="2000")
    assert seen["changes"] == {"material": 3, "eevee": 3}
