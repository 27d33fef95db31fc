# SPDX-License-Identifier: GPL-3.0-or-later
"""While a bake runs: which frames come first, and playback of those that are finished."""

from __future__ import annotations

import time

import bpy

from ...core import takes
from ...scene import plane
from ...scene.references import CharacterRef, find_object
from ..runtime.live import LIVE, is_rendering
from ..runtime.task_operator import is_playing

TIMELINES = {"DOPESHEET_EDITOR", "GRAPH_EDITOR", "NLA_EDITOR", "SEQUENCE_EDITOR"}
LOOK_S = 0.5
"""Seconds between two looks whether there is more to play."""
MOST_FRAMES = 2000
"""Frames on each side of the current one that are looked at: playback needs no more before the next look."""


def spans_first(scene: bpy.types.Scene) -> list[range]:
    """Return the parts of the shot that the artist sees, the most wanted first: the preview range, then the part that
    the largest timeline shows."""
    spans = []
    if scene.use_preview_range:
        spans.append(range(scene.frame_preview_start, scene.frame_preview_end + 1))
    seen = None if bpy.app.background else _seen_on_timeline()
    return [*spans, seen] if seen is not None else spans


def _seen_on_timeline() -> range | None:
    windows = bpy.context.window_manager.windows
    areas = [area for window in windows for area in window.screen.areas if area.type in TIMELINES]
    if not areas:
        return None
    widest = max(areas, key=lambda area: area.width)
    region = next(region for region in widest.regions if region.type == "WINDOW")
    first, last = (region.view2d.region_to_view(x, 0)[0] for x in (0, region.width))
    return range(int(first), int(last) + 2)


class Playback:
    """Lets a plane that shows the live picture play a bake's finished frames while the animation plays."""

    def __init__(self, ref: CharacterRef, take: takes.Take) -> None:
        self._ref, self._take = ref, take
        self._next_look = 0.0
        self._shown = range(0)

    def look(self) -> None:
        """From each step of the bake: follow what plays, and what is finished."""
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + LOOK_S
        ob = find_object(self._ref.uid)
        if ob is None or is_rendering():
            return
        run = self._run(self._ref.get_scene().frame_current)
        if is_playing(bpy.context) and run and ob.edtalk.show == "LIVE":
            self._show(ob, run)
        else:
            self.end()

    def end(self) -> None:
        """Let the plane show again what it showed before."""
        ob = find_object(self._ref.uid)
        if self._shown and ob is not None:
            plane.take_back(ob)
            LIVE.ask_again()
        self._shown = range(0)

    def _show(self, ob: bpy.types.Object, run: range) -> None:
        if not self._shown:
            plane.lend_take(ob, self._take, run[0], run[-1])
        elif run != self._shown:
            plane.extend_lent(ob, run[0], run[-1])
        self._shown = run

    def _run(self, frame: int) -> range:
        """Return the finished frames around a frame, without a gap."""
        finished = self._take.hashes
        if frame not in finished:
            return range(0)
        first = last = frame
        while first - 1 in finished and frame - first < MOST_FRAMES:
            first -= 1
        while last + 1 in finished and last - frame < MOST_FRAMES:
            last += 1
        return range(first, last + 1)
