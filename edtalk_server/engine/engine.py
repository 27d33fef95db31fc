"""The engine: one bundle on one device."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from edtalk_server import bundles
from edtalk_server.bundles import Bundle
from edtalk_server.engine.canvas import Canvases, fine_photo
from edtalk_server.engine.device import choose_device, device_name
from edtalk_server.engine.device_manager import DeviceManager, Encoded, is_out_of_memory, out_of_memory
from edtalk_server.engine.source import Picture, Source, Weights, check_portrait, check_weights, new_source
from edtalk_server.media.faces import portrait as portraits
from edtalk_server.media.faces.detection import Face, find_faces
from edtalk_server.media.faces.portrait_quality import (
    QualityReport,
    TurnEstimator,
    Verdict,
    assess_crop,
    assess_portrait,
    no_face,
)
from edtalk_server.media.output_spec import DEFAULT_OUTPUT, FACE, Levels, OutputSpec, Rendered, face_matte
from edtalk_server.networks.compact import CompactNetwork
from edtalk_server.networks.fast import accelerate
from shared_protocol.messages import Crop

logger = logging.getLogger(__name__)

CPU_BATCH = 1
"""On the CPU larger batches gain nothing, and one frame at a time makes a frame independent of its neighbours."""

GPU_BATCH = 16

PIXELS_AT_ONCE = 2**24
"""Full frames are rendered together only while they have fewer pixels than this."""

_YAW, _DEGREES_PER_YAW = "yaw", 20.0
"""The weight that turns the head, in natural units (docs/bundles.md)."""


FAST_VARIABLE = "EDTALK_FAST"
"""Environment variable: 0 draws EDTalk networks by the paper's equations, without the optimisations of `FastEDTalk`."""


