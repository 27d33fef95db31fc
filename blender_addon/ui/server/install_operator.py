# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
"""Operator: install the server that the extension carries, beside Blender's own Python and without a terminal."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import bpy
from bpy.props import EnumProperty, StringProperty

from shared_protocol import paths as places
from shared_protocol.errors import EDTalkError, ErrorCode

from ...core.server import discovery, installing
from ...core.server.process import ServerState
from ...core.tasks import Progress, Steps, redraw
from ...core.text.translate import iface_, rpt_
from ...scene import paths
from ..runtime import runtime
from ..runtime.polls import refuse
from ..runtime.preferences import preferences
from ..runtime.task_operator import TaskOperator
from ..sidebar import draw_words
from .bundle_operators import OFFLINE

CARGO = Path(__file__).resolve().parents[2] / "server"
SIZES = {"cpu": (0.5, 2), "cuda": (3, 9)}
"""About how many GB each PyTorch downloads and needs on the disk (as `edtalk_server/installer/server.py` has them)."""
LOG = "install-server.log"


def is_missing() -> bool:
    """Return whether no server is installed, as far as the add-on can tell without starting one."""
    if runtime.session().is_connected or runtime.session().server.state is not ServerState.STOPPED:
        return runtime.session().server.state is ServerState.NOT_INSTALLED
    return _LOOKED.is_missing()


class _Look:
    """Whether a server is installed; the disk is asked once for each chosen Python, and again after an installation."""

    def __init__(self) -> None:
        self._known: dict[str, bool] = {}

    def is_missing(self) -> bool:
        chosen = preferences().server_python
        if chosen not in self._known:
            try:
                discovery.find_install(chosen)
            except EDTalkError:
                self._known[chosen] = True
            else:
                self._known[chosen] = False
        return self._known[chosen]

    def forget(self) -> None:
        self._known.clear()


_LOOKED = _Look()


@lru_cache(maxsize=1)
def _cargo(folder: Path) -> installing.Cargo | None:
    """Return what this add-on carries, which stays while it is enabled: polls ask whenever a panel is drawn."""
    return installing.Cargo.find(folder)


class InstallServer(TaskOperator, bpy.types.Operator):
    """Install the model server on this machine, in an environment of its own. Blender's Python stays as it is"""

    bl_idname = "edtalk.install_server"
    bl_label = "Install Server"
    title = "Install Server"
    is_of_file = False

    torch: EnumProperty(
        name="Runs on",
        description="Which build of PyTorch is downloaded",
        items=(
            ("cpu", "Processor", "Works everywhere; on a Mac it also uses the Apple graphics processor"),
            ("cuda", "NVIDIA Graphics Card", "Much faster with an NVIDIA card and its driver"),
        ),
        options={"SKIP_SAVE"},
    )
    wheels: StringProperty(
        name="Packages",
        description="Folder with the packages, for a machine without a network. Empty: they are downloaded",
        subtype="DIR_PATH",
        options={"SKIP_SAVE"} | paths.PATH_OPTIONS,
    )
    python: StringProperty(
        name="Python",
        description="A Python 3.11 to 3.13 that makes the environment. Empty: Blender's own, or the system's",
        subtype="FILE_PATH",
        options={"SKIP_SAVE"} | paths.PATH_OPTIONS,
    )

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        if _cargo(CARGO) is None:
            return refuse(cls, "This add-on carries no server: run install.py in the EDTalk folder")
        return cls.is_free()

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if self.asked or bpy.app.background:
            return super().invoke(context, event)
        if not self.properties.is_property_set("torch") and installing.nvidia_driver_answers():
            self.torch = "cuda"
        return self.ask(context, confirm="Install")

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        column = layout.column()
        column.use_property_split = True
        column.prop(self, "torch")
        download, disk = SIZES[self.torch]
        text = iface_("About {download} GB to download, {disk} GB on the disk", download=download, disk=disk)
        layout.label(text=text, translate=False)
        layout.label(text=str(installing.environment_folder()), translate=False, icon="FILE_FOLDER")
        column = layout.column()
        column.use_property_split = True
        column.prop(self, "wheels")
        column.prop(self, "python")
        if not bpy.app.online_access and not self.wheels:
            column.prop(context.preferences.system, "use_online_access")

    def steps(self, _context: bpy.types.Context, progress: Progress) -> Steps[str]:
        cargo, wheels = _cargo(CARGO), paths.absolute(self.wheels) if self.wheels else None
        chosen = Path(paths.absolute(self.python)) if self.python else None
        choice = installing.Choice(self.torch, wheels)  # the operator itself ends when another file is opened
        if cargo is None:
            raise EDTalkError(
                ErrorCode.SERVER_UNREACHABLE,
                "This add-on carries no server.",
                "Install the EDTalk package of a release, or run install.py in the EDTalk folder.",
            )
        if wheels is None and not bpy.app.online_access:
            raise EDTalkError(ErrorCode.DOWNLOAD_FAILED, f"{OFFLINE}.", "Or name a folder with the packages.")
        progress.begin("Looking for a Python")
        yield from redraw()
        python = yield from installing.choose_python(chosen)
        yield from _end_server(progress)
        installation = installing.Installation(python, cargo, choice, places.log_dir() / LOG)
        try:
            while not installation.poll(progress):
                yield
        finally:
            installation.close()
            _LOOKED.forget()
        preferences().server_python = ""  # an older choice would hide the new one
        bundle = yield from runtime.session().ready(progress)
        return rpt_("The server is installed and ready: {bundle}", bundle=bundle.title)


def _end_server(progress: Progress) -> Steps[None]:
    """End a server that runs: an update replaces its files, and what runs then would be the old one."""
    session = runtime.session()
    if session.is_connected:
        progress.begin("Stopping the server")
        session.stop_server()
    while session.server.state is ServerState.STOPPING:
        yield


def draw_install(layout: bpy.types.UILayout) -> None:
    """Draw the button, large, with a word on what it does."""
    column = layout.column(align=True)
    row = column.row()
    row.scale_y = 2.0
    row.operator("edtalk.install_server", icon="IMPORT")
    draw_words(
        column, iface_("Characters need the model server: it is installed once, for all files"), "INFO"
    )


def register() -> None:
    """Look again."""
    _LOOKED.forget()


def unregister() -> None:
    """Forget it."""
    _LOOKED.forget()
    _cargo.cache_clear()


CLASSES = (InstallServer,)
