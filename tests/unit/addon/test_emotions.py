"""Emotions in words: what may be written, and how one goes over into the next."""

from __future__ import annotations

import numpy as np
import pytest

from blender_addon.core.weights.emotions import cues_to_curves
from shared_protocol.emotions import Cue, exceeds, meant, parse


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("happy", {"happy": 1.0}),
        ("Happy 0.7", {"happy": 0.7}),
        ("sad .5", {"sad": 0.5}),
        ("angry 70%", {"angry": 0.7}),
        ("angry: 0.4", {"angry": 0.4}),
        ("happy 0.4 + surprised 0.3", {"happy": 0.4, "surprised": 0.3}),
        ("joy 3", {"happy": 1.0}),
        ("Happy 70", {"happy": 0.7}),
        ("happy 0,5", {"happy": 0.5}),
        ("happy 0,4, sad 0,2", {"happy": 0.4, "sad": 0.2}),
        ("neutral", {"neutral": 1.0}),
        ("none", {}),
        ("rest", {}),
    ],
)
def test_words_that_are_understood(text: str, meaning: dict[str, float]) -> None:
    emotions = parse(text)
    assert emotions is not None and dict(emotions) == pytest.approx(meaning)


@pytest.mark.parametrize(
    "text", ["", "F_12", "Marker 3", "happy ending", "happy -1", "0.5", "[sad]", "happy + F_1"]
)
def test_other_markers_are_left_alone(text: str) -> None:
    assert parse(text) is None


@pytest.mark.parametrize(
    ("text", "name"),
    [("hapy 0.7", "happy"), ("Suprised", "surprised"), ("angy + sad 0.2", "angry"), ("feer 50%", "fear")],
)
def test_a_misspelt_emotion_is_noticed(text: str, name: str) -> None:
    assert parse(text) is None and meant(text) == name


@pytest.mark.parametrize("text", ["happy", "none", "F_12", "Marker 3", "happy ending", "cut 2", "", "shot"])
def test_nothing_is_seen_in_other_markers(text: str) -> None:
    assert meant(text) == ""


def test_an_intensity_above_one_is_noticed() -> None:
    assert exceeds("joy 3") and exceeds("happy 150%") and exceeds("sad 120")
    assert not any(map(exceeds, ("joy", "happy 1", "Happy 70", "sad 100%", "Marker 3")))


def at(keys: list[tuple[float, float]], frame: float) -> float:
    """The intensity at a frame, between keys taken to change evenly."""
    frames, values = zip(*keys, strict=True)
    return float(np.interp(frame, frames, values))


def test_a_change_begins_at_the_cue_and_takes_the_blend_time() -> None:
    curve = cues_to_curves([Cue(2.0, (("happy", 0.7),)), Cue(4.0, ())], 25, 0.4)["happy"]
    assert curve == [(50.0, 0.0), (60.0, 0.7), (100.0, 0.7), (110.0, 0.0)]


def test_the_next_emotion_takes_the_place_of_the_last() -> None:
    found = cues_to_curves([Cue(1.0, (("happy", 1.0),)), Cue(3.0, (("sad", 0.5),))], 10, 1.0)
    assert set(found) == {"happy", "sad"}
    assert [at(found["happy"], frame) for frame in (10, 20, 30, 40)] == [0, 1, 1, 0]
    assert [at(found["sad"], frame) for frame in (30, 40, 60)] == [0, 0.5, 0.5]


def test_an_emotion_that_goes_on_is_not_interrupted() -> None:
    cues = [Cue(1.0, (("happy", 1.0),)), Cue(2.0, (("happy", 1.0), ("fear", 0.2)))]
    assert cues_to_curves(cues, 10, 0.5)["happy"] == [(10.0, 0.0), (15.0, 1.0)]


def test_a_cue_amid_a_change_begins_from_there() -> None:
    cues = [Cue(0.0, (("happy", 1.0),)), Cue(1.0, (("sad", 1.0),))]
    happy = cues_to_curves(cues, 10, 2.0)["happy"]
    assert happy == [(0.0, 0.0), (10.0, 0.5), (30.0, 0.0)]


def test_without_blend_time_it_jumps_at_the_cue() -> None:
    happy = cues_to_curves([Cue(1.0, (("happy", 1.0),)), Cue(2.0)], 10, 0.0)["happy"]
    assert happy == [(9.0, 0.0), (10.0, 1.0), (19.0, 1.0), (20.0, 0.0)]


def test_the_order_of_cues_does_not_matter_and_the_last_of_two_at_once_counts() -> None:
    early, late = Cue(1.0, (("happy", 0.3),)), Cue(2.0, (("happy", 0.9),))
    assert cues_to_curves([late, early], 10, 0.1) == cues_to_curves([early, late], 10, 0.1)
    assert cues_to_curves([Cue(1.0, (("sad", 1.0),)), Cue(1.0, (("happy", 1.0),))], 10, 0.1).keys() == {
        "happy"
    }


def test_nothing_said_is_nothing_felt() -> None:
    assert cues_to_curves([], 25, 1.0) == {}
    assert cues_to_curves([Cue(1.0)], 25, 1.0) == {}
