"""Enabling and disabling leaves Blender as it was; the package is sound."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import bpy
import pytest

pytestmark = pytest.mark.versions

NO_MOUNTS = "could not get a list of mounted file-systems\n"
"""What Blender 4.2 itself says on a machine without /etc/mtab."""


def handlers() -> dict[str, int]:
    """How many functions listen to each of Blender's events."""
    lists = {name: getattr(bpy.app.handlers, name) for name in dir(bpy.app.handlers)}
    return {name: len(value) for name, value in lists.items() if isinstance(value, list)}


def our_classes() -> list[str]:
    """Registered classes that come from the add-on."""
    found = []
    for base in (bpy.types.Operator, bpy.types.Panel, bpy.types.PropertyGroup, bpy.types.AddonPreferences):
        found += [
            cls.__name__ for cls in base.__subclasses__() if "edtalk" in cls.__module__ and cls.is_registered
        ]
    return found


def test_disabling_leaves_nothing_behind(addon: Any) -> None:
    assert our_classes() and hasattr(bpy.types.Object, "edtalk")
    bpy.ops.preferences.addon_disable(module=addon.name)
    before = handlers()
    assert our_classes() == []
    assert not hasattr(bpy.types.Object, "edtalk")
    bpy.ops.preferences.addon_enable(module=addon.name)
    assert handlers() != before
    bpy.ops.preferences.addon_disable(module=addon.name)
    assert handlers() == before
    assert not hasattr(bpy.ops.edtalk.bake, "poll") or "edtalk" not in dir(bpy.ops)


def test_disabling_ends_the_server_that_it_started(addon: Any, own_server: Any) -> None:
    bpy.ops.edtalk.start_server()
    assert addon.session.server.is_alive and not addon.session.server.is_adopted
    process = addon.session.server
    bpy.ops.preferences.addon_disable(module=addon.name)
    assert not process.is_alive


def test_the_extension_uses_the_wheels_that_it_carries(addon: Any) -> None:
    import msgpack
    import zmq

    import shared_protocol

    for module in (msgpack, shared_protocol, zmq):
        assert ".local" in Path(module.__file__).parts, module.__file__


def test_blender_accepts_the_package(package: Path) -> None:
    scripts = Path(bpy.utils.resource_path("LOCAL")) / "scripts"
    command = scripts / "addons_core" / "bl_pkg" / "cli" / "blender_ext.py"
    done = subprocess.run(
        [sys.executable, str(command), "validate", str(package)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_source_code_in_a_zip_says_that_it_is_not_the_extension(tmp_path: Path) -> None:
    source, folder = tmp_path / "edtalk-main.zip", Path(__file__).resolve().parents[2] / "blender_addon"
    with zipfile.ZipFile(source, "w") as archive:
        for file in (*folder.rglob("*.py"), *folder.rglob("*.toml")):
            archive.write(file, Path("edtalk-main") / "blender_addon" / file.relative_to(folder))
    script = (
        "import os, sys; os.environ['BLENDER_USER_RESOURCES'] = sys.argv[2]\n"
        "import bpy\n"
        "bpy.ops.extensions.package_install_files(filepath=sys.argv[1], repo='user_default', enable_on_install=True)\n"
    )
    elsewhere = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-c", script, str(source), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=elsewhere, cwd=tmp_path)
    assert done.returncode != 0
    assert "This is EDTalk's source code, not the extension" in done.stderr


def test_a_clean_start_says_nothing_on_stderr(package: Path, tmp_path: Path) -> None:
    script = (
        "import os, sys; os.environ['BLENDER_USER_RESOURCES'] = sys.argv[2]\n"
        "import bpy, addon_utils\n"
        "bpy.ops.extensions.package_install_files(filepath=sys.argv[1], repo='user_default', enable_on_install=True)\n"
        "assert 'bl_ext.user_default.edtalk' in bpy.context.preferences.addons\n"
        "bpy.ops.preferences.addon_disable(module='bl_ext.user_default.edtalk')\n"
        "sys.stdout.flush(); os._exit(0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(package), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr.replace(NO_MOUNTS, "")) == (0, "")
    assert "olicy" not in done.stdout


def test_blender_ends_quietly_while_a_server_is_connected(
    package: Path, tmp_path: Path, server: Any, portrait: Path
) -> None:
    script = (
        "import atexit, os, sys; os.environ['BLENDER_USER_RESOURCES'] = sys.argv[2]\n"
        "atexit.register(lambda: print('session at the end:', runtime._current))\n"
        "import bpy, importlib\n"
        "bpy.ops.extensions.package_install_files(filepath=sys.argv[1], repo='user_default', enable_on_install=True)\n"
        "runtime = importlib.import_module('bl_ext.user_default.edtalk.ui.runtime.runtime')\n"
        "bpy.ops.edtalk.new_character(filepath=sys.argv[3])\n"
        "from shared_protocol.messages import Preview\n"
        "request = Preview(source=bpy.context.object.edtalk.source, weights=bytes(4 * 36))\n"
        "runtime.session().submit(request, lambda reply: None, slot='x')\n"
    )
    command = [sys.executable, "-c", script, str(package), str(tmp_path / "profile"), str(portrait)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "session at the end: None" in done.stdout, "sockets are closed while Python is whole"
    if bpy.app.version[:2] != (4, 5):  # which says what it leaks
        assert done.stderr.replace(NO_MOUNTS, "") == ""
