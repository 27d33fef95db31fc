# SPDX-License-Identifier: GPL-3.0-or-later
"""Bake a performance into frames.

A bake reads the weights of all frames from the evaluated scene, compares their hashes with those of the take and
renders the stale frames. The .blend changes at the end, in one go, when the take is put on the plane.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from dataclasses import dataclass, field, replace
from pathlib import Path

import bpy
import numpy as np

from shared_protocol.arrays import pack_weights
from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.messages import CUT_OUT, Frame, Render

from ...core import takes
from ...core.tasks import PACE, Progress, Steps, time_sliced
from ...core.text.translate import rpt_
from ...scene import character, paths, plane
from ...scene.keys import layers, sampling
from ...scene.keys.signature import Signature
from ...scene.references import CharacterRef
from ...scene.takes import take_places
from ..runtime import runtime
from ..runtime.range_operator import prepare_source
from .meanwhile import Playback, spans_first
from .take_library import takes_changed
from .watch import WATCH

log = logging.getLogger(__name__)

LAST_STORE_S = 0.1
"""Seconds for writing frames after a cancel: what was seen to be rendered is kept, the rest is rendered next time."""
WAITING_FRAMES = 64
"""Frames in memory from which on the server has to wait until they are written: the disk is slower than it."""


@dataclass(frozen=True)
class BakeRequest:
    """A character's frames to bake into a take below `base`.

    `again`: render fresh frames too. `new_take`: keep the character's take as it is and use a new one.
    """

    ref: CharacterRef
    frames: range
    base: Path
    again: bool = False
    new_take: bool = False


@dataclass(frozen=True)
class _Plan:
    """Weights [frames, channels], hashes and signatures of all frames, and the frames to render, first ones first."""

    source: str
    weights: np.ndarray
    hashes: dict[int, str]
    signatures: dict[int, str]
    take: takes.Take
    stale: list[int]
    written: set[int] = field(default_factory=set)
    """The frames that were rendered and written by now."""


@dataclass(frozen=True)
class BakeResult:
    """A finished bake that is not on the plane yet; `run`: the unbroken run of finished frames to show; `crashed`: the
    server had to be started again."""

    request: BakeRequest
    take: takes.Take
    rendered: int
    run: range
    crashed: bool = False

    def show(self) -> None:
        """Put the take on the plane."""
        ob, scene = self.request.ref.get_character(), self.request.ref.get_scene()
        plane.show_take(ob, self.take, self.run[0], self.run[-1])
        plane.follow_view_transform(ob, scene)
        takes_changed()

    @property
    def facts(self) -> dict[str, object]:
        """What a program may want to know."""
        frames = self.request.frames
        return {
            "frames": [frames[0], frames[-1]],
            "rendered": self.rendered,
            "fresh": len(frames) - self.rendered,
            "folder": str(self.take.folder),
        }

    @property
    def summary(self) -> str:
        """The line to report, in the user's language."""
        line: str = rpt_(
            "{count} frames rendered, {kept} still fresh, in {folder}",
            count=self.rendered,
            kept=len(self.request.frames) - self.rendered,
            folder=self.take.folder,
        )
        return line + rpt_("; the server crashed and was started again") if self.crashed else line


def bakeable(scene: bpy.types.Scene) -> list[bpy.types.Object]:
    """Return the characters of a scene that are this file's own, or overridden."""
    return [ob for ob in character.characters(scene) if ob.is_editable]


def bake_each(requests: list[BakeRequest], progress: Progress) -> Steps[list[BakeResult]]:
    """Bake one request after the other. Nothing is shown before all are finished."""
    results = []
    for request in requests:
        progress.subject = request.ref.get_character().name
        results.append((yield from bake(request, progress)))
    progress.subject = ""
    return results


def bake(request: BakeRequest, progress: Progress) -> Steps[BakeResult]:
    """Render the stale frames. The .blend stays as it is (see `BakeResult.show`)."""
    plan = yield from _plan(request, progress)
    stale = set(plan.stale)
    fresh = ((frame, signature) for frame, signature in plan.signatures.items() if frame not in stale)
    yield from time_sliced(plan.take.sign(fresh))
    crashed = False
    if plan.stale:
        crashed = yield from _render_despite_a_crash(request, plan, progress)
    finished = yield from time_sliced(plan.take.finished())
    if not finished:  # somebody deleted the files during the bake
        raise EDTalkError(ErrorCode.DISK, f"{plan.take.folder} holds no finished frame.", "Bake again.")
    yield
    run = takes.run_to_show(finished, request.frames[0])
    return BakeResult(request, plan.take, len(plan.stale), run, crashed)


# --- planning --------------------------------------------------------------------------------------------------------


def _plan(request: BakeRequest, progress: Progress) -> Steps[_Plan]:
    _refuse_tweaking(request.ref.get_character())
    bundle = yield from runtime.session().ready(progress)
    prepared = yield from prepare_source(request.ref, progress)
    signatures = yield from _sign(request)  # before the weights, so that later edits show as stale
    weights = yield from sample_weights(request.ref, request.frames, progress)
    keeps_cut_outs = runtime.session().can(CUT_OUT)
    take_format = take_places.format_of(request.ref.get_character(), prepared, keeps_cut_outs)
    hashes: dict[int, str] = {}

    def hash_frames() -> Steps[None]:
        for frame, row in zip(request.frames, weights, strict=True):
            hashes[frame] = takes.frame_hash(bundle.identity, prepared.source, row.tobytes(), take_format)
            yield

    yield from time_sliced(hash_frames())
    take = yield from _open_take(request, take_format)
    stale = list(request.frames) if request.again else (yield from time_sliced(take.stale(hashes)))
    scene = request.ref.get_scene()
    order = takes.in_order(stale, scene.frame_current, spans_first(scene))
    return _Plan(prepared.source, weights, hashes, signatures, take, order)


