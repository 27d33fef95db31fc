"""A render in a thread of Blender's own waits for the main thread, and never for ever. (Real ones: tests/gui.)"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import bpy
import pytest

Wait = Callable[[Callable[..., Any]], tuple[Any, threading.Thread]]


@pytest.fixture
def wait(addon: Any) -> Iterator[Wait]:
    """Begin to wait for some work in a thread, as a render does."""
    threads: list[threading.Thread] = []

    def begin(work: Callable[..., Any]) -> tuple[Any, threading.Thread]:
        waiting = addon("ui.render.render_wait").Waiting(work)
        uid = bpy.context.scene.session_uid
        thread = threading.Thread(target=waiting.wait, args=(uid, range(3, 6)), daemon=True)
        thread.start()
        threads.append(thread)
        while waiting._request is None:
            time.sleep(0.001)
        return waiting, thread

    yield begin
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()


def attended(waiting: Any, thread: threading.Thread) -> None:
    """Tick as the timer does until the render goes on."""
    for _ in range(1000):
        if not thread.is_alive():
            return
        waiting.tick()
        time.sleep(0.01)
    raise AssertionError("the render waits for ever")


def work_of_three_steps(seen: list[Any], end: Callable[[], str] = lambda: "done") -> Callable[..., Any]:
    def work(_scene: int, frames: range, _progress: Any) -> Any:
        for number in range(3):
            seen.append((threading.current_thread() is threading.main_thread(), frames, number))
            yield
        return end()

    return work


def test_the_main_thread_does_the_work_a_step_at_a_time(addon: Any, wait: Wait) -> None:
    seen: list[Any] = []
    waiting, thread = wait(work_of_three_steps(seen))
    waiting.tick()
    assert seen == [(True, range(3, 6), 0)] and thread.is_alive()
    assert addon.session.task is not None, "the panel shows it"
    attended(waiting, thread)
    assert len(seen) == 3
    assert not waiting.failed and addon.session.task is None and addon.session.failure is None


def test_what_fails_is_told_and_the_next_frames_are_asked_for_all_the_same(addon: Any, wait: Wait) -> None:
    errors = addon("core.server.session")

    def fail() -> str:
        raise errors.EDTalkError(errors.ErrorCode.NO_FACE, "There is no face.", "Use another picture.")

    waiting, thread = wait(work_of_three_steps([], fail))
    attended(waiting, thread)
    assert not waiting.failed
    assert addon.session.failure == ("There is no face.", "Use another picture.")


def test_a_cancelled_bake_lets_the_render_go_on_and_is_not_begun_again(addon: Any, wait: Wait) -> None:
    waiting, thread = wait(work_of_three_steps([]))
    waiting.tick()
    bpy.ops.edtalk.cancel()
    attended(waiting, thread)
    assert waiting.failed and addon.session.task is None


def test_what_runs_already_is_waited_for(addon: Any, wait: Wait) -> None:
    seen: list[Any] = []
    tasks = addon("core.tasks")
    addon.session.task = tasks.Task("Predict", (pause for pause in ()), tasks.Progress())
    waiting, thread = wait(work_of_three_steps(seen))
    for _ in range(5):
        waiting.tick()
    assert seen == [] and thread.is_alive()
    addon.session.task = None
    attended(waiting, thread)
    assert len(seen) == 3


def test_another_file_ends_the_wait_at_once(addon: Any, wait: Wait) -> None:
    waiting, thread = wait(work_of_three_steps([]))
    waiting.tick()
    waiting.abandon()
    thread.join(5)
    assert not thread.is_alive() and waiting.failed
    waiting.tick()
    assert addon.session.task is None


def test_when_the_main_thread_is_silent_the_render_goes_on(
    addon: Any, wait: Wait, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addon("ui.render.render_wait"), "SILENCE_S", 0.2)
    waiting, thread = wait(work_of_three_steps([]))
    thread.join(10)
    assert not thread.is_alive() and waiting.failed
