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


@dataclass(frozen=True)
class MovieSpec:
    """What is wanted: the frames `first` to `last` of `pattern` (a path whose name holds one `%04d` or the like), the
    exact frame rate, a sound or None and the movie's second at which it begins, and where the movie goes."""

    pattern: Path
    first: int
    last: int
    fps: Fraction
    sound: Path | None
    sound_offset: float
    output: Path

    def path(self, frame: int) -> Path:
        """The file of a frame."""
        return self.pattern.with_name(self.pattern.name % frame)


def assemble(order: MovieSpec) -> Steps[None]:
    """Write the movie, whole or not at all: closing the steps leaves nothing.

    Raises `EDTalkError`: EMPTY_RANGE, IMAGE_UNREADABLE (which frame is missing), AUDIO_UNREADABLE, UNSUPPORTED, DISK.
    """
    count = order.last - order.first + 1
    _check(order, count)
    first = read_still(order.path(order.first))
    height, width = first.shape[:2]
    with MovieWriter(order.output, order.fps, (width, height), order.sound, order.sound_offset) as writer:
        writer.write(first)
        for done in range(1, count):
            yield Step(done, count, _STAGE)
            path = order.path(order.first + done)
            frame = read_still(path)
            if frame.shape != first.shape:
                raise _differs(path)
            writer.write(frame)
        for _ in writer.closing():
            yield Step(count, count, _STAGE)


def _check(order: MovieSpec, count: int) -> None:
    """All that can be said before the work begins."""
    if count < 1:
        raise EDTalkError(ErrorCode.EMPTY_RANGE, "The frame range is empty.", "Choose at least one frame.")
    try:
        check_pattern(order.pattern)
    except ValueError as error:
        raise EDTalkError(ErrorCode.UNSUPPORTED, f"{error}.", "Choose a PNG or EXR sequence.") from error
    if order.output.suffix.lower() not in MOVIES:
        raise EDTalkError(
            ErrorCode.UNSUPPORTED, f"“{order.output.name}” is no movie file.", f"Use {', '.join(MOVIES)}."
        )
    if order.sound is not None and not order.sound.is_file():
        raise EDTalkError(
            ErrorCode.AUDIO_UNREADABLE,
            f"The sound “{order.sound.name}” is missing.",
            "Check the path of the sound.",
        )
    missing = [frame for frame in range(order.first, order.last + 1) if not order.path(frame).is_file()]
    if missing:
        raise EDTalkError(
            ErrorCode.IMAGE_UNREADABLE,
            f"{len(missing)} of {count} frames are missing, the first is “{order.path(missing[0]).name}”.",
            "Bake the whole range first.",
        )


def _differs(path: Path) -> EDTalkError:
    return EDTalkError(
        ErrorCode.IMAGE_UNREADABLE,
        f"The frame “{path.name}” has another size than the first.",
        "Bake the whole range with the same settings.",
    )
