"""Several characters: what is asked for meanwhile waits in line, and edits are meant for all that are selected."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from unittest import mock

import bpy
import pytest


@pytest.fixture
def two(addon: Any, resting: bpy.types.Object, portrait: Any) -> tuple[bpy.types.Object, bpy.types.Object]:
    """Two characters; the second is active and the only one selected."""
    bpy.ops.edtalk.new_character(filepath=str(portrait))
    return resting, bpy.context.object


# --- in line ---------------------------------------------------------------------------------------------------------


class Window:
    """A window for operators of our own that name the character they work on; `said` is what they report."""

    def __init__(self, addon: Any) -> None:
        said = self.said = list[str]()

        class Named(addon("ui.runtime.task_operator").TaskOperator):
            bl_idname, title = "EDTALK_OT_named", "Bake"
            lasts = 2

            @classmethod
            def poll(cls, _context: Any) -> bool:
                return True

            def steps(self, context: Any, _progress: Any) -> Iterator[None]:
                ob, scene = context.object, context.scene
                for _ in range(self.lasts):
                    yield
                return f"{ob.name} in {scene.name}"

            def report(self, _kind: set[str], words: str) -> None:
                said.append(words)

            def as_keywords(self, ignore: tuple[str, ...]) -> dict[str, Any]:
                return {"lasts": self.lasts}

        self._class = Named
        self.running: list[Any] = []

    def press(self, ob: bpy.types.Object, lasts: int = 2) -> set[str]:
        """Click the button with this character active."""
        operator = self._class()
        operator.lasts = lasts
        with bpy.context.temp_override(object=ob, active_object=ob):
            answer = operator.invoke(self._context(ob), None)
        if answer == {"RUNNING_MODAL"}:
            self.running.append(operator)
        return answer

    def _context(self, ob: bpy.types.Object | None) -> SimpleNamespace:
        quiet = mock.MagicMock()
        quiet.name = "no workspace"
        manager = mock.MagicMock(windows=[])
        return SimpleNamespace(
            object=ob, scene=bpy.context.scene, window_manager=manager, workspace=quiet, window=None
        )

    def tick(self, kind: str = "TIMER") -> None:
        """One event for all that runs or waits, as Blender hands it on: the newest has it first."""
        event = SimpleNamespace(type=kind, value="PRESS")
        for operator in reversed(list(self.running)):
            answer = operator.modal(bpy_like(self._context(None)), event)
            if not answer & {"RUNNING_MODAL", "PASS_THROUGH"}:
                self.running.remove(operator)
            if answer == {"RUNNING_MODAL"}:
                break


def bpy_like(context: SimpleNamespace) -> Any:
    """The context with what is active now, also inside an override."""

    class Now:
        object = property(lambda _: bpy.context.object)
        scene = property(lambda _: bpy.context.scene)
        window_manager, workspace, window = context.window_manager, context.workspace, None

    return Now()


@pytest.fixture
def window(addon: Any, two: Any, monkeypatch: pytest.MonkeyPatch) -> Window:
    seeming = SimpleNamespace(app=SimpleNamespace(background=False), data=bpy.data, ops=bpy.ops)
    monkeypatch.setattr(addon("ui.runtime.task_operator"), "bpy", seeming)
    return Window(addon)


def waiting(addon: Any) -> list[str]:
    return [one.subject for one in addon("ui.runtime.waiting").LINE]


def test_what_is_asked_for_meanwhile_waits_and_is_done_on_its_own_character(
    addon: Any, two: Any, window: Window
) -> None:
    first, second = two
    window.press(first)
    window.press(second)
    assert addon.session.task is not None
    assert waiting(addon) == [second.name]
    bpy.context.view_layer.objects.active = first  # the artist goes on
    for _ in range(9):
        window.tick()
    assert window.said == [f"{ob.name} in Scene" for ob in two]
    assert (addon.session.task, waiting(addon), window.running) == (None, [], [])


def test_the_same_work_waits_only_once(addon: Any, two: Any, window: Window) -> None:
    first, second = two
    window.press(first)
    assert window.press(second) == {"RUNNING_MODAL"}
    assert window.press(second) == {"CANCELLED"}
    assert window.said == ["Bake waits already"]
    assert waiting(addon) == [second.name]


def test_each_in_line_has_a_cross_of_its_own(addon: Any, two: Any, window: Window) -> None:
    first, second = two
    window.press(first)
    window.press(second)
    window.press(second, lasts=3)
    line = addon("ui.runtime.waiting").LINE
    bpy.ops.edtalk.cancel(waiting=next(iter(line)).number)
    assert len(line) == 1
    for _ in range(12):
        window.tick()
    assert window.said == [f"{first.name} in Scene", f"{second.name} in Scene"]
    assert window.running == []


def test_escape_cancels_what_runs_and_the_next_begins(addon: Any, two: Any, window: Window) -> None:
    first, second = two
    window.press(first, lasts=99)
    window.press(second)
    window.tick("ESC")
    for _ in range(8):
        window.tick()
    assert window.said == ["Bake was cancelled. Finished frames are kept", f"{second.name} in Scene"]


def test_the_escape_that_stops_playback_leaves_a_bake_alone(
    addon: Any, two: Any, window: Window, monkeypatch: pytest.MonkeyPatch
) -> None:
    plays = [True]
    monkeypatch.setattr(addon("ui.runtime.task_operator"), "is_playing", lambda _context: plays[0])
    window.press(two[0], lasts=99)
    window.tick("ESC")
    window.tick()
    assert addon.session.task is not None
    plays[0] = False
    window.tick("ESC")
    assert addon.session.task is None


def test_work_that_is_not_about_the_file_goes_on_in_another_one(
    addon: Any, two: Any, window: Window, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its operator ends with the file, and another one takes it over; what is about the file ends."""
    operators, invoked = addon("ui.runtime.task_operator"), list[str]()
    monkeypatch.setattr(operators, "_invoke_soon", lambda name, **_: invoked.append(name))
    for is_of_file, goes_on in ((True, []), (False, ["carry_on"])):
        window.press(two[0], lasts=99)
        (operator,) = window.running
        operator.is_of_file = addon.session.task.is_of_file = is_of_file
        operator.cancel(window._context(None))
        window.running.clear()
        addon("ui.runtime.runtime").current().forget_file()
        assert invoked == goes_on
        assert (addon.session.task is not None) == bool(goes_on)
    task = addon.session.task
    outside_of_blender = {"invoke": operators.CarryOn.invoke, "report": lambda *_: None}
    taken = type("CarryOn", (operators.TaskOperator,), outside_of_blender)()
    window.running.append(taken)
    assert taken.invoke(window._context(None), None) == {"RUNNING_MODAL"}
    window.tick()
    assert addon.session.task is task
    window.tick("ESC")
    assert addon.session.task is None


