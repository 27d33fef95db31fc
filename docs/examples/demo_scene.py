"""A talking character by script: what the panel does, without a window. `python install.py demo` runs it.

    blender --background --factory-startup --python demo_scene.py -- --extension edtalk.zip --portrait face.png
            --voice voice.flac --out FOLDER

or with a Python that has the module `bpy`. It installs the extension into the Blender settings that are in use (set
BLENDER_USER_RESOURCES to a folder to keep yours as they are), and writes `demo.blend`, the frames and `demo.mp4`.
"""

from __future__ import annotations

import argparse
import importlib
import math
import sys
import time
from pathlib import Path
from types import ModuleType

import bpy

NEWS = "EDTALK: "  # install.py shows the lines that begin with this
FPS = 25
SIZE = 512
FADE = 8  # frames in which a change comes and goes


def say(text: str) -> None:
    print(f"{NEWS}{text}", flush=True)


def main() -> None:
    options = parse(sys.argv[sys.argv.index("--") + 1 :])
    began = time.monotonic()
    say(f"Blender {bpy.app.version_string}")
    addon = install_extension(options.extension)
    scene = new_scene(options.out / "demo.blend")
    bpy.ops.edtalk.start_server()  # the next line would do it too
    say("the server is ready")
    bpy.ops.edtalk.new_character(filepath=str(options.portrait))
    character = bpy.context.object
    say(f"character {character.name!r} is made from {options.portrait.name} by {character.edtalk.bundle}")
    give_voice(scene, options.voice)
    bpy.ops.edtalk.predict()
    curves = importlib.import_module(f"{addon.__name__}.scene.actions").curves(character)
    say(f"predicted {scene.frame_end} frames: {len(curves)} curves")
    bake(character)
    change_keys(addon, character, scene)
    bake(character)
    look_at(character, scene)
    bpy.ops.wm.save_mainfile()
    say("saved demo.blend; now the movie")
    render_movie(scene, options.out / "demo.mp4")
    bpy.ops.wm.save_mainfile()
    bpy.ops.edtalk.stop_server()
    say(f"all in {time.monotonic() - began:.0f} s")


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="demo_scene.py")
    for name in ("extension", "portrait", "voice", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    return parser.parse_args(arguments)


def install_extension(package: Path) -> ModuleType:
    """Install and enable the extension; the answer is its Python package.

    Raises `RuntimeError` when Blender refused it (which the installing operator does not say).
    """
    bpy.ops.extensions.package_install_files(
        filepath=str(package), repo="user_default", enable_on_install=True, overwrite=True
    )
    name = "bl_ext.user_default.edtalk"
    if name not in bpy.context.preferences.addons:
        raise RuntimeError(f"Blender {bpy.app.version_string} refused the extension {package.name}")
    return importlib.import_module(name)


def new_scene(blend: Path) -> bpy.types.Scene:
    """An empty scene, saved at once: paths are relative from the beginning and frames go beside it."""
    for ob in list(bpy.data.objects):
        bpy.data.objects.remove(ob)
    scene = bpy.context.scene
    bpy.context.preferences.filepaths.save_version = 0  # no demo.blend1
    scene.render.fps = FPS
    scene.sync_mode = "AUDIO_SYNC"
    scene.view_settings.view_transform = "Standard"
    blend.parent.mkdir(parents=True, exist_ok=True)
    bpy.ops.wm.save_as_mainfile(filepath=str(blend))
    return scene


def give_voice(scene: bpy.types.Scene, voice: Path) -> None:
    """The character speaks this file; the sequencer plays it; the scene is as long as it is."""
    bpy.ops.edtalk.choose_voice(filepath=str(voice), add_strip=True)
    editor = scene.sequence_editor
    strip = (editor.strips if hasattr(editor, "strips") else editor.sequences)[0]
    scene.frame_end = scene.frame_start + int(strip.frame_final_duration) - 1
    say(f"{voice.name}: {scene.frame_end / FPS:.1f} seconds")


def bake(character: bpy.types.Object) -> None:
    """Render the frames that are not there yet or no longer true."""
    began = time.monotonic()
    bpy.ops.edtalk.bake()
    say(f"baked into {bpy.path.abspath(character.edtalk.take)} in {time.monotonic() - began:.0f} s")


def change_keys(addon: ModuleType, character: bpy.types.Object, scene: bpy.types.Scene) -> None:
    """What an animator does to a prediction: the head turns with raised brows, and a smile ends it."""
    end = scene.frame_end
    turn, ending = range(end // 4, end // 2), range(end * 2 // 3, end + 1)
    changes = [("yaw", 0.7, turn), ("brow_raise", 0.8, turn), ("smile", 0.9, ending)]
    channels = importlib.import_module(f"{addon.__name__}.scene.character")
    layout, names = channels.layout_of(character), channels.channels_of(character)
    for basis, amount, frames in changes:
        add_bump(character, names[layout.index(basis)], amount, frames)
    touched = len({frame for _, _, frames in changes for frame in frames})
    say(f"changed keys of {', '.join(basis for basis, _, _ in changes)} on {touched} of {end} frames")


def add_bump(character: bpy.types.Object, channel: str, amount: float, frames: range) -> None:
    """Add `amount` to the keys on these frames, with a soft beginning and end."""
    scene = bpy.context.scene
    before = []
    for frame in frames:
        scene.frame_set(frame)
        before.append(getattr(character.edtalk, channel))
    for frame, value in zip(frames, before, strict=True):
        share = min(1.0, (frame - frames[0]) / FADE, (frames[-1] - frame) / FADE)
        setattr(character.edtalk, channel, value + amount * (0.5 - 0.5 * math.cos(math.pi * share)))
        character.keyframe_insert(f"edtalk.{channel}", frame=frame)


def look_at(character: bpy.types.Object, scene: bpy.types.Scene) -> None:
    """A camera that sees just the plane, and 3D views that look through it in the picture's own colours."""
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    camera.data.type = "ORTHO"
    camera.data.ortho_scale = max(character.dimensions.x, character.dimensions.z)
    camera.location = (character.location.x, character.location.y - 5, character.location.z)
    camera.rotation_euler = (math.radians(90), 0, 0)
    scene.collection.objects.link(camera)
    scene.camera = camera
    scene.frame_set(scene.frame_start)
    for screen in bpy.data.screens:
        for area in screen.areas:
            if area.type == "VIEW_3D":
                area.spaces.active.shading.light = "FLAT"
                area.spaces.active.shading.color_type = "TEXTURE"
                area.spaces.active.region_3d.view_perspective = "CAMERA"


def render_movie(scene: bpy.types.Scene, movie: Path) -> None:
    """The scene as an H.264 movie with its sound, rendered by Cycles (which needs no graphics card)."""
    render, image = scene.render, scene.render.image_settings
    render.engine = "CYCLES"
    scene.cycles.samples = 1
    scene.cycles.use_denoising = False
    render.resolution_x = render.resolution_y = SIZE
    render.resolution_percentage = 100
    if hasattr(image, "media_type"):
        image.media_type = "VIDEO"
    image.file_format = "FFMPEG"
    render.ffmpeg.format = "MPEG4"
    render.ffmpeg.codec = "H264"
    render.ffmpeg.constant_rate_factor = "HIGH"
    render.ffmpeg.audio_codec = "AAC"
    render.filepath = bpy.path.relpath(str(movie))
    say(f"rendering {scene.frame_end} frames of {SIZE} x {SIZE} pixels")
    bpy.ops.render.render(animation=True)


if __name__ == "__main__":
    main()
