# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
"""Operators on model bundles: list, use, import and download; and the list for the panel."""

from __future__ import annotations

import logging
from pathlib import Path

import bpy
from bpy.props import StringProperty

from shared_protocol import messages
from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.messages import BundleEntry

from ...core.server.session import OnProgress
from ...core.server.status import Bundle
from ...core.tasks import Progress, Steps, Stopped
from ...core.text.translate import iface_, n_, rpt_
from ...scene import paths
from ..runtime import runtime
from ..runtime.polls import refuse
from ..runtime.preferences import preferences
from ..runtime.redraw import redraw_panels
from ..runtime.task_operator import TaskOperator
from ..sidebar import format_bytes

log = logging.getLogger(__name__)

Entries = tuple[BundleEntry, ...]
OFFLINE = n_("Blender is offline: allow online access in Preferences > System > Network")


class BundleList:
    """The bundles as the server listed them last. It is asked again when another server is there."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Know of no bundles."""
        self.entries: Entries = ()
        self._asked_with: Bundle | None = None
        """The server's running bundle when it was asked last."""
        self._asking: Steps[Entries] | None = None

    def tick(self) -> None:
        """Ask the server, or read its answer."""
        session = runtime.session()
        if self._asking is not None:
            self._go_on(self._asking)
        elif session.bundle is not self._asked_with:
            self._asked_with = session.bundle
            if session.bundle is not None and session.can(messages.ListBundles.capability):
                self._asking = _list_bundles(Progress())

    def _go_on(self, steps: Steps[Entries]) -> None:
        try:
            next(steps)
        except StopIteration as last:
            self.entries, self._asking = last.value, None
            redraw_panels()
        except (EDTalkError, Stopped) as error:
            self._asking = None
            log.warning("the bundles could not be listed: %s", error)


BUNDLES = BundleList()


def known_bundles() -> Entries:
    """Return the bundles as the server listed them last."""
    return BUNDLES.entries


def title_of(entry: BundleEntry) -> str:
    """Return a bundle's title with its version."""
    return f"{entry.title or entry.name} {entry.version}".strip()


def _find(entries: Entries, name: str) -> BundleEntry:
    for entry in entries:
        if entry.name == name:
            return entry
    raise EDTalkError(
        ErrorCode.BUNDLE_INVALID, f"There is no bundle “{name}” here.", "Choose one of the panel's list."
    )


def _list_bundles(progress: Progress) -> Steps[Entries]:
    """Ask the server which bundles are installed, and which can be downloaded."""
    progress.begin("Looking for model bundles")
    return (yield from runtime.session().run(messages.ListBundles(), progress)).bundles


def _in_megabytes(progress: Progress) -> OnProgress:
    """Return what shows how far a download is, whose units are bytes."""

    def follow(event: messages.Progress) -> None:
        progress.follow(event)
        progress.done, progress.total = event.done // 10**6, max(1, event.total // 10**6)
        progress.counted = "MB"

    return follow


class ListBundles(TaskOperator, bpy.types.Operator):
    """List the model bundles again. Starts the server if it does not run"""

    bl_idname = "edtalk.list_bundles"
    bl_label = "List Bundles"
    title = "List Bundles"
    is_of_file = False

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return cls.is_free()

    def steps(self, _context: bpy.types.Context, progress: Progress) -> Steps[str]:
        yield from runtime.session().ready(progress)
        BUNDLES.entries = yield from _list_bundles(progress)
        return rpt_("Bundles: {names}", names=", ".join(map(title_of, BUNDLES.entries)))


class UseBundle(TaskOperator, bpy.types.Operator):
    """Restart the server with this model bundle, and use it from now on. Characters keep their weights"""

    bl_idname = "edtalk.use_bundle"
    bl_label = "Use Bundle"
    title = "Use Bundle"
    is_of_file = False

    path: StringProperty(
        name="Bundle", description="As `edtalk serve --bundle` takes it: a folder or a shipped name"
    )

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return cls.is_free()

    def steps(self, _context: bpy.types.Context, progress: Progress) -> Steps[str]:
        path, before, ran = self.path, preferences().bundle, runtime.session().is_connected
        preferences().bundle = path
        try:
            bundle = yield from runtime.session().restart(progress)
        except EDTalkError as error:
            preferences().bundle = before
            raise (yield from _restore_bundle(path, error, ran, progress)) from error
        BUNDLES.entries = yield from _list_bundles(progress)
        return rpt_("The server runs {bundle}", bundle=bundle.title)


