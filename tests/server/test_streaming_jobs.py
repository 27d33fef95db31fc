"""Captures, movies, bundles and memory as an add-on asks for them, over real sockets."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from blender_addon.core.server.client import Client
from blender_addon.core.server.events import weights_of
from edtalk_server.bundles import official, official_names
from edtalk_server.evaluation.golden import rule
from edtalk_server.networks.config import EDTalkConfig
from edtalk_server.service import limits
from shared_protocol import messages, paths
from shared_protocol.errors import ErrorCode
from shared_protocol.messages import Cancelled, Done, Failed, Performance, Pong
from shared_protocol.messages import Progress as JobProgress
from tests import asking

from .conftest import RunningServer
from .test_service import prepared, until, weights

VIDEO = bytes(range(20, 90))


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """A folder of frames 1 to 20."""
    folder = tmp_path / "Bilder é"
    folder.mkdir()
    for number in range(1, 21):
        data = cv2.imencode(".png", np.full((36, 64, 3), number * 10, np.uint8))[1]
        (folder / f"{number:04d}.png").write_bytes(data.tobytes())
    return folder


def write_catalogue(offers: dict[str, dict[str, tuple[bytes, int]]], address: str = "https://a.test") -> None:
    """The user's own catalogue: names to files with their content and size."""
    entries = [
        {
            "name": name,
            "title": name.title(),
            "version": "1",
            "licence": "CC0-1.0",
            "address": address,
            "files": {
                file: {"sha256": hashlib.sha256(data).hexdigest(), "size": size}
                for file, (data, size) in files.items()
            },
        }
        for name, files in offers.items()
    ]
    paths.catalogue_file().parent.mkdir(parents=True, exist_ok=True)
    paths.catalogue_file().write_text(
        json.dumps({"format": "edtalk-catalogue", "format_version": 1, "bundles": entries})
    )


