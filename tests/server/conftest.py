"""A real server in this process, over real sockets, with a model that is quick and can be held."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
import zmq

from blender_addon.core.server.channel import Channel
from blender_addon.core.server.client import Client
from edtalk_server.arrays import Rendered, Weights
from edtalk_server.media.faces.portrait_quality import Finding, Inspection, QualityReport, Verdict
from edtalk_server.media.output_spec import FULL, OutputSpec
from edtalk_server.media.steps import Checkpoint, Step, Steps
from edtalk_server.motion import Captured, Predicted
from edtalk_server.motion.visemes import Viseme
from edtalk_server.service.backend import Finished
from edtalk_server.service.server import Server
from shared_protocol import messages
from shared_protocol.connection import Connection
from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.messages import Capture, Crop, Predict, Sentence

CHANNELS, SIZE = 36, 8


@dataclass(frozen=True)
class PlainSource:
    """A portrait whose picture is its first byte."""

    key: str
    tone: int
    crop: Crop
    weights: Weights = field(default_factory=lambda: np.zeros((1, CHANNELS), np.float32))
    notes: tuple[str, ...] = ("small picture",)
    verdict: str = "too_small"
    full_size: tuple[int, int] = (2 * SIZE, SIZE)
    nbytes: int = 1000
    size: int = SIZE
    sizes: tuple[int, ...] = (SIZE, 2 * SIZE)
    landmarks: tuple[float, ...] = (0.25, 0.5)
    gives: tuple[tuple[str, ...], ...] = ()
    is_cut_out: bool = False

    def side(self, most: int) -> int:
        return max((side for side in self.sizes if side <= most), default=self.size)


@dataclass
class PlainBackend:
    """The arithmetic of a model without one: red is the portrait, green the first weight in hundredths.

    Clearing `gate` holds the next piece of work until it is set again; `log` tells what was done, in order.
    """

    description: str = '{"name": "plain", "size": 8}'
    channels: int = CHANNELS
    side_by_side: int = 1
    previews_apart: bool = False
    path: str = ""
    expected: int = 0
    size: int = SIZE
    device: str = "cpu"
    largest_batch: int = 4
    notice: str = ""
    on_device: int = 0
    pause: float = 0.0
    gate: threading.Event = field(default_factory=threading.Event)
    at_gate: threading.Event = field(default_factory=threading.Event)
    opened: threading.Event = field(default_factory=threading.Event)
    log: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.gate.set()
        self.opened.set()

    def open(self) -> None:
        self.opened.wait(30)

    def _work(self, what: str) -> None:
        self.log.append(what)
        self.at_gate.set()
        self.gate.wait(30)
        time.sleep(self.pause)

    def inspect(self, portrait: bytes, crop: Crop | None) -> Steps[Inspection]:
        yield Step(0, 0, "looking")
        self._work("inspect")
        turned = Finding(Verdict.TURNED, "Use a picture from the front.")
        return Inspection(
            30, 20, (Crop(1, 2, 3, 0),), QualityReport(crop or Crop(1, 2, 3, 0), 35.0, (turned,))
        )

    def prepare(self, portrait: bytes, crop: Crop | None) -> Steps[PlainSource]:
        yield Step(0, 0, "reading")
        self._work("prepare")
        if portrait.startswith(b"no face"):
            raise EDTalkError(ErrorCode.NO_FACE, "No face was found.", "Set the crop by hand.")
        key = "x" * 300_000 if portrait.startswith(b"endless") else hashlib.sha256(portrait).hexdigest()
        size = 600 * 1024**2 if portrait.startswith(b"huge") else 1000
        return PlainSource(key, portrait[0], crop or Crop(1, 2, 3, 0), nbytes=size)

    def predict(
        self, source: PlainSource, voice: bytes, request: Predict, checkpoint: Checkpoint
    ) -> Predicted:
        weights = np.repeat(source.weights, request.frames or len(voice), axis=0)
        for row in range(len(weights)):
            self._work("predict")
            checkpoint(row, len(weights), "moving the mouth")
            weights[row, 0] = voice[row % len(voice)] / 100 if voice else 0.0
        words = tuple(word for line in request.lines for word in line.text.split())
        emotions = np.full((len(weights), 8), request.emotion_gain, np.float32)
        times = np.arange(2 * len(words), dtype=np.float32).reshape(-1, 2)
        sentences = (Sentence(0, len(words), 0.0, 1.0, "happy", 0.5, "line"),) if words else ()
        shown = (Viseme("PP", 0.5, 1.0),) if request.visemes else ()
        return Predicted(weights, emotions, words, times, sentences, ("words placed by guess",), shown)

    def capture(self, source: PlainSource, video: bytes, request: Capture) -> Steps[Captured]:
        """The first weight is the video's byte in hundredths."""
        weights = np.repeat(source.weights, request.frames or len(video), axis=0)
        try:
            for row in range(len(weights)):
                self._work("capture")
                weights[row, 0] = video[row % len(video)] / 100
                yield Step(row + 1, len(weights), "reading the face")
        finally:
            self.log.append("capture closed")
        return Captured(weights, ("the light is poor",))

    def release(self) -> None:
        self._work("release")
        self.on_device = 0

    def device_memory(self) -> tuple[int, int]:
        return self.on_device, 1000 if self.on_device else 0

    def helpers_memory(self) -> int:
        return 0

    def expect(self, frames: int) -> None:
        self.expected = frames

    def render(
        self,
        source: PlainSource,
        weights: Weights,
        output: OutputSpec,
        finish: Callable[[Rendered], Finished],
        path: str = "",
    ) -> list[Finished]:
        self._work(f"render {len(weights)}")
        if weights[0, 1] == 66:
            raise RuntimeError("the model met its end")
        frames = np.zeros((len(weights), SIZE, SIZE, 3), np.uint8)
        frames[..., 0] = source.tone
        frames[..., 1] = np.round(weights[:, 0] * 100).astype(np.uint8)[:, None, None]
        frames[:, 0, :, 2] = 255  # the top row is blue
        if output.framing != FULL and source.side(output.size) > SIZE:
            frames = frames.repeat(2, axis=1).repeat(2, axis=2)
        if output.framing == FULL:  # twice as wide
            frames = np.concatenate([frames, frames], axis=2)
        matte = np.full(frames.shape[1:3], 0.2, np.float32)
        return [finish(output.finish(frame.astype(np.float32), matte)) for frame in frames]

    def preview(
        self,
        source: PlainSource,
        weights: Weights,
        output: OutputSpec,
        finish: Callable[[Rendered], Finished],
    ) -> Finished:
        return self.render(source, weights, output, finish)[0]


