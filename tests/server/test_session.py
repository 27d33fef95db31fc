"""What the add-on's helpers call: steps over a real server, as the panel runs them."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
import pytest

from blender_addon.core.server import session as sessions
from blender_addon.core.server.discovery import ServerInstall
from blender_addon.core.server.events import pixels_of, weights_for
from blender_addon.core.server.session import Session
from blender_addon.core.tasks import Progress, Steps
from edtalk_server.media.video.writer import MovieWriter
from edtalk_server.service.model import FakeBackend
from shared_protocol import codec, connection, messages
from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.messages import Answer, Frame
from shared_protocol.timebase import TimeBase
from tests import asking

from .conftest import RunningServer

Result = TypeVar("Result")


@pytest.fixture
def session(
    start_server: Callable[..., RunningServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Session]:
    """A session that found a running server, which draws bars."""
    monkeypatch.setenv("EDTALK_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("EDTALK_RUNTIME_DIR", str(tmp_path / "run"))
    running = start_server(FakeBackend())
    connection.write(connection.default_path(), running.server.connection)
    session = Session(lambda: ServerInstall(Path(sys.executable)))
    finish(session, session.ready(Progress()))
    yield session
    session._disconnect()


def finish(session: Session, steps: Steps[Result]) -> Result:
    """Run steps to their end, pumping as Blender's timer does."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value
        session.pump()
        time.sleep(0.001)
    raise TimeoutError


def run(session: Session, asked: asking.Asked[Answer], progress: Progress | None = None) -> Answer:
    """Run a request to its end."""
    request, files = asked
    return finish(session, session.run(request, progress or Progress(), files))


def rendering(
    session: Session,
    asked: asking.Asked[Frame],
    keep: Callable[[Frame], None],
    progress: Progress | None = None,
) -> Steps[None]:
    """The steps of a render, whose frames are handed to `keep`."""
    request, progress = asked[0], progress or Progress()
    progress.begin("Rendering", len(request.frames))  # type: ignore[attr-defined]
    return session.stream(request, keep, progress)


def timed(timing: TimeBase, frames: range) -> dict[str, Any]:
    """The fields of requests over frames."""
    fps = timing.fps.numerator, timing.fps.denominator
    return {"fps": fps, "frames": len(frames), "offset": timing.seconds(frames[0])}


@pytest.fixture
def source(session: Session) -> str:
    """A prepared portrait."""
    picture = cv2.imencode(".png", np.full((40, 40, 3), 90, np.uint8))[1].tobytes()
    return run(session, asking.prepare(picture)).source


def weights(rows: int) -> np.ndarray:
    """Rows that differ."""
    return np.linspace(-1, 1, rows * 36, dtype=np.float32).reshape(rows, 36)


