"""Encoding messages as frames and decoding them, with one code path for every message.

A message is `[header][blob]*`: the header is a msgpack map of the dataclass's fields and `type`, the class's
name; each field annotated `Blob` is one further frame, in field order. Both directions check every field
against its annotation, so a message that does not match its class can be neither sent nor received.

Unknown fields and surplus frames are ignored and missing ones take their defaults, so different versions
understand each other. Nothing is copied: encoding passes the blobs through, and decoding returns read-only
views of the frames.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from typing import Any, get_args, get_origin, get_type_hints

import msgpack

from . import messages
from .errors import EDTalkError, ErrorCode
from .messages import Blob, Message

Buffer = bytes | bytearray | memoryview

MAX_HEADER_BYTES = 256 * 1024
MAX_BLOB_BYTES = 256 * 1024 * 1024
MAX_FRAMES = 8
_INT_LIMIT = 2**63


class CodecError(EDTalkError):
    """A message that cannot be encoded, or frames that cannot be decoded."""


class MalformedMessageError(CodecError):
    """Frames that hold no message, or a field of the wrong type."""

    def __init__(self, cause: str) -> None:
        super().__init__(
            ErrorCode.BAD_MESSAGE, cause, "Update the add-on and the server to the same version."
        )


class OversizedMessageError(CodecError):
    """A header, a blob or a number of frames beyond the limits of this module."""

    def __init__(self, cause: str) -> None:
        super().__init__(ErrorCode.TOO_LARGE, cause, "Use a smaller file or a shorter range.")


class UnsupportedMessageError(CodecError):
    """A well-formed message of a type that this version does not know."""

    def __init__(self, name: str) -> None:
        cause = f"This version does not know the request {name[:40]!r}."
        super().__init__(ErrorCode.UNSUPPORTED, cause, "Update the EDTalk server.")


def encode(message: Message, *, replace_unsendable: bool = False) -> list[Buffer]:
    """Return the frames of a message. Raises `CodecError` when a field has the wrong type or size.

    Text that is not Unicode, such as the name of a file in another encoding, is refused too, because a request must
    not name another file; with `replace_unsendable` its odd letters become question marks, for words to people.
    """
    layout = _layout(type(message))
    header: dict[str, Any] = {"type": type(message).__name__}
    for name, check in layout.checks.items():
        header[name] = _plain(check(getattr(message, name), name))
    try:
        packed = msgpack.packb(header, unicode_errors="replace" if replace_unsendable else "strict")
    except (ValueError, TypeError, UnicodeError) as error:
        raise MalformedMessageError(f"{type(message).__name__} holds text that cannot be sent.") from error
    frames: list[Buffer] = [packed, *(_blob(getattr(message, name)) for name in layout.blobs)]
    _check_sizes(frames)
    return frames


def decode(frames: Sequence[Buffer]) -> Message:
    """Return the message in these frames. Raises only `CodecError`, whatever the frames hold."""
    _check_sizes(frames)
    header = _unpack(frames[0])
    name = header.get("type")
    if not isinstance(name, str):
        raise MalformedMessageError("The message does not say what it is.")
    kind = message_types().get(name)
    if kind is None:
        raise UnsupportedMessageError(name)
    layout = _layout(kind)
    values = {field: check(header[field], field) for field, check in layout.checks.items() if field in header}
    values |= {
        field: memoryview(frame).toreadonly() for field, frame in zip(layout.blobs, frames[1:], strict=False)
    }
    return kind(**values)


@cache
def message_types() -> dict[str, type[Message]]:
    """Return every message class by its wire name."""
    return {kind.__name__: kind for kind in _leaves(Message) if kind.__module__ == messages.__name__}


def _leaves(kind: type[Message]) -> Iterator[type[Message]]:
    """Yield the subclasses of `kind` that have no subclasses themselves: the others are bases."""
    for below in kind.__subclasses__():
        yield from _leaves(below) if below.__subclasses__() else (below,)


# --- layouts: the checks that a dataclass's annotations ask for ---------------------------------------------

Check = Callable[[Any, str], Any]


@dataclass(frozen=True)
class _Layout:
    checks: dict[str, Check]
    blobs: tuple[str, ...]


_layouts: dict[type, _Layout] = {}


def _layout(kind: type) -> _Layout:
    if kind not in _layouts:
        hints = get_type_hints(kind)
        names = [field.name for field in fields(kind)]
        checks = {name: _check_of(hints[name]) for name in names if hints[name] is not Blob}
        _layouts[kind] = _Layout(checks, tuple(name for name in names if hints[name] is Blob))
    return _layouts[kind]


def _check_of(hint: Any) -> Check:
    """Return a function that returns a value in the annotated type, or raises `MalformedMessageError`."""
    simple: dict[Any, Check] = {bool: _bool, int: _int, float: _float, str: _str}
    if hint in simple:
        return simple[hint]
    if get_origin(hint) is tuple and len(get_args(hint)) == 2 and get_args(hint)[1] is Ellipsis:
        return _tuple_check(_check_of(get_args(hint)[0]))
    if is_dataclass(hint) and isinstance(hint, type):
        return _record_check(hint)
    raise TypeError(f"messages cannot hold {hint!r}")


def _tuple_check(check: Check) -> Check:
    def checked(value: Any, name: str) -> Any:
        if not isinstance(value, list | tuple):
            raise _wrong(name, "a list")
        return tuple(check(item, name) for item in value)

    return checked


def _record_check(kind: type) -> Check:
    def checked(value: Any, name: str) -> Any:
        if isinstance(value, kind):
            value = {field: getattr(value, field) for field in layout.checks}
        if not isinstance(value, dict):
            raise _wrong(name, "a map")
        return kind(**{f: check(value[f], f"{name}.{f}") for f, check in layout.checks.items() if f in value})

    layout = _layout(kind)
    return checked


def _bool(value: Any, name: str) -> bool:
    if type(value) is not bool:
        raise _wrong(name, "true or false")
    return value


def _int(value: Any, name: str) -> int:
    if type(value) is not int or not -_INT_LIMIT <= value < _INT_LIMIT:
        raise _wrong(name, "a 64-bit whole number")
    return value


def _float(value: Any, name: str) -> float:
    if type(value) is int and abs(value) < _INT_LIMIT:
        value = float(value)
    if type(value) is not float or not math.isfinite(value):
        raise _wrong(name, "a finite number")
    return value


def _str(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise _wrong(name, "text")
    return str(value)


def _wrong(name: str, wanted: str) -> MalformedMessageError:
    return MalformedMessageError(f"The field {name!r} is not {wanted}.")


# --- bytes --------------------------------------------------------------------------------------------------


def _plain(value: Any) -> Any:
    """Convert a value for msgpack: records, also those in lists, become maps."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple) and value and is_dataclass(value[0]):
        return [_plain(item) for item in value]
    return value


