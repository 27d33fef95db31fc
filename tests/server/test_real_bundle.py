"""The whole way with nothing replaced: the started command, the shipped bundle, a real portrait and a real voice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from blender_addon.core.server.client import Client
from blender_addon.core.server.events import Ready, pixels_of, raise_if_failed, weights_of
from shared_protocol import connection
from shared_protocol.banks import Bank
from shared_protocol.messages import Crop, Done, Failed, Frame, Inspected, Performance, Prepared, PreviewFrame
from tests import asking

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "edtalk_server" / "samples"
FPS = (24000, 1001)
FRAMES = 12


@dataclass
class Show:
    """A running server and what was made with it."""

    client: Client
    process: subprocess.Popen[bytes]
    ready: dict[str, object]


@pytest.fixture(scope="module")
def show(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Show]:
    """`edtalk serve` as Blender starts it, one for all tests here."""
    folder = tmp_path_factory.mktemp("real server")
    file = folder / "run" / "server-test.json"
    command = [sys.executable, "-I", "-m", "edtalk_server.cli", "serve", "--device", "cpu"]
    options = [
        "--parent-pid",
        str(os.getpid()),
        "--connection-file",
        str(file),
        "--log-file",
        str(folder / "log"),
    ]
    errors = folder / "errors"
    with errors.open("wb") as stream:
        process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=stream)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, f"the server did not start: {errors.read_text()[-2000:]}"
    client = Client(connection.read(file), "test")
    client.wait_until_ready(60)
    yield Show(client, process, json.loads(line))
    client.shutdown()
    client.tick()
    assert process.wait(30) == 0
    assert not file.exists()
    client.close()
    process.stdout.close()


def source_of(client: Client, portrait: Path) -> Prepared:
    """The prepared portrait."""
    answer = client.wait(client.start(*asking.prepare(portrait.read_bytes())), 120)[0]
    raise_if_failed(answer)
    assert isinstance(answer, Prepared)
    return answer


def test_a_portrait_and_a_voice_become_a_talking_face(show: Show) -> None:
    client = show.client
    assert show.ready["ready"] and client.welcome is not None
    bundle = Ready(client.welcome).bundle
    assert len(bundle["digest"]) == 64, "what is rendered can be told from that of another bundle"
    prepared = source_of(client, SAMPLES / "portrait.png")
    own = weights_of(prepared)
    assert (
        own.shape == (1, len(bundle["bases"])) and (prepared.width, prepared.height) == (bundle["size"],) * 2
    )

    voice = (SAMPLES / "voice.flac").read_bytes()
    performance, done = client.wait(
        client.start(*asking.predict(prepared.source, voice, fps=FPS, frames=48)), 120
    )
    assert isinstance(performance, Performance) and isinstance(done, Done)
    motion = weights_of(performance)
    mouth = np.array([basis["bank"] == Bank.MOUTH for basis in bundle["bases"]])
    assert motion.shape == (48, len(mouth)) and np.ptp(motion[:, mouth], axis=0).max() > 0.05, (
        "the mouth moves"
    )
    assert np.array_equal(motion[:, ~mouth], np.repeat(own[:, ~mouth], 48, axis=0)), "all else rests"

    loudest = int(np.argmax(np.abs(motion[:, mouth] - motion[:, mouth].mean(axis=0)).sum(axis=1)))
    chosen = np.stack([own[0], motion[loudest], own[0]])
    frames = [
        e
        for e in client.wait(client.start(*asking.render(prepared.source, [5, 6, 9], chosen)), 300)
        if isinstance(e, Frame)
    ]
    assert [frame.frame for frame in frames] == [5, 6, 9]
    pictures = [cv2.imdecode(np.frombuffer(frame.data, np.uint8), cv2.IMREAD_COLOR) for frame in frames]
    assert all(picture.shape == (bundle["size"], bundle["size"], 3) for picture in pictures)
    assert np.array_equal(pictures[0], pictures[2]), "the same weights make the same picture"
    assert not np.array_equal(pictures[0], pictures[1]), "another mouth makes another picture"

    preview = client.wait(client.start(*asking.preview(prepared.source, own[0])), 120)[0]
    assert isinstance(preview, PreviewFrame)
    upright = pixels_of(preview)[::-1, :, 2::-1]
    assert np.array_equal(upright, pictures[0]), "preview and bake show the same"


def test_a_real_photo_is_found_and_kept(show: Show, shared: Path) -> None:
    prepared = source_of(show.client, shared / "data" / "astronaut.png")
    assert prepared.crop.side > 50
    assert source_of(show.client, shared / "data" / "astronaut.png").source == prepared.source


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"just some text in a file named .png", "image_unreadable"),
        (b"", "image_unreadable"),
        (cv2.imencode(".png", np.full((300, 300, 3), 200, np.uint8))[1].tobytes(), "no_face"),
    ],
)
def test_a_portrait_that_cannot_be_used_says_why(show: Show, data: bytes, code: str) -> None:
    (failure,) = show.client.wait(show.client.start(*asking.prepare(data)), 60)
    assert isinstance(failure, Failed)
    assert failure.code == code and failure.cause.endswith(".") and failure.fix.endswith(".")


def inspected(client: Client, portrait: bytes, crop: Crop | None = None) -> Inspected:
    """The answer to `Inspect`."""
    answer = client.wait(client.start(*asking.inspect(portrait, crop)), 120)[0]
    raise_if_failed(answer)
    assert isinstance(answer, Inspected)
    return answer


def test_looking_at_a_portrait_tells_what_preparing_it_would_do(show: Show, shared: Path) -> None:
    photo = shared / "data" / "astronaut.png"
    seen, prepared = inspected(show.client, photo.read_bytes()), source_of(show.client, photo)
    assert (seen.verdict, seen.advice, prepared.verdict) == ("good", "", "good")
    assert seen.crop == prepared.crop
    assert (seen.width, seen.height) == (prepared.full_width, prepared.full_height) == (512, 512)
    assert len(seen.faces) == 1 and abs(seen.faces[0].center_x - seen.crop.center_x) < 20
    assert abs(seen.turned) < 10, "she looks ahead"
    aside = inspected(show.client, photo.read_bytes(), Crop(400.0, 400.0, 150.0, 0.0))
    assert (aside.verdict, aside.crop) == ("no_face", Crop(400.0, 400.0, 150.0, 0.0))


def test_a_picture_without_a_face_is_a_verdict_and_no_failure(show: Show) -> None:
    blank = cv2.imencode(".png", np.full((300, 400, 3), 200, np.uint8))[1].tobytes()
    seen = inspected(show.client, blank)
    assert (seen.verdict, seen.faces, seen.crop) == ("no_face", (), Crop(200.0, 150.0, 300.0, 0.0))
    assert seen.advice.endswith(".")
    (failure,) = show.client.wait(show.client.start(*asking.inspect(b"no picture")), 60)
    assert isinstance(failure, Failed) and failure.code == "image_unreadable"


def test_a_full_frame_at_rest_is_the_photo_and_an_open_jaw_changes_the_face_only(
    show: Show, shared: Path
) -> None:
    photo = cv2.imread(str(shared / "data" / "astronaut.png"))
    prepared = source_of(show.client, shared / "data" / "astronaut.png")
    rows = np.repeat(weights_of(prepared), 2, axis=0)
    rows[1, 0] = 0.8  # the starter's first weight opens the jaw
    told = show.client.wait(
        show.client.start(*asking.render(prepared.source, [1, 2], rows, framing="full")), 120
    )
    rest, opened = (
        cv2.imdecode(np.frombuffer(e.data, np.uint8), cv2.IMREAD_COLOR).astype(np.float64)
        for e in told
        if isinstance(e, Frame)
    )
    assert 10 * np.log10(255**2 / max(1e-9, ((rest - photo) ** 2).mean())) > 50
    x, y, half = int(prepared.crop.center_x), int(prepared.crop.center_y), int(0.55 * prepared.crop.side)
    assert np.abs(opened - photo)[y : y + half, x - half : x + half].max() > 60
    assert np.array_equal(opened[y + half :], photo[y + half :]), "the suit is not touched"


def test_a_damaged_voice_says_why(show: Show) -> None:
    prepared = source_of(show.client, SAMPLES / "portrait.png")
    for data in (b"RIFF\xff\xff\xff\xffWAVEfmt rubbish", b"", (SAMPLES / "voice.flac").read_bytes()[:40]):
        (failure,) = show.client.wait(show.client.start(*asking.predict(prepared.source, data)), 60)
        assert isinstance(failure, Failed)
        assert failure.code in ("audio_unreadable", "audio_empty")


def test_a_second_of_film_is_cancelled_at_once_and_the_next_job_runs(show: Show) -> None:
    client = show.client
    prepared = source_of(client, SAMPLES / "portrait.png")
    job = client.start(
        *asking.render(prepared.source, range(1000), np.repeat(weights_of(prepared), 1000, axis=0))
    )
    told = []
    for event in client.events(job, 120):
        told.append(event)
        if isinstance(event, Frame):
            client.cancel(job)
    kept = [event for event in told if isinstance(event, Frame)]
    assert 1 <= len(kept) < 100 and [frame.frame for frame in kept] == list(range(len(kept)))
    assert type(told[-1]).__name__ == "Cancelled"
    assert source_of(client, SAMPLES / "portrait.png").source == prepared.source


def test_a_film_of_the_portrait_drives_it_as_it_was_driven(show: Show, tmp_path: Path) -> None:
    """Frames, a movie of them with the voice, and the capture of that movie: the known curves come back."""
    client, prepared = show.client, source_of(show.client, SAMPLES / "portrait.png")
    names = [basis["identifier"] for basis in Ready(client.welcome).bundle["bases"]]
    seconds = np.arange(50) * FPS[1] / FPS[0]
    moving = np.clip((seconds - 0.4) * 4, 0, 1)
    curves = {
        "yaw": 0.5 * np.sin(2 * np.pi * (seconds - 0.4) / 1.6) * moving,
        "jaw_open": 0.3 * (1 - np.cos(2 * np.pi * (seconds - 0.4) / 0.8)) * moving,
    }
    rows = np.repeat(weights_of(prepared), 50, axis=0)
    for name, curve in curves.items():
        rows[:, names.index(name)] += curve.astype(np.float32)
    for event in client.events(client.start(*asking.render(prepared.source, range(50), rows)), 120):
        raise_if_failed(event)
        if isinstance(event, Frame):
            (tmp_path / f"{event.frame:04d}.png").write_bytes(event.data)
    film = tmp_path / "film.mp4"
    told = client.wait(
        client.start(*asking.movie(tmp_path, range(50), film, fps=FPS, sound=SAMPLES / "voice.flac")), 120
    )
    raise_if_failed(told[-1])
    told = client.wait(client.start(*asking.capture(prepared.source, film.read_bytes(), fps=FPS)), 240)
    raise_if_failed(told[-1])
    (performance,) = (event for event in told if isinstance(event, Performance))
    assert performance.frames == 50, "the sound does not make it longer"
    got = weights_of(performance)
    for name, curve in curves.items():
        assert np.corrcoef(got[:, names.index(name)], curve)[0, 1] > 0.95, name
