# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
"""Operator: write a performance from a file of weights, as `edtalk predict` and `edtalk capture` make them."""

from __future__ import annotations

import bpy
from bpy.props import BoolProperty, EnumProperty, StringProperty

from shared_protocol import weights_file
from shared_protocol.errors import ErrorCode

from ...core.tasks import Progress, Steps
from ...core.text.translate import rpt_
from ...scene import character, paths
from ...scene.keys import retiming
from ...scene.references import CharacterRef
from ...scene.speech import cues
from ..runtime.polls import is_not_tweaking
from ..runtime.range_operator import RangeOperator
from .write_performance import describe_side_effects, fit_emotions, write_emotions, write_performance

FIRST_FRAME = 1


class ImportPerformance(RangeOperator, bpy.types.Operator):
    """Write weights from a file, as a prediction."""

    bl_idname = "edtalk.import_performance"
    bl_description = (
        "Write weights from a file that “edtalk predict” or “edtalk capture” made, as a prediction. Your own keys on "
        "top stay"
    )
    bl_label = "Import Performance"
    bl_options = {"UNDO"}
    title = "Import Performance"

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"} | paths.PATH_OPTIONS)
    filter_glob: StringProperty(
        default=";".join(f"*{ending}" for ending in weights_file.FORMATS), options={"HIDDEN", "SKIP_SAVE"}
    )
    filter_folder: BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})
    at: EnumProperty(
        name="Starts at",
        description="Frame of the scene for the file's first one",
        items=(
            ("FIRST", "Frame 1", "Where a voice begins that starts at frame 1"),
            ("CURRENT", "Current Frame", "The frame that the scene shows now"),
        ),
        options={"SKIP_SAVE"},
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return super().poll(context) and is_not_tweaking(cls, context)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if self.asked or self.filepath:
            return super().invoke(context, event)
        return self.browse(context)

    def draw(self, _context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.prop(self, "at")

    def steps(self, context: bpy.types.Context, progress: Progress) -> Steps[str]:
        ref, path = CharacterRef.of(context.object, context.scene), paths.absolute(self.filepath)
        paths.existing_file(path if self.filepath else None, "performance", ErrorCode.BAD_WEIGHTS)
        start = FIRST_FRAME if self.at == "FIRST" else context.scene.frame_current
        progress.begin("Reading the performance")
        yield
        found = weights_file.read(path)
        yield
        ob, scene = ref.get_character(), ref.get_scene()
        stored = found.at_rate(retiming.rate_of(scene))
        weights, unknown = stored.fitted(character.layout_of(ob), character.rest_weights(ob))
        frames = range(start, start + len(weights))
        is_marked = bool(cues.from_markers(scene, ob))
        intensities = None if is_marked else stored.emotions
        felt = {} if intensities is None else (yield from fit_emotions(ref, frames, intensities))
        written = yield from write_performance(ref, frames, weights, progress)
        kept = write_emotions(ref, frames, felt)
        message = rpt_(
            "{name}: frames {first} to {last} imported",
            name=ref.get_character().name,
            first=frames[0],
            last=frames[-1],
        )
        notes = _notes(found, stored, unknown, is_marked)
        return (
            message
            + "".join(f". {note}" for note in notes)
            + describe_side_effects(written)
            + describe_side_effects(kept)
        )


def _notes(
    found: weights_file.WeightsFile,
    stored: weights_file.WeightsFile,
    unknown: tuple[str, ...],
    is_marked: bool,
) -> list[str]:
    """Return what the artist should know, in the user's language."""
    notes = []
    if stored.fps != found.fps:
        text = "The file's {old} frames a second became the scene's {new}"
        notes.append(rpt_(text, old=f"{float(found.fps):g}", new=f"{float(stored.fps):g}"))
    if unknown:
        notes.append(rpt_("The bundle has no weights {names}, which the file has", names=", ".join(unknown)))
    if is_marked and found.emotions is not None:
        notes.append(rpt_("Timeline markers drive the emotions: those of the file were left out"))
    return notes


CLASSES = (ImportPerformance,)
