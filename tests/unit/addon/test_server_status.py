"""The panel's line about the server."""

from __future__ import annotations

from blender_addon.core.server.process import ServerState
from blender_addon.core.server.status import ServerStatus
from shared_protocol.messages import Pong


def line(state: ServerState, activity: str = "") -> str:
    return ServerStatus.of(state, 60.0, Pong(activity=activity)).line


def test_the_line_tells_what_the_server_does() -> None:
    assert line(ServerState.BUSY, "bake") == "Server: busy, bake"
    assert line(ServerState.WARMING_UP, "loading") == "Server: warming up, loading (1 min)"


def test_a_server_that_draws_a_preview_counts_as_ready() -> None:
    assert line(ServerState.BUSY, "preview") == "Server: ready"
    assert line(ServerState.BUSY, "preview, on the CPU") == "Server: ready, on the CPU"


def test_a_server_that_has_ended_does_nothing() -> None:
    assert line(ServerState.STOPPED, "bake") == "Server: stopped"