def _refuse_tweaking(ob: bpy.types.Object) -> None:
    """Raise `EDTalkError` in tweak mode: Blender leaves out all layers above the strip that is edited."""
    if layers.is_tweaking(ob):
        raise EDTalkError(
            ErrorCode.UNSUPPORTED,
            f"The prediction of {ob.name} is being edited, which switches off the keys on top of it.",
            "Choose the layer Tweaks first, then bake.",
        )


def _sign(request: BakeRequest) -> Steps[dict[int, str]]:
    """Return the signature of each frame's curves and settings."""
    signatures: dict[int, str] = {}
    while len(signatures) < len(request.frames):
        signature, end = Signature(request.ref.get_character()), time.perf_counter() + PACE.slice_s
        for frame in request.frames[len(signatures) :]:
            signatures[frame] = signature.at(frame)
            if time.perf_counter() > end:
                break
        yield
    return signatures


def sample_weights(ref: CharacterRef, frames: range, progress: Progress) -> Steps[np.ndarray]:
    """Return the character's weights over `frames` as the evaluated scene has them, float32 [frames, channels]."""
    progress.stage, progress.total = "Reading the weights", 0
    for weights in sampling.sample(ref, frames):
        if weights is not None:
            return weights
        yield
    raise EDTalkError(ErrorCode.EMPTY_RANGE, "There are no frames to read.", "Set another frame range.")


def _open_take(request: BakeRequest, take_format: takes.TakeFormat) -> Steps[takes.Take]:
    """Return the take to bake into, with the frames of the character's last take that still fit."""
    ob = request.ref.get_character()
    name, old = ob.name, paths.file_of(ob, "take")
    folder = take_places.folder_for_baking(ob, request.base, take_format, request.new_take)
    take = yield from time_sliced(takes.Take.open_in_steps(folder))
    take.owner, take.character, take.format = take_places.owner(), name, take_format
    if old is not None and old != folder:
        yield from time_sliced(take.adopt((yield from time_sliced(takes.Take.open_in_steps(old)))))
    return take


# --- rendering -------------------------------------------------------------------------------------------------------


def _render_despite_a_crash(request: BakeRequest, plan: _Plan, progress: Progress) -> Steps[bool]:
    """Render the stale frames. When the server crashes, start it once more and render those that are left; return
    whether it did."""
    try:
        yield from _render(request, plan, progress)
    except EDTalkError as error:
        if error.code != ErrorCode.SERVER_UNREACHABLE:
            raise
        log.warning("the server crashed while baking, and is started again: %s", error.cause)
        crash = error
    else:
        return False
    yield from runtime.session().ready(progress)
    if (yield from prepare_source(request.ref, progress)).source != plan.source:
        raise crash  # another model, or another portrait: these would be other faces
    left = [frame for frame in plan.stale if frame not in plan.written]
    if left:
        yield from _render(request, replace(plan, stale=left), progress)
    return True


def _render(bake_request: BakeRequest, plan: _Plan, progress: Progress) -> Steps[None]:
    """Render the stale frames, and write them as they arrive."""
    take, take_format, waiting = plan.take, plan.take.format, deque[Frame]()
    session, rows = runtime.session(), np.array(plan.stale) - bake_request.frames[0]
    yield
    take.begin()
    WATCH.follow(take)
    request = Render(
        source=plan.source,
        frames=tuple(plan.stale),
        encoding=take_format.encoding,
        weights=pack_weights(plan.weights[rows]),
        framing=take_format.framing,
        alpha=take_format.alpha,
        size=take_format.width if take_format.framing == "face" else 0,
        cut_out=take_format.cut_out,
    )
    progress.begin("Rendering", len(plan.stale))
    progress.unit = "fps"
    rendering = session.stream(request, waiting.append, progress)
    stored, playback = 0, Playback(bake_request.ref, take)
    try:
        for _ in rendering:
            stored += _store(plan, waiting)
            progress.done = stored  # a frame that a cancel would lose is not finished
            session.hold_results_back(len(waiting) >= WAITING_FRAMES)
            playback.look()
            yield
        while waiting:
            stored += _store(plan, waiting)
            progress.done = stored
            yield
        yield from time_sliced(take.tidy())
    finally:
        playback.end()
        rendering.close()
        session.hold_results_back(False)
        WATCH.follow(None)
        progress.unit = ""
        _store(plan, waiting, LAST_STORE_S)  # last, because a full disk refuses these too


def _store(plan: _Plan, waiting: deque[Frame], seconds: float | None = None) -> int:
    """Write waiting frames for `seconds` (None: a slice). Returns how many were written."""
    end, before = time.perf_counter() + (PACE.slice_s if seconds is None else seconds), len(waiting)
    while waiting and time.perf_counter() < end:
        frame = waiting.popleft()
        number = frame.frame
        plan.take.store(number, plan.hashes[number], bytes(frame.data), plan.signatures[number])
        plan.written.add(number)
    return before - len(waiting)
