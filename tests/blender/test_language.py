"""What Blender knows of the add-on, in German.

The Python module of Blender is built without other languages (a test in tests/gui speaks German in a real one); here a
catalogue is laid before the add-on's own words by hand.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest import mock

import bpy
import pytest

pytestmark = pytest.mark.versions

HERE = Path(__file__).parent


def _sayings() -> ModuleType:
    """`tests/sayings.py`, which is not on the path here."""
    spec = importlib.util.spec_from_file_location("sayings", HERE.parent / "sayings.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["sayings"] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


sayings = _sayings()


def ui_classes(addon: Any) -> list[type]:
    """All that the rooms of the UI register."""
    rooms = addon("ui").rooms()
    return [*addon("ui.pie").CLASSES, *(cls for room in rooms for cls in getattr(room, "classes", ()))]


def classes(addon: Any) -> list[type]:
    """All that the add-on registers."""
    naming = addon("scene.properties.naming")
    return [
        *ui_classes(addon),
        *addon("scene.properties.character_properties").CLASSES,
        *naming._classes.values(),
    ]


def known_to_blender(addon: Any) -> dict[str, str]:
    """Labels and tooltips of classes, properties and choices, and whose they are."""
    found: dict[str, str] = {}
    weights = addon("core.weights.layouts").labels(addon("core.weights.layouts").starter_layout())
    for cls in classes(addon):
        rna, inherited = cls.bl_rna, {"rna_type", *bpy.types.PropertyGroup.bl_rna.properties.keys()}
        if issubclass(cls, bpy.types.Operator):
            area, _, name = cls.bl_idname.partition(".")
            rna, inherited = getattr(getattr(bpy.ops, area), name).get_rna_type(), {"rna_type"}
            found |= {rna.name: cls.__name__, rna.description: cls.__name__}
        elif issubclass(cls, bpy.types.Panel | bpy.types.FileHandler):
            found[cls.bl_label] = cls.__name__
        elif issubclass(cls, bpy.types.Menu):
            found |= {cls.bl_label: cls.__name__, cls.__doc__: cls.__name__}
        if issubclass(cls, bpy.types.Operator | bpy.types.PropertyGroup | bpy.types.AddonPreferences):
            for prop in rna.properties:
                if prop.identifier not in {*inherited, *weights}:
                    found |= dict.fromkeys(_words_of(prop), f"{cls.__name__}.{prop.identifier}")
    return {text: where for text, where in found.items() if sayings.letters(text) > 1}


def _words_of(prop: Any) -> Iterator[str]:
    if not prop.is_hidden and prop.name != prop.identifier:
        yield prop.name
        yield prop.description
    for item in prop.enum_items_static if prop.type == "ENUM" and not prop.is_hidden else ():
        yield item.name
        yield item.description


# --- complete -------------------------------------------------------------------------------------------------------


def test_the_catalogues_have_all_that_is_said_and_nothing_more(addon: Any) -> None:
    said = known_to_blender(addon)
    assert len(said) > 200, "labels and tooltips are read"
    for more in (sayings.said_by_addon(), sayings.said_by_server(), sayings.said_by_bundle()):
        said |= more
    for language, catalogue in addon("languages").CATALOGUES.items():
        missing = {text: where for text, where in said.items() if not catalogue.get(text)}
        leftovers = sorted(set(catalogue) - set(said))
        assert (missing, leftovers) == ({}, []), language


def test_tooltips_are_of_one_line_whatever_the_python(addon: Any) -> None:
    assert [text for text in known_to_blender(addon) if "\n" in text] == []


# --- spoken ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def german(addon: Any) -> Iterator[None]:
    """The add-on's own words in German."""
    wording, languages = addon("core.text.translate"), addon("languages")
    before = wording._translators

    def translate(text: str) -> str:
        return str(languages.CATALOGUES["de"].get(text, text))

    wording.use_translators(wording.Translators(translate, translate, translate, languages.messages()))
    yield
    wording.use_translators(before)


def refused(operator: Callable[..., Any], **options: Any) -> str:
    """Why a button is grey, or what a task ends with."""
    with pytest.raises(RuntimeError) as caught:
        operator(**options)
    return str(caught.value)


