# SPDX-License-Identifier: GPL-3.0-or-later
"""Operators: start, stop and restart the server, release its memory, show its log, copy diagnostics."""

from __future__ import annotations

import platform
import time
from pathlib import Path

import bpy

import shared_protocol
from shared_protocol import paths

from ...core.server import diagnostics
from ...core.server.session import RELEASE
from ...core.tasks import Progress, Steps
from ...core.text.translate import in_english, rpt_
from ..runtime import runtime
from ..runtime.polls import refuse
from ..runtime.preferences import server_options
from ..runtime.task_operator import TaskOperator


def needs_restart() -> bool:
    """Return whether a server runs that was started with other settings than the preferences have now."""
    session = runtime.session()
    return session.is_connected and session.server.options != server_options()


class StartServer(TaskOperator, bpy.types.Operator):
    """Start the model server on this machine, or connect to the one that runs"""

    bl_idname = "edtalk.start_server"
    bl_label = "Start Server"
    title = "Start Server"
    is_of_file = False

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        if runtime.session().is_ready:
            return refuse(cls, "The server is running")
        return cls.is_free()

    def steps(self, _context: bpy.types.Context, progress: Progress) -> Steps[str]:
        bundle = yield from runtime.session().ready(progress)
        return rpt_("The server is ready: {bundle}", bundle=bundle.title)


class RestartServer(TaskOperator, bpy.types.Operator):
    """Stop the model server, whoever started it, and start it with the current settings. Finished frames are kept"""

    bl_idname = "edtalk.restart_server"
    bl_label = "Restart Server"
    title = "Restart Server"
    is_of_file = False

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        others = runtime.session().others
        if others and not server_options():
            return refuse(
                cls,
                "Other programs use this server ({count}): close them, or press Stop in their EDTalk panel. With a "
                "device or a model bundle chosen, this Blender starts a server of its own",
                count=others,
            )
        return cls.is_free()

    def steps(self, _context: bpy.types.Context, progress: Progress) -> Steps[str]:
        bundle = yield from runtime.session().restart(progress)
        return rpt_("The server is ready: {bundle}", bundle=bundle.title)


class StopServer(bpy.types.Operator):
    """Stop the model server, unless others use it. The running task is cancelled; finished frames are kept"""

    bl_idname = "edtalk.stop_server"
    bl_label = "Stop Server"

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return runtime.session().is_connected or refuse(cls, "The server is not running")

    def execute(self, _context: bpy.types.Context) -> set[str]:
        if bpy.app.background:
            runtime.session().close()  # no timer runs in background mode
        else:
            runtime.session().stop_server()
            runtime.current().wake()
        return {"FINISHED"}


class ReleaseMemory(bpy.types.Operator):
    """Release the graphics card's memory, for example for a render. The next picture loads the model again"""

    bl_idname = "edtalk.release_memory"
    bl_label = "Release GPU"

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        session = runtime.session()
        if not session.is_ready:
            return refuse(cls, "The server is not running")
        if not session.can(RELEASE):
            return refuse(cls, "This server is older than the add-on and cannot release memory")
        if session.memory.capacity == 0:
            return refuse(cls, "The server runs on the processor: it uses no graphics memory")
        return session.memory.device > 0 or refuse(cls, "The server uses no graphics memory now")

    def execute(self, _context: bpy.types.Context) -> set[str]:
        runtime.session().release()
        runtime.current().wake()
        return {"FINISHED"}


class ShowLog(bpy.types.Operator):
    """Open the folder with the server's logs"""

    bl_idname = "edtalk.show_log"
    bl_label = "Show Log"

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return bool(_logs()) or refuse(cls, "There is no log yet: the server has not run")

    def execute(self, _context: bpy.types.Context) -> set[str]:
        bpy.ops.wm.path_open(filepath=str(paths.log_dir()))
        return {"FINISHED"}


class CopyDiagnostics(bpy.types.Operator):
    """Copy what a bug report needs"""

    bl_idname = "edtalk.copy_diagnostics"
    bl_description = (
        "Copy what a bug report needs: versions, device, the server's states, the last lines of the logs. The name of "
        "your home folder and secrets are masked. Read it before you send it"
    )
    bl_label = "Copy Diagnostics"

    def execute(self, context: bpy.types.Context) -> set[str]:
        context.window_manager.clipboard = describe_installation()
        self.report({"INFO"}, rpt_("Copied: paste it into your report, and read it before you send it"))
        return {"FINISHED"}


def describe_installation() -> str:
    """Return versions, device, states and the last log lines as one English text without anything private."""
    session = runtime.session()
    logs = {file.name: diagnostics.tail(file) for file in _logs()}
    connected = session.server.connection
    secrets = [connected.client_secret, connected.client_public] if connected else []
    history, home = session.server.history, str(Path.home())
    with in_english():
        return diagnostics.report(_facts(), history, time.monotonic(), logs, home, secrets)


def _facts() -> dict[str, str]:
    session = runtime.session()
    welcome = session.client.welcome if session.client is not None else None
    return {
        "Blender": f"{bpy.app.version_string}, Python {platform.python_version()}",
        "System": f"{platform.platform()}, {platform.machine()}",
        "Add-on": shared_protocol.__version__,
        "Server": f"{welcome.version}, protocol {welcome.protocol}" if welcome else "not connected",
        "Device": welcome.device if welcome else "unknown",
        "Options": " ".join(session.server.options) or "none",
        "Bundle": session.bundle.title if session.bundle else "none",
        "State": f"{session.status.line}. {session.status.memory}",
        "Trouble": " ".join(session.trouble or ("none",)),
    }


def _logs() -> list[Path]:
    """Return the server's own log, and the newest log of a server's output, as far as they exist."""
    started = paths.log_dir().glob("server-started-by-*.log")
    newest = sorted(started, key=lambda file: file.stat().st_mtime)[-1:]
    return [file for file in (paths.log_dir() / "server.log", *newest) if file.is_file()]


CLASSES = (StartServer, StopServer, RestartServer, ReleaseMemory, ShowLog, CopyDiagnostics)
