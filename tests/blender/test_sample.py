"""The sample of a release: made by its script, packed, unpacked elsewhere, opened without the add-on and with it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "edtalk_server" / "samples"
SHORTEN = "import sys, soundfile; samples, rate = soundfile.read(sys.argv[1]); "
SHORTEN += "soundfile.write(sys.argv[2], samples[: 4 * rate], rate)"
"""A hundred frames show all that a sample has."""
PACK = "import sys; from pathlib import Path; from edtalk_server.installer import release; "
PACK += "release.pack(*(Path(path) for path in sys.argv[1:3]), [Path(path) for path in sys.argv[3:]])"

IN_BLENDERS_STARTUP = b"//../../../../Desktop/"
"""Left in the startup file of Blender 4.5 and older by somebody at Blender's."""

pytestmark = pytest.mark.skipif(
    not bpy.app.build_options.audaspace, reason="this Blender cannot put a sound into its sequencer"
)


@pytest.fixture(scope="module")
def made(package: Path, server_python: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The unpacked sample, far from where it was made, and the folder of its making, which is gone."""
    work, far = tmp_path_factory.mktemp("made here"), tmp_path_factory.mktemp("moved")
    voice = far / "voice.flac"
    subprocess.run([str(server_python), "-c", SHORTEN, str(SAMPLES / "voice.flac"), str(voice)], check=True)
    script = [sys.executable, str(ROOT / "docs" / "examples" / "demo_scene.py"), "--"]
    script += ["--extension", str(package), "--blend", str(work / "edtalk-sample" / "sample.blend")]
    script += ["--portrait", str(SAMPLES / "portrait.png"), "--voice", str(voice)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"BLENDER_USER_RESOURCES": str(work / "settings"), "EDTALK_RUNTIME_DIR": str(work / "run")}
    environment |= {"EDTALK_SERVER_PYTHON": str(server_python)}
    done = subprocess.run(script, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    packed = far / "sample.zip"
    command = [str(server_python), "-c", PACK, str(work / "edtalk-sample"), str(packed)]
    subprocess.run([*command, str(work), str(ROOT), str(Path.home())], cwd=ROOT, check=True)
    shutil.rmtree(work)
    zipfile.ZipFile(packed).extractall(far)
    return {"folder": far / "edtalk-sample", "made in": work}


@pytest.fixture
def opened(made: dict[str, Path]) -> bpy.types.Object:
    """The sample in a Blender without the add-on; its character."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.wm.open_mainfile(filepath=str(made["folder"] / "sample.blend"))
    assert not hasattr(bpy.types.Object, "edtalk")
    return bpy.data.objects["portrait"]


def node_of(ob: bpy.types.Object) -> bpy.types.Node:
    return next(node for node in ob.active_material.node_tree.nodes if node.type == "TEX_IMAGE")


def pixels_of(path: Path) -> np.ndarray:
    """A picture's colours as they are in the file, [height, width, 3]."""
    image = bpy.data.images.load(str(path))
    width, height = image.size
    return np.array(image.pixels[:], np.float32).reshape(height, width, -1)[..., :3]


def test_no_file_of_it_names_the_machine(made: dict[str, Path]) -> None:
    blend = (made["folder"] / "sample.blend").read_bytes()
    assert blend.startswith(b"BLENDER"), "uncompressed, so that one can look into it"
    for path in (made["made in"], ROOT, Path.home()):
        assert not re.search(re.escape(str(path)).encode() + rb"(?![\w.-])", blend), path
    relative = set(re.findall(rb"//(?:\.\./)+[^.\0][^\0]*", blend))
    assert relative <= {IN_BLENDERS_STARTUP}, "not even relative to the file"


def test_all_it_needs_travels_with_it(opened: bpy.types.Object, made: dict[str, Path]) -> None:
    files = [image.filepath for image in bpy.data.images if image.source in {"FILE", "SEQUENCE"}]
    files = [path for path in files if path] + [sound.filepath for sound in bpy.data.sounds]
    assert "//voice.flac" in files and "//edtalk/portrait/take_001/0001.png" in files
    for path in files:
        assert path.startswith("//") and Path(bpy.path.abspath(path)).is_file(), path


def test_every_frame_of_it_has_its_picture_and_its_sound(opened: bpy.types.Object) -> None:
    scene, node = bpy.context.scene, node_of(opened)
    user, take = node.image_user, Path(bpy.path.abspath(node.image.filepath)).parent
    assert (user.frame_start, user.frame_duration) == (1, scene.frame_end)
    shown = range(
        user.frame_start + user.frame_offset, user.frame_start + user.frame_offset + scene.frame_end
    )
    assert all((take / f"{number:04d}.png").is_file() for number in shown)
    editor = scene.sequence_editor
    (strip,) = editor.strips if hasattr(editor, "strips") else editor.sequences
    ends = (
        ("left_handle", "right_handle")
        if hasattr(strip, "left_handle")
        else ("frame_final_start", "frame_final_end")
    )
    assert [getattr(strip, end) for end in ends] == [scene.frame_start, scene.frame_end + 1]
    assert scene.sync_mode == "AUDIO_SYNC"


@pytest.mark.parametrize("frame", [1, 70])
def test_it_renders_its_face_without_the_add_on(opened: bpy.types.Object, frame: int, tmp_path: Path) -> None:
    scene = bpy.context.scene
    scene.frame_set(frame)
    if bpy.app.version >= (5, 0, 0):
        scene.render.image_settings.media_type = "IMAGE"
    scene.render.image_settings.file_format = "PNG"
    scene.render.resolution_x = scene.render.resolution_y = 512
    scene.render.filepath = str(tmp_path / "still.png")
    bpy.ops.render.render(write_still=True)
    take = Path(bpy.path.abspath(node_of(opened).image.filepath)).parent
    off = np.abs(pixels_of(tmp_path / "still.png") - pixels_of(take / f"{frame:04d}.png"))
    assert off.mean() < 0.02, "it is the baked picture, and not magenta"


def test_the_sample_can_be_edited_with_the_add_on(
    addon: Any, model_server: None, made: dict[str, Path], renders: list[int]
) -> None:
    bpy.ops.wm.open_mainfile(filepath=str(made["folder"] / "sample.blend"))
    scene, (ob,) = bpy.context.scene, addon("scene.character").characters(bpy.context.scene)
    assert bpy.context.object == ob, "it is the active object, so the panel shows it"
    for name in ("portrait", "voice"):
        assert addon("scene.paths").file_of(ob, name).parent == made["folder"]
    layers, actions = addon("scene.keys.layers"), addon("scene.keys.actions")
    assert layers.layer_state(ob) == layers.LayerState(performance=True, on_top=True)
    assert len(actions.strip_sheet(layers.find_strip(ob, actions.PERFORMANCE)).curves()) == 36
    assert len(layers.own_weight_curves(ob)) >= 4, "keys by hand on top"
    assert [marker.name for marker in scene.timeline_markers] == ["happy"]
    assert layers.find_strip(ob, actions.EMOTIONS) is not None
    bpy.ops.edtalk.bake()
    assert renders == [], "no frame is stale"
    ob.edtalk.emotion.strength = 0.5
    bpy.ops.edtalk.bake()
    assert 0 < sum(renders) < scene.frame_end, "only where the face is happy"
