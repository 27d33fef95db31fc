"""Small pictures of faces on disk."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from blender_addon.core import picture_cache
from blender_addon.core.picture_cache import PictureCache, key_of, smaller


def test_a_picture_gets_small_by_means() -> None:
    checks = np.zeros((400, 400, 4), np.uint8)
    checks[::2, ::2] = checks[1::2, 1::2] = 200
    small = smaller(400, 400, checks.tobytes())
    assert small.shape == (124, 124, 4) and (small == 100).all()


def test_a_face_is_known_by_what_it_shows(tmp_path: Path) -> None:
    cache, key = PictureCache(tmp_path / "faces"), key_of("source", b"weights")
    assert not cache.has(key)
    cache.put(key, 256, 256, bytes(256 * 256 * 4))
    assert cache.has(key) and cache.path(key).read_bytes()[:2] == b"BM"
    assert len({key, key_of("other", b"weights"), key_of("source", b"others")}) == 3


def test_the_oldest_pictures_go(tmp_path: Path) -> None:
    cache = PictureCache(tmp_path)
    for number in range(picture_cache.MOST + 2):
        file = cache.path(f"{number}")
        file.write_bytes(b"BM")
        os.utime(file, (number, number))
    cache.trim()
    assert [cache.has(f"{number}") for number in range(3)] == [False, False, True]
