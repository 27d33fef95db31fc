# SPDX-License-Identifier: GPL-3.0-or-later
"""The live picture: whenever a character's weights change, request one frame; only the newest request is sent.

Handlers only compare and ask. The answers come with the session's pump, in the main thread, and are written then.
Objects are remembered by their `session_uid`, because references do not outlive an undo.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import bpy
import numpy as np

from shared_protocol.arrays import pack_weights
from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.messages import Failed, JobReply, Prepared, Preview, PreviewFrame
from shared_protocol.sizes import largest_size

from ...core.server import uploads
from ...core.server.session import Session
from ...core.tasks import Steps, run_for
from ...scene import character, plane, portrait_crop
from ...scene.keys import sampling
from ...scene.references import find_object
from . import portrait_requests, runtime

FINE_AFTER_S = 0.15
"""Seconds without a change after which a picture is drawn in the size that the artist chose."""
AT_REST_S = 0.5
"""Seconds without a new picture after which the current one is packed into the file."""
SETTLE_S = 0.001
"""Seconds a look for that, and for reading a portrait."""
KNOWN_FOR_S = 1.0
"""Seconds for which the list of a scene's characters is cached."""


Key = tuple[str, str | None]
"""An object's name and its library's file: what is linked may be called like what is not."""


def _key(ob: bpy.types.Object) -> Key:
    return ob.name, ob.library.filepath if ob.library is not None else None


@dataclass(frozen=True)
class _Look:
    """The framing of the pictures and, of faces, the largest side in pixels that the artist chose, as requests name
    them."""

    framing: str = ""
    size: int = 0

    @classmethod
    def of(cls, ob: bpy.types.Object) -> _Look:
        """Read the character's settings."""
        bake = ob.edtalk.bake
        return cls(bake.framing.lower(), int(bake.size) if bake.framing == "FACE" else 0)


@dataclass
class _Show:
    """One character: its portrait and crop (`portrait_crop.identity`), the look and the weights that are shown or
    asked for, the server's name of the portrait with the sizes of its pictures, the portrait that is being prepared,
    and why there is no picture. `fine_at`: when a finer picture is asked for (`time.monotonic`); None: it is there.

    `baked`: frame and weights that were seen last while baked frames show, to notice that a weight was touched;
    `is_unseen`: it was, and no picture of it can come."""

    portrait: str = ""
    look: _Look = field(default_factory=_Look)
    weights: bytes = b""
    source: str = ""
    sizes: tuple[int, ...] = ()
    fine_at: float | None = None
    preparing: str = ""
    trouble: str = ""
    baked: tuple[int, bytes] | None = None
    is_unseen: bool = False


def is_rendering() -> bool:
    """Return whether Blender is rendering (in a thread of its own, which reads our images)."""
    return bpy.app.is_job_running("RENDER")