class RawPeer:
    """A connection that sends and receives single messages, or anything else, as it likes."""

    def __init__(self, connection: Connection, client: str = "raw", hello: bool = True) -> None:
        self._context = zmq.Context()
        self.channel = Channel(self._context, connection)
        if hello:
            self.channel.send(messages.Hello(client=client))
            try:
                self.receive(messages.Welcome)
            except AssertionError:
                self.close()
                raise

    def send(self, *wanted: messages.Message) -> None:
        for message in wanted:
            self.channel.send(message)

    def send_frames(self, frames: Sequence[bytes]) -> None:
        self.channel.socket.send_multipart(list(frames))

    def receive_any(self, timeout: float = 20) -> messages.Message | None:
        """The next message; None after the time or when the connection has ended."""
        return self.channel.receive() if self.channel.socket.poll(timeout * 1000) else None

    def receive(self, *kinds: type) -> messages.Message:
        """The next message of one of these kinds."""
        while not isinstance(message := self.receive_any(), kinds):
            assert message is not None, f"no {kinds} came"
        return message

    def close(self) -> None:
        self.channel.close()
        self._context.term()


@dataclass
class RunningServer:
    """A server in a thread of this process."""

    backend: PlainBackend
    server: Server
    thread: threading.Thread

    def client(self) -> Client:
        """A connected client."""
        client = Client(self.server.connection, "test")
        try:
            client.wait_until_ready(20)
        except EDTalkError:
            client.close()
            raise
        return client

    def raw(self, client: str = "raw") -> RawPeer:
        """A connection for single messages; close it."""
        return RawPeer(self.server.connection, client)


@pytest.fixture
def start_server() -> Iterator[Callable[..., RunningServer]]:
    """A function that starts a server with a given backend."""
    started: list[RunningServer] = []

    def start(backend: PlainBackend | None = None, release_after: float = 0.0) -> RunningServer:
        backend = backend or PlainBackend()
        server = Server(backend, release_after=release_after)
        thread = threading.Thread(target=server.run)
        running = RunningServer(backend, server, thread)
        thread.start()
        started.append(running)
        return running

    yield start
    for running in started:
        if isinstance(running.backend, PlainBackend):
            running.backend.gate.set()
            running.backend.opened.set()
        running.server.stop()
        running.thread.join(20)
        assert not running.thread.is_alive()


@pytest.fixture
def server(start_server: Callable[..., RunningServer]) -> RunningServer:
    """A running server."""
    return start_server()


@pytest.fixture
def client(server: RunningServer) -> Iterator[Client]:
    """A client of it."""
    client = server.client()
    yield client
    client.close()
