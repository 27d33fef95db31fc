"""Nothing that arrives can crash or block the server, and nobody without the key gets anything."""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, get_type_hints

import numpy as np
import pytest
import zmq

from blender_addon.core.server import client as client_module
from blender_addon.core.server.client import Client
from blender_addon.core.server.events import Event
from edtalk_server.service import dispatcher
from edtalk_server.service.authentication import Keys
from shared_protocol import codec, messages
from shared_protocol.messages import Blob, Done, Frame
from tests import asking

from .conftest import CHANNELS, RawPeer, RunningServer
from .fuzz import after_accident
from .test_service import PORTRAIT, prepared, until, weights

MUTATIONS = 10_000


def honest(chance: random.Random, source: str) -> messages.Message:
    """A message that could be meant seriously."""
    blob = Blob(weights(2).tobytes())
    job = f"j{chance.randrange(50)}"
    return chance.choice(
        [
            messages.Hello(client="mutant"),
            messages.Ping(chance.randrange(1000)),
            messages.HaveBlobs(("a" * 64, "b")),
            messages.PutBlob("c" * 64, Blob(b"data")),
            messages.PutPart("c" * 64, chance.choice((0, 2)), 4, Blob(b"da")),
            messages.Prepare(job, "d" * 64),
            messages.Predict(job, source, "e" * 64),
            messages.Preview(job, source, Blob(weights(1).tobytes())),
            messages.Render(job, source, (1, 2), "png", 2, blob),
            messages.Credit(job, chance.choice([1, -5, 2**62])),
            messages.Cancel(job),
            messages.Done(job),
            messages.Welcome(),
        ]
    )


def mutated(chance: random.Random, message: messages.Message) -> list[bytes]:
    """The frames of a message after an accident."""
    return after_accident(chance, [bytes(frame) for frame in codec.encode(message)])


