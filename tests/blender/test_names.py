"""What the weights are called: names, ranges and tooltips are the bundle's in every editor, and nothing of the artist's
is lost when they change."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import bpy
import pytest

pytestmark = pytest.mark.versions

SMALL = """
[["smirk", "Smirk", "mouth", 0.0, 2.0, "Corners of the mouth up."],
 ["drop", "Drop", "mouth", -3.0, 3.0, ""],
 ["nod", "Nod", "pose", -0.5, 0.5, "Looks down; 1 is 10 degrees"]]
"""
"""A bundle with two weights for the mouth, one for the head and none for the expression."""

SERVER = """
import json, os, sys
from pathlib import Path
from edtalk_server.service.model import FakeBackend
from edtalk_server.service.server import Server
from shared_protocol import connection
from shared_protocol.banks import Bank, BankLayout, Basis
bases = [Basis(i, name, Bank(bank), *rest) for i, name, bank, *rest in json.loads(sys.argv[2])]
server = Server(FakeBackend(BankLayout(tuple(bases))), parent_pids=[int(sys.argv[1])])
server.stop_on_signals()
connection.write(connection.default_path(), server.connection)
server.run(lambda: print("ready", flush=True))
"""


@pytest.fixture
def small_server(
    addon: Any, server_python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """A running server with the small bundle, which the add-on finds."""
    monkeypatch.setenv("EDTALK_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("EDTALK_SERVER_PYTHON", str(server_python))
    command = [str(server_python), "-c", SERVER, str(os.getpid()), SMALL]
    folder = Path(__file__).resolve().parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folder) as process:
        assert process.stdout.readline() == "ready\n"
        yield
        addon.session.close()
        process.terminate()


def channel(ob: Any, name: str) -> Any:
    """The property behind a slider or an F-Curve, as editors resolve it from its path."""
    return ob.path_resolve("edtalk").bl_rna.properties[name]


def test_the_weights_are_called_as_in_the_bundle(resting: Any) -> None:
    jaw = channel(resting, "mouth_01")
    assert (jaw.name, jaw.soft_min, jaw.soft_max) == ("Mouth 1", -6.0, 6.0)


def test_a_smaller_bundle_names_what_it_has_and_the_rest_is_not_used(
    addon: Any, small_server: None, portrait: Path
) -> None:
    bpy.ops.edtalk.new_character(filepath=str(portrait))
    ob = bpy.context.object
    smirk, drop, nod = (channel(ob, name) for name in ("mouth_01", "mouth_02", "pose_01"))
    assert [one.name for one in (smirk, drop, nod)] == ["Smirk", "Drop", "Nod"]
    assert [(one.soft_min, one.soft_max) for one in (smirk, drop, nod)] == [(0, 2), (-3, 3), (-0.5, 0.5)]
    assert smirk.description == "Corners of the mouth up. Usual values: 0 (not at all) to 2 (fully)"
    assert nod.description.startswith("Looks down; 1 is 10 degrees. Usual values: -0.5 (the opposite) to 0.5")
    assert "does not tell" in drop.description
    unused = [channel(ob, name) for name in ("mouth_03", "mouth_20", "pose_02", "expression_01")]
    assert unused[0].name == "Mouth 3 (not used)"
    assert all("(not used)" in one.name and "change nothing" in one.description for one in unused)


@pytest.fixture
def layouts(addon: Any) -> Any:
    """The layouts of two bundles."""
    of = addon("core.weights.layouts")
    small = of.layout_from_rows(
        [
            {"identifier": "smirk", "name": "Smirk", "bank": "mouth", "minimum": 0, "maximum": 2},
            {"identifier": "nod", "name": "Nod", "bank": "pose"},
        ]
    )
    return SimpleNamespace(starter=of.starter_layout(), small=small)


@pytest.fixture
def give(addon: Any) -> Any:
    """Let a character be one of another bundle, as a prediction with it does."""

    def given(ob: Any, layout: Any) -> None:
        rest = [0.0] * len(layout)
        addon("scene.character").set_source(ob, "another", "Another 1", layout, rest, ())
        addon("ui.weights.weight_names").tick()

    return given


def evaluated(ob: Any, frame: int) -> Any:
    bpy.context.scene.frame_set(frame)
    return ob.evaluated_get(bpy.context.evaluated_depsgraph_get()).edtalk


def test_values_keys_drivers_and_what_is_evaluated_stay_as_they_are(
    talking: Any, layouts: Any, give: Any, addon: Any
) -> None:
    puppeteer = bpy.data.objects.new("Puppeteer", None)
    bpy.context.scene.collection.objects.link(puppeteer)
    puppeteer.location.x = 0.7
    driver = talking.driver_add("edtalk.expression_02").driver
    variable = driver.variables.new()
    variable.targets[0].id, variable.targets[0].data_path = puppeteer, "location.x"
    driver.type = "SUM"
    talking.edtalk.emotion.happy, talking.edtalk.gain.mouth = 0.5, 1.5
    names = addon("scene.character").channels_of(talking)

    def all_values() -> list[list[float]]:
        return [[getattr(evaluated(talking, frame), name) for name in names] for frame in range(1, 13)]

    before, others = all_values(), (talking.edtalk.portrait, talking.edtalk.live_image)
    assert len({tuple(row) for row in before}) > 1 and before[0][27] == pytest.approx(0.7)
    held = talking.edtalk
    give(talking, layouts.starter)
    assert channel(talking, "mouth_01").name == "Jaw Open"
    assert all_values() == before
    assert (talking.edtalk.portrait, talking.edtalk.live_image) == others
    assert talking.edtalk.emotion.happy == 0.5 and talking.edtalk.gain.mouth == 1.5
    assert held.mouth_01 == talking.edtalk.mouth_01, "who still holds it from before sees the same"
    held.mouth_02 = 0.25
    assert talking.edtalk.mouth_02 == 0.25
    assert talking.edtalk.is_property_overridable_library("mouth_01")
    bpy.context.scene.frame_set(5)
    talking.edtalk.mouth_03 = 1.5
    bpy.ops.edtalk.key_weights(bank="mouth")
    assert evaluated(talking, 5).mouth_03 == pytest.approx(1.5)


def test_undo_and_redo_go_over_a_change_of_names(resting: Any, layouts: Any, give: Any) -> None:
    name = resting.name
    for value in (0.1, 0.2):
        resting.edtalk.mouth_01 = value
        bpy.ops.ed.undo_push(message=str(value))
    give(resting, layouts.small)
    bpy.ops.ed.undo_push(message="another bundle")
    bpy.ops.ed.undo()
    bpy.ops.ed.undo()
    ob = bpy.data.objects[name]
    assert ob.edtalk.mouth_01 == pytest.approx(0.1) and ob.edtalk.bundle == "No model 1"
    bpy.ops.ed.redo()
    bpy.ops.ed.redo()
    ob = bpy.data.objects[name]
    assert ob.edtalk.mouth_01 == pytest.approx(0.2) and ob.edtalk.bundle == "Another 1"


def test_undo_brings_the_old_names_back(addon: Any, resting: Any, layouts: Any, give: Any) -> None:
    bpy.ops.ed.undo_push(message="made")
    give(resting, layouts.small)
    bpy.ops.ed.undo_push(message="another bundle")
    assert channel(bpy.context.object, "mouth_01").name == "Smirk"
    bpy.ops.ed.undo()
    addon("ui.weights.weight_names").tick()
    assert channel(bpy.context.object, "mouth_01").name == "Mouth 1"


def test_a_file_is_opened_with_the_names_of_its_bundle_and_no_server(
    resting: Any, layouts: Any, give: Any, addon: Any
) -> None:
    give(resting, layouts.small)
    resting.edtalk.mouth_01 = 1.25
    resting.select_set(False)
    bpy.context.view_layer.objects.active = None
    path = bpy.data.filepath
    bpy.ops.wm.save_mainfile()
    addon.session.close()
    bpy.ops.wm.read_homefile(use_factory_startup=True, load_ui=False)
    addon("scene.properties.naming").register()
    bpy.ops.wm.open_mainfile(filepath=path)
    ob = next(filter(addon("scene.character").is_character, bpy.data.objects))
    assert channel(ob, "mouth_01").name == "Smirk" and ob.edtalk.mouth_01 == 1.25


def test_a_library_override_keeps_what_was_changed_before_and_after(
    resting: Any, layouts: Any, give: Any, tmp_path: Path, addon: Any
) -> None:
    resting.edtalk.mouth_03 = 0.3
    bpy.ops.wm.save_mainfile()
    library = bpy.data.filepath
    bpy.ops.wm.read_homefile(use_factory_startup=True, load_ui=False)
    with bpy.data.libraries.load(library, link=True) as (_there, here):
        here.objects = [resting_name(library)]
    ob = here.objects[0].override_create(remap_local_usages=True)
    bpy.context.scene.collection.objects.link(ob)
    ob.edtalk.mouth_01 = 0.75
    give(ob, layouts.starter)
    bpy.context.view_layer.objects.active = ob
    addon("ui.weights.weight_names").tick()
    assert channel(ob, "mouth_01").name == "Jaw Open"
    ob.edtalk.mouth_02 = -0.5
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    give(ob, layouts.small)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "shot.blend"))
    ob = next(one for one in bpy.data.objects if one.override_library)
    assert (ob.edtalk.mouth_01, ob.edtalk.mouth_02) == (0.75, -0.5)
    assert ob.edtalk.mouth_03 == pytest.approx(0.3), "not overridden: the library's"
    assert {"edtalk.mouth_01", "edtalk.mouth_02"} <= {one.rna_path for one in ob.override_library.properties}


def resting_name(library: str) -> str:
    with bpy.data.libraries.load(library) as (there, _here):
        return str(there.objects[0])


def test_of_two_characters_with_different_bundles_the_active_one_names_the_weights(
    resting: Any, layouts: Any, give: Any, addon: Any, portrait: Path
) -> None:
    give(resting, layouts.small)
    bpy.ops.edtalk.new_character(filepath=str(portrait))
    second, objects = bpy.context.object, bpy.context.view_layer.objects
    assert channel(second, "mouth_01").name == "Mouth 1"
    for active, name in ((resting, "Smirk"), (second, "Mouth 1"), (None, "Mouth 1"), (resting, "Smirk")):
        objects.active = active
        addon("ui.weights.weight_names").tick()
        assert channel(resting, "mouth_01").name == name


def test_sliders_show_the_bundles_whole_range(resting: Any, addon: Any) -> None:
    panel, layout = addon("ui.weights.weights_panel").MouthPanel, mock.MagicMock()
    panel.draw(SimpleNamespace(layout=layout, bank=panel.bank), SimpleNamespace(object=resting))
    shown = [call.kwargs for call in layout.column().prop.call_args_list]
    assert len(shown) == 20 and all(one["slider"] for one in shown)


def test_names_that_no_property_can_have_are_made_readable(resting: Any, give: Any, addon: Any) -> None:
    rows = [
        {"identifier": "odd", "name": "O\\ud800d\\u0000d\\n", "bank": "mouth", "minimum": 3, "maximum": 1}
    ]
    rows[0]["name"] = rows[0]["name"].encode().decode("unicode_escape")
    give(resting, addon("core.weights.layouts").layout_from_rows(rows))
    odd = channel(resting, "mouth_01")
    assert (odd.name, odd.soft_min, odd.soft_max) == ("Odd", -1.0, 1.0)


def test_what_was_named_otherwise_goes_with_the_add_on(
    resting: Any, layouts: Any, give: Any, addon: Any
) -> None:
    give(resting, layouts.small)
    give(resting, layouts.starter)
    bpy.ops.preferences.addon_disable(module=addon.name)
    assert not hasattr(bpy.types.Object, "edtalk")
    left = [cls.__name__ for cls in bpy.types.PropertyGroup.__subclasses__() if cls.is_registered]
    assert not [name for name in left if "EDTalk" in name]
    bpy.ops.preferences.addon_enable(module=addon.name)
    assert bpy.context.object.edtalk.is_character


def test_tooltips_follow_the_language(resting: Any, give: Any, layouts: Any, addon: Any) -> None:
    wording, german = addon("core.text.translate"), addon("languages").CATALOGUES["de"]
    before = wording._translators

    def translate(text: str) -> str:
        return str(german.get(text, text))

    give(resting, layouts.starter)
    wording.use_translators(wording.Translators(translate, translate, translate))
    try:
        addon("ui.weights.weight_names").tick()
        jaw = channel(resting, "mouth_01")
        assert jaw.description.startswith("Der Unterkiefer sinkt") and "0 (gar nicht)" in jaw.description
        assert jaw.name == "Jaw Open", "Blender translates names itself"
    finally:
        wording.use_translators(before)
    addon("ui.weights.weight_names").tick()
    assert channel(resting, "mouth_01").description.startswith("Lower jaw drops")
