"""The mark of synthetic media. Writers add it themselves, so that no caller can forget it.

PNG files carry it as text and as XMP with the IPTC digital source type for generated media, EXR files in their header,
movies as metadata.
"""

from __future__ import annotations

import struct
import zlib

from shared_protocol import __version__

NOTICE = "Synthetic media: a face animated from a single picture by EDTalk for Blender. Not a recording."
SOFTWARE = f"EDTalk for Blender {__version__}"
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"

_HEADER_END = 33  # bytes: signature 8, IHDR 4 + 4 + 13 + 4
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
    f' Iptc4xmpExt:DigitalSourceType="{SOURCE_TYPE}"/></rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
)


def mark_png(data: bytes) -> bytes:
    """Return a PNG file with the mark behind its header. Raises `ValueError` when `data` is no PNG file."""
    if not data.startswith(_PNG_SIGNATURE) or len(data) < _HEADER_END:
        raise ValueError("not a PNG file")
    return data[:_HEADER_END] + _PNG_MARK + data[_HEADER_END:]


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _text(keyword: str, text: str) -> bytes:
    return _chunk(b"tEXt", keyword.encode("latin-1") + b"\0" + text.encode("latin-1"))


_PNG_MARK = (
    _text("Comment", NOTICE)
    + _text("Software", SOFTWARE)
    + _chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + _XMP.encode("utf-8"))
)


def exr_attributes() -> dict[str, str]:
    """Return the mark as attributes of an EXR header: two standard ones, the digital source type and the XMP packet."""
    return {"comments": NOTICE, "software": SOFTWARE, "digitalSourceType": SOURCE_TYPE, "xmp": _XMP}


def movie_mark() -> dict[str, str]:
    """Return the mark as a movie's metadata."""
    return {"comment": f"{NOTICE} {SOURCE_TYPE}", "encoded_by": SOFTWARE}
