"""Runs inside a Blender with a window (see test_panels_window.py): the pie menu by its key, and the sidebar as it is at
first, and narrow with large letters."""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator
from typing import Any

import blf
import bpy

sys.path.insert(0, "/mnt/src")
import drive_window as window
import hands
from drive_window import (
    FRAMES,
    OUT,
    SRC,
    addon,
    area,
    finished,
    inside,
    photograph,
    region,
    result,
)

OPEN = (
    "server.server_panel.ServerPanel",
    "server.server_panel.ServerDetailsPanel",
    "server.server_panel.BundlesPanel",
    "character.portrait_panel.PortraitPanel",
    "bake.bake_panel.FormatPanel",
    "bake.takes_panel.TakesPanel",
    "weights.emotion_panel.EmotionPanel",
    "performance.sentences.SentencesPanel",
    "weights.weights_panel.PosesPanel",
    "weights.weights_panel.KeysPanel",
)
PANELS = (
    *OPEN,
    "character.character_panel.StartPanel",
    "character.character_panel.SetupPanel",
    "performance.voice_panel.VoicePanel",
    "bake.bake_panel.FramesPanel",
    "weights.weights_panel.WeightsPanel",
)
SCROLLED, PAGE = 40, 0.85
"""Pixels by one turn of the wheel; how much of its height the sidebar goes on, so that little is seen twice."""
PAGES = {"usual": 2, "large": 3}
LETTERS, ICON, EDGE = 11, 20, 6
"""Pixels at scale 1: the size of Blender's letters, the width of an icon, and the least beside them in a button (a
quarter of an icon, from where on Blender shortens words, and one)."""


def story() -> Generator[float, None, None]:
    yield from prepare()
    yield from pie()
    yield from sidebar("usual", 1.0)
    yield from sidebar("large", 1.5, narrower=60)


def prepare() -> Iterator[float]:
    """A character with baked frames and a performance, so that every panel has something to show."""
    window.install(*OPEN)
    for ob in list(bpy.data.objects):
        bpy.data.objects.remove(ob)
    scene = bpy.context.scene
    scene.frame_start, scene.frame_end = 1, FRAMES
    space = area("VIEW_3D").spaces.active
    space.show_region_ui = True
    space.shading.light, space.shading.color_type = "FLAT", "TEXTURE"
    yield 1.0
    yield from window.open_tab("EDTalk")
    bpy.ops.wm.save_as_mainfile(filepath=str(OUT / "shot.blend"))
    with inside("VIEW_3D"):
        bpy.ops.edtalk.new_character("INVOKE_DEFAULT", filepath=str(SRC / "portrait.png"))
    yield from finished()
    window.frame_the_plane()
    with inside("VIEW_3D"):
        bpy.ops.edtalk.choose_voice(filepath=str(next(SRC.glob("voice.*"))))
        speech = bpy.context.object.edtalk.speech
        speech.transcript_from, speech.text = "TEXT", bpy.data.texts.new("Words")
        speech.text.write("I am so glad to see you. [angry 0.8] Why are you late?")
        bpy.ops.edtalk.predict("INVOKE_DEFAULT")
    yield from finished()
    with inside("VIEW_3D"):
        bpy.ops.edtalk.bake("INVOKE_DEFAULT")
    yield from finished()
    with inside("VIEW_3D"):
        bpy.ops.edtalk.bake_range("INVOKE_DEFAULT", asked=True, new_take=True)
    yield from finished()
    yield 1.5


def pie() -> Iterator[float]:
    """Off at first; then Ctrl Shift E over the view opens it, and a click towards Copy Pose chooses that."""
    view = region(area("VIEW_3D"))
    middle = hands.at(view, view.width // 3, view.height // 2)
    manager = bpy.context.window_manager
    manager.clipboard = "nothing"
    for name, is_on in (("off", False), ("on", True)):
        addon("ui.runtime.preferences").preferences().pie_menu = is_on
        hands.move(middle)
        yield 0.3
        hands.press("ctrl+shift+e")
        yield 2.5
        photograph(f"pie_{name}.png")
        yield from hands.click((middle[0] - 90, middle[1] - 70))
        result[f"clipboard with the pie menu {name}"] = manager.clipboard[:16]


def sidebar(name: str, scale: float, narrower: int = 0) -> Iterator[float]:
    """All of it in pictures, and the words that are wider than their buttons."""
    bpy.context.preferences.view.ui_scale = scale
    yield 1.5
    side = region(area("VIEW_3D"), "UI")
    width = side.width
    for offset in (0, -1, 1, -2, 2):  # its edge can be taken hold of, but it is thin
        if narrower and side.width == width:
            edge = hands.at(side, offset, side.height * 3 // 4)
            yield from hands.drag(edge, (edge[0] + narrower, edge[1]), steps=12)
            yield 0.5
    words, cut, fitting = written(), {}, set()
    for page in range(PAGES[name]):
        photograph(f"{name}_{page}.png")
        found = yield from hands.Buttons().wide()
        for command in found.keys() - fitting:
            cut[command] = yield from too_wide(command, found[command], words)
            fitting |= set() if cut[command] else {command}  # (at the edge of a page it may look too small)
        hands.scroll("down", round(side.height * PAGE / SCROLLED))
        yield 0.5
    result[name] = {
        "width": side.width / scale,
        "buttons": len(cut),
        "cut": [f"{command}: {words}" for command, words in cut.items() if command not in fitting],
    }
    hands.scroll("up", 100)
    yield 0.5


class Words:
    """A layout that notes what is written on operators' buttons."""

    def __init__(self) -> None:
        self.of: dict[str, tuple[str, bool]] = {}

    def operator(self, name: str, text: str | None = None, icon: str = "NONE", **_: Any) -> Any:
        """(A button whose text is empty shows its icon alone.)"""
        kind = getattr(bpy.ops.edtalk, name.partition(".")[2]).get_rna_type()
        self.of[name] = (kind.name if text is None else text, icon != "NONE")
        return type("Properties", (), {})()

    def __getattr__(self, _name: str) -> Any:
        return lambda *_, **__: self


def written() -> dict[str, tuple[str, bool]]:
    """The words on the operators' buttons of our panels, and whether an icon is before them."""
    words = Words()
    for name in PANELS:
        module, _, panel = name.rpartition(".")
        kind = getattr(addon(f"ui.{module}"), panel)
        drawn = type(
            "Drawn", (), {"layout": words} | {k: v for k, v in vars(kind).items() if k.startswith("_draw")}
        )
        with inside("VIEW_3D"):
            kind.draw(drawn(), bpy.context)
    return words.of


def too_wide(command: str, places: list[hands.Place], words: dict[str, tuple[str, bool]]) -> Iterator[float]:
    """The words of a button, if they do not fit into it."""
    name = command.removeprefix("bpy.ops.").partition("(")[0]
    said, has_icon = words.get(name, ("", False))
    if not said or ("bank=" in command and "ALL" not in command):  # a bank's own tools are icons
        return ""
    scale = bpy.context.preferences.system.ui_scale
    blf.size(0, LETTERS * scale)
    needed = blf.dimensions(0, said)[0] + (ICON if has_icon else 0) * scale + EDGE * scale
    fits = yield from hands.is_wide(command, places, needed)
    return "" if fits else f"{said} needs {needed:.0f} pixels"


if __name__ == "__main__":
    window.begin(story())
