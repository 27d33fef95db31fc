"""The engine: one bundle on one device."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edtalk_server import bundles
from edtalk_server.bundles import Bundle
from edtalk_server.engine.device import choose_device, device_name
from edtalk_server.engine.source import (
    Picture,
    Source,
    Weights,
    check_portrait,
    check_weights,
    source_key,
)
from edtalk_server.media import portrait as portraits
from edtalk_server.media.image import to_network
from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.messages import Crop

logger = logging.getLogger(__name__)

CPU_BATCH = 1
"""On the CPU larger batches gain nothing, and one frame at a time makes a frame independent of its neighbours."""

GPU_BATCH = 16


class Engine:
    """Faces of one bundle. Calls from several threads take turns."""

    def __init__(self, bundle: Bundle, device: torch.device) -> None:
        self.bundle = bundle
        self.device = device
        self.size = bundle.manifest.size
        self.channels = len(bundle.layout)
        self.batch = CPU_BATCH if device.type == "cpu" else GPU_BATCH
        self._face: Any = bundle.face
        if isinstance(self._face, nn.Module):
            self._face.to(device)
        self._lock = threading.Lock()

    @classmethod
    def open(cls, bundle: Bundle | str | Path = bundles.STARTER, device: str = "auto") -> Engine:
        """An engine for an opened bundle, or a path or shipped name of one. `device`: auto, cpu, cuda or mps.

        Raises `EDTalkError`: BUNDLE_INVALID, UNSUPPORTED (no such device).
        """
        place = choose_device(device)
        return cls(bundle if isinstance(bundle, Bundle) else bundles.load(bundle), place)

    @property
    def device_name(self) -> str:
        """The device for people."""
        return device_name(self.device)

    def prepare(self, portrait: Picture, crop: Crop | None = None) -> Source:
        """Encode a portrait, uint8 [H, W, 3] RGB, once. Without `crop` (or with its side 0) the face is
        found.

        Raises `EDTalkError`: NO_FACE, IMAGE_UNREADABLE, OUT_OF_MEMORY.
        """
        check_portrait(portrait)
        notes: tuple[str, ...] = ()
        if crop is None or crop.side == 0.0:
            crop, notes = portraits.find_crop(portrait, self.landmarker())
        picture = portraits.cut(portrait, crop, self.size)
        with self._lock, torch.inference_mode():
            prepared = self._run(lambda: self._face.prepare(self._to_device(picture)))
            weights = prepared.weights.flatten().float().cpu().numpy()
        weights.flags.writeable = False
        return Source(
            key=source_key(self.bundle.digest, portrait, crop),
            weights=weights,
            crop=replace(crop),
            notes=tuple(notes),
            size=self.size,
            prepared=prepared,
        )

    def read(self, pictures: Picture) -> Weights:
        """The weights [B, channels] of well-cropped faces, uint8 [B, size, size, 3] RGB (paper section 3.2)."""
        with self._lock, torch.inference_mode():
            faces = torch.from_numpy(np.stack([to_network(picture) for picture in pictures])).to(self.device)
            return np.asarray(self._run(lambda: self._face.weights_of(faces)).float().cpu().numpy())

    def render(self, source: Source, weights: Weights) -> Picture:
        """Frames uint8 [B, size, size, 3] of a source under weights [B, channels].

        Raises `EDTalkError`: BAD_WEIGHTS, OUT_OF_MEMORY (one frame does not fit).
        """
        rows = check_weights(weights, self.channels)
        frames = np.empty((len(rows), self.size, self.size, 3), np.uint8)
        done = 0
        for part in self.stream(source, rows):
            frames[done : done + len(part)] = part
            done += len(part)
        return frames

    def stream(self, source: Source, weights: Weights) -> Iterator[Picture]:
        """As `render`, a bounded batch of frames at a time, for long clips in constant memory."""
        rows = check_weights(weights, self.channels)
        done = 0
        while done < len(rows):
            part = self._render_batch(source, rows[done : done + self.batch])
            done += len(part)
            yield part

    def _render_batch(self, source: Source, rows: Weights) -> Picture:
        """Frames of the first rows: all of them, or fewer where memory is short."""
        while True:
            try:
                with self._lock, torch.inference_mode():
                    return self._draw(source, rows)
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                if len(rows) == 1:
                    raise _out_of_memory() from error
            rows = rows[: len(rows) // 2]
            self.batch = len(rows)
            self._free_memory()
            logger.warning("out of memory: rendering %d frames at a time from now on", self.batch)

    def _draw(self, source: Source, rows: Weights) -> Picture:
        driving = torch.from_numpy(rows).to(self.device)
        frames: Tensor = self._face.decode(source.prepared, driving)
        scaled = ((frames.float().clamp(-1.0, 1.0) + 1.0) * 127.5).round().to(torch.uint8)
        return scaled.permute(0, 2, 3, 1).contiguous().cpu().numpy()

    def _run(self, work: Any) -> Any:
        try:
            return work()
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if is_out_of_memory(error):
                raise _out_of_memory() from error
            raise

    def _free_memory(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _to_device(self, picture: Picture) -> Tensor:
        return torch.from_numpy(to_network(picture))[None].to(self.device)

    def landmarker(self) -> portraits.Landmarker | None:
        """The bundle's own landmark detector, where it has one."""
        detect = getattr(self.bundle.landmarks or self._face, "landmarks_of", None)
        if detect is None:
            return None

        def landmarks(picture: Picture) -> Weights:
            with self._lock, torch.inference_mode():
                found: Weights = detect(self._to_device(picture))[0].float().cpu().numpy()
            return found

        return landmarks


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on whichever device. Torch reports it for the CPU and MPS as a RuntimeError."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error).lower()
    return "out of memory" in text or "can't allocate memory" in text or "not enough memory" in text


def _out_of_memory() -> EDTalkError:
    return EDTalkError(
        ErrorCode.OUT_OF_MEMORY,
        "There is not enough memory to compute a single frame.",
        "Close other programs, or start the server on the CPU.",
    )
