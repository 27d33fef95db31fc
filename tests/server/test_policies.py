"""The server's rules, instant: pace, batches, turns, tuning."""

from __future__ import annotations

import hashlib

import pytest

from edtalk_server.service import memory
from edtalk_server.service.blobs import BlobStore
from edtalk_server.service.jobs import MAX_CREDIT, Job, JobQueue
from edtalk_server.service.parents import Parents
from edtalk_server.service.throughput import LONGEST_STEP_S, Throughput, next_batch
from shared_protocol.errors import EDTalkError
from shared_protocol.messages import Inspect, Predict, Prepare, Preview, Render


def job(request: Preview | Prepare | Predict | Render, connection: bytes = b"c", credit: int = 0) -> Job:
    """An open job."""
    return Job(connection, "client", request, None, Throughput(1, 0.0), credit=credit)


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


def test_previews_go_first_then_portraits_then_voices_then_frames() -> None:
    book = JobQueue()
    requests = [Render("r", frames=(1,)), Predict("p"), Inspect("i"), Prepare("s"), Preview("v")]
    for request in requests:
        book.open(job(request, credit=1))
    order = []
    while (turn := book.next(model=True)) is not None:
        order.append(turn.name)
        assert book.close(turn)
    assert order == ["v", "i", "s", "p", "r"]


def test_a_job_is_closed_once() -> None:
    book, one = JobQueue(), job(Prepare("s"))
    book.open(one)
    assert [book.close(one), book.close(one)] == [True, False]


def test_a_render_without_credit_waits_and_lets_others_go() -> None:
    book, held, free = (
        JobQueue(),
        job(Render("held", frames=(1,))),
        job(Render("free", frames=(1,)), credit=1),
    )
    book.open(held)
    book.open(free)
    assert book.next(model=True) is free
    held.allow(10**9)
    assert held.credit == MAX_CREDIT and book.next(model=True) is held
    held.allow(-5)
    assert held.credit == MAX_CREDIT


def test_a_running_preview_is_not_superseded_nor_one_of_another_connection() -> None:
    book, running, foreign, waiting = (
        JobQueue(),
        *(job(Preview(n), c) for n, c in (("a", b"1"), ("b", b"2"), ("c", b"1"))),
    )
    running.running = True
    for one in (running, foreign, waiting):
        book.open(one)
    assert book.open(job(Preview("d"), b"1")) == [waiting]


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
    with pytest.raises(EDTalkError, match="does not hold"):
        store.get(names[b"bbbb"])


def test_what_the_user_has_set_stays() -> None:
    missing = memory.missing_settings({"OMP_NUM_THREADS": "3", "MALLOC_TRIM_THRESHOLD_": "1"}, 7, glibc=True)
    assert "OMP_NUM_THREADS" not in missing and "MALLOC_TRIM_THRESHOLD_" not in missing
    assert missing["MKL_NUM_THREADS"] == "7"
    assert int(missing["MALLOC_MMAP_THRESHOLD_"]) == 8 * 2**30
    assert not any(name.startswith("MALLOC") for name in memory.missing_settings({}, 1, glibc=False))
    assert [memory.default_threads(cores) for cores in (1, 2, 4, 16)] == [1, 2, 4, 15]


def test_a_server_without_parents_stays_and_one_of_a_dead_parent_goes() -> None:
    alone = Parents()
    alone.add(2**22 + 5)
    assert not alone.all_gone()
    assert Parents([2**22 + 5]).all_gone()
