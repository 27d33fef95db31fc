"""What waits in the server's memory is counted, and what a program claims about itself is not believed."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from blender_addon.core.server.client import Client
from edtalk_server.cli import main
from edtalk_server.media.audio.voice import load_voice
from edtalk_server.media.faces import detection
from edtalk_server.media.steps import run_to_end
from edtalk_server.media.video.reader import Clip
from edtalk_server.service import connections, jobs, limits, logs, memory, model
from edtalk_server.service.connections import ClientConnections
from edtalk_server.service.handlers.render import RenderHandler
from edtalk_server.service.server import Server
from shared_protocol import messages
from shared_protocol.messages import BlobStored, Done, Failed, Refused
from shared_protocol.processes import CANNOT_RUN_STATUS
from tests import asking
from tests.server import fuzz
from tests.unit.media.filemaker import pictures, wav, write_film

from .conftest import CHANNELS, RunningServer
from .test_service import prepared, until, weights


def test_portraits_that_wait_are_counted_and_one_that_several_share_only_once(
    client: Client, server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "MAX_OPEN_BYTES", 1_000_000)
    server.backend.gate.clear()
    same = [client.start(*asking.prepare(b"s" * 400_000)) for _ in range(10)]
    until(client, lambda _told: len(server.server._dispatcher._jobs) == 10)
    fits, too_much = (client.start(*asking.prepare(bytes([tone]) * 400_000)) for tone in (1, 2))
    told = client.wait(too_much, 20)
    assert isinstance(told[-1], Failed) and told[-1].code == "too_large"
    server.backend.gate.set()
    assert all(isinstance(client.wait(job, 20)[-1], Done) for job in (*same, fits))


def test_files_that_never_become_complete_make_room_for_one_that_does(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MAX_ASSEMBLED_BYTES", 250_000)
    hoarders = [server.raw(f"hoarder {number}") for number in range(3)]
    part = b"h" * 100_000
    for peer in hoarders:
        peer.send(messages.PutPart("a" * 64, 0, 10**6, messages.Blob(part)), messages.Ping(7))
        while not (isinstance(pong := peer.receive(messages.Pong), messages.Pong) and pong.serial == 7):
            pass
    held = [one.assembly.size for one in server.server._connections]
    assert sum(held) <= 250_000 and max(held) > 0
    digest = hashlib.sha256(part).hexdigest()
    hoarders[2].send(messages.PutPart(digest, 0, len(part), messages.Blob(part)))
    assert hoarders[2].receive(BlobStored, Refused) == BlobStored(digest)
    hoarders[0].send(messages.PutPart("a" * 64, len(part), 10**6, messages.Blob(part)))
    refused = hoarders[0].receive(Refused)
    assert isinstance(refused, Refused) and refused.code == "blob_corrupt", "it can begin again"
    for peer in hoarders:
        peer.close()


def test_frames_that_nobody_reads_hold_a_render_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_UNREAD_BYTES", 100)
    source = SimpleNamespace(side=lambda _: 8, size=8)
    resources: Any = SimpleNamespace(
        sources=SimpleNamespace(get=lambda _: source),
        backend=SimpleNamespace(channels=CHANNELS, largest_batch=1, notice=""),
        batch_size=SimpleNamespace(frames=1, adapt=lambda *_: None),
        drawing=SimpleNamespace(
            expect=lambda _: None,
            side_by_side=1,
            path="",
            draw=lambda *_: [SimpleNamespace(width=8, height=8, data=bytes(60))],
        ),
    )
    render = messages.Render("j", "s", tuple(range(9)), "png", 9, messages.Blob(weights(9).tobytes()))
    handler = RenderHandler(render, resources, 0.0)
    for _ in range(2):
        assert handler.is_ready
        handler.answer(handler.next_step(lambda: True)(), 0.01, 0.0)
    assert not handler.is_ready, "two frames are unread"
    handler.add_credit(1)
    assert handler.is_ready, "one was read"


def test_only_one_picture_stays_after_an_inspection(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[bytes] = []

    def load(portrait: bytes) -> np.ndarray[Any, Any]:
        looked.append(portrait)
        return np.zeros((len(portrait), 10, 3), np.uint8)

    monkeypatch.setattr(model, "load_portrait", load)
    monkeypatch.setattr(detection, "_detect", lambda *_: [])
    monkeypatch.setattr(model, "_MOST_KEPT", 1000)
    known = model._Detected()
    for portrait in (b"small", b"small", b"large" * 100, b"large" * 100):
        run_to_end(known.get(portrait))
    assert [len(portrait) for portrait in looked] == [5, 500, 500], "a very large picture is not kept"


def test_a_video_or_a_voice_in_memory_leaves_no_file_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that is killed in a capture cannot clear away."""
    film = tmp_path / "film.mp4"
    write_film(film, pictures(5), 25)
    data = film.read_bytes()
    film.unlink()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    next(Clip.open(data).pictures())
    load_voice(wav(np.zeros(8000, np.float32)))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("address", "is_here"),
    [
        *((address, True) for address in ("127.0.0.1", "::1", "::ffff:127.0.0.1", "10.0.0.7")),
        *((address, False) for address in ("192.0.2.9", "10.0.0.8", "", "nonsense")),
    ],
)
def test_the_system_says_who_is_on_this_machine(address: str, is_here: bool) -> None:
    socket: Any = SimpleNamespace(getsockopt_string=lambda _: "tcp://10.0.0.7:4000")
    assert ClientConnections(socket).receive_from(b"id", address, 0.0).is_here is is_here


def test_a_process_number_from_elsewhere_opens_no_files(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(ClientConnections, "_is_here", lambda *_: False)
    peer = server.raw("claims")
    peer.send(messages.Hello(client="claims", pid=1))
    peer.send(messages.Movie("m", str(tmp_path), "%04d.png", 1, 2, output=str(tmp_path / "film.mp4")))
    failed = peer.receive(Failed)
    assert isinstance(failed, Failed) and failed.code == "unsupported" and "own machine" in failed.cause
    peer.close()


def test_some_messages_with_absurd_values_do_no_harm(
    server: RunningServer, client: Client, tmp_path: Path
) -> None:
    """A few of the 100,000 that `python -m tests.server.fuzz` sends."""
    source = prepared(client)
    peer = server.raw("fuzz")
    answers = list(fuzz.fuzz(peer, 1500, 1, source, str(tmp_path)))[-1]
    assert sum(answers.values()) > 500, "they are read and answered"
    told = client.wait(client.start(*asking.render(source, range(5), weights(5))), 60)
    assert isinstance(told[-1], Done)
    assert not list(tmp_path.iterdir()), "nothing was written"
    peer.close()


def test_a_server_that_cannot_write_its_keys_says_so_and_ends_for_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setattr(memory, "apply", lambda _: None)
    monkeypatch.setattr(logs, "set_up", lambda _: None)
    monkeypatch.setattr(Server, "stop_on_signals", lambda _: None)
    place = tmp_path / "file" / "keys" / "server-1.json"
    assert main(["serve", "--fake", "--connection-file", str(place)]) == CANNOT_RUN_STATUS
    assert "error: The keys for clients cannot be written to" in capsys.readouterr().err


def test_a_movie_makes_one_folder_and_no_path_of_folders(client: Client, tmp_path: Path) -> None:
    output = tmp_path / "a" / "b" / "film.mp4"
    told = client.wait(client.start(*asking.movie(tmp_path, range(1, 3), output)), 20)
    assert isinstance(told[-1], Failed) and "is missing" in told[-1].cause
    assert not list(tmp_path.iterdir())
