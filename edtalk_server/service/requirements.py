"""What a request must keep to before it becomes a job. All of these raise `EDTalkError`."""

from __future__ import annotations

from shared_protocol import messages
from shared_protocol.errors import EDTalkError, ErrorCode

MAX_FRAMES = 1_000_000


def check_range(request: messages.Render) -> None:
    """Is there a frame to render?"""
    if not request.frames:
        raise EDTalkError(ErrorCode.EMPTY_RANGE, "The frame range is empty.", "Choose at least one frame.")


def check_liveliness(request: messages.Predict) -> None:
    """Are blinks and head motion such as can be made?"""
    within = 0 <= request.blinks <= messages.MOST_BLINKS and 0 <= request.head <= messages.MOST_HEAD
    if not within or not abs(request.clock) <= 1e6:
        raise EDTalkError(
            ErrorCode.BAD_MESSAGE,
            "The wished number of blinks or movement of the head is out of range.",
            f"Choose 0 to {messages.MOST_BLINKS} blinks a minute, and 0 to {messages.MOST_HEAD} for the head.",
        )


def check_timing(request: messages.Predict | messages.Capture) -> None:
    """Frame rate, number of frames and offset."""
    check_rate(request)
    check_count(request.frames, request.offset)


def check_rate(request: messages.Predict | messages.Capture | messages.Movie) -> None:
    """Is the frame rate one of this world?"""
    numerator, denominator = request.fps_numerator, request.fps_denominator
    if numerator <= 0 or denominator <= 0 or not 1 <= numerator / denominator <= 1000:
        raise EDTalkError(
            ErrorCode.BAD_MESSAGE, "The frame rate is not between 1 and 1000.", "Set the scene's frame rate."
        )


def check_count(frames: int, offset: float) -> None:
    """Is the number of frames one that fits, and the offset (in seconds) near?"""
    if not 0 <= frames <= MAX_FRAMES or abs(offset) > 1e6:
        raise EDTalkError(
            ErrorCode.EMPTY_RANGE, "The frame range is empty or too long.", "Choose another range."
        )
