"""The closed list of failures, each with a cause and a fix in words.

All packages raise `EDTalkError`; where it would leave the server, it becomes a `messages.Failed` with the same
code, cause and fix.
"""

from __future__ import annotations

from enum import StrEnum


class ErrorCode(StrEnum):
    """Every failure that crosses the wire. Codes are added, never reused."""

    INTERNAL = "internal"
    UNSUPPORTED = "unsupported"
    VERSION_MISMATCH = "version_mismatch"
    BAD_MESSAGE = "bad_message"
    TOO_LARGE = "too_large"
    NOT_READY = "not_ready"
    BLOB_MISSING = "blob_missing"
    BLOB_CORRUPT = "blob_corrupt"
    UNKNOWN_SOURCE = "unknown_source"
    UNKNOWN_JOB = "unknown_job"
    IMAGE_UNREADABLE = "image_unreadable"
    NO_FACE = "no_face"
    AUDIO_UNREADABLE = "audio_unreadable"
    AUDIO_EMPTY = "audio_empty"
    VIDEO_UNREADABLE = "video_unreadable"
    EMPTY_RANGE = "empty_range"
    BAD_WEIGHTS = "bad_weights"
    BUNDLE_INVALID = "bundle_invalid"
    OUT_OF_MEMORY = "out_of_memory"
    DISK = "disk"
    DOWNLOAD_FAILED = "download_failed"
    SERVER_UNREACHABLE = "server_unreachable"
    SERVER_IN_USE = "server_in_use"
    TIMEOUT = "timeout"


class EDTalkError(Exception):
    """A failure that a person can act on: a code, the cause and the fix, each one sentence."""

    def __init__(self, code: ErrorCode, cause: str, fix: str) -> None:
        super().__init__(f"{cause} {fix}")
        self.code = code
        self.cause = cause
        self.fix = fix
