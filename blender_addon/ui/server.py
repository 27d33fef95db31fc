# SPDX-License-Identifier: GPL-3.0-or-later
"""Operators: start and stop the server."""

from __future__ import annotations

import bpy

from ..core.tasks import Progress, Steps
from . import link
from .operators import TaskOperator, refuse


class StartServer(TaskOperator, bpy.types.Operator):
    """Start the model server on this machine, or connect to the one that runs"""

    bl_idname = "edtalk.start_server"
    bl_label = "Start Server"
    title = "Start Server"

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        if link.session().is_ready:
            return refuse(cls, "The server is running")
        return cls.is_free()

    def steps(self, _context: bpy.types.Context, progress: Progress) -> Steps[str]:
        bundle = yield from link.session().ready(progress)
        return f"The server is ready: {bundle.title}"


class StopServer(bpy.types.Operator):
    """Stop the model server. What it was doing is cancelled; finished frames are kept"""

    bl_idname = "edtalk.stop_server"
    bl_label = "Stop Server"

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return link.session().is_connected or refuse(cls, "The server is not running")

    def execute(self, _context: bpy.types.Context) -> set[str]:
        if bpy.app.background:
            link.session().close()  # no timer would look after it
        else:
            link.session().stop_server()
            link.wake()
        return {"FINISHED"}


CLASSES = (StartServer, StopServer)
