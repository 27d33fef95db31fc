"""The crew: frames drawn side by side by processes are the same frames."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edtalk_server import bundles
from edtalk_server.arrays import Rendered
from edtalk_server.bundles import Bundle, BundleManifest, NetworkPart
from edtalk_server.engine import Engine, crew, drawing, helper
from edtalk_server.engine.crew import Crew
from edtalk_server.media.output_spec import DEFAULT_OUTPUT, OutputSpec
from edtalk_server.networks.config import EDTalkConfig
from edtalk_server.networks.edtalk import EDTalk
from shared_protocol.banks import numbered_layout
from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.messages import Crop
from shared_protocol.processes import python_module

CONFIG = EDTalkConfig(size=32, style_dim=48, width_base=512, width_max=16, enhancement_hidden=8)
WHOLE = Crop(16.0, 16.0, 32.0, 0.0)
PORTRAIT = np.random.default_rng(3).integers(0, 256, (32, 32, 3), np.uint8)
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    manifest = BundleManifest(
        name="tiny",
        title="Tiny",
        version="1",
        licence="CC0-1.0",
        size=32,
        face=NetworkPart("edtalk", CONFIG.to_dict(), "face.safetensors"),
        layout=numbered_layout(),
    )
    folder = tmp_path_factory.mktemp("bundles") / "tiny"
    bundles.save(folder, manifest, {"face": EDTalk(CONFIG)})
    return bundles.load(folder)


@pytest.fixture
def helped(bundle: Bundle) -> Engine:
    engine = Engine.open(bundle, "cpu")
    engine.start_helpers(1)
    _wait_for_helpers(engine, 1)
    return engine


def _wait_for_helpers(engine: Engine, count: int) -> None:
    end = time.monotonic() + PATIENCE_S
    while len(engine.helper_pids) < count:
        assert time.monotonic() < end, "the helpers are not ready"
        time.sleep(0.02)


def _rows(count: int) -> npt.NDArray[np.float32]:
    return np.random.default_rng(0).normal(size=(count, 36)).astype(np.float32)


def test_helpers_draw_the_same_bytes_and_end_when_told(
    bundle: Bundle, helped: Engine, tmp_path: Path
) -> None:
    alone = Engine.open(bundle, "cpu")
    for output in (DEFAULT_OUTPUT, OutputSpec(alpha=True), OutputSpec(deep=True)):
        expected = alone.render(alone.prepare(PORTRAIT, WHOLE), _rows(9), output)
        assert np.array_equal(helped.render(helped.prepare(PORTRAIT, WHOLE), _rows(9), output), expected)
    finished = helped.render_each(
        helped.prepare(PORTRAIT, WHOLE), _rows(5), DEFAULT_OUTPUT, lambda f: f.shape
    )
    assert finished == [(32, 32, 3)] * 5
    helped.end_helpers()
    assert not helped.has_helpers
    assert helped.at_once == 1


def test_the_frames_of_a_killed_helper_are_drawn_by_the_others(
    helped: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    source, rows = helped.prepare(PORTRAIT, WHOLE), _rows(8)
    expected = helped.render(source, rows)
    os.kill(helped.helper_pids[0], signal.SIGTERM)
    assert np.array_equal(helped.render(source, rows), expected)
    assert "a helper failed" in caplog.text
    assert helped.side_by_side == 1
    helped.end_helpers()


def test_what_finishing_raises_is_raised(helped: Engine) -> None:
    def refuse(_: object) -> None:
        raise OverflowError("no room")

    source, rows = helped.prepare(PORTRAIT, WHOLE), _rows(6)
    expected = helped.render(source, rows)
    with pytest.raises(OverflowError, match="no room"):
        helped.render_each(source, rows, DEFAULT_OUTPUT, refuse)
    assert np.array_equal(helped.render(source, rows[::-1]), expected[::-1]), "none of the frames before it"
    helped.release()
    assert not helped.has_helpers


def test_without_memory_the_helpers_go_and_then_it_is_said(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> None:
        raise MemoryError

    engine = Engine.open(bundle, "cpu")
    monkeypatch.setattr(Crew, "at_once", property(lambda crew: 4 if crew.has_helpers else 1))
    engine.start_helpers(1)
    with pytest.raises(EDTalkError) as caught:
        engine.render_each(engine.prepare(PORTRAIT, WHOLE), _rows(6), DEFAULT_OUTPUT, refuse)
    assert caught.value.code is ErrorCode.OUT_OF_MEMORY
    assert not engine.has_helpers


def test_a_system_without_room_for_processes_draws_alone(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise BlockingIOError("no more processes")

    engine = Engine.open(bundle, "cpu")
    monkeypatch.setattr("edtalk_server.engine.crew.subprocess.Popen", refuse)
    engine.start_helpers(2)
    assert not engine.has_helpers
    assert "no more processes" in caplog.text


def test_a_helper_does_not_draw_with_another_bundle(bundle: Bundle) -> None:
    with pytest.raises(SystemExit, match="have changed"):
        helper._Drawer(str(bundle.folder), "another", True)


def test_processes_take_no_packages_from_the_folder_they_run_in(tmp_path: Path) -> None:
    (tmp_path / "stranger.py").write_text("")
    command = python_module("stranger")
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "No module named stranger" in ran.stderr


def test_a_picture_that_somebody_waits_for_goes_before_the_frames_of_a_bake(bundle: Bundle) -> None:
    engine = Engine.open(bundle, "cpu")
    source, rows = engine.prepare(PORTRAIT, WHOLE), _rows(3)
    bakes, goes_on = threading.Event(), threading.Event()

    def hold(frame: Rendered) -> Rendered:
        bakes.set()
        assert goes_on.wait(PATIENCE_S)
        return frame

    with ThreadPoolExecutor(1) as other:
        bake = other.submit(engine.render_each, source, rows, DEFAULT_OUTPUT, hold)
        assert bakes.wait(PATIENCE_S)
        seen = [engine.preview(source, row) for row in rows]
        assert not bake.done()
        goes_on.set()
        assert np.array_equal(np.stack(bake.result()), np.stack(seen)), "both with one thread: the same bytes"


def test_while_such_pictures_come_helpers_alone_draw_the_bake(
    helped: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, rows = helped.prepare(PORTRAIT, WHOLE), _rows(5)
    expected = helped.render(source, rows)
    drawn_here: list[int] = []

    def counted(*given: Any) -> Any:
        drawn_here.append(1)
        return drawing.draw(*given)

    monkeypatch.setattr(crew, "draw", counted)
    monkeypatch.setattr(crew, "RECENT_S", 3600.0)
    helped.preview(source, rows[0])
    assert len(drawn_here) == 1
    assert np.array_equal(helped.render(source, rows), expected)
    assert len(drawn_here) == 1, "the bake took the core of those who wait"
    helped.end_helpers()
    assert np.array_equal(helped.render(source, rows), expected), "without helpers it goes on here"
    assert len(drawn_here) == 6


def test_all_cores_share_a_picture_while_nothing_else_is_drawn(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[str] = []

    def noted(*given: Any) -> Any:
        threads.append(threading.current_thread().name.rpartition("_")[0])
        return drawing.draw(*given)

    monkeypatch.setattr(crew, "draw", noted)
    engine = Engine.open(bundle, "cpu")
    source, row = engine.prepare(PORTRAIT, WHOLE), _rows(1)
    alone = engine.preview(source, row)
    assert np.abs(engine.render(source, row)[0].astype(int) - alone).max() <= 1
    monkeypatch.setattr(crew, "RECENT_S", 3600.0)
    engine.preview(source, row)
    assert threads == ["edtalk-all-cores", "edtalk-drawing", "edtalk-drawing"], "not beside a bake"


def test_what_was_noted_is_recent_for_a_second() -> None:
    seconds = [5.0]
    recently = crew.Recently(lambda: seconds[0])
    assert not recently
    recently.note()
    assert recently
    seconds[0] += crew.RECENT_S
    assert not recently
