# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender's events: each handler looks whether it is meant, and delegates.

Frame changes and depsgraph updates both count: keys that are moved in the Graph Editor fire only the second. During a
render the handlers run in Blender's render thread, where the sockets may not be used, and do nothing.
"""

from __future__ import annotations

import os
import threading

import bpy
from bpy.app.handlers import persistent

from ..core.tasks import run_to_end
from ..scene import appended, character, plane
from .render import render_operators
from .runtime import pump

_paths_before: list[tuple[int, str, str]] = []
"""The characters' paths as they were before the save that is going on."""


def _is_ours_to_answer(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph | None) -> bool:
    return (
        not bpy.app.background
        and depsgraph is not None
        and depsgraph.mode == "VIEWPORT"
        and threading.current_thread() is threading.main_thread()
        and scene.frame_subframe == 0.0
    )


@persistent
def on_change(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph | None = None) -> bool:
    """The frame, or something in the scene, changed; True when a new live picture is on its way."""
    is_asked = _is_ours_to_answer(scene, depsgraph) and pump.live().look(scene, depsgraph)
    if is_asked:
        pump.wake()
    return is_asked


@persistent
def on_edit(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph | None = None) -> None:
    """Something in the scene changed, perhaps at other frames too. (A new live picture is told of here as well, and
    changes none.)"""
    is_asked = on_change(scene, depsgraph)
    if is_asked or (depsgraph is not None and depsgraph.id_type_updated("ACTION")):
        pump.watch().unsettle()


@persistent
def on_load(*_: object) -> None:
    """Another file is open: what was running belonged to the old one."""
    render_operators.forget()
    pump.forget_file()


@persistent
def on_undo(*_: object) -> None:
    """Undo may have brought back an older picture."""
    render_operators.tidy()
    pump.live().ask_again()


@persistent
def on_import(imported: bpy.types.BlendImportContext, *_: object) -> None:
    """Data came from another .blend: what was appended brought paths that meant that file's folder."""
    for item in imported.import_items:
        if item.source_library is not None and isinstance(item.id, bpy.types.Object):
            appended.adjust_paths(item.id, item.source_library.filepath)


@persistent
def before_save(path: str, *_: object) -> None:
    """Keep the live pictures and make our paths relative to the file."""
    run_to_end(plane.settle_live_images())
    _paths_before[:] = character.make_paths_relative(path) if path else []


@persistent
def after_save(path: str, *_: object) -> None:
    """When a copy was written, or nothing could be, the open file is still where it was, and so are its paths."""
    if os.path.normpath(bpy.data.filepath) != os.path.normpath(path):
        character.put_paths_back(_paths_before)
    _paths_before.clear()


@persistent
def before_render(scene: bpy.types.Scene, *_: object) -> None:
    """In background mode no timer lets the colours follow the view transform."""
    if threading.current_thread() is threading.main_thread():
        for ob in character.characters(scene):
            plane.follow_view_transform(ob, scene)


_SINCE_4_3 = (("blend_import_post", on_import),) if bpy.app.version >= (4, 3, 0) else ()
HANDLERS = (
    ("render_init", before_render),
    ("frame_change_post", on_change),
    ("depsgraph_update_post", on_edit),
    ("load_post", on_load),
    ("undo_post", on_undo),
    ("redo_post", on_undo),
    ("save_pre", before_save),
    ("save_post", after_save),
    ("save_post_fail", after_save),
    *_SINCE_4_3,
)


def register() -> None:
    for name, handler in HANDLERS:
        getattr(bpy.app.handlers, name).append(handler)


def unregister() -> None:
    for name, handler in HANDLERS:
        listeners = getattr(bpy.app.handlers, name)
        if handler in listeners:  # somebody may have cleared the list
            listeners.remove(handler)
