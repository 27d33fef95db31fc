"""What an animator's add-on can rely on, over real sockets: answers, order, ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from blender_addon.core.server import uploads
from blender_addon.core.server.client import Client
from blender_addon.core.server.events import (
    TERMINAL,
    Event,
    Ready,
    StateChanged,
    StopRefused,
    pixels_of,
    weights_of,
)
from blender_addon.core.tasks import run_to_end
from edtalk_server.motion import Predicted
from edtalk_server.service import limits
from edtalk_server.service import server as servers
from edtalk_server.service.handlers import WorkerKind
from edtalk_server.service.handlers.predict import listed
from edtalk_server.service.limits import MAX_CREDIT, MAX_JOBS_PER_CLIENT, MAX_SOURCES
from shared_protocol import codec, messages
from shared_protocol.arrays import unpack_weights
from shared_protocol.errors import ErrorCode
from shared_protocol.messages import (
    MOST_LINES,
    Cancelled,
    Crop,
    Done,
    Failed,
    Frame,
    Performance,
    Prepared,
    PreviewFrame,
    Progress,
    Sentence,
    SetEmotion,
    SpokenLine,
)
from shared_protocol.visemes import VISEMES
from tests import asking

from .conftest import CHANNELS, SIZE, PlainBackend, RunningServer

PORTRAIT, VOICE = b"\x40portrait", bytes(range(10, 60))


def weights(rows: int, first: float = 0.0) -> np.ndarray:
    """Weights whose first channel counts in hundredths."""
    values = np.zeros((rows, CHANNELS), np.float32)
    values[:, 0] = first + np.arange(rows) / 100
    return values


def prepared(client: Client, portrait: bytes = PORTRAIT) -> str:
    """The source of a portrait."""
    answer = client.wait(client.start(*asking.prepare(portrait)), 20)[0]
    assert isinstance(answer, Prepared)
    return answer.source


def until(client: Client, condition: Callable[[list[Event]], bool]) -> list[Event]:
    """Tick until all that was told fulfils the condition."""
    told: list[Event] = []
    end = time.monotonic() + 20
    while not condition(told):
        assert time.monotonic() < end, told
        told += client.tick()
        time.sleep(0.001)
    return told


def ends(events: list[Event], job: str) -> list[Event]:
    """The terminal events of a job."""
    return [event for event in events if isinstance(event, TERMINAL) and event.job == job]


def test_the_welcome_tells_protocol_and_bundle(server: RunningServer) -> None:
    client = Client(server.server.connection)
    (ready,) = [
        e for e in until(client, lambda told: any(isinstance(e, Ready) for e in told)) if isinstance(e, Ready)
    ]
    assert ready.bundle == {"name": "plain", "size": SIZE}
    assert ready.welcome.protocol == messages.PROTOCOL_MAX
    assert ready.welcome.device == "cpu"
    client.close()


def test_a_portrait_and_a_voice_become_frames(client: Client) -> None:
    answer, done = client.wait(client.start(*asking.prepare(PORTRAIT)), 20)
    assert isinstance(answer, Prepared) and isinstance(done, Done)
    assert (answer.width, answer.height, answer.notes) == (SIZE, SIZE, ("small picture",))
    assert answer.crop == Crop(1, 2, 3, 0), "the crop that was found comes back"
    assert weights_of(answer).shape == (1, CHANNELS)

    performance, done = client.wait(client.start(*asking.predict(answer.source, VOICE)), 20)
    assert isinstance(performance, Performance) and isinstance(done, Done)
    motion = weights_of(performance)
    assert motion.shape == (len(VOICE), CHANNELS)
    np.testing.assert_allclose(motion[:, 0] * 100, list(VOICE), rtol=1e-6)

    told = client.wait(client.start(*asking.render(answer.source, range(100, 150), motion)), 20)
    frames = [event for event in told if isinstance(event, Frame)]
    assert [frame.frame for frame in frames] == list(range(100, 150))
    for frame, loudness in zip(frames, VOICE, strict=True):
        picture = cv2.imdecode(np.frombuffer(frame.data, np.uint8), cv2.IMREAD_COLOR)
        assert picture.shape == (SIZE, SIZE, 3)
        assert (picture[3, 3] == (0, loudness, 0x40)).all(), "blue, green, red"
        assert picture[0, 0, 0] == 255, "the top row comes first in a file"
    progress = [event for event in told if isinstance(event, Progress)]
    assert (progress[-1].done, progress[-1].total) == (50, 50)
    assert progress[-1].rate > 0
    assert all(event.eta >= 0 for event in progress if event.rate > 0)
    assert isinstance(told[-1], Done)


def test_a_preview_is_raw_rgba_with_the_bottom_row_first(client: Client) -> None:
    picture = client.wait(client.start(*asking.preview(prepared(client), weights(1, 0.5)[0])), 20)[0]
    assert isinstance(picture, PreviewFrame)
    pixels = pixels_of(picture)
    assert pixels.shape == (SIZE, SIZE, 4)
    assert (pixels[0, 0] == (0x40, 50, 0, 255)).all()
    assert (pixels[-1, 0] == (0x40, 50, 255, 255)).all(), "the top row of the picture is the last"


def test_a_crop_of_the_animators_is_used_as_it_is(client: Client) -> None:
    answer = client.wait(client.start(*asking.prepare(PORTRAIT, Crop(100, 90, 80, 0.1))), 20)[0]
    assert isinstance(answer, Prepared)
    assert answer.crop == Crop(100, 90, 80, 0.1)


def test_a_file_is_sent_once(server: RunningServer, client: Client) -> None:
    prepared(client)
    sent: list[messages.Message] = []
    channel = client._interactive
    send, channel.send = channel.send, lambda message: (sent.append(message), send(message))[1]
    prepared(client)
    assert [type(message) for message in sent] == [messages.HaveBlobs, messages.Prepare]


LARGE = bytes(range(1, 101)) * 35_000
"""Three and a half megabytes."""


@pytest.fixture
def sent(client: Client) -> list[messages.Message]:
    """What the client sends on its channel of long jobs."""
    sent: list[messages.Message] = []
    channel = client._bulk
    send, channel.send = channel.send, lambda message: (sent.append(message), send(message))[1]
    return sent


def test_a_large_file_is_sent_in_parts_and_other_things_between(
    server: RunningServer, client: Client, sent: list[messages.Message]
) -> None:
    source = prepared(client)
    job = client.start(*asking.predict(source, LARGE, frames=5))
    steps = []
    while len(steps) < 3:
        before = len(sent)
        client.tick(0.0)
        steps += [len(sent) - before] if isinstance(sent[-1], messages.PutPart) else []
    assert steps == [1, 1, 1], "one at each look"
    assert client.wait(client.start(*asking.preview(source, weights(1)[0])), 20)
    told = client.wait(job, 20)
    assert weights_of(told[0])[:, 0] == pytest.approx(np.arange(1, 6) / 100)
    assert isinstance(sent[-1], messages.Predict)


def test_a_large_file_from_the_disk_is_read_as_it_is_sent(
    server: RunningServer, client: Client, tmp_path: Path
) -> None:
    source, path = prepared(client), tmp_path / "voice.wav"
    path.write_bytes(LARGE)
    voice = run_to_end(uploads.on_disk(path, "voice", ErrorCode.AUDIO_UNREADABLE))
    assert isinstance(client.wait(client.start(*asking.predict(source, voice, frames=5)), 20)[-1], Done)
    path.write_bytes(LARGE + b"more")
    other = run_to_end(uploads.on_disk(path, "voice", ErrorCode.AUDIO_UNREADABLE))
    path.unlink()
    (failed,) = client.wait(client.start(*asking.predict(source, other, frames=5)), 20)
    assert isinstance(failed, Failed) and failed.code == "audio_unreadable"
    assert str(path) in failed.cause


@pytest.mark.parametrize(
    "after",
    [b"longer" + LARGE, LARGE[:100], LARGE[::-1], b""],
    ids=["longer", "shorter", "of the same size", "empty"],
)
def test_a_file_that_changes_while_it_is_sent_is_told_of(
    server: RunningServer, client: Client, sent: list[messages.Message], tmp_path: Path, after: bytes
) -> None:
    source, path = prepared(client), tmp_path / "voice.wav"
    path.write_bytes(LARGE)
    voice = run_to_end(uploads.on_disk(path, "voice", ErrorCode.AUDIO_UNREADABLE))
    job = client.start(*asking.predict(source, voice, frames=5))
    while not any(isinstance(message, messages.PutPart) for message in sent):
        client.tick(0.0)
    path.write_bytes(after)
    (failed,) = client.wait(job, 20)
    assert isinstance(failed, Failed) and "changed while it was sent" in failed.cause
    path.write_bytes(LARGE)
    again = run_to_end(uploads.on_disk(path, "voice", ErrorCode.AUDIO_UNREADABLE))
    assert isinstance(client.wait(client.start(*asking.predict(source, again, frames=5)), 20)[-1], Done)


def test_sending_a_large_file_can_be_cancelled(client: Client, sent: list[messages.Message]) -> None:
    source = prepared(client)
    job = client.start(*asking.predict(source, LARGE, frames=5))
    while not any(isinstance(message, messages.PutPart) for message in sent):
        client.tick(0.0)
    client.cancel(job)
    assert [type(event) for event in client.wait(job, 20)] == [Cancelled]
    before = len(sent)
    for _ in range(5):
        client.tick()
    assert len(sent) == before, "the rest is not sent"
    assert isinstance(client.wait(client.start(*asking.predict(source, LARGE, frames=5)), 20)[-1], Done)


def test_a_server_that_knows_no_parts_gets_files_whole(client: Client, sent: list[messages.Message]) -> None:
    source = prepared(client)
    client._bulk.uploads.takes_parts = False
    assert isinstance(client.wait(client.start(*asking.predict(source, LARGE, frames=5)), 20)[-1], Done)
    assert [type(message) for message in sent] == [messages.HaveBlobs, messages.PutBlob, messages.Predict]


def test_a_file_the_server_has_dropped_is_sent_again_unasked(server: RunningServer, client: Client) -> None:
    source = prepared(client)
    blobs = server.server._dispatcher._blobs
    known, lies = blobs.missing, [()]  # once the server says it has the file, and then it has not
    blobs.missing = lambda digests: lies.pop() if lies else known(digests)
    job = client.start(*asking.predict(source, VOICE))
    assert [type(event) for event in client.wait(job, 20)] == [Performance, Done]
    assert not lies


def test_the_portrait_used_longest_ago_is_forgotten_and_the_client_is_told(client: Client) -> None:
    in_use, unused = prepared(client), prepared(client, b"unused")
    for number in range(MAX_SOURCES - 1):
        prepared(client, bytes([number]))
        client.wait(client.start(*asking.preview(in_use, weights(1)[0])), 20)
    (failure,) = client.wait(client.start(*asking.render(unused, [1], weights(1))), 20)
    assert isinstance(failure, Failed) and failure.code == "unknown_source"
    assert isinstance(client.wait(client.start(*asking.render(in_use, [1], weights(1))), 20)[-1], Done)


def test_only_the_newest_preview_is_shown(server: RunningServer, client: Client) -> None:
    source = prepared(client)
    server.backend.at_gate.clear()
    server.backend.gate.clear()
    first = client.start(*asking.preview(source, weights(1, 0.1)[0]))
    server.backend.at_gate.wait(20)
    middle = [client.start(*asking.preview(source, weights(1, 0.2)[0])) for _ in range(20)]
    last = client.start(*asking.preview(source, weights(1, 0.3)[0]))
    server.backend.gate.set()
    told = until(client, lambda told: bool(ends(told, last)))
    assert [type(event) for event in ends(told, first)] == [Done]
    for job in middle:
        assert ends(told, job) == [Cancelled(job, "superseded")]
    shown = [pixels_of(event)[0, 0, 1] for event in told if isinstance(event, PreviewFrame)]
    assert shown == [10, 30]
    assert server.backend.log.count("render 1") == 2, "what nobody will see is not rendered"


def test_two_characters_do_not_take_each_others_previews(server: RunningServer, client: Client) -> None:
    source = prepared(client)
    server.backend.gate.clear()
    jobs = [
        client.start(*asking.preview(source, weights(1, n / 10)[0], slot))
        for n, slot in ((1, ""), (2, "Anna"), (3, "Ben"))
    ]
    server.backend.gate.set()
    told = until(client, lambda told: all(ends(told, job) for job in jobs))
    assert [ends(told, job) for job in jobs] == [[Done(job)] for job in jobs]


def test_the_server_itself_keeps_only_the_newest_waiting_preview(
    server: RunningServer, client: Client
) -> None:
    """Also for clients that send every wish at once."""
    source = prepared(client)
    server.backend.at_gate.clear()
    server.backend.gate.clear()
    eager = server.raw()
    eager.send(messages.Preview("p0", source, messages.Blob(weights(1).tobytes())))
    server.backend.at_gate.wait(20)
    eager.send(
        *(messages.Preview(f"p{n}", source, messages.Blob(weights(1, n / 10).tobytes())) for n in range(1, 5))
    )
    ended = [eager.receive(*TERMINAL) for _ in range(3)]
    server.backend.gate.set()
    ended += [eager.receive(*TERMINAL) for _ in range(2)]
    assert ended == [*(Cancelled(f"p{n}", "superseded") for n in (1, 2, 3)), Done("p0"), Done("p4")]
    eager.close()


def test_a_preview_is_shown_between_the_frames_of_a_bake(server: RunningServer, client: Client) -> None:
    source = prepared(client)
    server.backend.at_gate.clear()
    server.backend.gate.clear()
    bake = client.start(*asking.render(source, range(40), weights(40), credit=40))
    server.backend.at_gate.wait(20)
    preview = client.start(*asking.preview(source, weights(1, 0.9)[0]))
    other = client.start(*asking.prepare(b"\x41another portrait"))
    until(client, lambda _told: len(server.server._dispatcher._jobs) == 3)
    server.backend.log.clear()
    server.backend.gate.set()
    told = until(client, lambda told: bool(ends(told, bake)))
    assert server.backend.log[:2] == ["render 1", "prepare"]
    order = [event.job for event in told if isinstance(event, TERMINAL)]
    assert order == [preview, other, bake]


def test_two_bakes_take_turns(server: RunningServer, client: Client) -> None:
    server.backend.largest_batch = 1
    source = prepared(client)
    server.backend.gate.clear()
    first = client.start(*asking.render(source, range(4), weights(4)))
    second = client.start(*asking.render(source, range(4), weights(4)))
    until(client, lambda _told: len(server.server._dispatcher._jobs) == 2)
    server.backend.gate.set()
    told = until(client, lambda told: bool(ends(told, first) and ends(told, second)))
    order = [event.job for event in told if isinstance(event, Frame)]
    assert order == [first, second] * 4


def test_the_server_never_has_more_than_the_credit_on_its_way(server: RunningServer, client: Client) -> None:
    """A reader that stops reading holds the server back."""
    source = prepared(client)
    job = client.start(*asking.render(source, range(100), weights(100), credit=5))
    rendered = lambda: sum(int(line.split()[1]) for line in server.backend.log if line.startswith("render"))  # noqa: E731
    end = time.monotonic() + 20
    while rendered() < 5 and time.monotonic() < end:
        time.sleep(0.005)
    client._interactive.send(messages.Ping(1))  # the server goes on answering, and renders nothing more
    time.sleep(0.2)
    assert rendered() == 5
    received = [event for event in client.tick(1.0) if isinstance(event, Frame)]
    assert len(received) == 5
    time.sleep(0.2)
    assert rendered() == 10, "what is read is what may follow"
    told = client.wait(job, 20)
    assert len([event for event in told if isinstance(event, Frame)]) == 95


def test_no_client_gets_unbounded_credit(server: RunningServer, client: Client) -> None:
    source = prepared(client)
    client.start(*asking.render(source, range(300), weights(300), credit=10**9))
    time.sleep(0.3)
    rendered = sum(int(line.split()[1]) for line in server.backend.log if line.startswith("render"))
    assert rendered <= MAX_CREDIT


def test_a_cancelled_bake_ends_at_once_and_keeps_what_was_finished(
    server: RunningServer, client: Client
) -> None:
    source = prepared(client)
    job = client.start(*asking.render(source, range(1000), weights(1000) % 1, credit=4))
    told = until(client, lambda told: sum(isinstance(event, Frame) for event in told) >= 4)
    server.backend.at_gate.clear()
    server.backend.gate.clear()
    told += until(client, lambda _told: server.backend.at_gate.is_set())
    client.cancel(job)  # while the model is in the middle of a frame
    told += until(client, lambda told: bool(ends(told, job)))
    assert ends(told, job) == [Cancelled(job, "asked")]
    server.backend.gate.set()
    assert prepared(client), "the server goes on"
    assert not [event for event in client.tick(0.1) if getattr(event, "job", "") == job], (
        "nothing after the end"
    )
    assert server.backend.log.count("prepare") == 1, "the portrait is still there"


def test_a_step_that_outlasts_the_server_leaves_no_socket_open(
    server: RunningServer, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "_WORKER_TIMEOUT_S", 0.05)
    source = prepared(client)
    server.backend.at_gate.clear()
    server.backend.gate.clear()
    client.start(*asking.preview(source, weights(1)[0]))
    assert server.backend.at_gate.wait(20)
    server.server.stop()
    server.thread.join(20)
    context = server.server._context
    assert not server.thread.is_alive() and not context.closed, "the step still runs"
    server.backend.gate.set()
    end = time.monotonic() + 20
    while not context.closed and time.monotonic() < end:
        time.sleep(0.01)
    assert context.closed, "the last one out took it along"


def test_a_long_prediction_stops_when_nobody_wants_it(server: RunningServer, client: Client) -> None:
    source = prepared(client)
    server.backend.at_gate.clear()
    server.backend.gate.clear()
    job = client.start(*asking.predict(source, VOICE, frames=100_000))
    until(client, lambda _told: server.backend.at_gate.is_set())
    client.cancel(job)
    assert ends(until(client, lambda told: bool(ends(told, job))), job) == [Cancelled(job, "asked")]
    server.backend.gate.set()
    until(client, lambda _told: server.server._workers[WorkerKind.VOICES][0].is_idle)
    assert server.backend.log.count("predict") < 10


def test_pictures_come_while_a_long_voice_is_predicted(server: RunningServer, client: Client) -> None:
    predict, held = server.backend.predict, threading.Event()

    def long_one(*arguments: Any) -> Any:
        held.wait(20)
        return predict(*arguments)

    server.backend.predict = long_one  # type: ignore[method-assign]
    source = prepared(client)
    job = client.start(*asking.predict(source, VOICE))
    for ask in (asking.preview(source, weights(1)[0]), asking.render(source, [1, 2], weights(2))):
        assert not isinstance(client.wait(client.start(*ask), 20)[-1], Failed)
    assert job in client.open_jobs
    held.set()
    assert isinstance(client.wait(job, 20)[-1], Done)


def test_cancelling_at_any_moment_gives_exactly_one_end(client: Client) -> None:
    source = prepared(client)
    jobs, told = [], []
    for number in range(120):
        job = [
            lambda: client.start(*asking.render(source, range(3), weights(3))),
            lambda: client.start(*asking.predict(source, VOICE)),
            lambda: client.start(*asking.prepare(PORTRAIT)),
            lambda: client.start(*asking.preview(source, weights(1)[0])),
        ][number % 4]()
        jobs.append(job)
        for _ in range(number % 7):
            told += client.tick()
            time.sleep(0.0002)
        client.cancel(job)
        client.cancel(job)
        if number % 10 == 9:
            told += until(client, lambda _told: not client.open_jobs)
    told += until(client, lambda _told: not client.open_jobs)
    time.sleep(0.1)
    told += client.tick(0.1)
    for job in jobs:
        assert len(ends(told, job)) == 1, job
        last = [event for event in told if getattr(event, "job", "") == job][-1]
        assert isinstance(last, TERMINAL), "nothing comes after the end"


def test_the_state_is_told_as_it_changes(start_server: Callable[..., RunningServer]) -> None:
    backend = PlainBackend()
    backend.opened.clear()
    server = start_server(backend)
    client = server.client()
    told = until(client, lambda _told: client.state == "warming")
    job = client.start(*asking.prepare(PORTRAIT))
    told += until(client, lambda _told: len(server.server._dispatcher._jobs) == 1)
    backend.gate.clear()
    backend.opened.set()
    told += until(client, lambda _told: client.state == "busy")
    backend.gate.set()
    told += until(client, lambda told: bool(ends(told, job)) and client.state == "ready")
    states = [event.state for event in told if isinstance(event, StateChanged)]
    assert states == ["warming", "busy", "ready"]
    client.close()


def test_ping_is_answered_while_the_model_works(server: RunningServer, client: Client) -> None:
    source = prepared(client)
    server.backend.at_gate.clear()
    server.backend.gate.clear()
    client.start(*asking.render(source, range(3), weights(3)))
    server.backend.at_gate.wait(20)
    seen: list[messages.Message] = []
    take, client._take = (
        client._take,
        lambda channel, message: (seen.append(message), take(channel, message))[1],
    )
    client._interactive.send(messages.Ping(4711))
    until(client, lambda _told: any(isinstance(m, messages.Pong) and m.serial == 4711 for m in seen))
    (pong,) = [m for m in seen if isinstance(m, messages.Pong) and m.serial == 4711]
    assert (pong.state, pong.activity, pong.jobs) == ("busy", "render", 1)
    assert pong.memory > 0
    server.backend.gate.set()


def test_words_and_emotions_come_back_beside_the_weights(client: Client) -> None:
    source, lines = prepared(client), (SpokenLine("So glad", 0.5, 1.0), SpokenLine("to see you"))
    ask = asking.predict(source, VOICE, frames=4, lines=lines, emotion_gain=0.5)
    performance, _done = client.wait(client.start(*ask), 20)
    assert isinstance(performance, Performance)
    assert performance.words == ("So", "glad", "to", "see", "you")
    np.testing.assert_array_equal(unpack_weights(performance.word_times, 5)[-1], [8.0, 9.0])
    np.testing.assert_array_equal(unpack_weights(performance.emotions, 4), np.full((4, 8), 0.5))
    assert performance.sentences == (Sentence(0, 5, 0.0, 1.0, "happy", 0.5, "line"),)
    assert performance.notes == ("words placed by guess",) and not len(performance.visemes)
    asked, _done = client.wait(client.start(*asking.predict(source, VOICE, frames=4, visemes=True)), 20)
    np.testing.assert_array_equal(unpack_weights(asked.visemes, 1), [[VISEMES.index("PP"), 0.5, 1.0]])


def test_words_need_no_voice(client: Client) -> None:
    ask = asking.predict(prepared(client), None, frames=3, lines=(SpokenLine("Hello"),))
    performance, _done = client.wait(client.start(*ask), 20)
    assert isinstance(performance, Performance) and performance.frames == 3


@pytest.mark.parametrize(
    ("ask", "code"),
    [
        (lambda s: asking.prepare(b"no face in it"), "no_face"),
        (lambda s: asking.render(s, [], np.zeros((0, CHANNELS))), "empty_range"),
        (lambda s: asking.render(s, [1, 2], weights(3)), "bad_weights"),
        (lambda s: asking.render(s, [1], np.full((1, CHANNELS), np.nan)), "bad_weights"),
        (lambda s: asking.render(s, [1], np.full((1, CHANNELS), 1e30)), "bad_weights"),
        (lambda s: asking.render(s, [1], weights(1), encoding="gif"), "unsupported"),
        (lambda s: asking.render("some source of yesterday", [1], weights(1)), "unknown_source"),
        (lambda s: asking.preview(s, np.zeros(7)), "bad_weights"),
        (lambda s: asking.prepare(b"endless name of the result"), "too_large"),
        (lambda s: asking.predict(s, VOICE, fps=(0, 1)), "bad_message"),
        (lambda s: asking.predict(s, VOICE, frames=-1), "empty_range"),
        (lambda s: asking.predict(s, VOICE, blinks=41), "bad_message"),
        (lambda s: asking.predict(s, VOICE, head=-0.5), "bad_message"),
        (lambda s: asking.predict(s, VOICE, clock=1e9), "bad_message"),
        (lambda s: asking.predict(s, VOICE, lines=(SpokenLine("x"),) * (MOST_LINES + 1)), "too_large"),
        (lambda s: asking.predict(s, VOICE, lines=(SpokenLine("x" * 140_000),)), "too_large"),
        (lambda s: asking.predict(s, VOICE, lines=(SpokenLine("x", -2.0, 3.0),)), "bad_message"),
        (lambda s: asking.predict(s, VOICE, lines=(SpokenLine("x", 0.0, 14_401.0),)), "bad_message"),
        (lambda s: asking.predict(s, VOICE, language="x" * 36), "bad_message"),
        (lambda s: asking.predict(s, VOICE, banks=()), "bad_message"),
        (lambda s: asking.predict(s, VOICE, banks=("mouth", "nose")), "bad_message"),
        (lambda s: asking.predict(s, VOICE, emotion=SetEmotion("bored")), "bad_message"),
        (lambda s: asking.predict(s, VOICE, emotion=SetEmotion("happy", 1.5)), "bad_message"),
        (lambda s: asking.predict(s, VOICE, emotion_gain=3.5), "bad_message"),
        (lambda s: asking.predict(s, VOICE, temperature=-0.1), "bad_message"),
        (lambda s: asking.predict(s, VOICE, pose="lively"), "bad_message"),
        (lambda s: asking.render(s, [1], np.full((1, CHANNELS), 66)), "internal"),
        (lambda s: asking.predict(s, VOICE, transcript="x" * 300_000), "too_large"),
        (lambda s: asking.predict(s, VOICE, offset=float("inf")), "bad_message"),
    ],
)
def test_what_cannot_be_done_says_why_and_what_to_do(
    client: Client, ask: Callable[[str], tuple[object, ...]], code: str
) -> None:
    source = prepared(client)
    (failure,) = client.wait(client.start(*ask(source)), 20)
    assert isinstance(failure, Failed)
    assert failure.code == code
    assert failure.cause.endswith(".") and failure.fix.endswith(".")
    assert prepared(client) == source, "the server goes on"


def test_a_flood_of_requests_is_refused_in_words(server: RunningServer, client: Client) -> None:
    source = prepared(client)
    server.backend.gate.clear()
    jobs = [client.start(*asking.render(source, [1], weights(1))) for _ in range(MAX_JOBS_PER_CLIENT + 5)]
    told = until(client, lambda told: all(ends(told, job) for job in jobs[-5:]))
    assert all(event.code == "too_large" for job in jobs[-5:] for event in ends(told, job))
    server.backend.gate.set()
    told = until(client, lambda told: all(ends(told, job) for job in jobs[:-5]))
    assert all(isinstance(event, Done) for job in jobs[:-5] for event in ends(told, job))


def test_the_jobs_of_a_client_that_vanishes_end(server: RunningServer, client: Client) -> None:
    source = prepared(client)
    stranger = server.client()
    stranger.start(*asking.render(source, range(10_000), weights(10_000) % 1, credit=4))
    until(stranger, lambda told: any(isinstance(event, Frame) for event in told))
    stranger.close()
    server.server._dispatcher._connections.probe_silent = _impatient(server)
    until(client, lambda _told: len(server.server._dispatcher._jobs) == 0)
    assert prepared(client)


def _impatient(server: RunningServer) -> Callable[..., None]:
    """Look after silent clients at once instead of after some seconds."""
    connections = server.server._dispatcher._connections
    probe = type(connections).probe_silent
    return lambda now, message: probe(connections, now + 3600, message)


def test_clients_have_their_own_names_for_jobs(server: RunningServer, client: Client) -> None:
    other = server.client()
    first, second = client.start(*asking.prepare(PORTRAIT)), other.start(*asking.prepare(PORTRAIT))
    assert first == second, "both count from one"
    assert isinstance(client.wait(first, 20)[-1], Done)
    assert isinstance(other.wait(second, 20)[-1], Done)
    other.close()


def test_a_server_that_ends_tells_all_jobs(server: RunningServer, client: Client) -> None:
    source = prepared(client)
    job = client.start(*asking.render(source, range(1000), weights(1000) % 1, credit=2))
    until(client, lambda told: any(isinstance(event, Frame) for event in told))
    client.shutdown()
    told = until(client, lambda told: bool(ends(told, job)))
    assert ends(told, job) == [Cancelled(job, "stopping")]
    server.thread.join(20)
    assert not server.thread.is_alive()


def kept(client: Client) -> StopRefused:
    """The server's answer to being asked to end while others use it."""
    told = until(client, lambda told: any(isinstance(event, StopRefused) for event in told))
    return next(event for event in told if isinstance(event, StopRefused))


