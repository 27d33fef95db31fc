"""Two pieces of work at once: what both give, and what ends both."""

from __future__ import annotations

import threading

import pytest

from edtalk_server.media.steps import Checkpoint, beside, unwatched

PATIENCE_S = 60.0


def test_both_go_on_at_once_and_give_their_results() -> None:
    one, other = threading.Event(), threading.Event()

    def waits(_: Checkpoint) -> str:
        one.set()
        return "words" if other.wait(PATIENCE_S) else "alone"

    def works() -> str:
        other.set()
        return "mouth" if one.wait(PATIENCE_S) else "alone"

    assert beside(waits, works, unwatched) == ("words", "mouth")


def test_a_failure_of_the_work_ends_what_waits_beside_it() -> None:
    began, ended = threading.Event(), threading.Event()

    def waits(checkpoint: Checkpoint) -> None:
        began.set()
        try:
            while True:
                checkpoint()
        finally:
            ended.set()

    def works() -> None:
        assert began.wait(PATIENCE_S)
        raise OSError("no mouth")

    with pytest.raises(OSError, match="no mouth"):
        beside(waits, works, unwatched)
    assert ended.wait(PATIENCE_S)


def test_what_waits_is_told_of_and_can_be_cancelled_once_the_work_is_done() -> None:
    heard: list[tuple[int, int, str]] = []
    told, ended = threading.Event(), threading.Event()

    def waits(checkpoint: Checkpoint) -> None:
        try:
            while True:
                checkpoint(3, 11, "placing the words")
                told.set()
        finally:
            ended.set()

    def cancels(done: int = 0, total: int = 0, stage: str = "") -> None:
        heard.append((done, total, stage))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        beside(waits, lambda: told.wait(PATIENCE_S), cancels)
    assert heard == [(3, 11, "placing the words")]
    assert ended.wait(PATIENCE_S)


def test_what_goes_wrong_in_what_waits_is_raised_here() -> None:
    def waits(_: Checkpoint) -> None:
        raise ValueError("no words")

    with pytest.raises(ValueError, match="no words"):
        beside(waits, lambda: None, unwatched)
