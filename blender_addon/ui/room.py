# SPDX-License-Identifier: GPL-3.0-or-later
"""How a room of the UI is registered: its classes, and those of its modules that hook into Blender or the runtime."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

import bpy


@dataclass(frozen=True)
class Room:
    """The classes of a room, and its modules with a `register` and `unregister` of their own."""

    classes: tuple[type, ...] = ()
    modules: tuple[ModuleType, ...] = ()

    def register(self) -> None:
        """Register the classes, then the modules."""
        for cls in self.classes:
            bpy.utils.register_class(cls)
        for module in self.modules:
            module.register()

    def unregister(self) -> None:
        """Undo `register`, in reverse order."""
        for module in reversed(self.modules):
            module.unregister()
        for cls in reversed(self.classes):
            bpy.utils.unregister_class(cls)