@pytest.fixture(autouse=True)
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No bundles and no catalogue but those of the test."""
    monkeypatch.setenv("EDTALK_DATA_DIR", str(tmp_path / "data"))


# --- predictions ---


def told_by_a_prediction(client: Client, server: RunningServer, **options: Any) -> list[Any]:
    """What the server tells of a prediction that is held in its third frame for a moment."""
    source = prepared(client)
    server.backend.pause = 0.3
    return client.wait(client.start(*asking.predict(source, bytes(range(8)), frames=6, **options)), 20)


def test_a_long_prediction_tells_how_far_it_is(client: Client, server: RunningServer) -> None:
    told = told_by_a_prediction(client, server, progress=True)
    steps = [event for event in told if isinstance(event, JobProgress)]
    assert steps and {step.stage for step in steps} == {"moving the mouth"}
    assert [step.done for step in steps] == sorted({step.done for step in steps}), "nothing is told twice"
    assert all(step.total == 6 for step in steps)
    assert isinstance(told[-1], Done)


def test_a_client_that_does_not_ask_for_progress_gets_what_it_got(
    client: Client, server: RunningServer
) -> None:
    told = told_by_a_prediction(client, server)
    assert [type(event) for event in told] == [Performance, Done]


# --- captures ---


def test_a_video_becomes_a_performance_with_notes(client: Client) -> None:
    told = client.wait(client.start(*asking.capture(prepared(client), VIDEO, frames=30)), 20)
    (performance,) = (event for event in told if isinstance(event, Performance))
    np.testing.assert_allclose(weights_of(performance)[:, 0] * 100, list(VIDEO[:30]), rtol=1e-6)
    assert performance.notes == ("the light is poor",)
    assert isinstance(told[-1], Done)


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        ({"zero": "yesterday"}, "The moment of zero is not in the video."),
        ({"zero": "second", "zero_second": -1.0}, "The moment of zero is not in the video."),
        ({"pose": -1.0}, "A strength is not between 0 and 10."),
        ({"mouth": 11.0}, "A strength is not between 0 and 10."),
    ],
)
def test_a_capture_with_impossible_settings_is_refused_in_words(
    client: Client, options: dict[str, Any], cause: str
) -> None:
    told = client.wait(client.start(*asking.capture(prepared(client), VIDEO, frames=3, **options)), 20)
    assert isinstance(told[-1], Failed) and told[-1].cause == cause


def test_a_long_capture_tells_how_far_it_is_and_lets_previews_through(
    client: Client, server: RunningServer
) -> None:
    source = prepared(client)
    server.backend.pause = 0.02
    job = client.start(*asking.capture(source, VIDEO, frames=60))
    told = until(client, lambda told: any(isinstance(event, JobProgress) for event in told))
    (preview,) = client.wait(client.start(*asking.preview(source, weights(1)[0])), 20)[:1]
    assert isinstance(preview, messages.PreviewFrame)
    told += client.wait(job, 20)
    assert server.backend.log.index("render 1") < server.backend.log.index("capture closed")
    steps = [event for event in told if isinstance(event, JobProgress)]
    assert [event.done for event in steps] == sorted(event.done for event in steps)
    assert steps[-1].total == 60 and steps[-1].stage == "reading the face" and steps[-1].eta >= 0
    assert isinstance(told[-1], Done)


def test_a_cancelled_capture_ends_at_once_and_is_cleared_away(client: Client, server: RunningServer) -> None:
    source = prepared(client)
    server.backend.pause = 0.02
    job = client.start(*asking.capture(source, VIDEO, frames=70))
    until(client, lambda told: any(isinstance(event, JobProgress) for event in told))
    client.cancel(job)
    assert isinstance(client.wait(job, 20)[-1], Cancelled)
    done = server.backend.log.count("capture")
    until(client, lambda _told: "capture closed" in server.backend.log)
    assert server.backend.log.count("capture") <= done + 6, "it stops soon, not at its end"


def test_a_client_that_vanishes_takes_its_capture_along(client: Client, server: RunningServer) -> None:
    other = server.client()
    server.backend.pause = 0.02
    other.start(*asking.capture(prepared(other), VIDEO * 10, frames=500))
    until(other, lambda told: any(isinstance(event, JobProgress) for event in told))
    other.close()
    until(client, lambda _told: "capture closed" in server.backend.log)


# --- movies ---


def test_frames_become_a_movie(client: Client, frames: Path, tmp_path: Path) -> None:
    target = tmp_path / "new" / "film.mp4"
    told = client.wait(client.start(*asking.movie(frames, range(1, 21), target, fps=(24000, 1001))), 60)
    assert isinstance(told[-1], Done), told
    video = cv2.VideoCapture(str(target))
    assert int(video.get(cv2.CAP_PROP_FRAME_COUNT)) == 20
    assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(24000 / 1001)
    video.release()
    assert list(target.parent.iterdir()) == [target]


def test_a_missing_frame_is_named_before_anything_is_written(
    client: Client, frames: Path, tmp_path: Path
) -> None:
    (frames / "0007.png").unlink()
    told = client.wait(client.start(*asking.movie(frames, range(1, 21), tmp_path / "film.mp4")), 20)
    assert isinstance(told[-1], Failed) and "0007.png" in told[-1].cause
    assert not (tmp_path / "film.mp4").exists()


def test_a_movie_is_written_while_the_model_is_busy(
    client: Client, server: RunningServer, frames: Path, tmp_path: Path
) -> None:
    source = prepared(client)
    server.backend.gate.clear()
    held = client.start(*asking.render(source, range(4), weights(4)))
    assert isinstance(
        client.wait(client.start(*asking.movie(frames, range(1, 21), tmp_path / "film.mp4")), 60)[-1], Done
    )
    server.backend.gate.set()
    assert isinstance(client.wait(held, 20)[-1], Done)


def test_a_movie_of_a_million_missing_frames_can_be_cancelled_while_it_looks(
    client: Client, frames: Path, tmp_path: Path
) -> None:
    job = client.start(*asking.movie(frames, range(1, 1_000_001), tmp_path / "film.mp4"))
    told = until(client, lambda told: any(isinstance(event, JobProgress) for event in told))
    assert "looking for the frames" in [getattr(event, "stage", "") for event in told]
    client.cancel(job)
    assert isinstance(client.wait(job, 20)[-1], Cancelled)
    other = client.start(*asking.movie(frames, range(1, 3), tmp_path / "short.mp4"))
    assert isinstance(client.wait(other, 60)[-1], Done), "the worker is free again"


def test_a_cancelled_movie_leaves_no_file(client: Client, frames: Path, tmp_path: Path) -> None:
    for number in range(21, 4000):
        os.link(frames / "0001.png", frames / f"{number:04d}.png")
    target = tmp_path / "out"
    job = client.start(*asking.movie(frames, range(1, 4000), target / "film.mp4"))
    until(client, lambda told: "writing the movie" in [getattr(event, "stage", "") for event in told])
    assert len(list(target.iterdir())) == 1, "it grows beside its place"
    client.cancel(job)
    assert isinstance(client.wait(job, 20)[-1], Cancelled)
    end = time.monotonic() + 20
    while list(target.iterdir()):
        assert time.monotonic() < end, "the half movie is still there"
        time.sleep(0.01)


def test_a_program_elsewhere_cannot_make_the_server_touch_files(
    server: RunningServer, tmp_path: Path
) -> None:
    peer = server.raw()  # its hello has no process number
    try:
        for request in (
            messages.Movie("a", str(tmp_path), output=str(tmp_path / "film.mp4")),
            messages.ImportBundle("b", str(tmp_path), "new"),
        ):
            peer.send(request)
            answer = peer.receive(Failed)
            assert isinstance(answer, Failed) and answer.code == ErrorCode.UNSUPPORTED
            assert "own machine" in answer.cause
    finally:
        peer.close()


# --- bundles ---


def test_the_shipped_bundle_is_listed_and_so_is_what_the_catalogue_offers(client: Client) -> None:
    write_catalogue({"large": {"bundle.json": (b"{}", 12_000_000)}})
    told = client.wait(client.start(*asking.list_bundles()), 20)
    (answer,) = (event for event in told if isinstance(event, messages.Bundles))
    starter, offered = answer.bundles
    assert (starter.name, starter.path, starter.licence, starter.size) == (
        "starter",
        "starter",
        "CC0-1.0",
        256,
    )
    assert starter.installed and not starter.running and starter.bytes > 1_000_000
    assert (offered.name, offered.installed, offered.bytes) == ("large", False, 12_000_000)


def test_a_folder_with_the_official_checkpoints_becomes_a_bundle_of_the_list(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = EDTalkConfig(size=16, style_dim=40, width_base=128, width_max=4, enhancement_hidden=4)
    monkeypatch.setattr(official, "FACE", tiny)
    for name, key, kind, tensors in (
        ("EDTalk.pt", "gen", "edtalk", official_names.face_tensors(tiny)),
        ("Audio2Lip.pt", "audio2lip", "audio2lip", official_names.audio_tensors(official.AUDIO)),
    ):
        torch.save({key: rule.checkpoint("TEST", kind, tensors)}, tmp_path / name)
    told = client.wait(client.start(*asking.import_bundle(tmp_path, "mine")), 120)
    (answer,) = (event for event in told if isinstance(event, messages.Bundles))
    mine = next(one for one in answer.bundles if one.name == "mine")
    assert mine.installed and not mine.running and mine.bytes > 0 and mine.licence
    assert Path(mine.path).is_dir()
    stages = {event.stage for event in told if isinstance(event, JobProgress)}
    assert "writing the bundle" in stages


def test_an_import_that_cannot_work_says_why(client: Client, tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("nothing")
    told = client.wait(client.start(*asking.import_bundle(tmp_path, "mine")), 60)
    assert isinstance(told[-1], Failed) and told[-1].code == ErrorCode.BUNDLE_INVALID
    assert "no checkpoints" in told[-1].cause


# --- memory ---


def test_memory_is_given_back_when_the_running_job_has_ended(client: Client, server: RunningServer) -> None:
    source = prepared(client)
    server.backend.on_device = 700
    server.backend.gate.clear()
    job = client.start(*asking.render(source, range(4), weights(4)))
    client.release()
    server.backend.gate.set()
    assert isinstance(client.wait(job, 20)[-1], Done)
    until(client, lambda _told: server.backend.log[-1] == "release")
    until(client, lambda _told: client.health.device_memory == 0 and client.health.serial == 0)
    assert server.backend.log.index("render 1") < server.backend.log.index("release")
    assert isinstance(client.wait(client.start(*asking.preview(source, weights(1)[0])), 20)[-1], Done), (
        "and it goes on after"
    )


def test_unused_memory_is_given_back_without_being_asked_for(
    start_server: Callable[..., RunningServer],
) -> None:
    server = start_server(release_after=0.3)
    client = server.client()
    server.backend.on_device = 700
    prepared(client)
    until(client, lambda _told: "release" in server.backend.log)
    time.sleep(0.6)
    assert server.backend.log.count("release") == 1, "once, until it works again"
    client.close()


def test_a_server_tells_its_memory(client: Client, server: RunningServer) -> None:
    server.backend.on_device = 700
    peer = server.raw()
    peer.send(messages.Ping(9))
    while (pong := peer.receive(Pong)).serial != 9:  # type: ignore[attr-defined]
        pass
    assert isinstance(pong, Pong)
    assert (pong.device_memory, pong.device_capacity) == (700, 1000)
    assert pong.memory > 0
    peer.close()


def test_short_memory_is_told_with_the_progress(client: Client, server: RunningServer) -> None:
    server.backend.notice = "on the CPU because the graphics memory is full"
    told = client.wait(client.start(*asking.render(prepared(client), range(3), weights(3))), 20)
    stages = {event.stage for event in told if isinstance(event, JobProgress)}
    assert stages == {"rendering, on the CPU because the graphics memory is full"}


def test_large_portraits_are_forgotten_before_they_fill_the_memory(client: Client) -> None:
    first, second = prepared(client, b"huge 1"), prepared(client, b"huge 2")
    assert limits.MAX_SOURCE_BYTES < 2 * 600 * 1024**2
    told = client.wait(client.start(*asking.preview(first, weights(1)[0])), 20)
    assert isinstance(told[-1], Failed) and told[-1].code == ErrorCode.UNKNOWN_SOURCE
    assert isinstance(client.wait(client.start(*asking.preview(second, weights(1)[0])), 20)[-1], Done)
