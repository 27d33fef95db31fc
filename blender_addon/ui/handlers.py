# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender's handlers: each checks whether the event concerns it, and delegates.

Frame changes and depsgraph updates both count: moving keys in the Graph Editor fires only the second. During a render
the handlers run in Blender's render thread, where the sockets may not be used, and do nothing.
"""

from __future__ import annotations

import os
import threading

import bpy
from bpy.app.handlers import persistent

from ..core.tasks import run_to_end
from ..scene import appended, character, paths, plane
from .bake.watch import WATCH
from .runtime import runtime
from .runtime.live import LIVE

_paths_before: list[tuple[int, str, str]] = []
"""The characters' paths before the current save."""


def _concerns_live_pictures(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph | None) -> bool:
    return (
        not bpy.app.background
        and depsgraph is not None
        and depsgraph.mode == "VIEWPORT"
        and threading.current_thread() is threading.main_thread()
        and scene.frame_subframe == 0.0
    )


@persistent
def on_change(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph | None = None) -> bool:
    """Update the live pictures: the frame changed. Return whether one was requested."""
    return _update(scene, depsgraph, is_edit=False)


def _update(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph | None, is_edit: bool) -> bool:
    is_asked = _concerns_live_pictures(scene, depsgraph) and LIVE.update(scene, depsgraph, is_edit)
    if is_asked:
        runtime.current().wake()
    return is_asked


@persistent
def on_edit(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph | None = None) -> None:
    """Update the live pictures and the states of frames: something in the scene changed, perhaps at other frames. (A
    new live picture fires this handler as well, and changes none.)"""
    is_asked = _update(scene, depsgraph, is_edit=True)
    if is_asked or (depsgraph is not None and depsgraph.id_type_updated("ACTION")):
        WATCH.unsettle()


@persistent
def on_load(*_: object) -> None:
    """Forget the file that was open before."""
    runtime.current().forget_file()


@persistent
def on_undo(*_: object) -> None:
    """Request the live pictures again: undo may have brought back older ones."""
    LIVE.ask_again()


@persistent
def on_import(imported: bpy.types.BlendImportContext, *_: object) -> None:
    """Repair the paths of what was appended: they are relative to the other .blend."""
    for item in imported.import_items:
        if item.source_library is not None and isinstance(item.id, bpy.types.Object):
            appended.adjust_paths(item.id, item.source_library.filepath)


@persistent
def before_save(path: str, *_: object) -> None:
    """Pack the live pictures, and make our paths relative to the file."""
    run_to_end(plane.settle_live_images())
    _paths_before[:] = paths.make_paths_relative(path) if path else []


@persistent
def after_save(path: str, *_: object) -> None:
    """Restore our paths after a copy was saved, or saving failed: the open file is still where it was."""
    if os.path.normpath(bpy.data.filepath) != os.path.normpath(path):
        paths.put_paths_back(_paths_before)
    _paths_before.clear()


@persistent
def before_render(scene: bpy.types.Scene, *_: object) -> None:
    """Let the colours follow the view transform: in background mode no timer does."""
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
        if handler in listeners:  # another add-on may have cleared the list
            listeners.remove(handler)