class Live:
    """All live pictures of this Blender."""

    def __init__(self) -> None:
        self._moved = 0.0
        self._packing: Steps[None] | None = None
        self._shows: dict[int, _Show] = {}
        self._portraits: dict[int, Steps[list[uploads.Content]]] = {}
        self._update_soon = True
        self._was_ready = False
        self._known: dict[str, tuple[int, list[Key], float]] = {}

    @property
    def _session(self) -> Session:
        return runtime.session()

    def forget(self) -> None:
        """Look at everything again: another file was opened, or another server is there."""
        self._shows.clear()
        self._portraits.clear()
        self._known.clear()
        self._update_soon = True

    def mark_shown(self, ob: bpy.types.Object, prepared: Prepared, weights: np.ndarray) -> None:
        """Note that the plane already shows the picture of these weights."""
        self._known.clear()
        self._shows[ob.session_uid] = _Show(
            portrait_crop.identity(ob), _Look.of(ob), weights.tobytes(), prepared.source, prepared.sizes
        )

    def ask_again(self) -> None:
        """Request all pictures again: an undo, for example, may have changed the planes."""
        for show in self._shows.values():
            show.weights, show.baked = b"", None
        self._update_soon = True

    def is_unseen(self, ob: bpy.types.Object) -> bool:
        """Return whether a weight was touched while baked frames show and no live picture can come."""
        show = self._shows.get(ob.session_uid)
        return show is not None and show.is_unseen

    def trouble(self, ob: bpy.types.Object) -> str:
        """Return why a character's picture does not follow although the server runs; empty when it does."""
        show = self._shows.get(ob.session_uid)
        return show.trouble if show is not None else ""

    @property
    def is_hurried(self) -> bool:
        """Return whether there are portraits to read, or finer pictures to ask for."""
        return bool(self._portraits) or any(show.fine_at is not None for show in self._shows.values())

    def tick(self) -> None:
        """From the timer: colours follow the view transform; look once after a file was loaded or the server became
        ready."""
        if is_rendering():
            return
        for window in bpy.context.window_manager.windows:
            for ob in self.characters(window.scene):
                plane.follow_view_transform(ob, window.scene)
        self.read_portraits()
        self._refine()
        if self._session.is_ready != self._was_ready:
            self._was_ready = self._session.is_ready
            self.forget()
        if time.monotonic() - self._moved > AT_REST_S:
            self._pack()
        if self._update_soon:  # (once more when the server is ready: see above)
            self._update_soon = False
            for window in bpy.context.window_manager.windows:
                self.update(window.scene, window.view_layer.depsgraph)

    def _pack(self) -> None:
        """Pack pictures that no longer change, a little at a time."""
        self._packing = self._packing or plane.settle_live_images()
        if run_for(self._packing, SETTLE_S):
            self._packing = None

    def characters(self, scene: bpy.types.Scene) -> list[bpy.types.Object]:
        """Return the characters in a scene, from a cache that spares large scenes a look at every object."""
        count, (known, keys, until) = len(scene.objects), self._known.get(scene.name_full, (-1, [], 0.0))
        if count != known or time.monotonic() > until:
            keys = [_key(ob) for ob in character.characters(scene)]
            self._known[scene.name_full] = count, keys, time.monotonic() + KNOWN_FOR_S
        objects = map(bpy.data.objects.get, keys)
        return [ob for ob in objects if character.is_character(ob)]

    def update(
        self, scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph | None, is_edit: bool = False
    ) -> bool:
        """Request pictures of the characters whose evaluated weights changed. Return whether there were any.

        `is_edit`: something was edited, and not only the frame changed. A weight that is touched while its character
        shows baked frames brings the live picture back, for these do not follow.
        """
        if depsgraph is None or sampling.is_sampling():
            return False
        is_requested = False
        for ob in self.characters(scene):
            weights = character.final_weights(ob.evaluated_get(depsgraph)).tobytes()
            if ob.edtalk.show == "TAKE" and self._is_touched(ob, (scene.frame_current, weights), is_edit):
                ob.edtalk.show = "LIVE"
            is_lent = self._session.task is not None and plane.lent_image(ob) is not None
            if ob.edtalk.show == "LIVE" and self._session.is_ready and not is_lent:
                is_requested |= self._request_if_changed(ob, weights)
        return is_requested

    def _is_touched(self, ob: bpy.types.Object, now: tuple[int, bytes], is_edit: bool) -> bool:
        """Return whether a weight was edited at the current frame while baked frames show, and a live picture can show
        it. Note the frame and weights for the next time."""
        show = self._shows.setdefault(ob.session_uid, _Show(portrait_crop.identity(ob)))
        before, show.baked = show.baked, now
        if before is None or before[0] != now[0]:
            show.is_unseen = False
        elif is_edit and before != now and not is_rendering():
            show.is_unseen = not self._session.is_ready
            return self._session.is_ready and bool(ob.is_editable)
        return False

    def _request_if_changed(self, ob: bpy.types.Object, weights: bytes) -> bool:
        portrait, look = portrait_crop.identity(ob), _Look.of(ob)
        show = self._shows.setdefault(ob.session_uid, _Show(portrait))
        show.baked, show.is_unseen = None, False
        if show.portrait != portrait:  # another picture or crop, or the same file is named otherwise
            show.portrait, show.source, show.weights = portrait, "", b""
        if show.weights == weights and show.look == look:
            return False
        show.weights, show.look = weights, look
        self._ask(ob, show)
        return True

    def _refine(self) -> None:
        """Request the pictures in the size that the artist chose, of characters that have come to rest."""
        for uid, show in list(self._shows.items()):
            if show.fine_at is not None and time.monotonic() >= show.fine_at:
                show.fine_at = None
                ob = find_object(uid)
                if ob is not None and self._session.is_ready and ob.edtalk.show == "LIVE":
                    self._ask(ob, show, fine=True)

    def _ask(self, ob: bpy.types.Object, show: _Show, fine: bool = False) -> None:
        """Request the picture of the newest weights; before that, let the portrait be prepared.

        The model's own size is the quickest. Where the artist chose a larger one, it follows when nothing has changed
        for a moment.
        """
        uid = ob.session_uid
        if show.preparing or not show.weights:  # they are read again soon (see `ask_again`)
            return
        try:
            self._check_bundle(ob)
            if show.source and self._session.knows(show.source):
                weights = np.frombuffer(show.weights, np.float32)
                size = largest_size(show.sizes or (0,), show.look.size)
                is_coarse = not fine and size > min(show.sizes, default=0)
                show.fine_at = time.monotonic() + FINE_AFTER_S if is_coarse else None
                request = Preview(
                    source=show.source,
                    weights=pack_weights(weights),
                    framing=show.look.framing,
                    size=0 if is_coarse else size,
                )
                self._session.submit(request, lambda reply: self._take_reply(uid, reply), slot=str(uid))
            else:
                self._portraits[uid] = character.prepared_content(ob)
                show.preparing = show.portrait
        except EDTalkError as error:
            self._failed(show, error.cause, error.fix)

    def read_portraits(self) -> None:
        """Read and hash requested portraits, a little at a time, and let the server prepare them."""
        for uid, reading in list(self._portraits.items()):
            ob, show = find_object(uid), self._shows.get(uid)
            if ob is None or show is None:
                del self._portraits[uid]
                continue
            try:
                if done := run_for(reading, SETTLE_S):
                    del self._portraits[uid]
                    self._prepare(ob, done.result)
            except EDTalkError as error:
                self._portraits.pop(uid, None)
                show.preparing = ""
                self._failed(show, error.cause, error.fix)

    def _prepare(self, ob: bpy.types.Object, pictures: list[uploads.Content]) -> None:
        uid, request = ob.session_uid, portrait_requests.prepare_request(pictures, portrait_crop.crop_of(ob))
        self._session.submit(request, lambda reply: self._take_reply(uid, reply), pictures)

    def _check_bundle(self, ob: bpy.types.Object) -> None:
        """Raises `EDTalkError` when the server's bundle cannot take this character's weights."""
        bundle, count = self._session.bundle, len(character.layout_of(ob))
        if bundle is not None and len(bundle.layout) != count:
            raise EDTalkError(
                ErrorCode.BAD_WEIGHTS,
                f"{ob.name} has the {count} weights of {ob.edtalk.bundle or 'another bundle'}; the server runs "
                f"{bundle.title} with {len(bundle.layout)}.",
                "Use its bundle (EDTalk > Model Bundles), or predict again with this one.",
            )

    def _failed(self, show: _Show, cause: str, fix: str) -> None:
        show.trouble = cause
        self._session.failure = (cause, fix)

    def _take_reply(self, uid: int, reply: JobReply) -> None:
        ob, show = find_object(uid), self._shows.get(uid)
        if ob is None or show is None:
            self._shows.pop(uid, None)
            return
        match reply:
            case PreviewFrame() if is_rendering():
                show.weights = b""  # ask again later: the renderer may be reading the image
                self._update_soon = True
            case PreviewFrame() if ob.edtalk.show == "LIVE":
                show.trouble, self._moved = "", time.monotonic()
                plane.show_live(ob, reply.width, reply.height, reply.pixels)
            case Prepared():
                is_current = show.preparing == show.portrait
                show.source = reply.source if is_current else ""
                show.sizes = reply.sizes
                if is_current and portrait_crop.identity(ob) == show.portrait and not is_rendering():
                    portrait_crop.remember_prepared(ob, reply)
                show.preparing = ""
                self._ask(ob, show)
            case Failed(code=ErrorCode.UNKNOWN_SOURCE) if not show.preparing:
                self._ask(ob, show)  # the session has just forgotten the source: it is prepared again
            case Failed():
                show.preparing = ""
                self._failed(show, reply.cause, reply.fix)


LIVE = Live()


def register() -> None:
    """Follow the weights while the add-on is enabled."""
    LIVE.forget()
    runtime.current().on_tick(LIVE.tick, lambda: LIVE.is_hurried)
    runtime.current().on_new_file(LIVE.forget)


def unregister() -> None:
    """Forget all pictures."""
    LIVE.forget()