def _restore_bundle(path: str, error: EDTalkError, ran: bool, progress: Progress) -> Steps[EDTalkError]:
    """Start the server again as it was before a bundle failed, if it ran. Return the error to raise."""
    title = next((title_of(entry) for entry in known_bundles() if entry.path == path), Path(path).name)
    fix = n_("Choose another bundle, or import or download this one again.")
    cause = f"The server does not start with {title}: {error.cause}"
    if not ran:
        return EDTalkError(error.code, cause, fix)
    try:
        bundle = yield from runtime.session().restart(progress)
    except EDTalkError as again:
        return EDTalkError(error.code, cause, f"Nor does it start with the bundle before: {again.cause}")
    return EDTalkError(error.code, cause, f"{bundle.title} runs again. {fix}")


class ImportBundle(TaskOperator, bpy.types.Operator):
    """Make a model bundle from a folder with the official checkpoints (EDTalk.pt, Audio2Lip.pt, …)"""

    bl_idname = "edtalk.import_bundle"
    bl_label = "Import Checkpoints"
    title = "Import Checkpoints"
    is_of_file = False

    directory: StringProperty(subtype="DIR_PATH", options={"SKIP_SAVE"})
    filter_folder: bpy.props.BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})
    name: StringProperty(
        name="Name",
        description="Name of the new bundle's folder. Empty: the release's own name",
        options={"SKIP_SAVE"},
    )

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return cls.is_free()

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if self.asked or self.directory:
            return super().invoke(context, event)
        return self.browse(context)

    def steps(self, _context: bpy.types.Context, progress: Progress) -> Steps[str]:
        folder, name = Path(paths.absolute(self.directory)), self.name
        yield from runtime.session().ready(progress)
        before = {entry.path for entry in (yield from _list_bundles(progress))}
        progress.begin("Reading the checkpoints")
        request = messages.ImportBundle(folder=str(folder), name=name)
        BUNDLES.entries = (yield from runtime.session().run(request, progress)).bundles
        new = [title_of(entry) for entry in BUNDLES.entries if entry.installed and entry.path not in before]
        return rpt_("Imported {names}: choose Use to run it", names=", ".join(new))


class DownloadBundle(TaskOperator, bpy.types.Operator):
    """Fetch this model bundle from the internet"""

    bl_idname = "edtalk.download_bundle"
    bl_label = "Download Bundle"
    title = "Download Bundle"
    is_of_file = False

    name: StringProperty(name="Name", description="Name in the list", options={"SKIP_SAVE"})

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return cls.is_free() if bpy.app.online_access else refuse(cls, OFFLINE)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if not self.asked and not bpy.app.background:
            return self.ask(context, confirm="Download")
        return super().invoke(context, event)

    def draw(self, _context: bpy.types.Context) -> None:
        for line in self.terms():
            self.layout.label(text=line, translate=False)

    def terms(self) -> list[str]:
        """Return what the user agrees to, line by line."""
        entry = _find(known_bundles(), self.name)
        licence = entry.licence or iface_("unknown")
        size = format_bytes(entry.bytes)
        return [
            title_of(entry),
            iface_("Licence: {licence}", licence=licence),
            iface_("Size: {size}", size=size),
        ]

    def steps(self, _context: bpy.types.Context, progress: Progress) -> Steps[str]:
        name = self.name
        yield from runtime.session().ready(progress)
        progress.begin("Downloading")
        request = messages.DownloadBundle(name=name)
        reply = yield from runtime.session().run(request, progress, on_progress=_in_megabytes(progress))
        BUNDLES.entries = reply.bundles
        title = title_of(_find(BUNDLES.entries, name))
        return rpt_("Downloaded {bundle}: choose Use to run it", bundle=title)


CLASSES = (ListBundles, UseBundle, ImportBundle, DownloadBundle)


def register() -> None:
    """Ask for the bundles whenever another server is there."""
    BUNDLES.forget()
    runtime.current().on_tick(BUNDLES.tick)


def unregister() -> None:
    """Forget the bundles."""
    BUNDLES.forget()