def drawn(panel: type) -> list[str]:
    """What a panel says with words of its own."""
    layout = mock.MagicMock()
    for name in ("row", "column", "box"):
        getattr(layout, name).return_value = layout
    panel.draw(SimpleNamespace(layout=layout), bpy.context)
    return [call.kwargs["text"] for call in layout.label.call_args_list if "text" in call.kwargs]


def test_a_grey_button_says_why_in_german_and_in_english_again(addon: Any, german: None) -> None:
    assert "Eine Figur auswählen" in refused(bpy.ops.edtalk.choose_voice)
    addon("core.text.translate").use_translators(addon("core.text.translate").ENGLISH)
    assert "Select a character" in refused(bpy.ops.edtalk.choose_voice)


def test_an_error_with_its_values_is_reported_in_german(resting: Any, german: None, tmp_path: Path) -> None:
    missing = tmp_path / "keine stimme.wav"
    words = refused(bpy.ops.edtalk.choose_voice, filepath=str(missing))
    assert f"Stimme {missing} ist nicht da. Zurücklegen oder eine andere Datei wählen (Stimme)." in words


def test_a_task_tells_its_stages_and_its_end_in_german(
    addon: Any, resting: Any, voice: Path, german: None, capfd: pytest.CaptureFixture[str]
) -> None:
    lines: set[str] = set()
    addon("ui.runtime.task_operator").LISTENERS.append(lambda task: lines.add(task.progress.text))
    try:
        bpy.ops.edtalk.choose_voice(filepath=str(voice))
        bpy.ops.edtalk.predict()
        bpy.ops.edtalk.bake()
    finally:
        addon("ui.runtime.task_operator").LISTENERS.pop()
    assert "Die Stimme wird gelesen" in lines
    assert any(line.startswith("Rendern ") and " von 12" in line for line in lines), lines
    told = capfd.readouterr().out
    assert f"{resting.name}: 12 Einzelbilder vorhergesagt" in told
    assert "12 Einzelbilder gerendert, 0 noch aktuell, in " in told


def test_the_panels_words_and_notes_from_the_file_are_german(
    addon: Any, talking: Any, german: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    panels = addon("ui.character.character_panel")
    monkeypatch.setattr(panels, "draw_words", lambda layout, text, _icon="NONE": layout.label(text=text))
    talking.edtalk.notes = "The head looks about 31 degrees to the side: use a picture from the front."
    assert drawn(panels.SetupPanel)[-1:] == [
        "Der Kopf blickt etwa 31 Grad zur Seite: ein Bild von vorn verwenden."
    ]
    remarks = addon("ui.bake.bake_panel")._remarks(bpy.context.scene, talking)
    assert ("Vor dem Rendern backen", "INFO") in remarks
    assert addon.session.status.line.startswith(("Server: bereit", "Server: beschäftigt"))


def test_names_in_the_file_stay_as_they_are(talking: Any, german: None) -> None:
    bpy.ops.edtalk.predict()
    assert [track.name for track in talking.animation_data.nla_tracks] == ["EDTalk Performance"]
    assert talking.animation_data.nla_tracks[0].strips[0].action.name.startswith("EDTalk face")


def test_reports_for_programs_stay_english(addon: Any, resting: Any, german: None) -> None:
    assert re.search(
        "State: Server: (ready|busy)", addon("ui.server.server_operators").describe_installation()
    )
    batch, lines = addon("ui.batch"), []
    said, batch._say = batch._say, lines.append
    try:
        assert batch.run(["bake", "--frames", "1-3"]) == 0
    finally:
        batch._say = said
    assert lines[-1].startswith(f"{resting.name}: done: 3 frames rendered, 0 still fresh, in ")
    assert not [line for line in lines if "werden" in line or " von " in line]


def test_disabling_the_add_on_forgets_its_languages(addon: Any) -> None:
    wording = addon("core.text.translate")
    assert wording._translators.messages, "spoken while it is enabled"
    bpy.ops.preferences.addon_disable(module=addon.name)
    assert wording._translators is wording.ENGLISH
