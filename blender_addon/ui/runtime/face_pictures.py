# SPDX-License-Identifier: GPL-3.0-or-later
"""Small pictures of a character's own face, at rest and with each emotion, for panels.

The server draws them one at a time while nothing else is asked of it, when a panel wants them. They are kept on disk by
the hash of what they show, so the same face is drawn once.
"""

from __future__ import annotations

import contextlib
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from shared_protocol.arrays import pack_weights
from shared_protocol.banks import Bank
from shared_protocol.emotions import EMOTIONS
from shared_protocol.messages import JobReply, Preview, PreviewFrame

from ...core.picture_cache import PictureCache, key_of
from ...core.server import events
from ...core.weights import mixing
from ...scene import character
from . import runtime
from .preferences import PACKAGE
from .redraw import redraw_sidebars
from .task_operator import is_playing

log = logging.getLogger(__name__)

REST = "rest"
"""Name of the picture of the portrait's own face."""
WANTED_S = 3.0
"""Seconds for which a panel's wish counts; panels that are seen repeat it whenever they are drawn."""
PAUSE_S = 0.2
"""Seconds between two pictures, for others' requests."""
SLOT = "pictures of emotions"


@dataclass(frozen=True)
class _Wish:
    """A picture that a panel wants: its key, the server's name of the portrait, and the weights."""

    key: str
    source: str
    weights: np.ndarray


class FacePictures:
    """The pictures, as icons for panels."""

    def __init__(self) -> None:
        self._cache: PictureCache | None = None
        self._icons: Any = None
        self._wishes: dict[str, _Wish] = {}
        self._until = 0.0
        self._in_flight = ""
        self._next = 0.0

    def open(self) -> None:
        """Begin with the folder of this add-on."""
        import bpy.utils.previews

        self._icons = bpy.utils.previews.new()
        with contextlib.suppress(
            ValueError, OSError
        ):  # not installed as an extension, or a disk that is full
            self._cache = PictureCache(
                Path(bpy.utils.extension_path_user(PACKAGE, path="faces", create=True))
            )
            self._cache.trim()

    def close(self) -> None:
        """Free the icons."""
        import bpy.utils.previews

        bpy.utils.previews.remove(self._icons)
        self._icons, self._cache, self._in_flight = None, None, ""
        self._wishes.clear()

    def icon(self, ob: bpy.types.Object, name: str) -> int:
        """Return the icon of a character's face, `REST` or an emotion; 0 while there is none. From a panel's `draw`: it
        is drawn soon."""
        if self._cache is None or not ob.edtalk.source:
            return 0
        weights = _weights(ob, name)
        key = key_of(ob.edtalk.source, weights.tobytes())
        if key in self._icons:
            return int(self._icons[key].icon_id)
        if self._cache.has(key):
            return int(self._icons.load(key, str(self._cache.path(key)), "IMAGE").icon_id)
        self._until = time.monotonic() + WANTED_S
        self._wishes[key] = _Wish(key, ob.edtalk.source, weights)
        return 0

    def tick(self) -> None:
        """From the timer: ask for one picture, where a panel wants any and the server has nothing else to do."""
        session, now = runtime.session(), time.monotonic()
        if not self._wishes or self._in_flight or now < self._next:
            return
        if now > self._until:
            self._wishes.clear()
        elif (
            session.is_ready
            and session.task is None
            and not session.is_waiting
            and not is_playing(bpy.context)
        ):
            self._ask(next(iter(self._wishes.values())))

    def _ask(self, wish: _Wish) -> None:
        session = runtime.session()
        del self._wishes[wish.key]
        if session.knows(wish.source):
            request = Preview(source=wish.source, weights=pack_weights(wish.weights))
            session.submit(request, lambda reply: self._take(wish.key, reply), slot=SLOT)
            self._in_flight = wish.key

    def _take(self, key: str, reply: JobReply) -> None:
        if isinstance(reply, PreviewFrame) and self._cache is not None:
            try:
                self._cache.put(key, reply.width, reply.height, bytes(reply.pixels))
            except OSError:
                log.warning("small pictures of faces cannot be kept: none are drawn", exc_info=True)
                self._cache = None  # the panel would want the same one again at once, for ever
            redraw_sidebars()
        if isinstance(reply, events.TERMINAL):
            self._in_flight, self._next = "", time.monotonic() + PAUSE_S
            self._until = max(self._until, time.monotonic() + WANTED_S)


def _weights(ob: bpy.types.Object, name: str) -> np.ndarray:
    """Return the weights [channels] of the portrait's own face with an emotion, or of itself."""
    group = ob.edtalk
    mixer = mixing.mixer_from_texts(group.layout, group.rest, group.emotion.presets)
    felt = np.array([float(emotion == name) for emotion in EMOTIONS], np.float32)
    return mixer.mix(character.rest_weights(ob), np.ones(len(Bank), np.float32), felt)


PICTURES = FacePictures()


def register() -> None:
    """Draw pictures while the add-on is enabled."""
    PICTURES.open()
    runtime.current().on_tick(PICTURES.tick)


def unregister() -> None:
    """Free the icons."""
    PICTURES.close()
