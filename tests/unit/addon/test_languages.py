"""The catalogues: whole, and fitting to what the add-on and its server say. (tests/blender has the other half: labels
and tooltips, and that no catalogue has more than is said.)"""

from __future__ import annotations

import re
from string import Formatter

import pytest

from blender_addon.core.text import translate
from blender_addon.languages import CATALOGUES, messages
from edtalk_server.service.handlers import HANDLERS
from tests import sayings

NUMBERED = sorted(message for message in messages() if "{0}" in message)


def places(text: str) -> list[tuple[str, str]]:
    """The values that a template has room for, and how they are written."""
    return sorted((name, spec or "") for _, name, spec, _ in Formatter().parse(text) if name is not None)


@pytest.mark.parametrize("language", CATALOGUES)
@pytest.mark.parametrize("speaker", ["addon", "server", "bundle"])
def test_all_that_is_said_is_translated(language: str, speaker: str) -> None:
    said: dict[str, str] = getattr(sayings, f"said_by_{speaker}")()
    assert len(said) > 50, "the sentences are read out of the source"
    missing = [f"{where}: {text!r}" for text, where in said.items() if not CATALOGUES[language].get(text)]
    assert missing == []


@pytest.mark.parametrize("language", CATALOGUES)
def test_both_sides_have_the_same_values(language: str) -> None:
    others = {english: own for english, own in CATALOGUES[language].items() if places(english) != places(own)}
    assert others == {}


@pytest.mark.parametrize("language", CATALOGUES)
def test_what_is_joined_on_is_joined_on_in_every_language(language: str) -> None:
    """Spaces and marks at the ends of a part of a sentence."""
    ends = re.compile(r"^([\s,;]*).*?(\s*)$", re.DOTALL)
    others = [
        english
        for english, own in CATALOGUES[language].items()
        if ends.fullmatch(english).groups() != ends.fullmatch(own).groups()  # type: ignore[union-attr]
    ]
    assert others == []


@pytest.mark.parametrize("template", NUMBERED)
def test_a_sentence_is_taken_for_the_one_that_it_is(template: str) -> None:
    values = ("word", *(f"/a b/{place}.png" for place in range(1, 5)))
    found = translate._template_of(template.format(*values), messages())
    assert found == (template, values[: len(set(places(template)))])


def test_the_names_of_the_servers_requests_are_known() -> None:
    assert sayings.requests() == {request.__name__.lower() for request in HANDLERS}


def test_an_f_string_that_nobody_could_translate_is_found() -> None:
    source = sayings.Source.read(sayings.ADDON / "x.py", 'iface_(f"{count} frames")')
    with pytest.raises(sayings.UnreadableError, match="by name"):
        list(sayings.said_in(source))
