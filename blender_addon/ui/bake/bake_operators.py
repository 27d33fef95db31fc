# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
"""Operators: bake performances into frames.

A bake reads the weights of all frames from the evaluated scene, compares their hashes with those of the take, renders
what is stale, and at its end, in one go, puts the take on the plane.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path

import bpy
import numpy as np
from bpy.props import BoolProperty, StringProperty

from shared_protocol.arrays import pack_weights
from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.messages import Frame, Render

from ...core.takes import takes
from ...core.tasks import SLICE_S, Progress, Steps, time_sliced
from ...core.text.translate import rpt_
from ...scene import character, plane
from ...scene.keys import layers, sampling
from ...scene.keys.signature import Signature
from ...scene.takes import bake_settings, take_places
from ..runtime import pump
from ..runtime.range_operator import RangeOperator, found, prepared_source
from ..runtime.task_operator import refuse, scene_of

LAST_STORE_S = 0.1
"""So long after a cancel, because what was seen to be rendered is to be kept. What is left is rendered next time."""
WAITING_FRAMES = 64
"""With so many frames in memory the server has to wait until they are written: the disk is slower than it."""


@dataclass(frozen=True)
class Wish:
    """What to bake: a character's frames, below `base`; `again`: the fresh ones too; `anew`: into a new take."""

    uid: int
    scene_uid: int
    frames: range
    base: Path
    again: bool = False
    anew: bool = False


@dataclass(frozen=True)
class _Plan:
    """Weights [frames, channels] and hashes of all frames, and those that are to be rendered."""

    source: str
    weights: np.ndarray
    hashes: dict[int, str]
    signatures: dict[int, str]
    take: takes.Take
    stale: list[int]


@dataclass(frozen=True)
class Baked:
    """A finished bake that is not on the plane yet; `run`: the unbroken run of finished frames from its first on."""

    wish: Wish
    take: takes.Take
    rendered: int
    run: range

    def show(self) -> None:
        """Put the take on the plane."""
        ob, scene = found(self.wish.uid), scene_of(self.wish.scene_uid)
        plane.show_take(ob, self.take, self.run[0], self.run[-1])
        plane.follow_view_transform(ob, scene)
        pump.takes_changed()

    @property
    def words(self) -> str:
        """What came of it, for people."""
        kept = len(self.wish.frames) - self.rendered
        return rpt_(
            "{count} frames rendered, {kept} still fresh, in {folder}",
            count=self.rendered,
            kept=kept,
            folder=self.take.folder,
        )


def baked(wish: Wish, progress: Progress) -> Steps[Baked]:
    """Render what is stale. The .blend stays as it is (see `Baked.show`)."""
    plan, stale = (yield from _planned(wish, progress)), set[int]()
    stale.update(plan.stale)
    fresh = ((frame, signature) for frame, signature in plan.signatures.items() if frame not in stale)
    yield from time_sliced(plan.take.sign(fresh))
    if plan.stale:
        yield from _rendered(wish, plan, progress)
    there = yield from time_sliced(plan.take.finished())
    if not there:  # somebody deleted them meanwhile
        raise EDTalkError(ErrorCode.DISK, f"{plan.take.folder} holds no finished frame.", "Bake again.")
    yield
    return Baked(wish, plan.take, len(plan.stale), takes.run_to_show(there, wish.frames[0]))


def _planned(wish: Wish, progress: Progress) -> Steps[_Plan]:
    _refuse_tweaking(found(wish.uid))
    bundle = yield from pump.session().ready(progress)
    prepared = yield from prepared_source(wish.uid, progress)
    signatures = yield from _signatures(wish)  # before the weights: what is edited meanwhile shows as stale
    weights = yield from sampled_weights(wish.uid, wish.scene_uid, wish.frames, progress)
    look = bake_settings.look_of(found(wish.uid), prepared)
    hashes: dict[int, str] = {}

    def hashed() -> Steps[None]:
        for frame, row in zip(wish.frames, weights, strict=True):
            hashes[frame] = takes.frame_hash(bundle.identity, prepared.source, row.tobytes(), look)
            yield

    yield from time_sliced(hashed())
    take = yield from _take_for(wish, look)
    stale = list(wish.frames) if wish.again else (yield from time_sliced(take.stale(hashes)))
    return _Plan(prepared.source, weights, hashes, signatures, take, stale)


