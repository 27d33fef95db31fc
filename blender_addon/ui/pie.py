# SPDX-License-Identifier: GPL-3.0-or-later
"""An optional pie menu with the most used operators: Ctrl Shift E in Object Mode, once the preference is on."""

from __future__ import annotations

import bpy

from ..scene import character
from .runtime.preferences import on_pie_menu, preferences

KEYMAP, KEY = "Object Mode", "E"
_items: list[tuple[bpy.types.KeyMap, bpy.types.KeyMapItem]] = []


class PieMenu(bpy.types.Menu):
    """The eight most used operators on a character."""

    bl_idname = "EDTALK_MT_pie"
    bl_label = "EDTalk"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return character.is_character(context.object)

    def draw(self, _context: bpy.types.Context) -> None:
        pie = self.layout.menu_pie()
        pie.operator("edtalk.predict")
        pie.operator("edtalk.bake")
        pie.operator("edtalk.key_weights").bank = "ALL"
        for name in ("mirror_weights", "copy_pose", "paste_pose", "reset_weights", "neutralise"):
            pie.operator(f"edtalk.{name}")


CLASSES = (PieMenu,)


def follow_preference() -> None:
    """Bind the key, or take it back, as the preference says."""
    _unbind()
    keys = bpy.context.window_manager.keyconfigs.addon
    if keys is not None and preferences().pie_menu:  # in background there are no key configurations
        keymap = keys.keymaps.new(name=KEYMAP, space_type="EMPTY")
        item = keymap.keymap_items.new("wm.call_menu_pie", KEY, "PRESS", ctrl=True, shift=True)
        item.properties.name = PieMenu.bl_idname
        _items.append((keymap, item))


def _unbind() -> None:
    for keymap, item in _items:
        keymap.keymap_items.remove(item)
    _items.clear()


def register() -> None:
    """Bind the key as the preference says, now and whenever it changes."""
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    on_pie_menu(follow_preference)
    follow_preference()


def unregister() -> None:
    """Take the key back."""
    on_pie_menu(None)
    _unbind()
    for cls in CLASSES:
        bpy.utils.unregister_class(cls)
