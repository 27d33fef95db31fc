# SPDX-License-Identifier: GPL-3.0-or-later
"""EDTalk for Blender: a portrait and a voice become an editable, talking plane.

Arrows run down only: `ui` (panels, operators, preferences, handlers) -> `scene` (the only place that touches Blender's
data) -> `core` (server process, client, takes; no bpy) -> `shared_protocol`.
"""

from __future__ import annotations

import importlib.util

WHEELS = {"zmq": "python3-zmq", "msgpack": "python3-msgpack", "numpy": "python3-numpy"}
"""What the packages carry as wheels (or Blender has), and the Debian package that has it otherwise."""


def _check_package() -> None:
    """Raises `ImportError` that says what was installed instead of the package for this Blender."""
    if importlib.util.find_spec("shared_protocol") is None:  # every package carries it
        raise ImportError(
            "This is EDTalk's source code, not the extension: install a zip that python blender_addon/build.py made, "
            "or one of a release."
        )
    missing = [name for name in WHEELS if importlib.util.find_spec(name) is None]
    if missing:
        raise ImportError(
            f"EDTalk needs {', '.join(missing)}, which this Blender does not have. Install the EDTalk package for your "
            f"Blender version and system, or, with a distribution's own Blender, its packages "
            f"{' '.join(WHEELS[name] for name in missing)}."
        )


def register() -> None:
    """Blender enables the add-on."""
    _check_package()
    from . import scene, ui

    scene.register()
    ui.register()


def unregister() -> None:
    """Blender disables the add-on: everything it registered goes, its server too."""
    from . import scene, ui

    ui.unregister()
    scene.unregister()
