"""What the server accepts: how much it holds, and which requests make sense. All checks raise `EDTalkError`."""

from __future__ import annotations

from shared_protocol import messages, transcripts
from shared_protocol.banks import Bank
from shared_protocol.codec import MAX_BLOB_BYTES
from shared_protocol.emotions import EMOTIONS
from shared_protocol.errors import EDTalkError, ErrorCode

MAX_JOB_NAME = 200
"""Characters in the name of a job."""
MAX_JOBS_PER_CLIENT = 64
"""Open jobs of one client."""
MAX_OPEN_BYTES = 512 * 1024 * 1024
"""Bytes that the open jobs of all clients hold together."""
MAX_CREDIT = 64
"""Frames that the server may send ahead of the client's credit."""
MAX_UNREAD_BYTES = 256 * 1024 * 1024
"""Bytes of a render's frames that the client has not given credit for again; at least one frame is sent."""
MAX_BLOB_STORE_BYTES = 2 * MAX_BLOB_BYTES
"""Bytes of all uploaded files together."""
MAX_SOURCES = 32
"""Encoded portraits that the server keeps."""
MAX_SOURCE_BYTES = 1024**3
"""Bytes of all encoded portraits together; the newest is always kept."""
MAX_FRAMES = 1_000_000
"""Frames of one request."""
MAX_SECONDS = 1e6
"""The farthest offset of a sound or a clock from the first frame, in seconds."""
MAX_STRENGTH = 10.0
"""The largest strength of a captured bank; 1 is the driver's own movement."""
MAX_LINE_SECONDS = 4 * 3600.0
"""The latest second of a voice at which a line of a transcript may be spoken."""
MAX_LANGUAGE = 35
"""Characters of a language tag (RFC 5646, section 4.4.1)."""
MAX_WORDS, MAX_SENTENCES = 8000, 1000
"""What a performance lists of its transcript: as much as fits into a header."""
POSES = ("idle", "flow")
"""How the head's movements are made."""
CAPTURE_ZEROS = ("nearest", "calmest", "second")
"""What may stand for the source's own face in a capture."""
FPS_RANGE = (1, 1000)
"""Frame rates that a request may ask for, in frames per second."""


def check_not_empty(request: messages.Render) -> None:
    """Check that there is a frame to render."""
    if not request.frames:
        raise EDTalkError(ErrorCode.EMPTY_RANGE, "The frame range is empty.", "Choose at least one frame.")


def check_idle_motion(request: messages.Predict) -> None:
    """Check the number of blinks, the strength of head movement and the clock."""
    in_range = 0 <= request.blinks <= messages.MOST_BLINKS and 0 <= request.head <= messages.MOST_HEAD
    if not in_range or not abs(request.clock) <= MAX_SECONDS:
        raise EDTalkError(
            ErrorCode.BAD_MESSAGE,
            "The number of blinks or the strength of head movement is out of range.",
            f"Choose 0 to {messages.MOST_BLINKS} blinks a minute, and 0 to {messages.MOST_HEAD} for the head.",
        )


def check_semantics(request: messages.Predict) -> None:
    """Check the transcript, the banks, the emotion and the temperature."""
    letters = sum(len(line.text.encode("utf-8", "replace")) for line in request.lines)
    if len(request.lines) > messages.MOST_LINES or letters > transcripts.MAX_BYTES:
        raise EDTalkError(
            ErrorCode.TOO_LARGE,
            f"The transcript is longer than {messages.MOST_LINES} lines or {transcripts.MAX_BYTES // 1024} kB.",
            "Cut it to what this voice says.",
        )
    if not all(_is_time(line.start) and _is_time(line.end) for line in request.lines):
        raise _bad("A line of the transcript has no possible time.", "Correct its times.")
    if len(request.language) > MAX_LANGUAGE:
        raise _bad("The language is no language tag.", "Write it as en, de or pt-BR.")
    if not request.banks or not set(request.banks) <= set(Bank):
        raise _bad("A bank is unknown, or none is asked for.", "Choose mouth, pose or expression.")
    _check_emotion(request)
    if not 0 <= request.temperature <= messages.MOST_TEMPERATURE or request.pose not in POSES:
        raise _bad("The head's movement is out of range.", "Choose another temperature.")


def _check_emotion(request: messages.Predict) -> None:
    emotion = request.emotion
    if emotion.name and emotion.name not in EMOTIONS:
        raise _bad("The emotion is unknown.", f"Choose one of: {', '.join(EMOTIONS)}.")
    if not 0 <= emotion.intensity <= 1 or not 0 <= request.emotion_gain <= messages.MOST_GAIN:
        raise _bad("The strength of an emotion is out of range.", "Choose another strength.")


def _is_time(second: float) -> bool:
    return second == -1.0 or 0 <= second <= MAX_LINE_SECONDS


def _bad(cause: str, fix: str) -> EDTalkError:
    return EDTalkError(ErrorCode.BAD_MESSAGE, cause, fix)


def check_timing(request: messages.Predict | messages.Capture) -> None:
    """Check the frame rate, the number of frames and the offset."""
    check_fps(request)
    check_frame_count(request.frames, request.offset)


def check_also(request: messages.Prepare) -> None:
    """Check the number of further pictures."""
    if len(request.also) > messages.MOST_ALSO:
        raise EDTalkError(
            ErrorCode.BAD_MESSAGE,
            f"A character has at most {messages.MOST_ALSO} further pictures.",
            "Remove some.",
        )


def check_capture(request: messages.Capture) -> None:
    """Check what counts as the source's own face, and the strengths of the banks."""
    strengths = (request.mouth, request.pose, request.expression)
    if request.zero not in CAPTURE_ZEROS or not 0 <= request.zero_second <= MAX_SECONDS:
        raise EDTalkError(
            ErrorCode.BAD_MESSAGE, "The moment of zero is not in the video.", "Choose another moment."
        )
    if not all(0 <= strength <= MAX_STRENGTH for strength in strengths):
        raise EDTalkError(
            ErrorCode.BAD_MESSAGE, "A strength is not between 0 and 10.", "Choose another strength."
        )


def check_fps(request: messages.Predict | messages.Capture | messages.Movie) -> None:
    """Check that the frame rate lies in `FPS_RANGE`."""
    numerator, denominator = request.fps_numerator, request.fps_denominator
    lowest, highest = FPS_RANGE
    if numerator <= 0 or denominator <= 0 or not lowest <= numerator / denominator <= highest:
        raise EDTalkError(
            ErrorCode.BAD_MESSAGE, "The frame rate is not between 1 and 1000.", "Set the scene's frame rate."
        )


def check_frame_count(frames: int, offset: float) -> None:
    """Check the number of frames, and the offset in seconds."""
    if not 0 <= frames <= MAX_FRAMES or abs(offset) > MAX_SECONDS:
        raise EDTalkError(
            ErrorCode.EMPTY_RANGE, "The frame range is empty or too long.", "Choose another range."
        )
