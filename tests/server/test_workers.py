"""Drawing by several processes: the same bytes however many there are, and nothing is lost with one that dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from blender_addon.core.server.client import Client
from blender_addon.core.server.events import weights_of
from edtalk_server import child_process
from edtalk_server.engine import Engine
from edtalk_server.engine.device_manager import EncodedFace
from edtalk_server.engine.fake import FakeEngine
from edtalk_server.media.output_spec import FULL, OutputSpec
from edtalk_server.media.pictures.load import load_picture
from edtalk_server.service.drawing import PoolDrawing
from edtalk_server.service.model import FakeBackend
from edtalk_server.service.server import Server
from edtalk_server.workers import DrawTask, Pool, WorkerSettings, encode, wire
from edtalk_server.workers.plan import processes
from edtalk_server.workers.process import ProcessWorker
from shared_protocol import connection
from shared_protocol.errors import EDTalkError
from shared_protocol.messages import Cancelled, Done, Frame, Prepared, PreviewFrame
from shared_protocol.processes import is_running, process_start
from tests import asking

from .test_service import until

SAMPLES = Path(__file__).resolve().parents[2] / "edtalk_server" / "samples"
PORTRAIT = np.random.default_rng(3).integers(0, 256, (48, 64, 3), np.uint8)


class KeptDrawing(PoolDrawing):
    """Workers that outlive their server: starting one takes seconds."""

    def close(self) -> None:
        """Keep them for the next test."""


@pytest.fixture(scope="module")
def workers() -> Iterator[list[ProcessWorker]]:
    """Three workers with the fake engine, which takes a hundredth of a second for a frame."""
    started = processes(WorkerSettings(None, seconds_per_frame=0.01), 3, 1)
    yield started
    Pool(started).close()


@contextmanager
def server(drawing: PoolDrawing | None) -> Iterator[tuple[Server, Client]]:
    """A server with the fake model that draws by these workers, and a client."""
    running = Server(FakeBackend(), drawing=drawing)
    thread = threading.Thread(target=running.run)
    thread.start()
    client = Client(running.connection, "test")
    try:
        client.wait_until_ready(60)
        until(client, lambda _told: client.state == "ready")
        yield running, client
    finally:
        client.close()
        running.stop()
        thread.join(30)


def prepared(client: Client) -> Prepared:
    """The portrait, encoded."""
    data = cv2.imencode(".png", PORTRAIT)[1].tobytes()
    answer = client.wait(client.start(*asking.prepare(data)), 60)[0]
    assert isinstance(answer, Prepared)
    return answer


def baked(client: Client, frames: int) -> list[Frame]:
    """The frames of a bake, in the order in which they came."""
    source = prepared(client)
    rows = weights_of(source) + np.linspace(-1, 1, frames, dtype=np.float32)[:, None]
    told = client.wait(client.start(*asking.render(source.source, range(1, frames + 1), rows)), 60)
    assert isinstance(told[-1], Done), told[-1]
    return [event for event in told if isinstance(event, Frame)]


def test_workers_draw_what_one_engine_draws_in_every_form(workers: list[ProcessWorker]) -> None:
    engine = FakeEngine()
    source = engine.prepare(PORTRAIT)
    rows = np.random.default_rng(4).normal(0, 1, (3, engine.channels)).astype(np.float32)
    drawn = Pool(workers[:2])
    for output, encoding in (
        (OutputSpec(), "png"),
        (OutputSpec(FULL, alpha=True), "rgba"),
        (OutputSpec(deep=True, size=128), "exr"),
    ):
        wanted = [encode(frame, encoding) for frame in engine.render(source, rows, output)]
        assert drawn.draw(DrawTask(source, rows, output, encoding)) == wanted


def test_a_portrait_reaches_a_worker_whole_with_the_further_pictures_of_the_person() -> None:
    plain = FakeEngine().prepare(PORTRAIT)
    faces = [EncodedFace(np.full((4, 4, 3), tone, np.uint8)) for tone in (1, 2)]
    other = replace(plain, key="other", encoded=faces[1], landmarks=(0.5, 0.25), cut_out=None)
    source = plain.with_also([other], [("mouth", "lids")], replace(faces[0], others=(faces[1],)))
    given = wire.source_of(child_process.unpack(wire.pack_source(source))["give"])
    for one, same in ((given, source), (given.also[0], other)):
        for field in fields(one):
            value, wanted = getattr(one, field.name), getattr(same, field.name)
            if field.name not in ("also", "encoded"):
                assert np.array_equal(value, wanted) and type(value) is type(wanted), field.name
    assert np.array_equal(given.encoded.picture, faces[0].picture)
    assert given.encoded.others == (given.also[0].encoded,)
    assert np.array_equal(given.also[0].encoded.picture, faces[1].picture)


def test_a_bake_has_the_same_frames_in_the_same_order_whatever_draws_it(workers: list[ProcessWorker]) -> None:
    with server(None) as (_, client):
        alone = [(frame.frame, bytes(frame.data)) for frame in baked(client, 40)]
    for count in (1, 3):
        with server(KeptDrawing(Pool(workers[:count]))) as (_, client):
            assert [(frame.frame, bytes(frame.data)) for frame in baked(client, 40)] == alone
            assert client.health.workers == count
            assert isinstance(
                client.wait(client.start(*asking.preview(prepared(client).source, np.zeros(36))), 60)[0],
                PreviewFrame,
            )


def test_the_frames_of_a_killed_worker_are_drawn_again(workers: list[ProcessWorker]) -> None:
    with server(KeptDrawing(Pool(workers[:2]))) as (_, client):
        source = prepared(client)
        job = client.start(*asking.render(source.source, range(60), np.repeat(weights_of(source), 60, 0)))
        told = until(client, lambda told: any(isinstance(event, Frame) for event in told))
        os.kill(workers[0].pid, signal.SIGKILL)
        told += client.wait(job, 60)
        assert isinstance(told[-1], Done), told[-1]
        assert [event.frame for event in told if isinstance(event, Frame)] == list(range(60))
        assert isinstance(told[-1], Done)


def test_a_cancelled_bake_leaves_the_workers_free(workers: list[ProcessWorker]) -> None:
    with server(KeptDrawing(Pool(workers[:2]))) as (_, client):
        source = prepared(client)
        job = client.start(*asking.render(source.source, range(500), np.repeat(weights_of(source), 500, 0)))
        until(client, lambda told: any(isinstance(event, Frame) for event in told))
        client.cancel(job)
        assert isinstance(client.wait(job, 60)[-1], Cancelled)
        assert len(baked(client, 4)) == 4


def test_two_bakes_share_the_workers(workers: list[ProcessWorker]) -> None:
    with server(KeptDrawing(Pool(workers[:2]))) as (_, client):
        source = prepared(client)
        rows = np.repeat(weights_of(source), 60, 0)
        first, second = (client.start(*asking.render(source.source, range(60), rows)) for _ in range(2))
        told = until(client, lambda told: sum(isinstance(e, Frame) and e.job == second for e in told) > 10)
        assert sum(isinstance(event, Frame) and event.job == first for event in told) < 60
        client.wait(first, 60)
        client.wait(second, 60)


def test_a_task_that_ends_every_worker_fails_alone(
    workers: list[ProcessWorker], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = FakeEngine().prepare(PORTRAIT)
    task = DrawTask(source, source.weights[None], OutputSpec(), "png")
    drawn = Pool(workers[:1])
    drawn.open()
    real = workers[0]._asked

    def dies(request: bytes) -> bytes | None:
        os.kill(workers[0].pid, signal.SIGKILL)
        return real(request)

    monkeypatch.setattr(workers[0], "_asked", dies)
    with pytest.raises(EDTalkError, match="3 workers ended over the same work"):
        drawn.draw(task)
    monkeypatch.undo()
    assert len(drawn.draw(task)) == 1


def test_workers_end_with_the_program_that_started_them() -> None:
    worker = ProcessWorker(WorkerSettings(None))
    Pool([worker]).open()
    process = worker._process
    assert process is not None and process.stdin is not None
    process.stdin.close()  # as the system does when we are killed
    assert process.wait(30) == 0
    worker.close()
    assert worker.memory() == 0


def test_the_starters_frames_do_not_depend_on_the_number_of_workers() -> None:
    engine = Engine.open(device="cpu")
    source = engine.prepare(load_picture((SAMPLES / "portrait.png").read_bytes()))
    rows = (source.weights + np.linspace(0, 0.5, 4)[:, None]).astype(np.float32)
    found = []
    for count in (1, 2):
        drawn = Pool(processes(WorkerSettings("starter", "cpu", engine.bundle.digest), count, 1))
        try:
            tasks = [DrawTask(source, rows[i : i + 2], OutputSpec(size=512), "png") for i in (0, 2)]
            found.append([drawn.draw(task) for task in tasks])
        finally:
            drawn.close()
    assert found[0] == found[1]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_commands_workers_are_told_of_and_end_when_the_server_is_killed(tmp_path: Path) -> None:
    file = tmp_path / "run" / "server-test.json"
    command = [sys.executable, "-m", "edtalk_server.cli", "serve", "--fake", "--workers", "2"]
    command += ["--connection-file", str(file), "--log-file", str(tmp_path / "log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None and process.stdout.readline()
        keys = connection.read(file)
        assert keys.workers == 2
        client = Client(keys, "test")
        client.wait_until_ready(60)
        assert len(baked(client, 6)) == 6 and client.health.workers == 2
        children = children_of(process.pid)
        assert len(children) == 2
        process.kill()
        client.close()
    end = time.monotonic() + 30
    while any(is_running(child, started) for child, started in children.items()):
        assert time.monotonic() < end, "a worker outlives its server"
        time.sleep(0.05)


def children_of(pid: int) -> dict[int, str]:
    """The processes that a process has started, and when."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    found = [int(word) for thread in threads for word in (thread / "children").read_text().split()]
    return {child: process_start(child) or "" for child in found}
