"""PNG files without what is not the picture: texts of megabytes, and side information with wrong checksums."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PICTURE = frozenset((b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"))
_USEFUL = _PICTURE | {b"eXIf"}
_LARGEST_PROFILE = 1 << 24
"""Bytes of a colour profile, at most: those of printers have a few megabytes."""


def reduced(data: bytes) -> tuple[bytes, bytes]:
    """Return a PNG file with its picture alone, and its colour profile (empty without one).

    Side information with a wrong checksum is left out. What is wrong with the picture itself stays, for the decoder to
    say.
    """
    kept, profile = [SIGNATURE], b""
    for kind, chunk in _chunks(data):
        if kind in _PICTURE or (kind in _USEFUL and _is_whole(chunk)):
            kept.append(chunk)
        elif kind == b"iCCP" and _is_whole(chunk):
            profile = _profile(chunk[8:-4])
    return b"".join(kept), profile


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the kind and the bytes of each chunk; the last one may be cut off."""
    place = len(SIGNATURE)
    while place + 8 <= len(data):
        length = struct.unpack_from(">I", data, place)[0]
        yield data[place + 4 : place + 8], data[place : place + length + 12]
        place += length + 12


def _is_whole(chunk: bytes) -> bool:
    return zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:], "big")


def _profile(body: bytes) -> bytes:
    """Return the profile of an iCCP chunk: a name, a method, and compressed bytes."""
    _, _, rest = body.partition(b"\0")
    try:
        return zlib.decompressobj().decompress(rest[1:], _LARGEST_PROFILE)
    except zlib.error:
        return b""
