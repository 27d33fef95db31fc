# SPDX-License-Identifier: GPL-3.0-or-later
"""What the user sees: panels that only draw, operators with one verb each, preferences, handlers that delegate."""

from __future__ import annotations

from types import ModuleType


def _classes() -> tuple[type, ...]:
    from . import (
        bake,
        bake_panel,
        bundles,
        capture,
        create,
        crop_view,
        editing,
        emotion_panel,
        emotions,
        keys,
        looking,
        movie,
        operators,
        panels,
        pie,
        portrait,
        portrait_panel,
        pose_assets,
        pose_files,
        predict,
        preferences,
        render,
        server,
        server_panel,
        takes,
        takes_panel,
        transcript,
        voice_panel,
        weights_panel,
    )

    return (
        *preferences.CLASSES,
        *server.CLASSES,
        *bundles.CLASSES,
        operators.Cancel,
        *create.CLASSES,
        *looking.CLASSES,
        *portrait.CLASSES,
        *crop_view.CLASSES,
        *predict.CLASSES,
        *capture.CLASSES,
        *transcript.CLASSES,
        *editing.CLASSES,
        *keys.CLASSES,
        *emotions.CLASSES,
        *pose_assets.CLASSES,
        *pose_files.CLASSES,
        *bake.CLASSES,
        *render.CLASSES,
        *takes.CLASSES,
        *movie.CLASSES,
        *server_panel.CLASSES,
        *panels.CLASSES,
        *pie.CLASSES,
        *portrait_panel.CLASSES,
        *voice_panel.CLASSES,
        *bake_panel.CLASSES,
        *takes_panel.CLASSES,
        *weights_panel.CLASSES,
        *emotion_panel.CLASSES,
    )


def _drawing() -> tuple[ModuleType, ...]:
    """What draws beside the panels or keeps what they draw, and the command line."""
    from . import batch, bundles, create, overlay, pie, pose_assets, render, takes_panel, timeline

    return overlay, timeline, takes_panel, render, pose_assets, batch, create, bundles, pie


def register() -> None:
    """Register classes and handlers, begin to pump."""
    import bpy

    from . import handlers, language, link

    language.register()
    for cls in _classes():
        bpy.utils.register_class(cls)
    handlers.register()
    link.start()
    for module in _drawing():
        module.register()


def unregister() -> None:
    """End what runs, and leave nothing behind."""
    import bpy

    from . import handlers, language, link

    for module in _drawing():
        module.unregister()
    link.stop()
    handlers.unregister()
    for cls in reversed(_classes()):
        bpy.utils.unregister_class(cls)
    language.unregister()
