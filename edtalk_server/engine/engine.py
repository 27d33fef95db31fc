"""The engine: one bundle on one device."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from edtalk_server import bundles
from edtalk_server.arrays import Levels, Picture, Rendered, Weights
from edtalk_server.bundles import Bundle
from edtalk_server.engine import album
from edtalk_server.engine.canvas import CanvasCache, fine_side
from edtalk_server.engine.compiled.settings import CompileSettings
from edtalk_server.engine.crew import Crew, Finish, Result, unchanged
from edtalk_server.engine.device import choose_device, device_name
from edtalk_server.engine.device_manager import DeviceManager, EncodedFace, is_out_of_memory, out_of_memory
from edtalk_server.engine.drawing import decode
from edtalk_server.engine.face_reader import FaceReader
from edtalk_server.engine.following.follower import Follower
from edtalk_server.engine.source import Source, check_weights, new_source
from edtalk_server.engine.tensors import round_levels, to_levels
from edtalk_server.media.faces import portrait as portraits
from edtalk_server.media.faces.detection import Face
from edtalk_server.media.faces.portrait_quality import (
    QualityReport,
    Verdict,
    no_face,
)
from edtalk_server.media.output_spec import DEFAULT_OUTPUT, FACE, OutputSpec, face_matte
from edtalk_server.media.steps import Step, Steps, run_to_end
from edtalk_server.networks.edtalk import EDTalk
from edtalk_server.networks.fast import FastEDTalk, accelerate
from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.messages import MOST_ALSO, Crop

if TYPE_CHECKING:
    from edtalk_server.engine.compiled.compilation import Compilation

logger = logging.getLogger(__name__)

CPU_BATCH = 1
"""Frames per batch on the CPU: larger batches gain nothing, and a single frame does not depend on its neighbours.
Several are drawn beside each other instead (`crew`)."""

GPU_BATCH = 16
"""Frames per batch on an accelerator."""

MAX_PIXELS_PER_BATCH = 2**24
"""Pixels of the frames that are rendered together."""

MAX_FINE_FACES = 8
"""Faces that are kept in a size of their own; the photo of one has at most 1024 pixels a side."""

_ENCODING = Step(0, 0, "encoding the face")
_LIDS = ("blink_left", "blink_right")
_PROBES: Mapping[str, Mapping[str, float]] = {
    "mouth": {"jaw_open": 0.5},
    "right_eye": dict.fromkeys(_LIDS, 0.8),
    "left_eye": dict.fromkeys(_LIDS, 0.8),
}
"""Movements that show what of a further picture is used."""

FAST_VARIABLE = "EDTALK_FAST"
"""Environment variable: 0 renders EDTalk networks by the paper's equations, without `FastEDTalk`'s optimisations."""


@dataclass(frozen=True)
class _View:
    """How to render a source: its face, whether levels before rounding are needed (`is_deep`), what makes a picture of
    a face, and the most frames at once."""

    encoded: EncodedFace
    is_deep: bool
    finish: Callable[[Levels], Rendered]
    most: int


class Engine:
    """Renders the faces of one bundle on one device. Calls from several threads take turns; on the CPU `preview` does
    not wait for its own.

    `fast=False` renders EDTalk networks by the paper's equations: the same frames up to rounding, several times slower.
    It shows whether a fault lies in the optimised path.
    """

    def __init__(self, bundle: Bundle, device: torch.device, fast: bool = True) -> None:
        self.bundle = bundle
        self.face = accelerate(bundle.face) if fast else bundle.face
        self.device = device
        self.size, self.sizes = bundle.manifest.size, bundle.manifest.sizes
        self.channels = len(bundle.layout)
        self.batch = _batch_on(device)
        self._manager = DeviceManager(self.face, device)
        self._reader = FaceReader(bundle, self.face, self._compute)
        self._canvases = CanvasCache()
        self._fine_faces = OrderedDict[tuple[str, int], EncodedFace]()
        self._lock, self._views = threading.Lock(), threading.Lock()
        self._is_fast = fast
        self._crew = Crew()
        self._compilation: Compilation | None = None

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
    def path(self) -> str:
        """The best way to draw that is ready: "compiled float32" or "compiled bfloat16"; empty: as the network itself.

        Frames are the same within one path, to the byte, and at least 50 dB alike between two. Name it for all renders
        of one job.
        """
        return self._compilation.path if self._compilation and self._compilation.is_ready else ""

    def start_compiling(self, settings: CompileSettings | None = None) -> bool:
        """Compile an EDTalk network for the CPU in the background; return whether that was begun.

        It takes a minute the first time, and a second after that: libraries are kept in the cache folder. Meanwhile,
        and where it fails, frames are drawn as always. `settings`: None reads the environment.
        """
        settings = settings or CompileSettings.from_environment()
        if not settings.is_on or not isinstance(self.face, FastEDTalk) or self.device.type != "cpu":
            return False
        from edtalk_server.engine.compiled.compilation import Compilation

        self._compilation = Compilation(self.face, settings.precision)
        self._compilation.start()
        return True

    def wait_until_compiled(self) -> bool:
        """Wait for the end of `start_compiling`. Return whether there is a compiled path now."""
        return self._compilation is not None and self._compilation.wait()

    @property
    def at_once(self) -> int:
        """The frames that are drawn together: a batch on an accelerator, side by side on the CPU."""
        return self._crew.at_once if self.device.type == "cpu" else self.batch

    @property
    def side_by_side(self) -> int:
        """How many frames take about as long as one."""
        return self._crew.count if self.device.type == "cpu" else 1

    @property
    def previews_apart(self) -> bool:
        """Does `preview` draw beside the other calls, so that it may have a thread of its own?"""
        return self.device.type == "cpu"

    @property
    def has_helpers(self) -> bool:
        """Were helpers started?"""
        return self._crew.has_helpers

    @property
    def helper_pids(self) -> tuple[int, ...]:
        """The processes that draw beside this one (`start_helpers`) and are ready."""
        return self._crew.helper_pids

    def start_helpers(self, count: int) -> None:
        """Start processes that draw frames of several rows beside this one, on the CPU: one for each further core.

        They take some seconds and 0.4 GB each, and join in when they are ready. Frames are the same, to the byte. They
        end with `end_helpers`, `release`, or this process. The bundle must be the folder's, as `bundles.load` gives it.
        """
        if self.device.type == "cpu" and count > 0:
            self._crew.start(self.bundle.folder, self.bundle.digest, count, self._is_fast)

    def end_helpers(self) -> None:
        """End the processes of `start_helpers`."""
        with self._lock:
            self._crew.end()

    def stop_compiling(self) -> None:
        """End a build that is under way."""
        if self._compilation:
            self._compilation.stop()

    @property
    def device_name(self) -> str:
        """The name of the device, for people."""
        return device_name(self.device)

    def prepare(self, portrait: Picture, crop: Crop | None = None, also: Sequence[Picture] = ()) -> Source:
        """Encode a portrait once for all its frames: RGB uint8 [H, W, 3], or RGBA [H, W, 4] with straight alpha.

        Without `crop` (or with its side 0) the face is found. `load_portrait` and `load_picture` read files. `also`:
        further pictures of the same person, at most `MOST_ALSO`, for what the portrait does not show (`takes_also`).
        Raises `EDTalkError`: NO_FACE, IMAGE_UNREADABLE (also for a path in place of a picture), OUT_OF_MEMORY,
        UNSUPPORTED (further pictures with a bundle that cannot use them, or too many).
        """
        return run_to_end(self.preparing(portrait, crop, also))

    def preparing(
        self, portrait: Picture, crop: Crop | None = None, also: Sequence[Picture] = ()
    ) -> Steps[Source]:
        """Encode a portrait as `prepare` does, in steps of about a tenth of a second."""
        if also:
            return (yield from self._with_also((yield from self.preparing(portrait, crop)), also))
        quality = yield from self._reader.assessing(portrait, crop)
        if quality.verdict is Verdict.NO_FACE and quality.crop != crop:
            raise no_face()
        yield _ENCODING
        return self._encode(portrait, quality)

    @property
    def takes_also(self) -> bool:
        """Return whether the bundle can use further pictures of a person."""
        return hasattr(self.face, "sketch") and {"jaw_open", *_LIDS} <= self._names

    @property
    def _names(self) -> set[str]:
        return {basis.identifier for basis in self.bundle.layout.bases}

    def _with_also(self, source: Source, pictures: Sequence[Picture]) -> Steps[Source]:
        if not self.takes_also or len(pictures) > MOST_ALSO:
            raise EDTalkError(
                ErrorCode.UNSUPPORTED,
                f"This bundle uses at most {MOST_ALSO if self.takes_also else 0} further pictures of a person.",
                "Leave some out, or use the starter bundle.",
            )
        also, gives = [], []
        for picture in pictures:
            other = yield from self._further(picture)
            yield _ENCODING
            also.append(other)
            gives.append(self._gives(source, other))
        encoded = EncodedFace(source.encoded.picture, others=tuple(other.encoded for other in also))
        return source.with_also(also, gives, encoded)

    def _further(self, picture: Picture) -> Steps[Source]:
        try:
            return (yield from self.preparing(picture))
        except EDTalkError as error:
            if error.code is not ErrorCode.NO_FACE:
                raise
            raise EDTalkError(
                ErrorCode.NO_FACE,
                "No face was found in one of the further pictures.",
                "Take pictures of the same person from the front, or remove this one.",
            ) from error

    def _gives(self, source: Source, other: Source) -> tuple[str, ...]:
        """Return what another picture gives to a mouth that opens and to lids that close."""

        def look(manager: DeviceManager) -> tuple[str, ...]:
            probes = {
                name: self._moved(source, change).to(manager.device) for name, change in _PROBES.items()
            }
            portrait, further = (self._state(manager, each.encoded) for each in (source, other))
            return album.gives(manager.face, portrait, further, probes)

        with self._on_device() as manager:
            return look(manager)

    def _moved(self, source: Source, change: Mapping[str, float]) -> Tensor:
        row = source.weights.copy()
        for name, amount in change.items():
            row[self.bundle.layout.index(name)] += amount
        return torch.from_numpy(row[None])

    def assess(
        self, portrait: Picture, crop: Crop | None = None, faces: Sequence[Face] | None = None
    ) -> QualityReport:
        """See `FaceReader.assess`."""
        return self._reader.assess(portrait, crop, faces)

    def estimate(self, pictures: Picture) -> Weights:
        """See `FaceReader.estimate`."""
        return self._reader.estimate(pictures)

    def follower(self, picture: Picture) -> Follower | None:
        """See `FaceReader.follower`."""
        return self._reader.follower(picture)

    def landmark_detector(self) -> portraits.LandmarkDetector | None:
        """See `FaceReader.landmark_detector`."""
        return self._reader.landmark_detector()

    def warm_up(self) -> None:
        """Encode a grey picture and render a frame, so that the first requested frame is as fast as all others."""
        grey = np.full((64, 64, 3), 128, np.uint8)
        source = self._encode(grey, QualityReport(Crop(32.0, 32.0, 64.0), 0.0, ()))
        self.render(source, source.weights[None])

    def _encode(self, portrait: Picture, quality: QualityReport) -> Source:
        encoded = EncodedFace(portraits.cut(portraits.over_grey(portrait), quality.crop, self.size))
        weights = self._compute(lambda manager: self._state(manager, encoded).weights.flatten())
        landmarks = self._reader.landmarks(portrait, encoded, quality.crop)
        return new_source(self.bundle.digest, portrait, quality, self.sizes, weights, encoded, landmarks)

    def render(self, source: Source, weights: Weights, output: OutputSpec = DEFAULT_OUTPUT) -> Rendered:
        """Render a source under weights [B, channels]: uint8 [B, size, size, 3] unless `output` asks for another form
        or size.

        Raises `EDTalkError`: BAD_WEIGHTS, OUT_OF_MEMORY (one frame does not fit).
        """
        parts = list(self.stream(source, weights, output))
        side = source.side(output.size)
        return np.concatenate(parts) if parts else np.empty((0, side, side, 3), np.uint8)

    def stream(
        self, source: Source, weights: Weights, output: OutputSpec = DEFAULT_OUTPUT
    ) -> Iterator[Rendered]:
        """Render as `render` does, a batch at a time, for long clips in constant memory."""
        for part in self._parts(source, weights, output, unchanged):
            yield np.stack(part)

    def render_each(
        self,
        source: Source,
        weights: Weights,
        output: OutputSpec,
        finish: Finish[Result],
        path: str | None = None,
    ) -> list[Result]:
        """Render as `render` does, and return what `finish` makes of each frame. `path`: None takes the best one.

        On the CPU frames are finished side by side too, in threads; so encoding them costs no time of its own.
        """
        return [one for part in self._parts(source, weights, output, finish, path) for one in part]

    def preview(self, source: Source, weights: Weights, output: OutputSpec = DEFAULT_OUTPUT) -> Rendered:
        """Render one frame [side, side, 3] for somebody who waits, under weights [channels] or [1, channels].

        On the CPU it goes before the other frames of a bake that another thread draws, and is drawn by all cores
        together when there is none and the network gains by it (then it may differ by a rounding).
        """
        rows = check_weights(np.reshape(weights, (1, -1)), self.channels)
        if self.device.type != "cpu":
            return self.render(source, rows, output)[0]
        view, path = self._view(source, output), self.path
        compiled = self._compilation.decode if path and self._compilation else None
        shares = compiled is None and isinstance(self.face, FastEDTalk | EDTalk)
        try:
            return view.finish(
                self._crew.draw_first(self._manager, view.encoded, rows[0], view.is_deep, compiled, shares)
            )
        except (MemoryError, RuntimeError) as error:
            if is_out_of_memory(error):
                raise out_of_memory() from error
            raise

    def _parts(
        self,
        source: Source,
        weights: Weights,
        output: OutputSpec,
        finish: Finish[Result],
        path: str | None = None,
    ) -> Iterator[list[Result]]:
        rows = check_weights(weights, self.channels)
        view = self._view(source, output)
        chosen, done = self.path if path is None else path, 0
        while done < len(rows):
            part = self._draw(view, rows[done:], finish, chosen)
            done += len(part)
            yield part

    def _view(self, source: Source, output: OutputSpec) -> _View:
        """Return how to render a source in a form."""
        with self._views:
            return (
                self._face_view(source, output) if output.framing == FACE else self._full_view(source, output)
            )

    def _full_view(self, source: Source, output: OutputSpec) -> _View:
        """Return how to render whole portraits."""
        canvas = self._canvases.get(
            source,
            output,
            partial(self._with_fine_photo, source),
            lambda encoded: self._at_rest(source, encoded),
        )
        most = MAX_PIXELS_PER_BATCH // canvas.plate.portrait[..., 0].size
        return _View(canvas.encoded, True, lambda face: canvas.plate.picture(face, output), max(1, most))

    def _face_view(self, source: Source, output: OutputSpec) -> _View:
        """Return how to render face pictures; 8-bit ones are rounded on the device."""
        side = source.side(output.size)
        encoded, most = self._face_of_side(source, side), max(1, MAX_PIXELS_PER_BATCH // side**2)
        if not output.alpha and not output.deep:
            return _View(encoded, False, lambda face: face, most)
        matte = face_matte(side)
        return _View(encoded, True, lambda face: output.finish(face, matte), most)

    def _at_rest(self, source: Source, encoded: EncodedFace) -> Levels:
        """Return the face [N, N, 3] under its own weights, before rounding."""
        return self._draw(_View(encoded, True, lambda face: face, 1), source.weights[None].copy())[0]

    def _face_of_side(self, source: Source, side: int) -> EncodedFace:
        """Return the source's face with a photo of `side` pixels, one of `source.sizes`; the newest ones are kept."""
        if side == self.size:
            encoded: EncodedFace = source.encoded
            return encoded
        key = source.key, side
        face = self._fine_faces.pop(key, None) or self._with_photo(
            source, source.portrait, source.place, side
        )
        self._fine_faces[key] = face
        while len(self._fine_faces) > MAX_FINE_FACES:
            self._fine_faces.popitem(last=False)
        return face

    def _with_fine_photo(self, source: Source, portrait: Picture, crop: Crop) -> EncodedFace:
        """Return the source's face, with a photo as fine as the portrait if the network moves the photo."""
        return self._with_photo(source, portrait, crop, fine_side(crop, self.sizes))

    def _with_photo(self, source: Source, portrait: Picture, crop: Crop, side: int) -> EncodedFace:
        encoded: EncodedFace = source.encoded
        if side == self.size:
            return encoded
        others = tuple(
            EncodedFace(other.encoded.picture, portraits.cut(other.portrait, other.place, side))
            for other in source.also
        )
        return EncodedFace(encoded.picture, portraits.cut(portrait, crop, side), others=others)

    def _draw(
        self, view: _View, rows: Weights, finish: Finish[Result] = unchanged, path: str = ""
    ) -> list[Result]:
        """Draw the first rows: all of them, or fewer if memory is short. Return what `finish` makes of each frame."""
        while True:
            most = min(view.most, self.at_once)
            try:
                return self._decode(view, rows[:most], lambda face: finish(view.finish(face)), path)
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                self._use_less_memory(min(len(rows), most), error)

    def _use_less_memory(self, tried: int, error: BaseException) -> None:
        """Halve the batch after memory ran out with `tried` frames, or fall back to the CPU; on the CPU, end the
        helpers. Raises OUT_OF_MEMORY."""
        with self._lock:
            if tried == 1:
                if not self._manager.fall_back_to_cpu():
                    raise out_of_memory() from error
                self.batch = CPU_BATCH
                return
            if self.device.type == "cpu":
                self._crew.end()
                logger.warning("out of memory: rendering without helpers")
                return
            self.batch = tried // 2
            self._manager.notice = f"{self.batch} at a time because memory is short"
            self._manager.free_unused()
        logger.warning("out of memory: rendering %d frames at a time from now on", self.batch)

    def _decode(self, view: _View, rows: Weights, finish: Finish[Result], path: str) -> list[Result]:
        with self._on_device() as manager:
            if self.device.type == "cpu":
                compiled = self._compilation.decode if path and self._compilation else None
                return self._crew.draw(manager, view.encoded, rows, view.is_deep, finish, path, compiled)
            levels = to_levels(decode(manager, view.encoded, torch.from_numpy(rows).to(manager.device)))
            frames = levels if view.is_deep else round_levels(levels)
            return [finish(frame) for frame in frames.permute(0, 2, 3, 1).contiguous().cpu().numpy()]

    def _state(self, manager: DeviceManager, encoded: EncodedFace) -> Any:
        """Return the network's state for a face; on the CPU computed as helpers do, to the byte."""
        if self.device.type == "cpu":
            return self._crew.run(lambda: manager.state_of(encoded))
        return manager.state_of(encoded)

    @contextlib.contextmanager
    def _on_device(self) -> Iterator[DeviceManager]:
        """Hold the network on its device, for one caller at a time, without gradients."""
        with self._lock, torch.inference_mode():
            self._manager.ensure_on_device()
            yield self._manager

    def _compute(self, work: Callable[[DeviceManager], Tensor]) -> Weights:
        """Do a small piece of work, on the CPU if the device has no room for it. Raises OUT_OF_MEMORY."""
        while True:
            try:
                with self._on_device() as manager:
                    return np.asarray(work(manager).float().cpu().numpy())
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                self._use_less_memory(1, error)

    # --- memory ---

    @property
    def notice(self) -> str:
        """How it computes when memory is short, for people; empty when all is well."""
        return self._manager.notice

    def release(self) -> None:
        """Give the device's memory back; the network waits in main memory for the next call. Helpers end."""
        with self._lock, torch.inference_mode():
            self._crew.end()
            self._manager.release()
            self.batch = _batch_on(self.device)

    def device_memory(self) -> tuple[int, int]:
        """Return the bytes held of the device's memory, and its size; 0 and 0 for the CPU. Any thread."""
        return self._manager.memory()


def _batch_on(device: torch.device) -> int:
    return CPU_BATCH if device.type == "cpu" else GPU_BATCH
