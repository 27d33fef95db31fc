"""`Movie`: an image sequence and a sound become a movie file."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from edtalk_server.media.steps import Steps
from edtalk_server.media.video.assemble import MovieSpec, assemble
from edtalk_server.media.video.sequence import check_pattern
from shared_protocol import messages
from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.messages import Message

from .. import limits
from .handler import Resources, WorkerKind, handles
from .streaming import StreamingHandler


@handles(messages.Movie)
class MovieHandler(StreamingHandler[messages.Movie]):
    """Write the movie in steps, beside the model's work."""

    worker = WorkerKind.FILES
    is_local_only = True
    capabilities = ("movie",)

    def __init__(self, request: messages.Movie, resources: Resources, now: float) -> None:
        super().__init__(request, resources, now)
        _check_pattern(request.pattern)
        limits.check_fps(request)
        limits.check_frame_count(request.last - request.first + 1, request.sound_offset)

    def steps(self) -> Steps[Message | None]:
        """Write the movie; there is no result but the file."""
        request = self.request
        yield from assemble(
            MovieSpec(
                pattern=Path(request.folder) / Path(request.pattern).name,
                first=request.first,
                last=request.last,
                fps=Fraction(request.fps_numerator, request.fps_denominator),
                sound=Path(request.sound) if request.sound else None,
                sound_offset=request.sound_offset,
                output=Path(request.output),
                is_cut_out=request.cut_out,
            )
        )
        return None


def _check_pattern(pattern: str) -> None:
    """Raise `EDTalkError(BAD_MESSAGE)` where this is no name of a numbered sequence."""
    try:
        check_pattern(Path(pattern))
    except ValueError as error:
        cause = f"The frames' name cannot be used: {error}."
        raise EDTalkError(ErrorCode.BAD_MESSAGE, cause, "Use a name such as %04d.png.") from error
