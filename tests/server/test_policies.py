"""The server's rules, instant: pace, batches, turns, tuning."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edtalk_server.service import memory
from edtalk_server.service.blobs import BlobStore
from edtalk_server.service.drawing import OwnDrawing
from edtalk_server.service.handlers import HANDLERS, Resources, WorkerKind
from edtalk_server.service.handlers.throughput import LONGEST_STEP_S, BatchSize, Throughput, next_batch
from edtalk_server.service.jobs import Job, JobQueue
from edtalk_server.service.limits import MAX_CREDIT
from edtalk_server.service.parents import Parents
from edtalk_server.service.sources import SourceCache
from shared_protocol.errors import EDTalkError
from shared_protocol.messages import (
    Blob,
    Crop,
    Inspect,
    Message,
    Predict,
    Prepare,
    Preview,
    Render,
)

from .conftest import CHANNELS, PlainBackend, PlainSource

FILE = b"a file"
DIGEST = hashlib.sha256(FILE).hexdigest()


@pytest.fixture
def resources() -> Resources:
    """What a server has that knows one file and one source."""
    backend = PlainBackend()
    resources = Resources(backend, BlobStore(), SourceCache(), BatchSize(), OwnDrawing(backend))
    resources.blobs.put(DIGEST, FILE)
    resources.sources.put(PlainSource("source", 1, Crop()))
    return resources


@pytest.fixture
def job(resources: Resources) -> Callable[..., Job]:
    """A function that makes an open job."""

    def make(kind: type[Message], name: str, connection: bytes = b"c", **values: Any) -> Job:
        weights = Blob(np.zeros((1, CHANNELS), "<f4").tobytes())
        known = {"source": "source", "portrait": DIGEST, "voice": DIGEST, "weights": weights, "frames": (1,)}
        if kind is Predict:
            known["frames"] = 1
        used = {field.name: known[field.name] for field in fields(kind) if field.name in known}
        return Job(connection, "client", HANDLERS[kind](kind(name, **(used | values)), resources, 0.0))

    return make


def test_rate_and_time_to_go_follow_the_last_steps() -> None:
    pace = Throughput(100, 0.0)
    assert (pace.rate, pace.eta) == (0.0, -1.0)
    for second in range(1, 21):
        pace.advance(1, float(second))
    assert pace.rate == pytest.approx(1.0) and pace.eta == pytest.approx(80)
    for second in range(20, 40):
        pace.advance(2, second + 1.0)
    assert pace.rate == pytest.approx(2.0) and pace.eta == pytest.approx(20)


def test_batches_grow_while_steps_are_short_and_shrink_when_a_preview_would_wait() -> None:
    size = 1
    for _ in range(10):
        size = next_batch(size, 0.001 * size, 16)
    assert size == 16
    for _ in range(10):
        size = next_batch(size, 0.5 * size, 16)
    assert size == 1
    assert next_batch(4, LONGEST_STEP_S * 0.9, 16) == 4


def test_previews_go_first_then_portraits_then_frames(job: Callable[..., Job]) -> None:
    queue = JobQueue()
    queue.open(job(Render, "r", credit=1))
    for kind, name in ((Inspect, "i"), (Prepare, "s"), (Preview, "v")):
        queue.open(job(kind, name))
    order = []
    while (turn := queue.next(WorkerKind.MODEL, 0.0)) is not None:
        order.append(turn.name)
        assert queue.close(turn)
    assert order == ["v", "i", "s", "r"]


def test_a_job_is_closed_once(job: Callable[..., Job]) -> None:
    queue, portrait = JobQueue(), job(Prepare, "s")
    queue.open(portrait)
    assert [queue.close(portrait), queue.close(portrait)] == [True, False]


def test_a_render_without_credit_waits_and_lets_others_go(job: Callable[..., Job]) -> None:
    queue, held, free = JobQueue(), job(Render, "held", credit=0), job(Render, "free", credit=1)
    queue.open(held)
    queue.open(free)
    assert queue.next(WorkerKind.MODEL, 0.0) is free
    held.handler.add_credit(10**9)
    assert held.handler.credit == MAX_CREDIT and queue.next(WorkerKind.MODEL, 0.0) is held
    held.handler.add_credit(-5)
    assert held.handler.credit == MAX_CREDIT


def test_nobody_starves_however_many_previews_come(job: Callable[..., Job]) -> None:
    """Sixteen clients ask for a preview whenever they have one; a step takes 50 ms."""
    queue, bakes = JobQueue(), [job(Render, f"bake {number}", credit=100) for number in range(2)]
    for bake in bakes:
        queue.open(bake)
    turns, waits = Counter[str](), list[float]()
    previews = {number: (0.0, job(Preview, f"preview {number}", b"%d" % number)) for number in range(16)}
    for _, preview in previews.values():
        queue.open(preview)
    for step in range(1000):
        now = step * 0.05
        chosen = queue.next(WorkerKind.MODEL, now)
        assert chosen is not None
        turns[chosen.name.split()[0] if chosen not in bakes else chosen.name] += 1
        if chosen in bakes:
            queue.requeue(chosen)
            continue
        queue.close(chosen)
        number = int(chosen.name.split()[1])
        waits.append(now - previews[number][0])
        previews[number] = now, job(Preview, chosen.name, chosen.connection)
        queue.open(previews[number][1])
    assert turns["bake 0"] == pytest.approx(turns["bake 1"], abs=1) and turns["bake 0"] >= 45
    assert turns["preview"] >= 850 and max(waits) <= 1.0, "sixteen steps, and a bake's in between"


def test_a_running_preview_is_not_superseded_nor_one_of_another_connection(job: Callable[..., Job]) -> None:
    queue = JobQueue()
    running, foreign, waiting = (
        job(Preview, name, connection) for name, connection in (("a", b"1"), ("b", b"2"), ("c", b"1"))
    )
    running.steps = 1
    for preview in (running, foreign, waiting):
        queue.open(preview)
    assert queue.open(job(Preview, "d", b"1")) == [waiting]


REQUEST = re.compile(r"^\| `(\w+)` \| `job`[^|]*\| [^(]", re.MULTILINE)
"""A row of docs/protocol.md with a request that opens a job: its results are no remark in brackets."""


def test_every_request_has_its_handler_and_files_do_not_wait_for_the_model() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "protocol.md").read_text(encoding="utf-8")
    table = page.partition("| request → |")[2].partition("| answer |")[0]
    requests = set(REQUEST.findall(table)) - {"Cancel"}
    assert len(requests) == 10 and {kind.__name__ for kind in HANDLERS} == requests
    files = {kind.__name__ for kind, handler in HANDLERS.items() if handler.worker is WorkerKind.FILES}
    assert files == {"Movie", "ListBundles", "ImportBundle", "DownloadBundle"}


def test_the_sources_used_last_are_kept_and_the_newest_always() -> None:
    cache = SourceCache(max_sources=2, max_bytes=2000)
    for key in ("a", "b"):
        cache.put(PlainSource(key, 1, Crop()))
    cache.get("a")
    cache.put(PlainSource("c", 1, Crop()))
    with pytest.raises(EDTalkError, match="no longer on the server"):
        cache.get("b")
    assert cache.get("a").key == "a"
    cache.put(PlainSource("large", 1, Crop(), nbytes=5000))
    assert cache.get("large").key == "large"
    with pytest.raises(EDTalkError, match="no longer on the server"):
        cache.get("a")


def test_a_portrait_that_is_still_there_is_not_judged_and_encoded_again(
    resources: Resources, job: Callable[..., Job]
) -> None:
    backend = resources.backend
    assert isinstance(backend, PlainBackend)

    def prepare(name: str, **values: Any) -> str:
        handler = job(Prepare, name, **values).handler
        prepared = handler.next_step(lambda: True)()
        handler.store(prepared)
        return str(prepared.result.source)

    first = prepare("first")
    assert prepare("second") == first and len(backend.log) == 1
    prepare("another crop", crop=Crop(10, 10, 5))
    assert len(backend.log) == 2
    resources.sources._max_sources = 0
    prepare("third", crop=Crop(20, 10, 5))  # and nothing else is kept
    prepare("fourth")
    assert len(backend.log) == 4


def test_the_files_used_last_are_kept() -> None:
    store = BlobStore(capacity=10)
    names = {}
    for data in (b"aaaa", b"bbbb"):
        names[data] = hashlib.sha256(data).hexdigest()
        store.put(names[data], data)
    store.get(names[b"aaaa"])
    new = hashlib.sha256(b"cccc").hexdigest()
    store.put(new, b"cccc")
    store.put(new, b"cccc")
    assert store.size == 8
    assert store.missing([*names.values(), new]) == (names[b"bbbb"],)
    with pytest.raises(EDTalkError, match="no longer on the server"):
        store.get(names[b"bbbb"])


def test_what_the_user_has_set_stays() -> None:
    missing = memory.missing_settings({"OMP_NUM_THREADS": "3", "MALLOC_TRIM_THRESHOLD_": "1"}, 7, glibc=True)
    assert "OMP_NUM_THREADS" not in missing and "MALLOC_TRIM_THRESHOLD_" not in missing
    assert missing["MKL_NUM_THREADS"] == "7"
    assert int(missing["MALLOC_MMAP_THRESHOLD_"]) == 8 * 2**30
    assert not any(name.startswith("MALLOC") for name in memory.missing_settings({}, 1, glibc=False))
    assert [memory.default_threads(cores) for cores in (1, 2, 4, 16)] == [1, 2, 4, 15]


def test_a_server_that_may_not_start_anew_goes_on_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def refuse(*command: object) -> None:
        tried.append(command)
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(memory.os, "environ", {})
    monkeypatch.setattr(memory.os, "execv", refuse)
    monkeypatch.setattr(memory.allocator, "is_glibc", lambda: True)
    memory.apply(2)
    assert len(tried) == 1
    assert memory.os.environ["OMP_NUM_THREADS"] == "2"


def test_helpers_that_nobody_needs_are_ended_like_memory_that_nobody_uses() -> None:
    backend, release = PlainBackend(), memory.MemoryRelease(300.0, 0.0)
    assert not release.is_due(backend, 301.0), "there is nothing to give back"
    backend.side_by_side = 4
    assert not release.is_due(backend, 299.0)
    assert release.is_due(backend, 301.0)


def test_a_server_without_parents_stays_and_one_of_a_dead_parent_goes() -> None:
    alone = Parents()
    alone.add(2**22 + 5)
    assert not alone.all_gone()
    assert Parents([2**22 + 5]).all_gone()
