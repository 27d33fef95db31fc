"""Words in a narrow sidebar."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from blender_addon.core.text.text_wrap import wrap_text


def test_lines_are_as_full_as_they_can_be() -> None:
    assert wrap_text("256 pixels, CC-BY-4.0, by nobody", 12, len) == [
        "256 pixels,",
        "CC-BY-4.0,",
        "by nobody",
    ]


def test_the_width_counts_and_not_the_number_of_letters() -> None:
    def width(text: str) -> float:
        return sum(1 if letter in "il " else 3 for letter in text)

    assert wrap_text("ill ill MMM", 9, width) == ["ill ill", "MMM"]


def test_nothing_is_no_line() -> None:
    assert wrap_text("", 10, len) == []


@given(st.text(alphabet="ab ", max_size=60), st.integers(1, 20))
def test_nothing_is_lost_and_nothing_is_too_wide(text: str, room: int) -> None:
    lines = wrap_text(text, room, len)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert all(len(line) <= room for line in lines)
