"""The add-on in a Blender that speaks German, as the official ones do. (The Python module speaks English only.)"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

MODEL = True
ITS_OWN = {"Center X", "Face", "Key", "Metal", "None", "Predict", "Setup", "Strong"}
"""Where Blender has a word of its own, which counts, in one of the contexts."""


@pytest.fixture(scope="module")
def seen(drive: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """What was said in the window."""
    return drive("drive_language", 25, said=(r"(Error|Fehler): .*/gone/x\.wav .*",))


def test_blenders_german_is_known_by_this_name(seen: dict[str, Any]) -> None:
    assert seen["locales"] == [seen["locale"]] == ["de_DE"]


def test_the_catalogue_is_what_blender_says(seen: dict[str, Any]) -> None:
    own = seen["blender's own words"]
    assert set(own) <= ITS_OWN, own
    assert all(words[0] == words[-1] for words in own.values()), "in our own context nothing is Blender's"


def test_grey_buttons_errors_and_titles_are_german(seen: dict[str, Any]) -> None:
    said = seen["german"]
    assert "Eine Figur auswählen" in said["poll"]
    assert "Stimme /gone/x.wav ist nicht da. Zurücklegen oder eine andere Datei" in said["error"]
    assert (said["label"], said["tooltip"]) == ("Änderungen backen", "Diesen Take auf der Fläche zeigen")
    assert said["slider"] == "Kiefer auf"
    assert said["server"].startswith("Server: bereit")


def test_progress_and_reports_are_german(seen: dict[str, Any]) -> None:
    assert any(line.startswith("Rendern ") and " von 25" in line for line in seen["progress"])
    reports = seen["german"]["reports"]
    assert "portrait: 25 Einzelbilder vorhergesagt" in reports
    assert [line for line in reports if "Traceback" in line] == []


def test_switched_back_all_is_english(seen: dict[str, Any]) -> None:
    said = seen["english"]
    assert "Select a character" in said["poll"]
    assert "The voice /gone/x.wav is not there. Put it back or choose another voice file." in said["error"]
    assert (said["label"], said["slider"]) == ("Bake Changes", "Jaw Open")
    assert said["server"].startswith("Server: ready")


def test_interface_and_tooltips_are_switched_each_alone(seen: dict[str, Any]) -> None:
    assert seen["interface alone"] == ["Show this take on the plane", "Änderungen backen"]
    assert seen["tooltips alone"] == ["Diesen Take auf der Fläche zeigen", "Bake Changes"]


def test_blender_forgets_the_words_of_an_add_on_that_is_disabled(seen: dict[str, Any]) -> None:
    assert seen["gone"] == "Bake Changes"
