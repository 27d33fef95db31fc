"""Long work in steps: what people read of it, and that it pauses."""

from __future__ import annotations

import pytest

from blender_addon.core import tasks
from blender_addon.core.tasks import Finished, Progress, Steps, format_duration, run_for, time_sliced


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "0 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (200, "3 min 20 s"),
        (3599.9, "1 h"),
        (7500, "2 h 5 min"),
    ],
)
def test_the_time_left_is_said_in_two_units_at_most(seconds: float, words: str) -> None:
    assert format_duration(seconds) == words


def test_a_bake_says_whom_how_far_how_fast_and_how_long() -> None:
    progress = Progress("Rendering", 12, 250, eta=75.0, rate=3.17, subject="Ada", unit="fps")
    assert progress.text == "Ada: Rendering 12 of 250, 3.2 fps, 1 min 15 s left"
    assert Progress("Reading the weights").text == "Reading the weights"


def test_slices_grow_where_the_window_draws_slowly() -> None:
    pace = tasks.Pace()
    slices = []
    for now in (0.0, 0.01, 0.03, 0.13, 0.33, 1.33, 1.34):
        pace.tick(now)
        slices.append(pace.slice_s)
    assert slices == pytest.approx([0.002, 0.002, 0.003, 0.015, 0.03, 0.04, 0.002])
    pace.reset()
    pace.tick(100.0)
    assert pace.slice_s == 0.002, "the time between two tasks is not a slow window's"


def test_a_slow_window_gets_as_much_done_in_fewer_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    def ticks(gap: float) -> int:
        clock = iter(range(100_000))  # each look at it is a millisecond later
        monkeypatch.setattr(tasks.time, "perf_counter", lambda: next(clock) / 1000)
        pace = tasks.Pace()
        monkeypatch.setattr(tasks, "PACE", pace)
        pace.tick(0.0)
        pace.tick(gap)
        return sum(1 for _ in time_sliced(iter_frames(240)))

    assert ticks(0.3) <= 6 and ticks(0.01) >= 60


def iter_frames(count: int) -> Steps[None]:
    for _ in range(count):
        yield


def test_work_beside_goes_on_where_it_was_and_tells_when_it_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(1000))  # each look at it is a second later
    monkeypatch.setattr(tasks.time, "perf_counter", lambda: next(clock))

    def work() -> Steps[str]:
        for _ in range(4):
            yield
        return "done"

    steps = work()
    told = [run_for(steps, 3.0) for _ in range(3)]
    assert told == [None, None, Finished("done")]


def test_work_of_many_small_steps_pauses_when_its_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(1000))  # each look at it is a second later
    monkeypatch.setattr(tasks.time, "perf_counter", lambda: next(clock))

    def work() -> Steps[str]:
        for _ in range(4):
            yield
        return "done"

    pauses, steps = 0, time_sliced(work())
    while True:
        try:
            next(steps)
            pauses += 1
        except StopIteration as last:
            assert last.value == "done"
            break
    assert pauses == 4