def test_the_server_tells_how_many_programs_use_it(server: RunningServer, client: Client) -> None:
    until(client, lambda _told: client.health.users == 1)
    second = server.client()
    other = server.raw("render farm")
    other.send(messages.Ping(1))
    pong = other.receive(messages.Pong)
    assert isinstance(pong, messages.Pong) and pong.users == 2, "connections of one process are one program"
    other.close()
    second.close()


def test_a_server_that_others_use_does_not_end_for_one(server: RunningServer, client: Client) -> None:
    source = prepared(client)
    other = server.raw("render farm")
    client.shutdown(alone=True)
    error = kept(client).error
    assert error.cause == "Other programs use this server: render farm." and "Stop" in error.fix
    assert not server.server._dispatcher.stop_requested
    assert isinstance(client.wait(client.start(*asking.preview(source, weights(1)[0])), 20)[-1], Done), (
        "it goes on as before"
    )
    other.send(messages.Ping(7))
    other.receive(messages.Pong)
    other.close()
    _ends_alone(server, client)


def test_a_server_ends_for_the_last_one_that_uses_it_whatever_its_connections(
    server: RunningServer, client: Client
) -> None:
    second = server.client()
    _ends_alone(server, client)
    second.close()


def _ends_alone(server: RunningServer, client: Client) -> None:
    """Ask until it is noticed that the other has gone, which takes a moment."""
    end = time.monotonic() + 20
    while server.thread.is_alive():
        assert time.monotonic() < end
        client.shutdown(alone=True)
        client.tick()
        server.thread.join(0.2)


def test_what_fits_into_a_header_of_a_long_transcript_is_listed() -> None:
    words = tuple("a" for _ in range(limits.MAX_WORDS + 10))
    sentences = tuple(Sentence(i * 5, 5, emotion="disgusted", timed="recognized") for i in range(1602))
    value = Predicted(weights(1), None, words, np.zeros((len(words), 2), np.float32), sentences)
    short = listed(value)
    assert (len(short.words), len(short.word_times), len(short.sentences)) == (8000, 8000, 1000)
    assert short.notes == ("Only the first 1000 of 1602 sentences are listed.",)
    long_words = tuple("b" * 15 for _ in range(8000))
    codec.encode(Performance("j" * 200, words=long_words, sentences=short.sentences))
