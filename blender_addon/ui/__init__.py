# SPDX-License-Identifier: GPL-3.0-or-later
"""What the user sees: panels that only draw, operators with one verb each, preferences, handlers that delegate."""

from __future__ import annotations

from types import ModuleType


def _classes() -> tuple[type, ...]:
    from . import panels, pie
    from .bake import bake_operators, bake_panel, movie, takes, takes_panel
    from .character import create, crop_view, portrait, portrait_panel, view_character
    from .performance import capture, predict, transcript, voice_panel
    from .poses import pose_assets, pose_files
    from .render import render_operators
    from .runtime import preferences, task_operator
    from .server import bundles, server_operators, server_panel
    from .weights import editing, emotion_panel, emotions, keys, weights_panel

    return (
        *preferences.CLASSES,
        *server_operators.CLASSES,
        *bundles.CLASSES,
        task_operator.Cancel,
        *create.CLASSES,
        *view_character.CLASSES,
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
        *bake_operators.CLASSES,
        *render_operators.CLASSES,
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
    from . import batch, pie
    from .bake import takes_panel, timeline
    from .character import create, overlay
    from .poses import pose_assets
    from .render import render_operators
    from .server import bundles

    return overlay, timeline, takes_panel, render_operators, pose_assets, batch, create, bundles, pie


def register() -> None:
    """Register classes and handlers, begin to pump."""
    import bpy

    from . import handlers, language
    from .runtime import pump

    language.register()
    for cls in _classes():
        bpy.utils.register_class(cls)
    handlers.register()
    pump.start()
    for module in _drawing():
        module.register()


def unregister() -> None:
    """End what runs, and leave nothing behind."""
    import bpy

    from . import handlers, language
    from .runtime import pump

    for module in _drawing():
        module.unregister()
    pump.stop()
    handlers.unregister()
    for cls in reversed(_classes()):
        bpy.utils.unregister_class(cls)
    language.unregister()