def _refuse_tweaking(ob: bpy.types.Object) -> None:
    """While a strip of the NLA is edited, Blender leaves out all that lies above it."""
    if layers.is_tweaking(ob):
        raise EDTalkError(
            ErrorCode.UNSUPPORTED,
            f"A strip of {ob.name} is being edited, and what lies above it does not count meanwhile.",
            "Choose the layer Tweaks first, then bake.",
        )


def _signatures(wish: Wish) -> Steps[dict[int, str]]:
    """What the curves of all frames are like."""
    found_: dict[int, str] = {}
    while len(found_) < len(wish.frames):
        signature, end = Signature(found(wish.uid)), time.perf_counter() + SLICE_S
        for frame in wish.frames[len(found_) :]:
            found_[frame] = signature.at(frame)
            if time.perf_counter() > end:
                break
        yield
    return found_


def _take_for(wish: Wish, look: takes.Look) -> Steps[takes.Take]:
    """The take to bake into; what the character's last one has comes along."""
    ob = found(wish.uid)
    name, old = ob.name, character.file_of(ob, "take")
    folder = take_places.folder_for_baking(ob, wish.base, look, wish.anew)
    take = yield from time_sliced(takes.Take.opening(folder))
    take.owner, take.character, take.look = take_places.owner(), name, look
    if old is not None and old != folder:
        yield from time_sliced(take.adopt((yield from time_sliced(takes.Take.opening(old)))))
    return take


def _rendered(wish: Wish, plan: _Plan, progress: Progress) -> Steps[None]:
    """Render the stale frames, and write them as they come."""
    take, look, waiting = plan.take, plan.take.look, deque[Frame]()
    session, rows = pump.session(), np.array(plan.stale) - wish.frames[0]
    yield
    take.begin()
    pump.watch().follow(take)
    request = Render(
        source=plan.source,
        frames=tuple(plan.stale),
        encoding=look.encoding,
        weights=pack_weights(plan.weights[rows]),
        framing=look.framing,
        alpha=look.alpha,
    )
    progress.begin("Rendering", len(plan.stale))
    progress.unit = "fps"
    rendering = session.stream(request, waiting.append, progress)
    try:
        for _ in rendering:
            _store(plan, waiting)
            session.hold_results_back(len(waiting) >= WAITING_FRAMES)
            yield
        while waiting:
            _store(plan, waiting)
            yield
        yield from time_sliced(take.tidy())
    finally:
        rendering.close()
        session.hold_results_back(False)
        pump.watch().follow(None)
        progress.unit = ""
        _store(plan, waiting, LAST_STORE_S)  # the last, because a full disk refuses these too


def _store(plan: _Plan, waiting: deque[Frame], seconds: float = SLICE_S) -> None:
    """Write frames that wait, for so long."""
    end = time.perf_counter() + seconds
    while waiting and time.perf_counter() < end:
        frame = waiting.popleft()
        number = frame.frame
        plan.take.store(number, plan.hashes[number], bytes(frame.data), plan.signatures[number])


def sampled_weights(uid: int, scene_uid: int, frames: range, progress: Progress) -> Steps[np.ndarray]:
    """The character's weights over `frames` as the evaluated scene has them, [frames, channels]."""
    progress.stage, progress.total = "Reading the weights", 0
    for weights in sampling.sample(found(uid), scene_of(scene_uid), frames):
        if weights is not None:
            return weights
        yield
    raise EDTalkError(ErrorCode.EMPTY_RANGE, "There are no frames to read.", "Set another frame range.")


# --- operators -------------------------------------------------------------------------------------------------------