def _blob(value: Any) -> Buffer:
    """Return a flat byte view of the same memory."""
    try:
        return memoryview(value).cast("B")
    except (TypeError, ValueError) as error:
        raise MalformedMessageError("A blob is not a contiguous buffer.") from error


def _check_sizes(frames: Sequence[Buffer]) -> None:
    if not frames:
        raise MalformedMessageError("The message is empty.")
    if len(frames) > MAX_FRAMES:
        raise OversizedMessageError(f"The message has more than {MAX_FRAMES} frames.")
    if memoryview(frames[0]).nbytes > MAX_HEADER_BYTES:
        raise OversizedMessageError(f"The header is larger than {MAX_HEADER_BYTES // 1024} KiB.")
    if any(memoryview(frame).nbytes > MAX_BLOB_BYTES for frame in frames[1:]):
        raise OversizedMessageError(f"A file is larger than {MAX_BLOB_BYTES // 2**20} MiB.")


def _unpack(frame: Buffer) -> dict[str, Any]:
    try:
        header = msgpack.unpackb(frame, raw=False, strict_map_key=True, max_ext_len=0, max_bin_len=0)
    except (ValueError, TypeError, RecursionError, OverflowError, msgpack.UnpackException) as error:
        raise MalformedMessageError("The header is not msgpack.") from error
    if not isinstance(header, dict):
        raise MalformedMessageError("The header is not a map.")
    return header