def test_ten_thousand_damaged_messages_do_no_harm(
    server: RunningServer, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = prepared(client)
    chance = random.Random(20)
    peer = server.raw("mutant")
    answers = 0
    shutdowns: list[str] = []
    monkeypatch.setattr(
        dispatcher.log, "info", lambda *args: shutdowns.append(args[0]) if "end" in args[0] else None
    )
    for number in range(MUTATIONS):
        peer.send_frames(mutated(chance, honest(chance, source)) or [b""])
        while peer.channel.socket.poll(0):
            answers += peer.channel.receive() is not None
        if number % 1000 == 999:
            peer.send(messages.Ping(number))
            while not (
                isinstance(pong := peer.receive(messages.Pong), messages.Pong) and pong.serial == number
            ):
                answers += 1
    assert server.thread.is_alive() and not shutdowns
    assert answers > MUTATIONS / 4, "they are answered, not ignored (a slow reader may miss refusals)"
    told = client.wait(client.start(*asking.render(source, range(5), weights(5))), 60)
    assert sum(isinstance(event, Frame) for event in told) == 5 and isinstance(told[-1], Done)
    peer.close()


def test_frames_that_are_no_message_at_all(server: RunningServer, client: Client) -> None:
    peer = server.raw()
    for frames in (
        [b""],
        [b"", b""],
        [b"\xc1" * 300_000],
        [b"x"] * 500,
        [b"\x81\xa4type\xa4Ping", b"y" * 2_000_000],
    ):
        peer.send_frames(frames)
    peer.send(messages.Ping(7))
    refused = [peer.receive(messages.Refused) for _ in range(4)]
    assert [r.code for r in refused if isinstance(r, messages.Refused)] == [
        "bad_message",
        "bad_message",
        "too_large",
        "too_large",
    ]
    assert prepared(client)
    peer.close()


def test_every_type_of_the_vocabulary_is_answered_or_refused(server: RunningServer, client: Client) -> None:
    """Also those that only a server sends, and each with empty fields."""
    peer = server.raw()
    for kind in codec.message_types().values():
        if kind is not messages.Shutdown:
            peer.send(kind(**({"job": "odd"} if "job" in get_type_hints(kind) else {})))
    peer.send(messages.Ping(99))
    while not (isinstance(pong := peer.receive(messages.Pong), messages.Pong) and pong.serial == 99):
        pass
    assert prepared(client)
    peer.close()


@pytest.fixture
def short_wait() -> float:
    """How long nothing must come."""
    return 1.0


def _stranger(server: RunningServer, **keys: str) -> RawPeer:
    return RawPeer(replace(server.server.connection, **keys), hello=False)


def test_without_the_key_nobody_gets_anything(
    server: RunningServer, client: Client, short_wait: float
) -> None:
    other = Keys.generate()
    stranger = _stranger(server, client_public=other.client_public, client_secret=other.client_secret)
    stranger.send(messages.Hello(), messages.Ping(1), messages.Shutdown())
    assert stranger.receive_any(short_wait) is None
    assert stranger.channel.is_broken()
    stranger.close()
    assert prepared(client)


def test_a_client_does_not_talk_to_a_server_with_another_key(server: RunningServer) -> None:
    client = Client(replace(server.server.connection, server_public=Keys.generate().server_public))
    with pytest.raises(Exception, match="connection to the server has ended"):
        client.wait_until_ready(20)
    client.close()


def test_an_unencrypted_connection_gets_nothing(server: RunningServer, short_wait: float) -> None:
    context = zmq.Context()
    with context.socket(zmq.DEALER) as socket:
        socket.linger = 0
        socket.connect(server.server.connection.endpoint)
        socket.send(b"hello?")
        assert not socket.poll(short_wait * 1000)
    context.term()


def test_hello_comes_first(server: RunningServer) -> None:
    peer = _stranger(server)
    peer.send(messages.Ping(1))
    refused = peer.receive_any()
    assert isinstance(refused, messages.Refused) and "hello" in refused.cause
    peer.send(messages.Shutdown())
    assert isinstance(peer.receive_any(), messages.Refused)
    assert server.thread.is_alive()
    peer.close()


@pytest.mark.parametrize(("low", "high", "older"), [(2, 3, "server"), (0, 0, "add-on")])
def test_versions_that_do_not_fit_say_what_to_update(
    server: RunningServer, low: int, high: int, older: str
) -> None:
    peer = _stranger(server)
    peer.send(messages.Hello(protocol_min=low, protocol_max=high, version="9.9"))
    refused = peer.receive_any()
    assert isinstance(refused, messages.Refused)
    assert refused.code == "version_mismatch"
    assert refused.fix == f"Update the {older}."
    peer.close()


def test_a_newer_client_that_knows_our_protocol_too_is_welcome(server: RunningServer) -> None:
    peer = _stranger(server)
    peer.send(messages.Hello(protocol_min=1, protocol_max=99))
    welcome = peer.receive_any()
    assert isinstance(welcome, messages.Welcome) and welcome.protocol == messages.PROTOCOL_MAX
    peer.close()


def test_the_client_tells_a_refused_version_as_lost(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def newer(**fields: Any) -> messages.Hello:
        return messages.Hello(**fields | {"protocol_min": 7, "protocol_max": 8})

    # only what the client sees: the server reads the real class at the same time
    monkeypatch.setattr(client_module, "messages", SimpleNamespace(**vars(messages) | {"Hello": newer}))
    client = Client(server.server.connection)
    monkeypatch.undo()
    with pytest.raises(Exception, match="same protocol"):
        client.wait_until_ready(20)
    assert client.is_lost
    client.close()


def test_a_blob_under_a_wrong_name_is_refused(server: RunningServer) -> None:
    peer = server.raw()
    peer.send(messages.PutBlob("0" * 64, Blob(PORTRAIT)), messages.HaveBlobs(("0" * 64,)))
    refused = peer.receive(messages.Refused)
    assert isinstance(refused, messages.Refused)
    assert (refused.code, refused.subject) == ("blob_corrupt", "0" * 64)
    missing = peer.receive(messages.BlobsMissing)
    assert missing == messages.BlobsMissing(("0" * 64,))
    peer.close()


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ([(0, 6, b"abc"), (4, 6, b"ef")], "blob_corrupt"),  # a gap
        ([(3, 6, b"def")], "blob_corrupt"),  # no beginning
        ([(0, 6, b"abc"), (3, 6, b"defg")], "blob_corrupt"),  # more than was said
        ([(0, 6, b"")], "blob_corrupt"),
        ([(0, 3, b"abx")], "blob_corrupt"),  # another content
        ([(0, 2**28 + 1, b"abc")], "too_large"),
        ([(0, -1, b"abc")], "blob_corrupt"),
    ],
)
def test_parts_that_make_no_file_are_refused(
    server: RunningServer, parts: list[tuple[int, int, bytes]], code: str
) -> None:
    digest = hashlib.sha256(b"abc").hexdigest()
    peer = server.raw()
    for start, size, data in parts:
        peer.send(messages.PutPart(digest, start, size, Blob(data)))
    refused = peer.receive(messages.Refused)
    assert isinstance(refused, messages.Refused)
    assert (refused.code, refused.subject) == (code, digest)
    peer.send(messages.HaveBlobs((digest,)))
    assert peer.receive(messages.BlobsMissing) == messages.BlobsMissing((digest,))
    peer.send(messages.PutPart(digest, 0, 3, Blob(b"ab")), messages.PutPart(digest, 2, 3, Blob(b"c")))
    assert peer.receive(messages.BlobStored) == messages.BlobStored(digest), "it may begin again"
    peer.close()