class Engine:
    """Faces of one bundle. Calls from several threads take turns.

    `fast=False` draws EDTalk networks by the paper's equations: the same frames up to rounding, several times slower.
    It shows whether a fault lies in the optimised path.
    """

    def __init__(self, bundle: Bundle, device: torch.device, fast: bool = True) -> None:
        self.bundle = bundle
        self.face = accelerate(bundle.face) if fast else bundle.face
        self.device = device
        self.size = bundle.manifest.size
        self.channels = len(bundle.layout)
        self.batch = _batch_on(device)
        self._home = DeviceManager(self.face, device)
        self._canvases = Canvases()
        self._lock = threading.Lock()

    @classmethod
    def open(
        cls, bundle: Bundle | str | Path = bundles.STARTER, device: str = "auto", fast: bool | None = None
    ) -> Engine:
        """Open an engine for an opened bundle, or for the path or shipped name of one.

        `device` is auto, cpu, cuda or mps. `fast` is as in the constructor; None asks the environment variable
        EDTALK_FAST. Raises `EDTalkError`: BUNDLE_INVALID, UNSUPPORTED (no such device).
        """
        place = choose_device(device)
        opened = bundle if isinstance(bundle, Bundle) else bundles.load(bundle)
        return cls(opened, place, os.environ.get(FAST_VARIABLE) != "0" if fast is None else fast)

    @property
    def device_name(self) -> str:
        """The device for people."""
        return device_name(self.device)

    def prepare(self, portrait: Picture, crop: Crop | None = None) -> Source:
        """Encode a portrait, uint8 [H, W, 3] RGB, once. Without `crop` (or with its side 0) the face is
        found.

        Raises `EDTalkError`: NO_FACE, IMAGE_UNREADABLE, OUT_OF_MEMORY.
        """
        judgement = self.assess(portrait, crop)
        if judgement.verdict is Verdict.NO_FACE and judgement.crop != crop:
            raise no_face()
        return self._encode(portrait, judgement)

    def assess(
        self, portrait: Picture, crop: Crop | None = None, faces: Sequence[Face] | None = None
    ) -> QualityReport:
        """What a portrait, or a crop of it, is worth; nothing is encoded. `faces`: what `find_faces` found, if known.

        Raises `EDTalkError(IMAGE_UNREADABLE)`.
        """
        check_portrait(portrait)
        if crop is not None and crop.side != 0.0:
            return assess_crop(portrait, crop, self.landmark_detector(), self._turn_estimator())
        known = find_faces(portrait) if faces is None else faces
        return assess_portrait(portrait, known, self.landmark_detector(), self._turn_estimator())

    def warm_up(self) -> None:
        """Encode a grey picture and draw a frame, so that the first one asked for is as quick as all others."""
        grey = np.full((64, 64, 3), 128, np.uint8)
        source = self._encode(grey, QualityReport(Crop(32.0, 32.0, 64.0), 0.0, ()))
        self.render(source, source.weights[None])

    def _encode(self, portrait: Picture, judgement: QualityReport) -> Source:
        encoded = Encoded(portraits.cut(portrait, judgement.crop, self.size))
        weights = self._once(lambda home: home.state_of(encoded).weights.flatten())
        return new_source(self.bundle.digest, portrait, judgement, self.size, weights, encoded)

    def read(self, pictures: Picture) -> Weights:
        """The weights [B, channels] of well-cropped faces, uint8 [B, size, size, 3] RGB (paper section 3.2)."""
        return self._once(lambda home: home.face.weights_of(home.tensor(pictures)))

    def render(self, source: Source, weights: Weights, look: OutputSpec = DEFAULT_OUTPUT) -> Rendered:
        """Frames of a source under weights [B, channels]: uint8 [B, size, size, 3] unless `look` wants them otherwise.

        Raises `EDTalkError`: BAD_WEIGHTS, OUT_OF_MEMORY (one frame does not fit).
        """
        parts = list(self.stream(source, weights, look))
        return np.concatenate(parts) if parts else np.empty((0, self.size, self.size, 3), np.uint8)

    def stream(
        self, source: Source, weights: Weights, look: OutputSpec = DEFAULT_OUTPUT
    ) -> Iterator[Rendered]:
        """As `render`, a bounded batch of frames at a time, for long clips in constant memory."""
        rows = check_weights(weights, self.channels)
        draw = self._drawer(source, look)
        done = 0
        while done < len(rows):
            part = draw(rows[done : done + self.batch])
            done += len(part)
            yield part

    def _drawer(self, source: Source, look: OutputSpec) -> Callable[[Weights], Rendered]:
        """What draws the first of some rows as wanted. Plain frames are rounded on the device."""
        if look == DEFAULT_OUTPUT:
            return lambda rows: self._render_batch(source.prepared, rows, _rounded)
        if look.framing == FACE:
            matte = face_matte(self.size)
            return lambda rows: np.stack(
                [look.finish(face, matte) for face in self._levels(source.prepared, rows)]
            )
        canvas = self._canvases.of(
            source,
            look.largest,
            partial(self._finer, source),
            lambda it: self._levels(it, source.weights[None].copy())[0],
        )
        most = max(1, PIXELS_AT_ONCE // canvas.plate.portrait[..., 0].size)
        return lambda rows: np.stack(
            [canvas.plate.picture(face, look) for face in self._levels(canvas.prepared, rows[:most])]
        )

    def _finer(self, source: Source, portrait: Picture, place: Crop) -> Encoded:
        """The source's face as finely as the portrait has it, where the network moves the photo."""
        encoded: Encoded = source.prepared
        moves_photo = isinstance(self.bundle.face, CompactNetwork)
        photo = fine_photo(portrait, place, self.size) if moves_photo else None
        return encoded if photo is None else Encoded(encoded.picture, photo)

    def _levels(self, encoded: Encoded, rows: Weights) -> Levels:
        """Faces of the first rows before rounding, [B, N, N, 3]."""
        return np.asarray(self._render_batch(encoded, rows, lambda levels: levels), np.float32)

    def _render_batch(self, encoded: Encoded, rows: Weights, finish: Callable[[Tensor], Tensor]) -> Rendered:
        """Frames of the first rows: all of them, or fewer where memory is short."""
        while True:
            try:
                return self._draw(encoded, rows[: self.batch], finish)
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                self._make_do(min(len(rows), self.batch), error)

    def _make_do(self, tried: int, error: BaseException) -> None:
        """Memory ran out with `tried` frames at a time: take fewer, else go to the CPU. Raises OUT_OF_MEMORY."""
        with self._lock:
            if tried == 1:
                if not self._home.fall_back_to_cpu():
                    raise out_of_memory() from error
                self.batch = CPU_BATCH
                return
            self.batch = tried // 2
            self._home.notice = f"{self.batch} at a time because memory is short"
            self._home.make_room()
        logger.warning("out of memory: rendering %d frames at a time from now on", self.batch)

    def _draw(self, encoded: Encoded, rows: Weights, finish: Callable[[Tensor], Tensor]) -> Rendered:
        with self._at_home() as home:
            state = home.state_of(encoded)
            frames: Tensor = home.face.decode(state, torch.from_numpy(rows).to(home.device))
            levels = (frames.float().clamp(-1.0, 1.0) + 1.0) * 127.5
            return finish(levels).permute(0, 2, 3, 1).contiguous().cpu().numpy()

    @contextlib.contextmanager
    def _at_home(self) -> Iterator[DeviceManager]:
        """The network in its place, for one caller at a time, without gradients."""
        with self._lock, torch.inference_mode():
            self._home.ensure_on_device()
            yield self._home

    def _once(self, work: Callable[[DeviceManager], Tensor]) -> Weights:
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

    def landmark_detector(self) -> portraits.LandmarkDetector | None:
        """The bundle's own landmark detector, where it has one."""
        detect = getattr(self.bundle.landmarks or self.bundle.face, "landmarks_of", None)
        if detect is None:
            return None

        def landmarks(picture: Picture) -> Weights:
            return self._once(lambda home: detect(home.tensor(picture[None])))[0]

        return landmarks

    def _turn_estimator(self) -> TurnEstimator | None:
        """Reads how far heads are turned, where the bundle has a weight for it."""
        if not any(basis.identifier == _YAW for basis in self.bundle.layout.bases):
            return None
        channel = self.bundle.layout.index(_YAW)

        def turn(picture: Picture, crop: Crop) -> float:
            return (
                float(self.read(portraits.cut(picture, crop, self.size)[None])[0, channel]) * _DEGREES_PER_YAW
            )

        return turn


def _rounded(levels: Tensor) -> Tensor:
    return levels.round().to(torch.uint8)


def _batch_on(device: torch.device) -> int:
    return CPU_BATCH if device.type == "cpu" else GPU_BATCH
