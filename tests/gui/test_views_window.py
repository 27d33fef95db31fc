"""The live picture is seen in every kind of shading."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Drive = Callable[..., dict[str, Any]]


SPEEDS = ("slowly", "one after another", "many at once", "none between")
ALWAYS = {speed: [True, True] for speed in SPEEDS}


def test_a_changed_weight_is_seen_at_once(drive: Drive) -> None:
    seen = drive("drive_views", 25, "1000x640", VIEWS="solid,cycles")
    assert seen["framed"] == [True, True], "the character alone, and what was selected still is"
    assert seen["seen"] == {"solid": ALWAYS, "cycles": ALWAYS}


@pytest.mark.slow
def test_a_changed_weight_is_seen_by_eevee(drive: Drive) -> None:
    views = drive("drive_views", 25, "1000x640", VIEWS="material,eevee", LIMIT="600")
    assert views["seen"] == {"material": ALWAYS, "eevee": ALWAYS}
