"""A talking character by script: what the panel does, without a window. `python3 install.py demo` runs it, and
`release` for the sample file.

    blender --background --factory-startup --python demo_scene.py -- --extension edtalk.zip --portrait face.png
            --voice voice.flac --blend FOLDER/demo.blend --movie

or with a Python that has the module `bpy`. It installs the extension into the Blender settings that are in use (set
BLENDER_USER_RESOURCES to a folder to keep yours as they are). Portrait, voice and frames are put beside the .blend, so
that its folder is whole, and with `--movie` also `demo.mp4`.
"""

from __future__ import annotations

import argparse
import importlib
import math
import shutil
import sys
import time
from pathlib import Path
from types import ModuleType

import bpy

NEWS = "EDTALK: "  # install.py shows the lines that begin with this
FPS = 25
SIZE = 512
FADE = 8  # frames in which a change comes and goes
MOVES = (
    ("pitch", -0.4, 0.03, 0.13),
    ("yaw", 0.6, 0.25, 0.5),
    ("brow_raise", 0.8, 0.25, 0.5),
    ("roll", -0.4, 0.55, 0.72),
)  # weight, by how much, from and to as shares of the shot
MARKER = ("happy", 0.7)


def say(text: str) -> None:
    print(f"{NEWS}{text}", flush=True)


def main() -> None:
    options = parse(sys.argv[sys.argv.index("--") + 1 :])
    began = time.monotonic()
    say(f"Blender {bpy.app.version_string}")
    addon = install_extension(options.extension)
    scene = new_scene(options.blend)
    portrait, voice = (bring(file, options.blend.parent) for file in (options.portrait, options.voice))
    bpy.ops.edtalk.start_server()  # the next line would do it too
    say("the server is ready")
    bpy.ops.edtalk.new_character(filepath=str(portrait))
    character = bpy.context.object
    say(f"character {character.name!r} is made from {portrait.name} by {character.edtalk.bundle}")
    give_voice(scene, voice)
    bpy.ops.edtalk.predict()
    curves = importlib.import_module(f"{addon.__name__}.scene.keys.actions").curves(character)
    say(f"predicted {scene.frame_end} frames: {len(curves)} curves")
    bake(character)
    act(addon, character, scene)
    feel(scene)
    bake(character)
    light(scene)
    look_at(character, scene)
    set_up_movie(scene, options.blend.with_suffix(".mp4"))
    forget_libraries()
    bpy.ops.wm.save_mainfile(compress=False)
    say(f"saved {options.blend.name}")
    if options.movie:
        render_movie(scene)
    bpy.ops.edtalk.stop_server()
    say(f"all in {time.monotonic() - began:.0f} s")


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="demo_scene.py")
    for name in ("extension", "portrait", "voice", "blend"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument(
        "--movie", action="store_true", help="also render the scene as a movie beside the .blend"
    )
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
    scene.view_settings.view_transform = "Standard"
    blend.parent.mkdir(parents=True, exist_ok=True)
    bpy.ops.wm.save_as_mainfile(filepath=str(blend))
    return scene


def bring(file: Path, folder: Path) -> Path:
    """A file beside the .blend."""
    return Path(shutil.copy(file, folder))


def give_voice(scene: bpy.types.Scene, voice: Path) -> None:
    """The character speaks this file; the sequencer plays it; the scene is as long as it is."""
    bpy.ops.edtalk.choose_voice(filepath=str(voice), add_strip=True, fit_range=True)
    say(f"{voice.name}: {scene.frame_end / FPS:.1f} seconds")


def bake(character: bpy.types.Object) -> None:
    """Render the frames that are not there yet or no longer true."""
    began = time.monotonic()
    bpy.ops.edtalk.bake()
    say(f"baked into {bpy.path.abspath(character.edtalk.take)} in {time.monotonic() - began:.0f} s")


def act(addon: ModuleType, character: bpy.types.Object, scene: bpy.types.Scene) -> None:
    """What an animator does on top of a prediction: the head turns and tilts, brows rise. Four keys a change."""
    channels = importlib.import_module(f"{addon.__name__}.scene.character")
    layout, names = channels.layout_of(character), channels.channels_of(character)
    # the weights of the official model have numbers for names
    known = [move for move in MOVES if any(base.identifier == move[0] for base in layout.bases)]
    for basis, amount, start, end in known:
        first, last = (round(share * scene.frame_end) for share in (start, end))
        frames = (first, first + FADE, max(first + FADE + 1, last - FADE), max(first + 2 * FADE + 1, last))
        add_bump(character, names[layout.index(basis)], amount, frames)
    scene.frame_set(scene.frame_start)
    say(f"keys on top: {', '.join(sorted({basis for basis, *_ in known})) or 'none'}")


def add_bump(character: bpy.types.Object, channel: str, amount: float, frames: tuple[int, ...]) -> None:
    """Key a change by `amount` that comes from the first to the second of four frames, and goes from the third on."""
    scene = bpy.context.scene
    before = []
    for frame in frames:
        scene.frame_set(frame)
        before.append(getattr(character.edtalk, channel))
    for frame, value, share in zip(frames, before, (0, 1, 1, 0), strict=True):
        scene.frame_set(frame)
        setattr(character.edtalk, channel, value + amount * share)
        character.keyframe_insert(f"edtalk.{channel}")


def feel(scene: bpy.types.Scene) -> None:
    """An emotion from a timeline marker."""
    words, share = MARKER
    scene.timeline_markers.new(words, frame=round(share * scene.frame_end))
    bpy.ops.edtalk.emotions_from_markers()
    say(f"the marker {words!r} moves the face")


def light(scene: bpy.types.Scene) -> None:
    """For what you put beside the character, which shines by itself."""
    lamp = bpy.data.objects.new("Light", bpy.data.lights.new("Light", "AREA"))
    lamp.data.energy = 200
    lamp.location, lamp.rotation_euler = (2, -4, 3), (math.radians(60), 0, math.radians(30))
    scene.collection.objects.link(lamp)


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
                area.spaces.active.show_region_ui = True


def forget_libraries() -> None:
    """Blender's own brushes: newer ones link them from where they are installed on this machine."""
    for library in list(bpy.data.libraries):
        bpy.data.libraries.remove(library)


def set_up_movie(scene: bpy.types.Scene, movie: Path) -> None:
    """Ctrl F12 will write an H.264 movie with the sound, rendered by Cycles (which needs no graphics card)."""
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


def render_movie(scene: bpy.types.Scene) -> None:
    say(f"rendering {scene.frame_end} frames of {SIZE} x {SIZE} pixels")
    bpy.ops.render.render(animation=True)


if __name__ == "__main__":
    main()
