# SPDX-License-Identifier: GPL-3.0-or-later
"""Every request that a client can make, as its message: one method each, which returns the job's name. No bpy here.

The files that a request names are sent by their digest, and only when the server does not hold them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from shared_protocol import messages
from shared_protocol.messages import Blob, Crop

from .uploads import Content, content_of

DEFAULT_CREDIT = 8
NO_FILES: Mapping[str, Content] = MappingProxyType({})
Data = bytes | memoryview | Content
"""What goes to the server as a file; bytes are hashed at once (see `files` for more than some megabytes)."""


class Requests(ABC):
    """The requests; how they travel is the client's."""

    @abstractmethod
    def _name(self, kind: str) -> str:
        """A name that no other job of this client has."""

    @abstractmethod
    def _request(self, request: Any, files: Mapping[str, Content] = NO_FILES, *, urgent: bool = False) -> str:
        """Begin a job. `files` by digest; `urgent`: on the lane that never waits behind a bake."""

    def inspect(self, portrait: Data, crop: Crop | None = None) -> str:
        """Look at a portrait without encoding it. Tells `Inspected`."""
        file = content_of(portrait)
        request = messages.Inspect(self._name("inspect"), file.digest, crop or Crop())
        return self._request(request, {file.digest: file}, urgent=True)

    def prepare(self, portrait: Data, crop: Crop | None = None) -> str:
        """Encode a portrait (the bytes of an image file); without `crop` the face is found. Tells `Prepared`."""
        file = content_of(portrait)
        request = messages.Prepare(self._name("prepare"), file.digest, crop or Crop())
        return self._request(request, {file.digest: file}, urgent=True)

    def predict(
        self,
        source: str,
        voice: Data,
        *,
        fps: tuple[int, int] = (25, 1),
        frames: int = 0,
        offset: float = 0.0,
        transcript: str = "",
        seed: int = 0,
        blinks: float = 0.0,
        head: float = 0.0,
        clock: float = 0.0,
    ) -> str:
        """Weights for a voice (the bytes of an audio file). Tells `Performance`. See `messages.Predict`."""
        file = content_of(voice)
        request = messages.Predict(
            job=self._name("predict"),
            source=source,
            voice=file.digest,
            transcript=transcript,
            fps_numerator=fps[0],
            fps_denominator=fps[1],
            frames=frames,
            offset=offset,
            seed=seed,
            blinks=blinks,
            head=head,
            clock=clock,
        )
        return self._request(request, {file.digest: file})

    def capture(
        self,
        source: str,
        video: Data,
        *,
        fps: tuple[int, int] = (25, 1),
        frames: int = 0,
        offset: float = 0.0,
    ) -> str:
        """Weights for a driving video (a file). Tells `Performance` and `Progress`. See `messages.Capture`."""
        file = content_of(video)
        request = messages.Capture(
            job=self._name("capture"),
            source=source,
            video=file.digest,
            fps_numerator=fps[0],
            fps_denominator=fps[1],
            frames=frames,
            offset=offset,
        )
        return self._request(request, {file.digest: file})

    def render(
        self,
        source: str,
        frames: Sequence[int],
        weights: npt.ArrayLike,
        *,
        encoding: str = "png",
        credit: int = DEFAULT_CREDIT,
        framing: str = "face",
        alpha: bool = False,
    ) -> str:
        """Frames for keeping: weights [len(frames), channels]. Tells `Frame`s in order, and `Progress`.

        The server is at most `credit` frames ahead of what `tick` has handed out. One message holds some ten thousand
        frame numbers (`codec.MAX_HEADER_BYTES`); longer ranges need several jobs.
        """
        name, numbers, rows = self._name("render"), tuple(map(int, frames)), packed(weights)
        return self._request(
            messages.Render(name, source, numbers, encoding, credit, rows, framing=framing, alpha=alpha)
        )

    def movie(
        self,
        folder: Path,
        frames: range,
        output: Path,
        *,
        pattern: str = "%04d.png",
        fps: tuple[int, int] = (25, 1),
        sound: Path | None = None,
        sound_offset: float = 0.0,
    ) -> str:
        """A numbered image sequence and a sound on this machine to a movie (`messages.Movie`). Tells `Progress`."""
        request = messages.Movie(
            job=self._name("movie"),
            folder=str(folder),
            pattern=pattern,
            first=frames[0] if frames else 1,
            last=frames[-1] if frames else 0,
            fps_numerator=fps[0],
            fps_denominator=fps[1],
            sound=str(sound) if sound else "",
            sound_offset=sound_offset,
            output=str(output),
        )
        return self._request(request)

    def list_bundles(self) -> str:
        """Which bundles are installed, or could be? Tells `Bundles`."""
        return self._request(messages.ListBundles(self._name("bundles")))

    def import_bundle(self, folder: Path, name: str) -> str:
        """Make the official checkpoints in a folder (or one file) a bundle. Tells `Progress` and `Bundles`."""
        return self._request(messages.ImportBundle(self._name("import"), str(folder), name))

    def download_bundle(self, name: str, mirror: str = "") -> str:
        """Fetch a bundle of the server's catalogue, at the user's wish. Tells `Progress` and `Bundles`."""
        return self._request(messages.DownloadBundle(self._name("download"), name, mirror))


def packed(values: npt.ArrayLike) -> Blob:
    """Weights as they cross the wire."""
    return Blob(np.ascontiguousarray(values, "<f4").tobytes())
