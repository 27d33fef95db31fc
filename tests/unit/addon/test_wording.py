"""Words in the user's language: templates, sentences of errors and of the server, and the command line's English."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from blender_addon.core.tasks import Progress
from blender_addon.core.text import translate as wording
from blender_addon.core.text.translate import iface_, in_english, rpt_, tip_

GERMAN = {
    "Rendering": "Rendern",
    " {done} of {total}": " {done} von {total}",
    ", {time} left": ", noch {time}",
    "{count} frames baked": "{count} Bilder gebacken",
    "The {0} {1} is not there.": "{0} {1} ist nicht da.",
    "{0} and {1} are there.": "{1} und {0} sind da.",
    "{0} is not there.": "{0} fehlt.",
    "portrait": "Porträt",
}


@pytest.fixture
def german() -> Iterator[None]:
    """A Blender in German whose user wants tooltips in English."""

    def translate(text: str) -> str:
        return GERMAN.get(text, text)

    wording.use_translators(wording.Translators(translate, str, translate, frozenset(GERMAN)))
    yield
    wording.use_translators(wording.ENGLISH)


def test_a_template_is_translated_and_then_filled(german: None) -> None:
    assert rpt_("{count} frames baked", count=3) == "3 Bilder gebacken"


def test_interface_tooltips_and_reports_are_chosen_alone(german: None) -> None:
    assert [say("Rendering") for say in (iface_, tip_, rpt_)] == ["Rendern", "Rendering", "Rendern"]


def test_a_sentence_with_its_values_in_is_recognised_by_its_template(german: None) -> None:
    assert iface_("The portrait /a b/{x}.png is not there.") == "Porträt /a b/{x}.png ist nicht da."
    assert iface_("A and B are there.") == "B und A sind da."


def test_names_of_the_artists_in_a_sentence_are_never_translated(german: None) -> None:
    assert iface_("Rendering is not there.") == "Rendering fehlt."


def test_what_no_catalogue_knows_stays_as_it_is(german: None) -> None:
    assert iface_("Something else entirely") == "Something else entirely"
    assert tip_("The portrait /a.png is not there.") == "The portrait /a.png is not there."


def test_progress_is_told_in_the_users_language_part_by_part(german: None) -> None:
    progress = Progress("Rendering, on a machine", 2, 9, eta=70.0, subject="Rendering")
    assert progress.text == "Rendering: Rendern, on a machine 2 von 9, noch 1 min 10 s"


def test_programs_are_answered_in_english_and_people_again_in_german(german: None) -> None:
    with pytest.raises(ValueError, match="no"), in_english():
        assert rpt_("{count} frames baked", count=3) == "3 frames baked"
        raise ValueError("no")
    assert iface_("Rendering") == "Rendern"


def test_without_blender_all_is_english() -> None:
    assert iface_("{count} frames baked", count=3) == "3 frames baked"
    assert iface_("braces {0} stay") == "braces {0} stay"
