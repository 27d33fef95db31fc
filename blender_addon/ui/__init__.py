# SPDX-License-Identifier: GPL-3.0-or-later
"""What the user sees: panels that only draw, operators with one verb each, preferences, handlers that delegate."""

from __future__ import annotations


def _classes() -> tuple[type, ...]:
    from . import bake, create, editing, operators, panels, predict, preferences, server

    return (
        *preferences.CLASSES,
        *server.CLASSES,
        operators.Cancel,
        *create.CLASSES,
        *predict.CLASSES,
        *editing.CLASSES,
        *bake.CLASSES,
        *panels.CLASSES,
    )


def register() -> None:
    """Register classes and handlers, begin to pump."""
    import bpy

    from . import handlers, link

    for cls in _classes():
        bpy.utils.register_class(cls)
    handlers.register()
    link.start()


def unregister() -> None:
    """End what runs, and leave nothing behind."""
    import bpy

    from . import handlers, link

    link.stop()
    handlers.unregister()
    for cls in reversed(_classes()):
        bpy.utils.unregister_class(cls)
