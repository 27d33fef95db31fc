"""Mouse and keys for the drive scripts, and eyes for buttons: a button is found by what it does, not by where it was.

Blender tells no script where a button is, but it copies the Python command, or the data path, of the one under the
mouse. So the mouse goes over a region until the wanted words come.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import product
from typing import IO

import bpy
import drive_window

ROW, COLUMN, TABS, STEPS = 14, 18, 40, (6, 1)
"""Pixels at scale 1 between two looks (less than a button is high, and than one of a single icon is wide), at the right
edge, and in looking for a button's end, first and then."""
HOVER, LONG_HOVER = 0.0, 0.2
"""Seconds until Blender knows what is under the mouse that it has seen, mostly and surely."""
ARRIVES = 5.0
"""Seconds in which Blender sees the mouse where it went, also on a busy machine. (In another window it never does.)"""
F12 = "96"
"""The key by its number: called by its name, some xdotools hold Alt as well."""
Place = tuple[int, int]
"""Pixels from the screen's left top."""


@cache
def _hand() -> IO[str]:
    """One xdotool for everything: to start one takes longer than Blender takes to see what it does."""
    hand = subprocess.Popen(["xdotool", "-"], stdin=subprocess.PIPE, text=True)
    assert hand.stdin is not None
    return hand.stdin


def mouse(*words: str) -> None:
    """What xdotool is to do; it does it at once, but this does not wait for it."""
    _hand().write(" ".join(words) + "\n")
    _hand().flush()


def press(*keys: str) -> None:
    """Keys, by their names or numbers, together with those that are held: "ctrl+z"."""
    mouse("key", *keys)


def at(where: bpy.types.Region, x: int, from_top: int) -> Place:
    """A place in a region as the mouse counts."""
    return where.x + x, drive_window.window().height - (where.y + where.height) + from_top


def move(place: Place) -> None:
    mouse("mousemove", str(place[0]), str(place[1]))


