"""Frames and seconds stay exact, whatever the scene's frame rate."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from shared_protocol.timebase import TimeBase


def test_a_scene_at_23_976_is_exactly_24000_over_1001() -> None:
    as_blender_stores_it = float(np.float32(1.001))
    assert TimeBase.from_blender(24, as_blender_stores_it).fps == Fraction(24_000, 1001)


def test_a_voice_that_begins_at_frame_10_is_at_its_start_there() -> None:
    scene = TimeBase.from_blender(30, 1.001, 0, 10.0)
    assert scene.seconds(10) == 0.0
    assert scene.seconds(40) == pytest.approx(1.001)
    assert scene.frame(Fraction(1001, 1000)) == 40.0


def test_the_first_frame_of_the_scene_is_where_its_mixdown_begins() -> None:
    scene = TimeBase.from_blender(25, 1.0, 101)
    assert scene.seconds(101) == 0.0
    assert scene.seconds(126) == 1.0


def test_frames_and_seconds_are_inverse_for_subframes_and_after_an_hour() -> None:
    scene = TimeBase(Fraction(30_000, 1001), 7, Fraction(1, 3))
    for frame in (7, 7.25, 108_000.5, -20):
        assert scene.frame(scene.seconds(frame)) == pytest.approx(frame, abs=1e-6)


def test_many_frames_get_the_same_seconds_as_one_by_one() -> None:
    shot = TimeBase.from_blender(24, 1.001, 7, -3.25)
    seconds = shot.all_seconds(500)
    assert list(seconds) == [shot.seconds(7 + i) for i in range(500)]
    assert list(TimeBase().all_frames(seconds)) == [TimeBase().frame(second) for second in seconds]
    assert shot.all_frames(seconds) == pytest.approx(7 + np.arange(500), abs=1e-9)


@pytest.mark.parametrize(
    ("seconds", "frames"), [(0, 0), (-1, 0), (0.001, 1), (1, 24), (1.99, 47), (600, 14_400)]
)
def test_a_duration_fills_whole_frames_and_at_least_one(seconds: float, frames: int) -> None:
    assert TimeBase(Fraction(24)).frame_count(seconds) == frames


def test_no_frame_rate_is_zero() -> None:
    with pytest.raises(ValueError, match="positive"):
        TimeBase(Fraction(0))
