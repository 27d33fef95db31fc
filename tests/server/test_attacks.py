"""What other programs of the machine may try, with and without the key: the server works on for those who have it."""

from __future__ import annotations

import errno
import os
import socket
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from blender_addon.core.server.client import Client
from edtalk_server.service import handshakes, memory
from edtalk_server.service.handlers import HANDLERS
from edtalk_server.service.parents import Parents
from shared_protocol import codec, messages, processes
from shared_protocol.errors import EDTalkError, ErrorCode
from tests import asking

from .conftest import RunningServer
from .test_service import prepared, weights

posix = pytest.mark.skipif(os.name != "posix", reason="descriptors are POSIX")
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def failure(client: Client, asked: asking.Asked[Any]) -> messages.Failed:
    """How a request fails."""
    (event,) = client.wait(client.start(*asked), 20)
    assert isinstance(event, messages.Failed)
    return event


@posix
def test_connections_that_show_no_key_are_closed_when_many_wait(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handshakes, "MOST_WAITING", 8)
    port = int(server.server.connection.endpoint.rpartition(":")[2])
    before = server.client()
    assert prepared(before)
    with ExitStack() as held:
        strangers = [held.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(40)]
        for stranger in strangers[:32]:
            stranger.settimeout(20)
            while stranger.recv(1000):  # the server's greeting, then the end
                pass
        client = server.client()
        assert prepared(client), "who has the key is served beside them"
        assert prepared(before), "and who was there before them still is"
        client.close()
    before.close()


@posix
def test_a_connection_whose_number_was_given_away_stays_open() -> None:
    """Between libzmq's report and our look a descriptor may belong to another file."""
    with (
        socket.create_server(("127.0.0.1", 0)) as other,
        socket.create_connection(other.getsockname()) as ours,
    ):
        handshakes._hang_up(ours.fileno(), 1)
        with other.accept()[0] as theirs:
            ours.sendall(b"still open")
            assert theirs.recv(100) == b"still open"
    with Path(os.devnull).open("rb") as file:
        handshakes._hang_up(file.fileno(), 1)
        assert file.read() == b""


@linux
def test_memory_and_parents_survive_a_process_without_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    parents = Parents([os.getpid()])
    assert memory.memory_in_use() > 2**20

    def none_left(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(Path, "read_text", none_left)
    monkeypatch.setattr(os, "open", none_left)
    assert memory.memory_in_use() > 2**20
    assert processes.is_running(os.getpid(), "12")
    assert not parents.all_gone(), "what is not known is no reason to end"
    parents.add(os.getpid())
    monkeypatch.setattr(os, "pread", none_left)
    assert memory.memory_in_use() == 0


@posix
def test_the_limit_of_descriptors_is_raised() -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
        memory.raise_descriptor_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= min(memory.DESCRIPTORS, before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_name_that_is_no_unicode_fails_its_own_job_alone(client: Client, server: RunningServer) -> None:
    def fail(*_: object) -> None:
        raise EDTalkError(ErrorCode.IMAGE_UNREADABLE, "“film\udcff.png” cannot be read.", "Rename it.")

    source = prepared(client)
    server.backend.render = fail  # type: ignore[method-assign, assignment]
    failed = failure(client, asking.render(source, [1], weights(1)))
    assert failed.cause == "“film?.png” cannot be read."
    assert prepared(client, b"another portrait"), "the next job works"


def test_what_a_handler_did_not_expect_ends_its_own_job_alone(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(*_: object) -> None:
        raise RuntimeError("nobody thought of this")

    for method in ("next_step", "answer", "__init__"):
        with monkeypatch.context() as patch:
            patch.setattr(HANDLERS[messages.Prepare], method, stumble)
            failed = failure(client, asking.prepare(b"portrait for " + method.encode()))
            assert "nobody thought of this" in failed.cause
    assert prepared(client), "the next job works"


def test_a_request_with_odd_letters_is_refused_by_its_sender() -> None:
    """A question mark in a path would name another file."""
    movie = messages.Movie(job="1", output="film\udcff.mp4")
    with pytest.raises(codec.MalformedMessageError, match="cannot be sent"):
        codec.encode(movie)


@pytest.mark.parametrize("pattern", ["%0999999999d.png", "%013d.png", "%099d.exr", "picture.png"])
def test_a_movie_of_frames_with_endless_names_is_refused(client: Client, pattern: str) -> None:
    movie = messages.Movie(folder="f", pattern=pattern, first=1, last=2, output="out.mp4")
    assert failure(client, (movie, ())).code == ErrorCode.BAD_MESSAGE
