# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
"""Operators on model bundles: use, import, download; and what is known of them, for the panel."""

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
from ...scene import character
from ..bake.take_library import words_for
from ..runtime import pump
from ..runtime.preferences import preferences
from ..runtime.task_operator import TaskOperator, refuse

log = logging.getLogger(__name__)

Entries = tuple[BundleEntry, ...]
OFFLINE = n_("Blender is offline: allow online access in Preferences > System > Network")


class Shelf:
    """The bundles as the server told them last; asked anew when another server is there."""

    def __init__(self) -> None:
        self.entries: Entries = ()
        self._told_by: Bundle | None = None
        self._asking: Steps[Entries] | None = None

    def look_after(self) -> None:
        """From the timer."""
        session = pump.session()
        if self._asking is not None:
            self._go_on(self._asking)
        elif session.bundle is not self._told_by:
            self._told_by = session.bundle
            if session.bundle is not None and session.can(messages.ListBundles.capability):
                self._asking = _list_bundles(Progress())

    def _go_on(self, steps: Steps[Entries]) -> None:
        try:
            next(steps)
        except StopIteration as last:
            self.entries, self._asking = last.value, None
            pump.redraw_panels(bpy.context)
        except (EDTalkError, Stopped) as error:
            self._asking = None
            log.warning("the bundles are not known: %s", error)


_shelf = Shelf()


def known() -> Entries:
    """The bundles as the server told them last."""
    return _shelf.entries


def title_of(entry: BundleEntry) -> str:
    """A bundle's title with its version."""
    return f"{entry.title or entry.name} {entry.version}".strip()


def _found(entries: Entries, name: str) -> BundleEntry:
    for entry in entries:
        if entry.name == name:
            return entry
    raise EDTalkError(
        ErrorCode.BUNDLE_INVALID, f"There is no bundle “{name}” here.", "Choose one of the panel's list."
    )


def _list_bundles(progress: Progress) -> Steps[Entries]:
    """Ask the server which bundles are installed, and which can be downloaded."""
    progress.begin("Looking for model bundles")
    return (yield from pump.session().run(messages.ListBundles(), progress)).bundles


def _in_megabytes(progress: Progress) -> OnProgress:
    """Return what shows how far a download is, whose units are bytes."""

    def follow(event: messages.Progress) -> None:
        progress.follow(event)
        progress.done, progress.total = event.done // 10**6, max(1, event.total // 10**6)
        progress.stage += ", MB"

    return follow


class ListBundles(TaskOperator, bpy.types.Operator):
    """Ask the server anew which model bundles there are; it is started when it does not run"""

    bl_idname = "edtalk.list_bundles"
    bl_label = "List Bundles"
    title = "List Bundles"

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return cls.is_free()

    def steps(self, _context: bpy.types.Context, progress: Progress) -> Steps[str]:
        yield from pump.session().ready(progress)
        _shelf.entries = yield from _list_bundles(progress)
        return rpt_("Bundles: {names}", names=", ".join(map(title_of, _shelf.entries)))


class UseBundle(TaskOperator, bpy.types.Operator):
    """Restart the server with this model bundle, now and in future. Characters keep their weights"""

    bl_idname = "edtalk.use_bundle"
    bl_label = "Use Bundle"
    title = "Use Bundle"

    path: StringProperty(
        name="Bundle", description="As `edtalk serve --bundle` takes it: a folder or a shipped name"
    )

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return cls.is_free()

    def steps(self, _context: bpy.types.Context, progress: Progress) -> Steps[str]:
        before, ran = preferences().bundle, pump.session().is_connected
        preferences().bundle = self.path
        try:
            bundle = yield from pump.session().restart(progress)
        except EDTalkError as error:
            preferences().bundle = before
            raise (yield from _gone_back(self.path, error, ran, progress)) from error
        _shelf.entries = yield from _list_bundles(progress)
        return rpt_("The server runs {bundle}", bundle=bundle.title)


def _gone_back(path: str, error: EDTalkError, ran: bool, progress: Progress) -> Steps[EDTalkError]:
    """After a bundle did not come up: start the server as it was before, if it ran; the error that tells all this."""
    title = next((title_of(entry) for entry in known() if entry.path == path), Path(path).name)
    fix = n_("Choose another bundle, or import or download this one anew.")
    cause = f"The server does not start with {title}: {error.cause}"
    if not ran:
        return EDTalkError(error.code, cause, fix)
    try:
        bundle = yield from pump.session().restart(progress)
    except EDTalkError as again:
        return EDTalkError(error.code, cause, f"The server of before does not start either: {again.cause}")
    return EDTalkError(error.code, cause, f"{bundle.title} runs again. {fix}")


class ImportBundle(TaskOperator, bpy.types.Operator):
    """Make a model bundle from a folder with the official checkpoints (EDTalk.pt, Audio2Lip.pt, …)"""

    bl_idname = "edtalk.import_bundle"
    bl_label = "Import Checkpoints"
    title = "Import Checkpoints"

    directory: StringProperty(subtype="DIR_PATH", options={"SKIP_SAVE"})
    filter_folder: bpy.props.BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})
    name: StringProperty(
        name="Name", description="Of the new bundle's folder. Empty: the release's own", options={"SKIP_SAVE"}
    )

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return cls.is_free()

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if self.asked or self.directory:
            return super().invoke(context, event)
        return self.browse(context)

    def steps(self, _context: bpy.types.Context, progress: Progress) -> Steps[str]:
        folder = Path(character.absolute(self.directory))
        yield from pump.session().ready(progress)
        before = {entry.path for entry in (yield from _list_bundles(progress))}
        progress.begin("Reading the checkpoints")
        request = messages.ImportBundle(folder=str(folder), name=self.name)
        _shelf.entries = (yield from pump.session().run(request, progress)).bundles
        new = [title_of(entry) for entry in _shelf.entries if entry.installed and entry.path not in before]
        return rpt_("Imported {names}: choose Use to run it", names=", ".join(new))


class DownloadBundle(TaskOperator, bpy.types.Operator):
    """Fetch this model bundle from the internet"""

    bl_idname = "edtalk.download_bundle"
    bl_label = "Download Bundle"
    title = "Download Bundle"

    name: StringProperty(name="Name", description="As the list calls it", options={"SKIP_SAVE"})

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
        """What the user agrees to, line by line."""
        entry = _found(known(), self.name)
        licence = entry.licence or iface_("not told")
        size = words_for(entry.bytes)
        return [
            title_of(entry),
            iface_("Licence: {licence}", licence=licence),
            iface_("Size: {size}", size=size),
        ]

    def steps(self, _context: bpy.types.Context, progress: Progress) -> Steps[str]:
        yield from pump.session().ready(progress)
        progress.begin("Downloading")
        request = messages.DownloadBundle(name=self.name)
        reply = yield from pump.session().run(request, progress, on_progress=_in_megabytes(progress))
        _shelf.entries = reply.bundles
        title = title_of(_found(_shelf.entries, self.name))
        return rpt_("Downloaded {bundle}: choose Use to run it", bundle=title)


CLASSES = (ListBundles, UseBundle, ImportBundle, DownloadBundle)


def register() -> None:
    """Nothing is known at first."""
    global _shelf
    _shelf = Shelf()
    pump.on_tick(_shelf.look_after)


def unregister() -> None:
    """`link.stop` forgets who is called."""