def test_a_character_that_was_removed_while_it_waited_is_said(addon: Any, two: Any, window: Window) -> None:
    first, second = two
    window.press(first)
    window.press(second)
    bpy.data.objects.remove(second)
    for _ in range(8):
        window.tick()
    assert (
        window.said[-1]
        == "The character was removed before its turn came. Select another one and start again."
    )
    assert (addon.session.task, waiting(addon)) == (None, [])


def test_another_file_ends_what_waits(addon: Any, two: Any, window: Window) -> None:
    first, second = two
    window.press(first)
    window.press(second)
    addon("ui.runtime.runtime").current().forget_file()
    assert waiting(addon) == []
    for _ in range(3):
        window.tick()
    assert window.running == []


def test_a_script_is_told_to_wait(addon: Any, two: Any) -> None:
    addon.session.task = mock.Mock(title="Bake")
    with pytest.raises(RuntimeError, match="Bake is running: wait for it, or cancel it"):
        bpy.ops.edtalk.bake()
    addon.session.task = None


# --- together --------------------------------------------------------------------------------------------------------


def test_buttons_for_weights_work_on_all_selected_characters(addon: Any, two: Any) -> None:
    first, second = two
    first.select_set(True)
    for ob in two:
        ob.edtalk.mouth_01 = 0.9
    assert bpy.ops.edtalk.reset_weights(bank="mouth") == {"FINISHED"}
    assert first.edtalk.mouth_01 == second.edtalk.mouth_01 == pytest.approx(-0.5)
    bpy.ops.edtalk.key_weights(bank="pose")
    assert all(len(addon("scene.keys.actions").curves(ob)) == 6 for ob in two)
    first.select_set(False)
    first.edtalk.mouth_01 = 0.9
    bpy.ops.edtalk.reset_weights(bank="mouth")
    assert first.edtalk.mouth_01 == pytest.approx(0.9), "what is not selected stays"


def test_one_that_cannot_be_edited_holds_nobody_else_up(addon: Any, two: Any) -> None:
    first, second = two
    first.select_set(True)
    character = addon("scene.character")
    character.set_presets(second, {"happy": {character.layout_of(second).bases[0].identifier: 0.5}})
    with pytest.raises(RuntimeError, match="no expression 'happy'"):
        bpy.ops.edtalk.apply_preset(preset="happy")
    assert len(addon("scene.keys.actions").curves(second)) > 0


def test_acting_is_set_for_all_selected_characters(addon: Any, two: Any) -> None:
    two[0].select_set(True)
    bpy.ops.edtalk.set_strength(strength="STAGE")
    assert [ob.edtalk.gain.mouth for ob in two] == pytest.approx([1.3, 1.3])
    two[0].select_set(False)
    bpy.context.object.edtalk.gain.mouth = 0.5
    bpy.ops.edtalk.save_strength(name="Whisper")
    two[0].select_set(True)
    bpy.ops.edtalk.apply_strength(name="Whisper")
    assert [ob.edtalk.gain.mouth for ob in two] == [0.5, 0.5], "the active character's preset"
    bpy.ops.edtalk.save_strength(name="Both")
    assert [list(ob.edtalk.strengths.keys()) for ob in two] == [["Both"], ["Whisper", "Both"]]


def test_what_the_first_step_refuses_on_another_character_is_said_and_no_failure_of_python(
    addon: Any, two: tuple[bpy.types.Object, bpy.types.Object]
) -> None:
    """Blender tells Python of an operator's error by an exception."""
    said: list[str] = []

    class Predicts(addon("ui.runtime.range_operator").RangeOperator):
        bl_idname = "EDTALK_OT_predict"

        def as_keywords(self, ignore: tuple[str, ...]) -> dict[str, Any]:
            return {}

        def report(self, _kind: set[str], words: str) -> None:
            said.append(words)

    Predicts()._repeat(two[0])
    assert len(said) == 1 and "voice" in said[0].lower() and not said[0].startswith("Error")
