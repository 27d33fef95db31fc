# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
"""Operator: bake what changed, then render with the baked frames; and its entries in Blender's Render menu."""

from __future__ import annotations

import bpy
from bpy.props import BoolProperty

from ...core.tasks import Progress, Steps
from ..bake.bake import bakeable
from ..runtime.live import is_rendering
from ..runtime.polls import refuse
from ..runtime.task_operator import TaskOperator
from .loans import LOANS
from .prepare_frames import FAILED, prepare_frames


class Render(TaskOperator, bpy.types.Operator):
    """Bake what changed of all characters, then render with the baked frames"""

    bl_idname = "edtalk.render"
    bl_label = "Bake and Render"
    title = "Bake"

    animation: BoolProperty(
        name="Animation", description="All frames of the scene's range", options={"SKIP_SAVE"}
    )
    write_still: BoolProperty(
        name="Write Still", description="Save a single picture too, at the output path", options={"SKIP_SAVE"}
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not bakeable(context.scene):
            return refuse(cls, "The scene has no character that can be baked here")
        if is_rendering():
            return refuse(cls, "Blender is rendering")
        return cls.is_free()

    def steps(self, context: bpy.types.Context, progress: Progress) -> Steps[str]:
        scene, now = context.scene, context.scene.frame_current
        FAILED.clear()
        frames = range(scene.frame_start, scene.frame_end + 1) if self.animation else range(now, now + 1)
        is_ready = False
        try:
            message = yield from prepare_frames(scene.session_uid, frames, progress)
            is_ready = True
        finally:
            if not is_ready:  # a character failed, or the user cancelled, after others were lent their frames
                LOANS.take_back()
        self._render()
        return message

    def _render(self) -> None:
        LOANS.by_operator = True
        how = "EXEC_DEFAULT" if bpy.app.background else "INVOKE_DEFAULT"
        try:
            bpy.ops.render.render(how, animation=self.animation, write_still=self.write_still)
        except RuntimeError:  # no camera, for example: Blender has reported it
            LOANS.take_back()
            raise


def draw_menu(self: bpy.types.Menu, _context: bpy.types.Context) -> None:
    """Draw two entries in the Render menu."""
    layout = self.layout
    layout.separator()
    layout.operator("edtalk.render", text="Bake and Render Image", icon="RENDER_STILL")
    layout.operator(
        "edtalk.render", text="Bake and Render Animation", icon="RENDER_ANIMATION"
    ).animation = True


CLASSES = (Render,)


def register() -> None:
    """Add our entries to the Render menu."""
    bpy.types.TOPBAR_MT_render.append(draw_menu)


def unregister() -> None:
    """Remove our entries."""
    bpy.types.TOPBAR_MT_render.remove(draw_menu)
