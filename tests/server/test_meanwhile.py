"""What somebody who scrubs sees while the server has long work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edtalk_server import child_process, samples
from edtalk_server.motion import recognizer
from edtalk_server.service.handlers import Answer, streaming
from edtalk_server.service.handlers.prepare import InspectHandler
from edtalk_server.service.model import FakeBackend
from shared_protocol import messages
from shared_protocol.messages import SpokenLine
from tests import asking

from .conftest import PlainBackend, RunningServer

SAMPLES = Path(samples.__file__).parent
WAIT_S = 60


@dataclass
class _ApartBackend(PlainBackend):
    """Bakes wait for `goes_on`; previews do not."""

    previews_apart: bool = True
    goes_on: threading.Event = field(default_factory=threading.Event)

    def render(self, *arguments: Any) -> list[Any]:
        assert self.goes_on.wait(WAIT_S)
        return super().render(*arguments)

    def preview(self, *arguments: Any) -> Any:
        return super().render(*arguments)[0]


def test_previews_are_drawn_beside_a_step_of_a_bake(start_server: Callable[..., RunningServer]) -> None:
    backend = _ApartBackend()
    client = start_server(backend).client()
    source = client.wait(client.start(*asking.prepare(b"portrait")), WAIT_S)[0].source
    bake = client.start(*asking.render(source, range(3), [[0.0] * 36] * 3))
    for tone in (0.1, 0.2, 0.3):
        told = client.wait(client.start(*asking.preview(source, [tone] * 36)), WAIT_S)
        assert isinstance(told[0], messages.PreviewFrame)
    assert bake in client.open_jobs
    backend.goes_on.set()
    assert isinstance(client.wait(bake, WAIT_S)[-1], messages.Done)
    client.close()


@pytest.mark.skipif(
    not recognizer.is_available() or sys.platform == "win32", reason="it stops pocketsphinx's process"
)
def test_previews_are_drawn_while_words_are_aligned(start_server: Callable[..., RunningServer]) -> None:
    recognizer.spell(["hello"])  # the process is there
    (pid,) = recognizer.pids()
    client = start_server(FakeBackend()).client()
    portrait = (SAMPLES / "portrait.png").read_bytes()
    source = client.wait(client.start(*asking.prepare(portrait)), WAIT_S)[0].source
    os.kill(pid, signal.SIGSTOP)  # it listens as long as we want
    try:
        voice = (SAMPLES / "voice.flac").read_bytes()
        words = (SpokenLine("So glad to see you."),)
        job = client.start(*asking.predict(source, voice, lines=words, language="en"))
        for tone in (0.1, 0.2, 0.3):
            told = client.wait(client.start(*asking.preview(source, [tone] * 36)), WAIT_S)
            assert isinstance(told[0], messages.PreviewFrame)
        assert job in client.open_jobs
    finally:
        os.kill(pid, signal.SIGCONT)
    assert isinstance(client.wait(job, WAIT_S)[-1], messages.Done)
    assert "pocketsphinx" not in sys.modules, "it would hold this process's lock"
    client.close()


@pytest.mark.skipif(not recognizer.is_available(), reason="pocketsphinx (extra align) is not installed")
def test_a_recogniser_that_dies_is_started_again() -> None:
    known = recognizer.spell(["hello", "zorblaxed"])
    assert known.unknown == {1}
    (pid,) = recognizer.pids()
    os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + WAIT_S
    while recognizer.pids():
        assert time.monotonic() < end
        time.sleep(0.01)
    assert recognizer.spell(["hello", "zorblaxed"]) == known
    recognizer.end()
    assert recognizer.pids() == ()


def test_a_portrait_is_looked_at_in_steps_between_which_others_have_their_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    picture = (SAMPLES / "portrait.png").read_bytes()
    stages = [step.stage for step in FakeBackend().inspect(picture, None)]
    assert stages.count("looking for the face") >= 5, "a cascade at a time"
    monkeypatch.setattr(streaming, "LONGEST_STEP_S", 0.0)
    resources = SimpleNamespace(backend=FakeBackend(), blobs=SimpleNamespace(get=lambda _: picture))
    handler = InspectHandler(messages.Inspect("job", "another"), resources, 0.0)  # type: ignore[arg-type]
    turns = 1
    while not (done := handler.next_step(lambda: True)()).has_ended:
        assert handler.answer(done, 0.1, 0.0) == Answer(has_ended=False), "clients hear of the result alone"
        turns += 1
    assert turns > 1
    (inspected,) = handler.answer(done, 0.1, 0.0).messages
    assert isinstance(inspected, messages.Inspected) and inspected.faces


def test_the_memory_of_helping_processes_is_told_and_nothing_is_loaded_for_it() -> None:
    """The thread that answers messages tells it, also while networks are loaded."""
    code = (
        "import sys; from edtalk_server.service import model; backend = model.EngineBackend('starter', 'cpu')"
    )
    code += "; print(backend.helpers_memory(), 'edtalk_server.motion' in sys.modules, 'torch' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["0", "False", "False"]
    helper = child_process.start("edtalk_server.motion.recognizer")
    if sys.platform == "linux":
        assert child_process.memory_of_started() >= child_process.memory_of(helper.pid) > 0
    before = child_process.memory_of_started()
    helper.communicate()
    assert child_process.memory_of_started() < before or sys.platform != "linux"
