"""Runs inside a Blender with a window (see test_language_window.py): the add-on in German, in English again, and
Blender's words after it is gone."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterator

import bpy

sys.path.insert(0, "/mnt/src")
import drive_window as window
from drive_window import FRAMES, MODULE, OUT, SRC, addon, character, finished, inside, photograph, result
from hands import at, move, press, scroll, until

view = bpy.context.preferences.view
translated = bpy.app.translations


def story() -> Generator[float, None, None]:
    speak("de")
    window.install()
    result["locale"] = translated.locale
    result["locales"] = [one for one in translated.locales if one.startswith("de")]
    result["blender's own words"] = blenders_own_words()
    open_panels()
    yield from window.arrange()
    yield from act()
    yield from look_at_panels()
    yield from idle()
    say("german")
    view.use_translate_tooltips = False
    result["interface alone"] = tooltip(), label()
    view.use_translate_tooltips, view.use_translate_interface = True, False
    result["tooltips alone"] = tooltip(), label()
    view.use_translate_interface = True
    speak("en")
    yield from idle()
    say("english")
    speak("de")
    bpy.ops.preferences.addon_disable(module=MODULE)
    result["gone"] = label()


def idle() -> Iterator[float]:
    """Wait until no picture comes any more and the server is ready: the panel's faces are drawn one after the other."""
    yield from window.settled()
    yield from until(lambda: addon("ui.runtime.runtime").session().server.state.value == "ready")


def speak(language: str) -> None:
    """Choose a language as Preferences > Interface does."""
    codes = ["en_US"] if language == "en" else [one for one in translated.locales if one.startswith(language)]
    view.language = codes[0]
    view.use_translate_interface = view.use_translate_tooltips = view.use_translate_reports = True


def label() -> str:
    return translated.pgettext_iface("Bake Changes", "Operator")


def tooltip() -> str:
    return translated.pgettext_tip("Show this take on the plane")


def blenders_own_words() -> dict[str, list[str]]:
    """What Blender says instead of the catalogue's word, in the default context and on buttons."""
    found = {}
    for english, own in addon("languages").CATALOGUES["de"].items():
        said = [translated.pgettext_iface(english, context) for context in ("*", "Operator", "EDTalk")]
        if set(said) != {own}:
            found[english] = [own, *said]
    return found


def open_panels() -> None:
    """A panel that was never drawn is as open as its class says."""
    classes = [cls for room in addon("ui").rooms() for cls in getattr(room, "classes", ())]
    panels = [cls for cls in classes if issubclass(cls, bpy.types.Panel)]
    for cls in reversed(panels):
        bpy.utils.unregister_class(cls)
    for cls in panels:
        cls.bl_options = set()
        bpy.utils.register_class(cls)


def act() -> Iterator[float]:
    """A character that speaks and is baked; what the status bar and the reports say."""
    scene = bpy.context.scene
    scene.frame_start, scene.frame_end = 1, FRAMES
    bpy.ops.wm.save_as_mainfile(filepath=str(OUT / "shot.blend"))
    with inside("VIEW_3D"):
        bpy.ops.edtalk.new_character("INVOKE_DEFAULT", filepath=str(SRC / "portrait.png"))
    yield from finished()
    window.frame_the_plane()
    with inside("VIEW_3D"):
        bpy.ops.edtalk.choose_voice(filepath=str(next(SRC.glob("voice.*"))), add_strip=True)
        bpy.ops.edtalk.predict("INVOKE_DEFAULT")
    yield from finished()
    with inside("VIEW_3D"):
        bpy.ops.edtalk.bake("INVOKE_DEFAULT")
    task, lines = addon("ui.runtime.runtime").session().task, set()
    while addon("ui.runtime.runtime").session().task is not None:
        lines.add(task.progress.text)
        if len(lines) == 5 and "baking" not in result:
            photograph("baking.png")
            result["baking"] = task.progress.text
        yield 0.05
    result["progress"] = sorted(lines)
    with inside("VIEW_3D"):
        bpy.ops.edtalk.check_portrait("INVOKE_DEFAULT")
    yield from finished()
    character().edtalk.speech.transcript_from = "TEXT"
    character().edtalk.speech.text = bpy.data.texts.new("words")
    character().edtalk.speech.text.write("Hello [happy 0.7] there\n")


def reports() -> list[str]:
    """What the Info editor holds."""
    where = window.area("GRAPH_EDITOR")
    where.type = "INFO"
    with bpy.context.temp_override(window=window.window(), area=where, region=window.region(where)):
        bpy.ops.info.select_all(action="SELECT")
        bpy.ops.info.report_copy()
    where.type = "GRAPH_EDITOR"
    return [line for line in bpy.context.window_manager.clipboard.splitlines() if not line.startswith("bpy.")]


def say(language: str) -> None:
    """Why a button is grey, what an error says, the panels' titles, and the server's line."""
    bpy.context.view_layer.objects.active = None
    asked = {}
    try:
        bpy.ops.edtalk.choose_voice(filepath="x.wav")
    except RuntimeError as error:
        asked["poll"] = str(error)
    bpy.context.view_layer.objects.active = character()
    try:
        bpy.ops.edtalk.choose_voice(filepath="/gone/x.wav")
    except RuntimeError as error:
        asked["error"] = str(error)
    asked["server"] = addon("ui.runtime.runtime").session().status.line
    asked["label"], asked["tooltip"] = label(), tooltip()
    weight = character().edtalk.bl_rna.properties["mouth_01"]
    asked["slider"] = translated.pgettext_iface(weight.name)
    asked["reports"] = reports()
    result[language] = asked


def look_at_panels() -> Iterator[float]:
    """The whole sidebar, page after page."""
    with inside("VIEW_3D"):
        bpy.ops.screen.screen_full_area()
    yield 2.0
    window.region(window.area("VIEW_3D"), "UI").active_panel_category = "EDTalk"
    yield 1.0
    for page in range(5):
        photograph(f"page{page}.png")
        scroll("down", 16)
        yield 1.0
    yield from look_at(bpy.ops.edtalk.bake_range, "dialog.png")
    yield from look_at(bpy.ops.edtalk.adjust_crop, "crop.png")
    with inside("VIEW_3D"):
        bpy.ops.screen.screen_full_area()
    yield 1.0


def look_at(operator: Callable[..., object], name: str) -> Iterator[float]:
    """What an operator shows before it does anything; Escape ends it."""
    move(at(window.region(window.area("VIEW_3D")), 400, 300))
    yield 0.5
    with inside("VIEW_3D"):
        operator("INVOKE_DEFAULT")
    yield 2.0
    photograph(name)
    press("Escape")
    yield 1.0


if __name__ == "__main__":
    window.begin(story())
