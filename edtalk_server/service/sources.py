"""The encoded portraits that the server keeps, the most recently used ones, by count and by size."""

from __future__ import annotations

from collections import OrderedDict

from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.messages import Crop

from .backend import Source
from .limits import MAX_SOURCE_BYTES, MAX_SOURCES

Wish = tuple[str, Crop, tuple[str, ...]]
"""What a source was made for: the portrait's digest, the crop that was asked for, and the further pictures' digests."""


class SourceCache:
    """At most `max_sources` sources of at most `max_bytes` together; the newest is always kept."""

    def __init__(self, max_sources: int = MAX_SOURCES, max_bytes: int = MAX_SOURCE_BYTES) -> None:
        self._max_sources, self._max_bytes = max_sources, max_bytes
        self._sources: OrderedDict[str, Source] = OrderedDict()
        self._made_for: dict[Wish, str] = {}

    def get(self, key: str) -> Source:
        """Return the source of that key, which then counts as just used. Raises `EDTalkError(UNKNOWN_SOURCE)`."""
        if key not in self._sources:
            raise EDTalkError(
                ErrorCode.UNKNOWN_SOURCE,
                "This portrait is no longer on the server.",
                "Prepare it again.",
            )
        self._sources.move_to_end(key)
        return self._sources[key]

    def find(self, wish: Wish) -> Source | None:
        """Return the source that was made for a wish, or None: a portrait needs to be judged and encoded only once."""
        key = self._made_for.get(wish, "")
        return self.get(key) if key in self._sources else None

    def put(self, source: Source, wish: Wish | None = None) -> None:
        """Keep a source, and drop the least recently used ones beyond the limits."""
        if wish is not None:
            self._made_for[wish] = source.key
        self._sources[source.key] = source
        self._sources.move_to_end(source.key)
        size = sum(cached.nbytes for cached in self._sources.values())
        while len(self._sources) > self._max_sources or (size > self._max_bytes and len(self._sources) > 1):
            size -= self._sources.popitem(last=False)[1].nbytes
        self._made_for = {wish: key for wish, key in self._made_for.items() if key in self._sources}
