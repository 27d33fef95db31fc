"""The packed extension: what a user downloads, without any Blender at hand."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import shared_protocol
from blender_addon.core.weights.layouts import (
    Label,
    channels,
    labels,
    layout_from_json,
    layout_to_json,
    starter_layout,
)
from shared_protocol.banks import numbered_layout
from shared_protocol.errors import EDTalkError

ROOT = Path(__file__).resolve().parents[3]
BUILD = ROOT / "blender_addon" / "build.py"


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package without compiled wheels, built as a user would."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, str(BUILD), "--flavor", "plain", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return Path(done.stdout.strip())


def test_the_package_holds_the_add_on_and_the_shared_protocol(plain: Path) -> None:
    with zipfile.ZipFile(plain) as archive:
        names = set(archive.namelist())
        manifest = tomllib.loads(archive.read("blender_manifest.toml").decode())
        wheels = [name.removeprefix("./") for name in manifest["wheels"]]
        assert set(wheels) <= names
        assert {
            "__init__.py",
            "core/server/client.py",
            "scene/keys/actions.py",
            "ui/sidebar.py",
            "LICENSE",
        } <= names
        assert not [name for name in names if "__pycache__" in name or name == "build.py"]
    assert re.fullmatch(r"wheels/edtalk_shared_protocol-.*-py3-none-any\.whl", wheels[0])


def test_versions_agree(plain: Path) -> None:
    with zipfile.ZipFile(plain) as archive:
        manifest = tomllib.loads(archive.read("blender_manifest.toml").decode())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert manifest["version"] == shared_protocol.__version__
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "shared_protocol.__version__"}
    assert (manifest["id"], manifest["blender_version_min"]) == ("edtalk", "4.2.0")


def test_equal_content_makes_equal_packages(plain: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(BUILD), "--flavor", "plain", "--out", str(tmp_path)]
    again = Path(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())
    assert again.read_bytes() == plain.read_bytes()


def test_missing_wheels_are_said_with_what_to_do(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    command = [sys.executable, str(BUILD), "--flavor", "A", "--platform", "linux-x64"]
    command += ["--out", str(tmp_path), "--wheels", str(empty)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "pyzmq" in done.stderr and "--wheels" in done.stderr
    assert not list(tmp_path.glob("*.zip"))


def test_each_file_of_the_add_on_names_its_licence() -> None:
    files = [path for path in (ROOT / "blender_addon").rglob("*.py") if "__pycache__" not in path.parts]
    unmarked = [
        path.name
        for path in files
        if "SPDX-License-Identifier: GPL-3.0-or-later" not in path.read_text("utf-8")
    ]
    assert unmarked == []


def test_the_shipped_layout_is_that_of_the_starter_bundle() -> None:
    controls = pytest.importorskip(
        "edtalk_server.synthetic.controls", reason="the server's packages are not here"
    )
    assert starter_layout() == controls.STARTER_LAYOUT


def test_a_layout_survives_being_kept_in_a_file() -> None:
    layout = numbered_layout()
    assert layout_from_json(layout_to_json(layout)) == layout
    assert layout_from_json("damaged") == starter_layout()


def test_each_basis_has_a_channel_of_its_own() -> None:
    names = channels(starter_layout())
    assert len(set(names)) == 36
    assert (names[0], names[20], names[35]) == ("mouth_01", "pose_01", "expression_10")


def test_a_tooltip_says_which_end_is_which() -> None:
    called = labels(starter_layout())
    assert called["mouth_01"] == Label(
        "Jaw Open",
        "Lower jaw drops; teeth and tongue appear. Usual values: 0 (not at all) to 1 (fully)",
        0.0,
        1.0,
    )
    assert called["pose_02"].description.endswith("Usual values: -1.5 (the opposite) to 1.5, 0 is neither")
    assert all(label.minimum < label.maximum for label in called.values())


def test_channels_that_a_bundle_lacks_do_not_look_meaningful() -> None:
    called = labels(numbered_layout(mouth=2, pose=6, expression=0))
    assert len(called) == 36 and sum("(not used)" in label.name for label in called.values()) == 18 + 10
    assert called["mouth_02"].name == "Mouth 2" and called["mouth_03"].name == "Mouth 3 (not used)"


def test_a_bundle_with_too_many_weights_is_refused_in_words() -> None:
    with pytest.raises(EDTalkError, match="21 mouth weights"):
        channels(numbered_layout(mouth=21))