def test_a_bake_longer_than_a_message_is_several_jobs_and_looks_like_one(
    session: Session, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, frames, whole = weights(25), range(101, 126), dict[int, bytes]()
    finish(session, rendering(session, asking.render(source, frames, rows), lambda f: keep(whole, f)))
    monkeypatch.setattr(sessions, "FRAMES_PER_JOB", 7)
    parts, progress, seen = dict[int, bytes](), Progress(), list[tuple[int, int]]()
    steps = rendering(session, asking.render(source, frames, rows), lambda f: keep(parts, f), progress)

    def watched() -> Steps[None]:
        for _ in steps:
            seen.append((progress.done, progress.total))
            yield

    finish(session, watched())
    assert parts == whole and list(parts) == list(frames)
    assert {total for _, total in seen} == {25}
    assert [done for done, _ in seen] == sorted(done for done, _ in seen), "it never jumps back"
    assert progress.done == 25


def keep(kept: dict[int, bytes], frame: Frame) -> None:
    assert frame.frame not in kept
    kept[frame.frame] = bytes(frame.data)


def test_as_many_frames_as_ten_hours_have_fit_into_messages() -> None:
    last = 10 * 60 * 60 * 60
    numbers = tuple(range(last - sessions.FRAMES_PER_JOB, last))
    blob = messages.Blob(bytes(4 * 36 * len(numbers)))
    wire = codec.encode(messages.Render("render-1000000", "f" * 64, numbers, weights=blob))
    assert codec.decode(wire).frames == numbers


def test_a_split_bake_that_is_stopped_asks_for_no_more(
    session: Session, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "FRAMES_PER_JOB", 5)
    kept = dict[int, bytes]()
    steps = rendering(session, asking.render(source, range(50), weights(50)), lambda f: keep(kept, f))
    while len(kept) < 7:
        next(steps)
        session.pump()
    steps.close()
    done = len(kept)
    for _ in range(50):
        session.pump()
        time.sleep(0.002)
    assert len(kept) == done and not session.is_waiting


def test_while_frames_cannot_be_written_the_server_waits_and_previews_go_on(
    session: Session, source: str
) -> None:
    kept = dict[int, bytes]()
    steps = rendering(session, asking.render(source, range(200), weights(200)), lambda f: keep(kept, f))
    while len(kept) < 3:
        next(steps)
        session.pump()
    session.hold_results_back(True)
    next(steps)
    held = len(kept)
    run(session, asking.preview(source, weights(1)[0])[:2])
    for _ in range(50):
        session.pump()
        next(steps)
        time.sleep(0.002)
    assert len(kept) == held
    session.hold_results_back(False)
    finish(session, steps)
    assert sorted(kept) == list(range(200))


def test_a_video_becomes_weights_at_the_scenes_frames(session: Session, source: str, tmp_path: Path) -> None:
    video = tmp_path / "v.mp4"
    with MovieWriter(video, Fraction(25), (64, 64)) as writer:
        for number in range(50):
            writer.write(np.full((64, 64, 3), 4 * number, np.uint8))
    progress = Progress()
    timing = TimeBase(Fraction(24), start=10)  # frame 10 is the video's beginning
    asked = asking.capture(source, video.read_bytes(), **timed(timing, range(22, 34)))
    got = run(session, asked, progress)
    seen = weights_for(got, 12)
    assert seen.shape == (12, 36) and got.notes == ()
    seconds = (np.arange(22, 34) - 10) / 24
    np.testing.assert_allclose(seen[:, 0], 4 * 25 * seconds / 255, atol=0.03)
    assert progress.stage == "Reading the face"


def test_what_is_no_video_is_told_in_words(session: Session, source: str) -> None:
    with pytest.raises(EDTalkError) as caught:
        run(session, asking.capture(source, b"text", frames=3))
    assert caught.value.code is ErrorCode.VIDEO_UNREADABLE


@pytest.mark.parametrize("encoding", ["png", "exr"])
def test_a_bake_becomes_a_movie(session: Session, source: str, tmp_path: Path, encoding: str) -> None:
    folder = tmp_path / "take"
    folder.mkdir()

    def store(frame: Frame) -> None:
        (folder / f"{frame.frame:04d}.{encoding}").write_bytes(frame.data)

    asked = asking.render(source, range(5, 15), weights(10), encoding=encoding)
    finish(session, rendering(session, asked, store))
    target = tmp_path / "film.mp4"
    pattern = f"%04d.{encoding}"
    run(session, asking.movie(folder, range(5, 15), target, fps=(30_000, 1001), pattern=pattern))
    video = cv2.VideoCapture(str(target))
    assert int(video.get(cv2.CAP_PROP_FRAME_COUNT)) == 10
    shown = video.read()[1].astype(int)
    video.release()
    drawn = run(session, asking.preview(source, weights(10)[0])[:2])
    expected = pixels_of(drawn)[::-1, :, 2::-1].astype(int)
    assert np.abs(shown - expected).mean() < 6, "the same picture, but for the colours that video leaves out"


def test_bundles_are_listed_and_failures_told(session: Session, tmp_path: Path) -> None:
    (starter,) = run(session, asking.list_bundles()).bundles
    assert starter.name == "starter" and starter.installed
    with pytest.raises(EDTalkError) as caught:
        run(session, asking.import_bundle(tmp_path / "nothing", "mine"))
    assert caught.value.code is ErrorCode.BUNDLE_INVALID
    with pytest.raises(EDTalkError) as caught:
        run(session, (messages.DownloadBundle(name="unknown"), ()))
    assert "unknown" in caught.value.cause


def test_memory_is_shown_and_given_back(session: Session) -> None:
    assert session.memory.process > 1_000_000
    assert (session.memory.device, session.memory.capacity) == (0, 0)
    session.release()


def test_a_server_that_is_older_than_the_addon_is_not_asked_for_what_it_cannot(
    session: Session, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert session.client is not None and session.client.welcome is not None
    monkeypatch.setattr(session.client, "welcome", replace(session.client.welcome, capabilities=("prepare",)))
    for asked in (asking.capture(source, b"v", frames=3), asking.list_bundles()):
        with pytest.raises(EDTalkError) as caught:
            run(session, asked)
        assert caught.value.code is ErrorCode.UNSUPPORTED and "older" in caught.value.cause
