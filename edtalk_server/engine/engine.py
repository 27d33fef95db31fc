"""The engine: one bundle on one device."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from edtalk_server import bundles
from edtalk_server.bundles import Bundle
from edtalk_server.engine.device import choose_device, device_name
from edtalk_server.engine.residence import Encoded, Residence, is_out_of_memory, out_of_memory
from edtalk_server.engine.source import (
    Picture,
    Source,
    Weights,
    check_portrait,
    check_weights,
    source_key,
)
from edtalk_server.media import portrait as portraits
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
        self.batch = _batch_on(device)
        self._home = Residence(bundle.face, device)
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
        encoded = Encoded(portraits.cut(portrait, crop, self.size))
        weights = self._once(lambda home: home.state_of(encoded).weights.flatten())
        weights.flags.writeable = False
        return Source(
            key=source_key(self.bundle.digest, portrait, crop),
            weights=weights,
            crop=replace(crop),
            notes=tuple(notes),
            size=self.size,
            prepared=encoded,
        )

    def read(self, pictures: Picture) -> Weights:
        """The weights [B, channels] of well-cropped faces, uint8 [B, size, size, 3] RGB (paper section 3.2)."""
        return self._once(lambda home: home.face.weights_of(home.tensor(pictures)))

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
                return self._draw(source, rows[: self.batch])
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                self._make_do(min(len(rows), self.batch), error)

    def _make_do(self, tried: int, error: BaseException) -> None:
        """Memory ran out with `tried` frames at a time: take fewer, else go to the CPU. Raises OUT_OF_MEMORY."""
        with self._lock:
            if tried == 1:
                if not self._home.retreat():
                    raise out_of_memory() from error
                self.batch = CPU_BATCH
                return
            self.batch = tried // 2
            self._home.notice = f"{self.batch} at a time because memory is short"
            self._home.make_room()
        logger.warning("out of memory: rendering %d frames at a time from now on", self.batch)

    def _draw(self, source: Source, rows: Weights) -> Picture:
        with self._at_home() as home:
            state = home.state_of(source.prepared)
            frames: Tensor = home.face.decode(state, torch.from_numpy(rows).to(home.device))
            scaled = ((frames.float().clamp(-1.0, 1.0) + 1.0) * 127.5).round().to(torch.uint8)
            return scaled.permute(0, 2, 3, 1).contiguous().cpu().numpy()

    @contextlib.contextmanager
    def _at_home(self) -> Iterator[Residence]:
        """The network in its place, for one caller at a time, without gradients."""
        with self._lock, torch.inference_mode():
            self._home.move_in()
            yield self._home

    def _once(self, work: Callable[[Residence], Tensor]) -> Weights:
        """A small piece of work: on the CPU where the device has no room for it. Raises OUT_OF_MEMORY."""
        while True:
            try:
                with self._at_home() as home:
                    return np.asarray(work(home).float().cpu().numpy())
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                self._make_do(1, error)

    # --- memory ---

    @property
    def notice(self) -> str:
        """What people should know about how it computes now; empty when all is well."""
        return self._home.notice

    def release(self) -> None:
        """Give the device's memory back: the network waits in main memory for the next call."""
        with self._lock, torch.inference_mode():
            self._home.release()
            self.batch = _batch_on(self.device)

    def device_memory(self) -> tuple[int, int]:
        """Bytes held of the device's memory, and what it has; 0 and 0 for the CPU. Any thread, at once."""
        return self._home.memory()

    def landmarker(self) -> portraits.Landmarker | None:
        """The bundle's own landmark detector, where it has one."""
        detect = getattr(self.bundle.landmarks or self.bundle.face, "landmarks_of", None)
        if detect is None:
            return None

        def landmarks(picture: Picture) -> Weights:
            return self._once(lambda home: detect(home.tensor(picture[None])))[0]

        return landmarks


def _batch_on(device: torch.device) -> int:
    return CPU_BATCH if device.type == "cpu" else GPU_BATCH