class BakeOperator(RangeOperator):
    """What all ways to bake have in common."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if character.is_character(context.object) and layers.is_tweaking(context.object):
            return refuse(cls, "The prediction is being edited: switch Layer to Tweaks first")
        return super().poll(context)

    directory: StringProperty(
        name="Folder",
        description="Where takes go; empty: beside the .blend",
        subtype="DIR_PATH",
        options={"SKIP_SAVE"} | character.PATH_OPTIONS,
    )

    def wish(self, ob: bpy.types.Object, scene: bpy.types.Scene) -> Wish:
        """What this operator wants of a character."""
        base = character.absolute(self.directory) if self.directory else take_places.default_base()
        return Wish(ob.session_uid, scene.session_uid, self.frames(scene), base)

    def steps(self, context: bpy.types.Context, progress: Progress) -> Steps[str]:
        done = yield from baked(self.wish(context.object, context.scene), progress)
        done.show()
        return done.words + self.where_they_are()

    def where_they_are(self) -> str:
        """A word about frames of a file that was never saved."""
        if bpy.data.filepath or self.directory:
            return ""
        return f". {rpt_('Save the file and bake again to bring them beside it')}"


class Bake(BakeOperator, bpy.types.Operator):
    """Render all frames of the scene's range that changed, and put them on the plane"""

    bl_idname = "edtalk.bake"
    bl_label = "Bake Changes"
    bl_options = {"UNDO"}
    title = "Bake"


class BakeRange(BakeOperator, bpy.types.Operator):
    """Bake a part of the shot, or the same frames once more"""

    bl_idname = "edtalk.bake_range"
    bl_label = "Bake Range"
    bl_options = {"UNDO"}
    title = "Bake"

    again: BoolProperty(
        name="Fresh frames too",
        description="Render all frames of the range, also those that did not change",
        options={"SKIP_SAVE"},
    )
    new_take: BoolProperty(
        name="Into a new take",
        description="Keep the take as it is. Frames that did not change are copied",
        options={"SKIP_SAVE"},
    )

    def wish(self, ob: bpy.types.Object, scene: bpy.types.Scene) -> Wish:
        return replace(super().wish(ob, scene), again=self.again, anew=self.new_take)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if self.asked:
            return super().invoke(context, event)
        scene = context.scene
        preview = scene.use_preview_range
        self.first = scene.frame_preview_start if preview else scene.frame_start
        self.last = scene.frame_preview_end if preview else scene.frame_end
        return self.ask(context)

    def draw(self, _context: bpy.types.Context) -> None:
        column = self.layout.column()
        column.use_property_split = True
        for name in ("first", "last", "again", "new_take"):
            column.prop(self, name)


class BakeAll(BakeOperator, bpy.types.Operator):
    """Render all frames that changed, of every character in the scene"""

    bl_idname = "edtalk.bake_all"
    bl_label = "Bake All Characters"
    bl_options = {"UNDO"}
    title = "Bake"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not bakeable(context.scene):
            return refuse(cls, "The scene has no character that can be baked here: make one, or an override")
        return cls.is_free()

    def steps(self, context: bpy.types.Context, progress: Progress) -> Steps[str]:
        wishes = [self.wish(ob, context.scene) for ob in bakeable(context.scene)]
        done, troubles = list[Baked](), list[EDTalkError]()
        for wish in wishes:
            try:
                done += yield from all_baked([wish], progress)
            except EDTalkError as error:  # the others can be baked all the same
                troubles.append(error)
        if troubles and not done:
            raise troubles[0]
        for one in done:
            one.show()
        if troubles:
            pump.session().failure = troubles[0].cause, troubles[0].fix
        rendered = sum(one.rendered for one in done)
        said = rpt_("{count} characters: {frames} frames rendered", count=len(done), frames=rendered)
        return said + self.where_they_are()


def bakeable(scene: bpy.types.Scene) -> list[bpy.types.Object]:
    """The characters of a scene that are this file's own, or overridden."""
    return [ob for ob in character.characters(scene) if ob.is_editable]


def all_baked(wishes: list[Wish], progress: Progress) -> Steps[list[Baked]]:
    """Bake one after the other; nothing is shown before all are finished."""
    done = []
    for wish in wishes:
        progress.subject = found(wish.uid).name
        done.append((yield from baked(wish, progress)))
    progress.subject = ""
    return done


CLASSES = (Bake, BakeRange, BakeAll)