class SeenMouse(bpy.types.Operator):
    """Notes where Blender has seen the mouse; no other call tells."""

    bl_idname, bl_label = "hands.seen_mouse", "Seen Mouse"
    bl_options = {"INTERNAL"}  # noqa: RUF012 (Blender wants a set)
    at: Place = (-1, -1)

    def invoke(self, _context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        SeenMouse.at = event.mouse_x, drive_window.window().height - event.mouse_y
        return {"CANCELLED"}


def _has_arrived(place: Place) -> bool:
    """Has Blender seen the mouse at a place, or a pixel beside it?"""
    if not hasattr(bpy.types, "HANDS_OT_seen_mouse"):
        bpy.utils.register_class(SeenMouse)
    with bpy.context.temp_override(window=drive_window.window()):
        bpy.ops.hands.seen_mouse("INVOKE_DEFAULT")
    return all(abs(seen - wanted) <= 1 for seen, wanted in zip(SeenMouse.at, place, strict=True))


def go(place: Place, rest: float = 0.15) -> Iterator[float]:
    """Move the mouse to a place in the first window, wait until Blender has seen it, and rest there."""
    move(place)
    yield from until(lambda: _has_arrived(place), ARRIVES, 0.005)
    yield rest


def click(place: Place, button: int = 1) -> Iterator[float]:
    """Go there, press and release."""
    yield from go(place)
    mouse("mousedown", str(button))
    yield 0.1
    mouse("mouseup", str(button))
    yield 0.3


def drag(start: Place, end: Place, steps: int = 6) -> Iterator[float]:
    """Press at one place, go to another, let go."""
    yield from go(start)
    mouse("mousedown", "1")
    yield 0.1
    for step in range(1, steps + 1):
        move(tuple(a + (b - a) * step // steps for a, b in zip(start, end, strict=True)))
        yield 0.05
    mouse("mouseup", "1")
    yield 0.3


def until(is_so: Callable[[], bool], limit: float = 60.0, pause: float = 0.05) -> Iterator[float]:
    """Wait for something that may not come: the result tells. A busy machine takes long."""
    end = time.monotonic() + limit
    while not is_so() and time.monotonic() < end:
        yield pause


def scroll(direction: str, times: int) -> None:
    """Scroll the sidebar "up" or "down": as so many turns of the wheel, without a drawing after each."""
    where = drive_window.area("VIEW_3D")
    side = drive_window.region(where, "UI")
    with bpy.context.temp_override(window=drive_window.window(), area=where, region=side):
        turn = getattr(bpy.ops.view2d, f"scroll_{direction}")
        for _ in range(times):
            if turn.poll():
                turn()


# --- buttons ---------------------------------------------------------------------------------------------------------


def under_mouse(where: bpy.types.Area, part: bpy.types.Region) -> str:
    """The Python command or the data path of the button under the mouse; empty where there is none."""
    manager = bpy.context.window_manager
    manager.clipboard = ""
    with bpy.context.temp_override(window=drive_window.window(), area=where, region=part):
        for copy in (bpy.ops.ui.copy_python_command_button, bpy.ops.ui.copy_data_path_button):
            if copy.poll():
                copy()
                if manager.clipboard:
                    return str(manager.clipboard)
    return ""


class Buttons:
    """The buttons of the 3D view's sidebar."""

    def __init__(self) -> None:
        self._places: dict[str, Place] = {}

    def scroll(self, direction: str, times: int) -> None:
        """Scroll the sidebar, and know where the buttons have gone."""
        view = drive_window.region(drive_window.area("VIEW_3D"), "UI").view2d
        before = view.region_to_view(0, 0)[1]
        scroll(direction, times)
        by = round(view.region_to_view(0, 0)[1] - before)
        self._places = {command: (x, y + by) for command, (x, y) in self._places.items()}

    def find(self, words: str, closely: bool = True) -> Iterator[float]:
        """Put the mouse over the first button whose command holds these words; its place.

        Wide buttons come first, and without `closely` alone: a look at every place of the sidebar takes 20 s without a
        graphics card. Raises `LookupError` when there is none."""
        where = drive_window.area("VIEW_3D")
        side = drive_window.region(where, "UI")
        near = _places(side, _columns(side)) if closely else []
        for place in (*self._remembered(words), *_places(side, _thirds(side)), *near):
            yield from go(place, HOVER)
            seen = under_mouse(where, side)
            if words in seen:
                yield LONG_HOVER
                seen = under_mouse(where, side)  # it may have been the button of the place before
            self._places[seen] = place
            if words in seen:
                return place
        raise LookupError(f"no button for {words} in the sidebar, only {sorted(self._places)}")

    def press(self, words: str) -> Iterator[float]:
        """Click a button."""
        place = yield from self.find(words)
        yield from click(place)

    def wide(self) -> Iterator[float]:
        """Look at all of the region: for each command, from top to bottom, the places where it was met."""
        where = drive_window.area("VIEW_3D")
        side = drive_window.region(where, "UI")
        found: dict[str, list[Place]] = {}
        for row in _rows(side):
            seen: dict[float, str] = {}
            for part in (0.25, 0.7, 0.1, 0.45, 0.55):
                if len(seen) == 2 and len(set(seen.values())) == 1:
                    break  # one button from there to here, or none
                place = at(side, round(side.width * part), row)
                yield from go(place, HOVER)
                if command := under_mouse(where, side):
                    found.setdefault(command, []).append(place)
                seen[part] = command
        return found

    def _remembered(self, words: str) -> list[Place]:
        return [place for command, place in self._places.items() if words in command]


def is_wide(command: str, places: list[Place], needed: float) -> Iterator[float]:
    """Is a button of the sidebar, which was met at these places, so many pixels wide?"""
    where = drive_window.area("VIEW_3D")
    side = drive_window.region(where, "UI")
    left, right, row = min(x for x, _ in places), max(x for x, _ in places), places[0][1]
    for direction, step in product((-1, 1), STEPS):
        while right - left < needed:
            place = (left if direction < 0 else right) + direction * step, row
            yield from go(place, HOVER)
            if under_mouse(where, side) != command:
                yield LONG_HOVER
                if under_mouse(where, side) != command:  # it may have been the button of the place before
                    break
            left, right = min(left, place[0]), max(right, place[0])
    return right - left >= needed


def _places(side: bpy.types.Region, columns: Sequence[int]) -> list[Place]:
    """Where to look, row by row, in each from the right."""
    return [at(side, x, y) for y in _rows(side) for x in reversed(columns)]


def _columns(side: bpy.types.Region) -> Sequence[int]:
    """Pixels from the left, so close that no button lies between; the tabs at the right edge are left out."""
    scale = bpy.context.preferences.system.ui_scale
    return range(round(COLUMN * scale), side.width - round(TABS * scale), round(COLUMN * scale))


def _thirds(side: bpy.types.Region) -> Sequence[int]:
    """Three of those columns, of which a wide button covers one."""
    columns = _columns(side)
    return [columns[round(part * (len(columns) - 1))] for part in (0.15, 0.5, 0.85)]


def _rows(side: bpy.types.Region) -> range:
    """Pixels from the top."""
    step = round(ROW * bpy.context.preferences.system.ui_scale)
    return range(step, side.height, step)
