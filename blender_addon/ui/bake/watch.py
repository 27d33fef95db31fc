# SPDX-License-Identifier: GPL-3.0-or-later
"""The states of the active character's frames for timeline and panel, updated a few frames at each tick."""

from __future__ import annotations

import time
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

import bpy

from ...core import takes
from ...core.takes.staleness import Staleness, state_of
from ...core.tasks import Steps, run_for
from ...scene import character, paths
from ...scene.keys.signature import Signature
from ..runtime import runtime
from ..runtime.redraw import redraw_areas

HURRY_S, IDLE_S, READ_S = 0.001, 0.0005, 0.001
"""Seconds a look: after something changed, for noticing what nobody told, and at the take's files."""
LONGEST_LOOK_S = 0.01
"""Seconds of a look after a change where the window draws slowly."""
HURRY_PAUSE_S, IDLE_PAUSE_S = 0.02, 0.1
"""Seconds between two looks, however often the timer comes."""
RELOAD_S = 1.0
"""Seconds between two looks at the take's files."""
REDRAW_S = 0.2
EDITORS = {"DOPESHEET_EDITOR", "GRAPH_EDITOR", "NLA_EDITOR", "VIEW_3D"}
"""The editors that show the states."""


@dataclass
class _Files:
    """A take as it is on disk."""

    take: takes.Take
    finished: Container[int]
    stamp: tuple[float, ...]
    """Times at which manifest and log were written."""


class Watch:
    """The states of the active character's frames."""

    def __init__(self) -> None:
        self.map: Staleness | None = None
        self._uid = 0
        self._files: _Files | None = None
        self._reading: Steps[_Files] | None = None
        self._looked_at_files = 0.0
        self._redrawn = self._next_look = self._last_look = 0.0
        self._is_news = False
        self._baking: takes.Take | None = None

    @property
    def is_hurried(self) -> bool:
        """Return whether there is more to look at."""
        return self.map is not None and not (self.map.is_settled and self._reading is None)

    def unsettle(self) -> None:
        """Look at all frames again: something in the scene changed."""
        if self.map is not None:
            self.map.unsettle()
            self._next_look = min(self._next_look, time.perf_counter() + HURRY_PAUSE_S)

    def forget(self) -> None:
        """Forget all states: another file was opened, or another character is active."""
        self.map, self._files, self._uid, self._looked_at_files = None, None, 0, 0.0
        self._reading = None

    def follow(self, take: takes.Take | None) -> None:
        """Follow a bake that writes into this take (None: it ended)."""
        self._baking = take
        self._looked_at_files = 0.0
        self.unsettle()

    def tick(self) -> None:
        """Look at some frames."""
        window = next(iter(bpy.context.window_manager.windows), None)
        if window is None or bpy.app.is_job_running("RENDER"):
            return
        scene, ob = window.scene, window.view_layer.objects.active
        if ob is None or not character.is_character(ob):
            self.forget()
            return
        frames = range(scene.frame_start, scene.frame_end + 1)
        if self.map is None or self._uid != ob.session_uid or self.map.frames != frames:
            self.forget()
            self.map, self._uid = Staleness(frames), ob.session_uid
        self._look_at_files(ob)
        if self._reading is not None:
            self._read_on()
        elif len(frames):
            self._look_at_frames(ob, self.map)

    def _look_at_files(self, ob: bpy.types.Object) -> None:
        now = time.monotonic()
        if now - self._looked_at_files < RELOAD_S:
            return
        self._looked_at_files = now
        folder = paths.file_of(ob, "take")
        if self._baking is not None:
            self._files, self._reading = _Files(self._baking, self._baking.hashes, ()), None
        elif folder is None:
            self._files = self._reading = None
        elif self._files is None or self._files.take.folder != folder or self._files.stamp != _stamp(folder):
            self._reading = self._reading or _read(folder)

    def _read_on(self) -> None:
        """Read a little more of the take's files."""
        if self._reading is not None and (done := run_for(self._reading, READ_S)):
            self._files, self._reading = done.result, None
            self.unsettle()

    def _look_at_frames(self, ob: bpy.types.Object, staleness: Staleness) -> None:
        begun = time.perf_counter()
        if begun < self._next_look:
            return
        look_s = IDLE_S if staleness.is_settled else _hurried_look_s(begun - self._last_look)
        self._last_look = begun
        self._next_look = begun + (IDLE_PAUSE_S if staleness.is_settled else HURRY_PAUSE_S)
        signature, files = Signature(ob), self._files
        recorded = files.take.signatures if files is not None else {}
        finished = files.finished if files is not None else ()
        end = begun + look_s
        for _ in staleness.frames:
            frame = staleness.next_frame()
            self._is_news |= staleness.saw(state_of(frame, signature.at(frame), recorded, finished))
            if time.perf_counter() > end:
                break
        self._redraw()

    def _redraw(self) -> None:
        """Redraw after changes, at most every `REDRAW_S`."""
        now = time.monotonic()
        if not self._is_news or now - self._redrawn < REDRAW_S:
            return
        self._is_news, self._redrawn = False, now
        redraw_areas(EDITORS)


def _hurried_look_s(since: float) -> float:
    """Return the seconds of a look after a change: longer where the window draws slowly, `since` seconds ago."""
    return min(max(HURRY_S, since * HURRY_S / HURRY_PAUSE_S), LONGEST_LOOK_S)


def _read(folder: Path) -> Steps[_Files]:
    stamp = _stamp(folder)
    take = yield from takes.Take.open_in_steps(folder)
    return _Files(take, (yield from take.finished()), stamp)


def _stamp(folder: Path) -> tuple[float, ...]:
    return takes.Take(folder).stamp


WATCH = Watch()


def register() -> None:
    """Watch the active character while the add-on is enabled."""
    WATCH.forget()
    runtime.current().on_tick(WATCH.tick, lambda: WATCH.is_hurried)
    runtime.current().on_new_file(WATCH.forget)


def unregister() -> None:
    """Forget the states."""
    WATCH.forget()
