"""An image sequence and a sound become a movie file, in steps."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from edtalk_server.media.steps import Step, Steps
from edtalk_server.media.video.sequence import check_pattern
from edtalk_server.media.video.stills import read_still
from edtalk_server.media.video.writer import MovieWriter
from shared_protocol.errors import EDTalkError, ErrorCode

MOVIES = (".mp4", ".mov", ".mkv")
_STAGE = "writing the movie"
_LOOKS = 500
"""Frames that are looked for between two pauses."""


@dataclass(frozen=True)
class MovieSpec:
    """The movie to write: frames `first` to `last` of `pattern`, at the exact frame rate, as `output`.

    `pattern` is a path whose name holds one `%04d` or the like. `sound` begins at second `sound_offset` of the movie.
    `is_cut_out`: the frames' alpha is a cut-out's and no matte, so grey shows where they are transparent.
    """

    pattern: Path
    first: int
    last: int
    fps: Fraction
    sound: Path | None
    sound_offset: float
    output: Path
    is_cut_out: bool = False

    def path(self, frame: int) -> Path:
        """Return the file of a frame."""
        return self.pattern.with_name(self.pattern.name % frame)


def assemble(spec: MovieSpec) -> Steps[None]:
    """Write the movie, whole or not at all: closing the steps leaves nothing.

    Raises `EDTalkError`: EMPTY_RANGE, IMAGE_UNREADABLE (which frame is missing), AUDIO_UNREADABLE, UNSUPPORTED, DISK.
    """
    count = spec.last - spec.first + 1
    yield from _check(spec, count)
    first = read_still(spec.path(spec.first), spec.is_cut_out)
    height, width = first.shape[:2]
    with MovieWriter(spec.output, spec.fps, (width, height), spec.sound, spec.sound_offset) as writer:
        writer.write(first)
        for done in range(1, count):
            yield Step(done, count, _STAGE)
            path = spec.path(spec.first + done)
            frame = read_still(path, spec.is_cut_out)
            if frame.shape != first.shape:
                raise _differs(path)
            writer.write(frame)
        for _ in writer.closing():
            yield Step(count, count, _STAGE)


def _check(spec: MovieSpec, count: int) -> Steps[None]:
    """Report what can be known before the work begins. Looking for the frames of a long range takes steps."""
    if count < 1:
        raise EDTalkError(ErrorCode.EMPTY_RANGE, "The frame range is empty.", "Choose at least one frame.")
    try:
        check_pattern(spec.pattern)
    except ValueError as error:
        raise EDTalkError(ErrorCode.UNSUPPORTED, f"{error}.", "Choose a PNG or EXR sequence.") from error
    if spec.output.suffix.lower() not in MOVIES:
        raise EDTalkError(
            ErrorCode.UNSUPPORTED, f"“{spec.output.name}” is not a movie file.", f"Use {', '.join(MOVIES)}."
        )
    if not spec.output.parent.parent.is_dir():
        raise EDTalkError(
            ErrorCode.DISK,
            f"The folder “{spec.output.parent.parent}” is missing.",
            "Make it first, or choose another place for the movie.",
        )
    if spec.sound is not None and not spec.sound.is_file():
        raise EDTalkError(
            ErrorCode.AUDIO_UNREADABLE,
            f"The sound “{spec.sound.name}” is missing.",
            "Check the path of the sound.",
        )
    missing, first = 0, ""
    for frame in range(spec.first, spec.last + 1):
        if not spec.path(frame).is_file():
            missing, first = missing + 1, first or spec.path(frame).name
        if (done := frame - spec.first + 1) % _LOOKS == 0:
            yield Step(done, count, "looking for the frames")
    if missing:
        raise EDTalkError(
            ErrorCode.IMAGE_UNREADABLE,
            f"{missing} of {count} frames are missing, the first is “{first}”.",
            "Bake the whole range first.",
        )


def _differs(path: Path) -> EDTalkError:
    return EDTalkError(
        ErrorCode.IMAGE_UNREADABLE,
        f"The frame “{path.name}” has another size than the first.",
        "Bake the whole range with the same settings.",
    )
