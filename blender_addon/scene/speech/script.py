# SPDX-License-Identifier: GPL-3.0-or-later
"""What a character says: its transcript, and the emotions in that as cues of the scene."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import bpy

from shared_protocol import transcripts
from shared_protocol.emotions import Cue
from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.messages import SpokenLine
from shared_protocol.timebase import TimeBase
from shared_protocol.transcripts import Line, Transcript

from .. import paths
from . import cues, sequencer, sound

Second = Callable[[float], float]
LATEST_S = 4 * 3600.0
"""The latest second of a voice at which servers take a line to be spoken."""

_parse = lru_cache(maxsize=16)(transcripts.parse)  # panels ask for it with each redraw


def transcript_of(ob: bpy.types.Object, scene: bpy.types.Scene) -> Transcript:
    """What the character says; without lines when it has no transcript. Times are seconds of the voice, or for text
    strips those since frame 0.

    Raises `EDTalkError` when it is gone or cannot be understood.
    """
    speech = ob.edtalk.speech
    match speech.transcript_from:
        case "FILE":
            path = paths.existing_file(paths.file_of(ob, "transcript"), "transcript", ErrorCode.UNSUPPORTED)
            state = path.stat()
            return _read(path, state.st_mtime_ns, state.st_size)
        case "TEXT":
            if speech.text is None:
                raise EDTalkError(
                    ErrorCode.UNSUPPORTED, "No text is chosen.", "Choose a text, or None as transcript."
                )
            return _parse(speech.text.as_string(), speech.text.name)
        case "STRIPS":
            return _of_strips(scene)
    return Transcript()


@lru_cache(maxsize=16)
def _read(path: Path, _changed: int, _size: int) -> Transcript:
    data = paths.read_file(path, "transcript", ErrorCode.UNSUPPORTED)
    return transcripts.parse(transcripts.decode(data), path.name)


def file_as_text(ob: bpy.types.Object) -> bpy.types.Text:
    """Return a new text of the .blend that holds the transcript's file. Raises `EDTalkError` when that is gone."""
    path = paths.existing_file(paths.file_of(ob, "transcript"), "transcript", ErrorCode.UNSUPPORTED)
    text = bpy.data.texts.new(path.name)
    text.from_string(transcripts.decode(paths.read_file(path, "transcript", ErrorCode.UNSUPPORTED)))
    return text


def spoken_lines(ob: bpy.types.Object, scene: bpy.types.Scene, second: Second) -> tuple[SpokenLine, ...]:
    """Return the transcript's lines as predictions ask for them; `second` turns a frame of the face into a second of
    the sound that is sent.

    Raises `EDTalkError` as `transcript_of` does, and when the voice's strip is gone.
    """
    transcript = transcript_of(ob, scene)
    if not transcript.lines:
        return ()
    is_strips = ob.edtalk.speech.transcript_from == "STRIPS"
    clock = cues.time_of(scene) if is_strips else sound.beginning(ob, scene)
    return tuple(_spoken_line(line, clock, second) for line in transcript.lines)


def _spoken_line(line: Line, clock: TimeBase, second: Second) -> SpokenLine:
    if line.span is None:
        return SpokenLine(line.text)
    start, end = (second(clock.frame(time)) for time in line.span)
    if end > LATEST_S:  # far beyond any voice
        return SpokenLine(line.text)
    return SpokenLine(line.text, max(0.0, start), max(0.0, end))


def _of_strips(scene: bpy.types.Scene) -> Transcript:
    time, lines = cues.time_of(scene), []
    for strip in sequencer.spoken_texts(scene):
        start, end = sequencer.span(strip)
        text = " ".join(strip.text.split())
        if text:
            lines.append(Line(text, (time.seconds(start), time.seconds(end))))
    return Transcript(tuple(lines))


def emotion_cues(ob: bpy.types.Object, scene: bpy.types.Scene) -> list[Cue]:
    """The emotions in the transcript, with seconds since frame 0.

    Raises `EDTalkError` as `transcript_of` does, and when the voice's strip is gone.
    """
    transcript, clock = transcript_of(ob, scene), cues.time_of(scene)
    if ob.edtalk.speech.transcript_from == "STRIPS":
        return transcript.feelings((0.0, 0.0))  # each has its time
    voice = sound.beginning(ob, scene)
    first, last = (0.0, 0.0) if transcript.is_timed else map(voice.seconds, sound.span(ob, scene))
    feelings = transcript.feelings((first, last))
    return [Cue(clock.seconds(voice.frame(cue.time)), cue.emotions) for cue in feelings]
