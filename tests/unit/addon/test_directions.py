"""A direction goes where its sentence begins, whatever stands around it."""

from __future__ import annotations

import pytest

from blender_addon.core.directions import Insertion, Sentence, find_words, fix, has_direction, write_direction


def test_words_are_found_past_times_markup_and_brackets() -> None:
    text = "1\n00:00:01,000 --> 00:00:02,000\n[so sad] <b>So</b> (sighs) 1 Some so.\n"
    words = ["So", "1", "Some", "so.", "gone"]
    places = find_words(text, words)
    assert [at if at is None else text[at : at + 4] for at in places] == [
        "So</",
        "1 So",
        "Some",
        "so.\n",
        None,
    ]


def test_a_part_of_a_word_is_no_word_but_scripts_without_spaces_have_none_between() -> None:
    assert find_words("Something so", ["So"]) == [None]
    assert find_words("Something so", ["so"]) == [10]
    assert find_words("今日は", ["今", "日", "は"]) == [0, 1, 2]


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("Well. Go away!", "Well. [sad] Go away!"),
        ("Well. [happy 0.7] Go away!", "Well. [sad] Go away!"),
        ("Well. (fear)\nGo away!", "Well. [sad] Go away!"),
        ("Well. [door opens] Go away!", "Well. [door opens] [sad] Go away!"),
    ],
)
def test_a_direction_takes_the_place_of_another(text: str, written: str) -> None:
    at = text.index("Go")
    assert write_direction(text, at, "sad") == written
    assert has_direction(written, written.index("Go"))


def test_a_fix_changes_one_sentence_and_leaves_directions_that_follow() -> None:
    text = "One. Two. Three. [sad] Four. Five."
    felt = ("happy 0.5", "angry 0.4", "angry 0.4", "sad", "sad")
    sentences = [Sentence(i, 1, name) for i, name in enumerate(felt)]
    words = ["One.", "Two.", "Three.", "Four.", "Five."]
    assert fix(text, words, sentences, 0, "fear") == [Insertion(0, "fear"), Insertion(5, "angry 0.4")]
    assert fix(text, words, sentences, 2, "none") == [Insertion(10, "none")]
    assert fix("Two", words, sentences, 0, "fear") is None
