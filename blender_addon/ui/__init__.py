# SPDX-License-Identifier: GPL-3.0-or-later
"""What the user sees: panels that only draw, operators with one verb each, preferences, handlers that delegate."""

from __future__ import annotations

from typing import Protocol


class Registered(Protocol):
    """Something that Blender enables and disables with the add-on."""

    def register(self) -> None:
        """Enable it."""

    def unregister(self) -> None:
        """Disable it."""


def rooms() -> tuple[Registered, ...]:
    """Return all rooms in the order in which they are registered; the panels stand in the sidebar in this order."""
    from . import (
        bake,
        batch,
        character,
        face,
        handlers,
        language,
        performance,
        pie,
        poses,
        render,
        runtime,
        server,
        weights,
    )

    return (
        language,
        runtime.ROOM,
        server.ROOM,
        character.ROOM,
        performance.ROOM,
        bake.ROOM,
        weights.ROOM,
        face.ROOM,
        poses.ROOM,
        render.ROOM,
        pie,
        batch,
        handlers,
    )


def register() -> None:
    """Register all rooms."""
    for room in rooms():
        room.register()


def unregister() -> None:
    """End what runs, and leave nothing behind."""
    from .runtime import runtime

    runtime.stop()  # first, while the operators that run are still registered
    for room in reversed(rooms()):
        room.unregister()
