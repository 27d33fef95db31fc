# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
"""Operator: capture the movements of a face in a video as a performance, bank by bank."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, StringProperty

from shared_protocol import messages
from shared_protocol.banks import Bank
from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.timebase import TimeBase

from ...core.server import events, uploads
from ...core.tasks import Progress, Steps, time_sliced
from ...core.text.translate import rpt_
from ...scene import paths
from ...scene.references import CharacterRef
from ..runtime import runtime
from ..runtime.browsing import thumbnails
from ..runtime.polls import is_not_tweaking
from ..runtime.range_operator import RangeOperator, prepare_source
from .write_performance import describe_side_effects, write_performance

ZEROS = {"NEAREST": "nearest", "CALMEST": "calmest", "FRAME": "second"}
"""The choices of the operator, as `messages.Capture.zero` names them."""


def _strength(name: str) -> Any:
    return FloatProperty(
        name=name,
        description="How strongly the character follows: 0 keeps the portrait's own, 1 is the driver's",
        default=1.0,
        min=0.0,
        max=10.0,
        soft_max=2.0,
    )


class Capture(RangeOperator, bpy.types.Operator):
    """Let the character move like the face in a video"""

    bl_idname = "edtalk.capture"
    bl_description = (
        "Let the character move like the face in a video. Replaces the chosen banks of the prediction where the video "
        "runs within the scene's range. Your own keys on top stay"
    )
    bl_label = "Capture from Video"
    bl_options = {"UNDO"}
    title = "Capture"

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"} | paths.PATH_OPTIONS)
    filter_movie: BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})
    filter_folder: BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})
    display_type: thumbnails()
    start: FloatProperty(
        name="Starts at", description="Frame at which the video begins", default=1.0, options={"SKIP_SAVE"}
    )
    mouth: BoolProperty(name="Mouth", description="Take the lips from the video", default=True)
    pose: BoolProperty(name="Pose", description="Take the head's pose from the video", default=True)
    expression: BoolProperty(
        name="Expression", description="Take brows, eyes and cheeks from the video", default=True
    )

    zero: EnumProperty(
        name="Zero",
        description="The moment of the video that stands for the portrait's own face",
        items=(
            ("NEAREST", "Like the Portrait", "The moment in which the driver looks most like the portrait"),
            ("CALMEST", "Calmest", "The moment of least movement, with a face at rest"),
            ("FRAME", "Frame", "A frame of your choice"),
        ),
    )
    zero_frame: FloatProperty(
        name="Zero Frame",
        description="Frame of the scene at which the driver looks like the portrait",
        default=1.0,
    )
    absolute: BoolProperty(
        name="Absolute",
        description="Take the driver's face as it is, not how it changes: for a portrait of the same person",
    )
    follow: BoolProperty(
        name="Follow Closely",
        description="Correct what was read by redrawing the driver: closer, but several times as long",
        default=True,
    )
    strength_mouth: _strength("Mouth Strength")
    strength_pose: _strength("Pose Strength")
    strength_expression: _strength("Expression Strength")

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return super().poll(context) and is_not_tweaking(cls, context)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if self.asked or self.filepath:
            return super().invoke(context, event)
        self.start = context.scene.frame_start
        return self.browse(context)

    def draw(self, _context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.prop(self, "start")
        column = layout.column(heading="Take over")
        for bank in Bank:
            column.prop(self, bank.value)
        column = layout.column(align=True)
        for bank in self.banks():
            column.prop(self, f"strength_{bank.value}")
        layout.prop(self, "follow")
        layout.prop(self, "absolute")
        column = layout.column()
        column.active = not self.absolute
        column.prop(self, "zero")
        if self.zero == "FRAME":
            column.prop(self, "zero_frame")

    def steps(self, context: bpy.types.Context, progress: Progress) -> Steps[str]:
        ref = CharacterRef.of(context.object, context.scene)
        path, banks, start = paths.absolute(self.filepath), self._banks(), self._start(context.scene)
        paths.existing_file(path if self.filepath else None, "video", ErrorCode.VIDEO_UNREADABLE)
        timing, frames = _timing(path, context.scene, start, self.frames(context.scene))
        progress.stage = "Reading the video"
        yield
        video = yield from time_sliced(uploads.on_disk(path, "video", ErrorCode.VIDEO_UNREADABLE))
        prepared = yield from prepare_source(ref, progress)
        request = messages.Capture(
            source=prepared.source,
            video=video.digest,
            fps_numerator=timing.fps.numerator,
            fps_denominator=timing.fps.denominator,
            frames=len(frames),
            offset=timing.seconds(frames[0]),
            zero=ZEROS[self.zero],
            zero_second=max(0.0, timing.seconds(self.zero_frame)) if self.zero == "FRAME" else 0.0,
            absolute=self.absolute,
            mouth=self.strength_mouth,
            pose=self.strength_pose,
            expression=self.strength_expression,
            follow=self.follow,
        )
        progress.begin("Sending the video")
        performance = yield from runtime.session().run(request, progress, [video])
        weights = events.weights_for(performance, len(frames))
        written = yield from write_performance(ref, frames, weights, progress, banks)
        ref.get_character().edtalk.speech.captured = "\n".join(performance.notes)
        message = rpt_(
            "{name}: {banks} of frames {first} to {last} captured",
            name=ref.get_character().name,
            banks=", ".join(rpt_(bank.value.capitalize()) for bank in banks),
            first=frames[0],
            last=frames[-1],
        )
        notes = "".join(f". {rpt_(note).rstrip('.')}" for note in performance.notes)
        return message + notes + describe_side_effects(written)

    def _start(self, scene: bpy.types.Scene) -> float:
        is_set = self.properties.is_property_set("start")
        return self.start if is_set else float(scene.frame_start)

    def banks(self) -> list[Bank]:
        """Return the banks to take over."""
        return [bank for bank in Bank if getattr(self, bank.value)]

    def _banks(self) -> list[Bank]:
        banks = self.banks()
        if not banks:
            raise EDTalkError(
                ErrorCode.EMPTY_RANGE,
                "Mouth, pose and expression are all switched off.",
                "Switch on at least one of them.",
            )
        return banks


def _timing(path: Path, scene: bpy.types.Scene, start: float, frames: range) -> tuple[TimeBase, range]:
    """Return the video's time base in the scene, and those of `frames` at which it runs."""
    timing = TimeBase.from_blender(scene.render.fps, scene.render.fps_base, 0, start)
    end = timing.frame(_duration(path))
    during = range(max(frames[0], -int(-start // 1)), min(frames[-1] + 1, -int(-end // 1)))
    if not during:
        raise EDTalkError(
            ErrorCode.EMPTY_RANGE,
            f"The video runs from frame {start:g} to {end:g}, outside frames {frames[0]} to {frames[-1]}.",
            "Let it start earlier, or change the scene's frame range.",
        )
    return timing, during


def _duration(path: Path) -> float:
    """Return a video's length in seconds. Raises `EDTalkError` when Blender cannot read it."""
    clip = None
    try:
        clip = bpy.data.movieclips.load(str(path))
        frames, fps = clip.frame_duration, clip.fps
    except RuntimeError:
        frames, fps = 0, 0.0
    finally:
        if clip is not None:
            bpy.data.movieclips.remove(clip)
    if frames < 1 or fps <= 0:
        raise EDTalkError(
            ErrorCode.VIDEO_UNREADABLE,
            f"Blender cannot read the video {path}.",
            "Choose a movie file, for example an MP4.",
        )
    return frames / fps


CLASSES = (Capture,)