def test_a_name_in_use_is_refused_and_the_first_job_goes_on(server: RunningServer, client: Client) -> None:
    source = prepared(client)
    peer = server.raw()
    server.backend.gate.clear()
    render = messages.Render("same", source, (1,), "png", 1, Blob(weights(1).tobytes()))
    peer.send(render, render)
    refused = peer.receive(messages.Refused)
    assert isinstance(refused, messages.Refused) and refused.subject == "same"
    server.backend.gate.set()
    assert isinstance(peer.receive(Frame), Frame)
    assert peer.receive(messages.Done, messages.Failed) == Done("same")
    peer.close()


def test_a_reader_that_never_reads_does_not_fill_the_servers_memory(
    server: RunningServer, client: Client
) -> None:
    """It sends and sends; what it does not fetch is dropped or held back, and in the end it is given up."""
    source = prepared(client)
    keys = server.server.connection
    context = zmq.Context()
    deaf = context.socket(zmq.DEALER)
    deaf.linger, deaf.rcvhwm, deaf.sndhwm = 0, 1, 0
    deaf.rcvbuf = 16_384  # or the system would take megabytes on its behalf
    deaf.curve_serverkey, deaf.curve_publickey = keys.server_public.encode(), keys.client_public.encode()
    deaf.curve_secretkey = keys.client_secret.encode()
    deaf.connect(keys.endpoint)
    deaf.send_multipart(codec.encode(messages.Hello(client="deaf")))
    until(client, lambda _told: "deaf" in [connection.client for connection in server.server._connections])
    blob = Blob(np.zeros((1, CHANNELS), "<f4").tobytes())
    numbers = itertools.count()

    def is_given_up(_told: list[Event]) -> bool:
        for _ in range(200):
            render = messages.Render(f"d{next(numbers)}", "nothing", (1,), "png", 1, blob)
            deaf.send_multipart(codec.encode(render))
        return "deaf" not in [connection.client for connection in server.server._connections]

    until(client, is_given_up)
    assert isinstance(client.wait(client.start(*asking.render(source, range(5), weights(5))), 60)[-1], Done)
    deaf.close()
    context.term()


def test_the_store_for_files_is_bounded(
    monkeypatch: pytest.MonkeyPatch, start_server: Callable[..., RunningServer]
) -> None:
    from edtalk_server.service.blobs import BlobStore

    monkeypatch.setattr(dispatcher, "BlobStore", lambda: BlobStore(capacity=1_000_000))
    server = start_server()
    client = server.client()
    for number in range(20):
        assert prepared(client, bytes([number]) * 300_000)
    assert server.server._dispatcher._blobs.size <= 1_000_000
    (failure,) = client.wait(client.start(*asking.prepare(bytes(1_000_001))), 20)
    assert isinstance(failure, messages.Failed)
    client.close()
