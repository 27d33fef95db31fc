# SPDX-License-Identifier: GPL-3.0-or-later
"""The character's plane: mesh, material, pictures, and their colours.

The material is only an Image Texture into an Emission, so the plane shows exactly the server's picture. To keep this
under view transforms other than Standard, the image is declared to be in that transform's display space, where Blender
has one: the transform then undoes exactly what was declared.
"""

from __future__ import annotations

import bpy
import numpy as np
from mathutils import Matrix

from ..core import bmp, takes
from ..core.tasks import Steps
from ..core.text.translate import iface_
from . import character, paths

TAG = "edtalk"
"""Custom property that marks data made by this add-on."""

ASPECT = "edtalk_aspect"
"""Custom property of a plane's mesh: the aspect (width / height) of the picture that it was fitted to."""
SAME_ASPECT = 1e-4
"""Relative difference below which two aspects count as equal."""

USERS_OF_LIVE = 2
"""Users of a live picture that no duplicate shares: its character and the node that shows it."""

COLOR_SPACES = {
    "Standard": "sRGB",
    "Filmic": "Filmic sRGB",
    "AgX": "AgX Base sRGB",
    "Khronos PBR Neutral": "Khronos PBR Neutral sRGB",
    "ACES 1.3": "ACES 1.3 sRGB",
    "ACES 2.0": "ACES 2.0 sRGB",
}
"""The colour space that each view transform shows unchanged."""
LINEAR = "Linear Rec.709"
"""Colour space of OpenEXR files."""
_missing_spaces: set[str] = set()
"""Colour spaces that this Blender's colour configuration turned out to lack."""


# --- making ----------------------------------------------------------------------------------------------------------


def create_plane(context: bpy.types.Context, name: str, width: int, height: int) -> bpy.types.Object:
    """Make a plane at the 3D cursor, facing the front view, two units high, with a live picture of this size."""
    mesh = bpy.data.meshes.new(name)
    mesh[ASPECT] = width / height
    half = width / height
    mesh.from_pydata([(-half, 0, -1), (half, 0, -1), (half, 0, 1), (-half, 0, 1)], [], [(0, 1, 2, 3)])
    uv = mesh.uv_layers.new(name="UVMap")
    uv.data.foreach_set("uv", (0, 0, 1, 0, 1, 1, 0, 1))
    ob = bpy.data.objects.new(name, mesh)
    context.collection.objects.link(ob)
    ob.location = context.scene.cursor.location
    ob.edtalk.name = character.GROUP_NAME
    ob.edtalk.is_character = True
    ob.edtalk.live_image = new_live_image(f"{name} live", width, height)
    mesh.materials.append(new_material(name, ob.edtalk.live_image))
    follow_view_transform(ob, context.scene)
    return ob


def new_live_image(name: str, width: int, height: int) -> bpy.types.Image:
    """Make a byte image for previews."""
    image = bpy.data.images.new(name, width, height, alpha=False)
    image[TAG] = "live"
    return image


def new_material(name: str, image: bpy.types.Image) -> bpy.types.Material:
    """Make a material: Image Texture -> Emission -> Output."""
    material = bpy.data.materials.new(name)
    material[TAG] = True
    if bpy.app.version < (5, 0, 0):
        material.use_nodes = True
    tree = material.node_tree
    tree.nodes.clear()
    texture = tree.nodes.new("ShaderNodeTexImage")
    emission = tree.nodes.new("ShaderNodeEmission")
    output = tree.nodes.new("ShaderNodeOutputMaterial")
    texture[TAG] = True
    texture.image = image
    texture.extension = "EXTEND"
    texture.location, emission.location, output.location = (-300, 0), (0, 0), (200, 0)
    tree.links.new(texture.outputs["Color"], emission.inputs["Color"])
    tree.links.new(emission.outputs["Emission"], output.inputs["Surface"])
    tree.nodes.active = texture
    return material


def texture_node(ob: bpy.types.Object) -> bpy.types.ShaderNodeTexImage | None:
    """Return the node that shows the character's picture; None when the artist removed it."""
    for slot in ob.material_slots:
        if slot.material is not None and slot.material.get(TAG) and slot.material.node_tree is not None:
            for node in slot.material.node_tree.nodes:
                if node.get(TAG):
                    return node
    return None


def fit(ob: bpy.types.Object, width: int, height: int) -> None:
    """Give the plane the aspect of a picture of this size by scaling its width, also of an edited mesh.

    A shared mesh is copied first. A mesh that is linked, or in Edit Mode, stays as it is.
    """
    if not width or not height or ob.type != "MESH" or ob.mode == "EDIT" or not ob.data.is_editable:
        return
    before, aspect = ob.data.get(ASPECT, 1.0), width / height
    if abs(aspect / before - 1.0) < SAME_ASPECT:
        return
    if ob.data.users > 1:
        ob.data = ob.data.copy()
    ob.data.transform(Matrix.Scale(aspect / before, 4, (1, 0, 0)), shape_keys=True)
    ob.data[ASPECT] = aspect
    ob.data.update()


# --- pictures --------------------------------------------------------------------------------------------------------


class PictureBuffer:
    """A buffer that converts frames for `pixels.foreach_set` and is reused between frames."""

    def __init__(self) -> None:
        self._floats = np.empty(0, np.float32)

    def floats(self, pixels: bytes | memoryview) -> np.ndarray:
        """Return RGBA bytes as float32 in [0, 1], of the same length."""
        bytes_ = np.frombuffer(pixels, np.uint8)
        if self._floats.size != bytes_.size:
            self._floats = np.empty(bytes_.size, np.float32)
        return np.multiply(bytes_, np.float32(1 / 255), out=self._floats)


_buffer = PictureBuffer()
_pictures_shown = 0
"""Number of live pictures shown so far."""
PACKED_ROWS = 64
"""Rows of a picture to convert in one step."""
ALPHA_MODES = ("STRAIGHT", "PREMUL", "CHANNEL_PACKED", "NONE")


def show_live(ob: bpy.types.Object, width: int, height: int, pixels: bytes | memoryview) -> None:
    """Write a picture (RGBA, rows bottom-up) into the character's live image, so that every view shows it."""
    global _pictures_shown
    _pictures_shown += 1
    image = ob.edtalk.live_image
    if image is None:  # the artist deleted it
        image = ob.edtalk.live_image = new_live_image(f"{ob.name} live", width, height)
        apply_show(ob)
    elif image.users > USERS_OF_LIVE:
        apply_show(ob)  # perhaps a duplicate, which gets its own picture
        image = ob.edtalk.live_image
    _stir(image)
    if 0 in image.size:  # its pixels are gone: it was unpacked and its file deleted, say
        image.source = "GENERATED"
    if tuple(image.size) != (width, height):
        image.scale(width, height)
    image.pixels.foreach_set(_buffer.floats(pixels))
    image.update()
    image.update_tag()
    if ob.edtalk.show == "LIVE":
        fit(ob, width, height)


def is_traced() -> bool:
    """Return whether any view shows the scene as Cycles renders it."""
    windows = [
        window for window in bpy.context.window_manager.windows if window.scene.render.engine == "CYCLES"
    ]
    spaces = (
        area.spaces.active for window in windows for area in window.screen.areas if area.type == "VIEW_3D"
    )
    return any(space.shading.type == "RENDERED" for space in spaces)


def _stir(image: bpy.types.Image) -> None:
    """Make Cycles' views reload a live picture, by changing its alpha mode.

    Before Blender 5.2, they take the same image with the same settings for unchanged. All pixels are opaque, so every
    alpha mode looks the same. Blender drops unsaved pixels when the mode changes.
    """
    if bpy.app.version < (5, 2, 0) and is_traced():
        image.alpha_mode = ALPHA_MODES[(ALPHA_MODES.index(image.alpha_mode) + 1) % len(ALPHA_MODES)]


def show_take(ob: bpy.types.Object, take: takes.Take, first: int, last: int) -> None:
    """Show the frames `first` to `last` of a take on the plane, and the nearest one before and after them."""
    group = ob.edtalk
    make_own(ob)
    take.hold_before(first)
    path = paths.to_stored_path(take.path(first))
    if group.take_image is None:
        group.take_image = bpy.data.images.load(str(take.path(first)), check_existing=False)
        group.take_image.name = f"{ob.name} take"
        group.take_image[TAG] = "take"
    image = group.take_image
    image.source = "SEQUENCE"
    image.filepath = path
    if take.format.is_transparent:
        _see_through(ob, image)
    group.take = paths.to_stored_path(take.folder)
    group.take_first, group.take_last = first, last
    group.show = "TAKE"
    image.reload()


def lend_take(ob: bpy.types.Object, take: takes.Take, first: int, last: int) -> None:
    """Show the frames `first` to `last` of a take on the plane temporarily, without changing `ob.edtalk.show`."""
    make_own(ob)
    node = texture_node(ob)
    if node is None:
        return
    image = lent_image(ob)
    if image is None:
        image = bpy.data.images.load(str(take.path(first)), check_existing=False)
        image.name, image[TAG] = f"{ob.name} render", "lent"
        image.source = "SEQUENCE"
    image.filepath = str(take.path(first))
    image.reload()
    if take.format.is_transparent:
        _see_through(ob, image)
    _show_sequence(node, image, first, last)
    fit(ob, take.format.width, take.format.height)
    for scene in ob.users_scene[:1]:
        _follow(image, scene)


def extend_lent(ob: bpy.types.Object, first: int, last: int) -> None:
    """Let a plane that shows lent frames show these: more are there now."""
    node, image = texture_node(ob), lent_image(ob)
    if node is not None and image is not None:
        _show_sequence(node, image, first, last)


def lent_image(ob: bpy.types.Object) -> bpy.types.Image | None:
    """Return the picture that the plane shows temporarily, or None."""
    node = texture_node(ob)
    image = node.image if node is not None else None
    return image if image is not None and image.get(TAG) == "lent" else None


def take_back(ob: bpy.types.Object) -> None:
    """End `lend_take`."""
    image = lent_image(ob)
    apply_show(ob)
    if image is not None and image.is_editable:
        bpy.data.images.remove(image)


def _show_sequence(node: bpy.types.ShaderNodeTexImage, image: bpy.types.Image, first: int, last: int) -> None:
    """Let a node play frames, and hold the nearest one before and after them."""
    node.image, user = image, node.image_user
    user.frame_start, user.frame_duration = first, last - first + 1
    user.frame_offset = first - 1  # the files are numbered like the scene's frames
    user.use_cyclic, user.use_auto_refresh = False, True


def _see_through(ob: bpy.types.Object, image: bpy.types.Image) -> None:
    """Make the plane transparent where this picture of it is. A material that the artist rebuilt stays."""
    image.alpha_mode = "STRAIGHT"  # Blender takes EXR files for premultiplied ones
    texture = texture_node(ob)
    emission = _only_next(texture.outputs["Color"]) if texture is not None else None
    output = _only_next(emission.node.outputs[0]) if emission is not None else None
    if texture is None or emission is None or output is None or texture.outputs["Alpha"].is_linked:
        return
    if emission.node.type != "EMISSION" or output.node.type != "OUTPUT_MATERIAL":
        return
    tree = texture.id_data
    clear, mix = tree.nodes.new("ShaderNodeBsdfTransparent"), tree.nodes.new("ShaderNodeMixShader")
    clear.location, mix.location = (0, 120), (200, 0)
    output.node.location.x = 400
    for start, end in (
        (texture.outputs["Alpha"], mix.inputs[0]),
        (clear.outputs[0], mix.inputs[1]),
        (emission.node.outputs[0], mix.inputs[2]),
        (mix.outputs[0], output),
    ):
        tree.links.new(start, end)
    tree.nodes.active = texture


def _only_next(socket: bpy.types.NodeSocket) -> bpy.types.NodeSocket | None:
    """Return the only socket that an output leads to, or None."""
    return socket.links[0].to_socket if len(socket.links) == 1 else None


def apply_show(ob: bpy.types.Object) -> None:
    """Show what `ob.edtalk.show` says: the live picture or the baked frames."""
    make_own(ob)
    group, node = ob.edtalk, texture_node(ob)
    if node is None:
        return
    baked = group.show == "TAKE" and group.take_image is not None
    if baked:
        _show_sequence(node, group.take_image, group.take_first, group.take_last)
        _fit_to_take(ob)
    else:
        node.image = group.live_image
        if group.live_image is not None:
            fit(ob, *group.live_image.size)


def _fit_to_take(ob: bpy.types.Object) -> None:
    """Make the plane as wide as the baked frames."""
    folder = paths.file_of(ob, "take")
    if folder is not None:
        take_format = takes.Take.read_header(folder).format
        fit(ob, take_format.width, take_format.height)


def make_own(ob: bpy.types.Object) -> None:
    """Give a duplicate its own pictures and material, which in Blender it shares with the original.

    Linked characters belong to their library and stay as they are.
    """
    if not ob.is_editable:
        return
    group = ob.edtalk
    others = [other for other in bpy.data.objects if other != ob and other.edtalk.is_character]
    if group.live_image is not None and any(other.edtalk.live_image == group.live_image for other in others):
        group.live_image = _copied_live_image(group.live_image, f"{ob.name} live")
    if group.take_image is not None and any(other.edtalk.take_image == group.take_image for other in others):
        group.take_image = group.take_image.copy()
    theirs = {slot.material for other in others for slot in other.material_slots}
    for slot in ob.material_slots:
        material = slot.material
        if material is not None and material.get(TAG) and material in theirs:
            if ob.data.users > 1:  # a linked duplicate shares the mesh, and the mesh's materials
                slot.link = "OBJECT"
            slot.material = material.copy()


def _copied_live_image(image: bpy.types.Image, name: str) -> bpy.types.Image:
    """Copy a live picture with its pixels (`Image.copy` leaves out pixels written from Python)."""
    twin = new_live_image(name, *image.size)
    twin.colorspace_settings.name = image.colorspace_settings.name
    pixels = np.empty(len(image.pixels), np.float32)
    image.pixels.foreach_get(pixels)
    twin.pixels.foreach_set(pixels)
    twin.update()
    return twin


def settle_live_images() -> Steps[None]:
    """Pack the live pictures into the file.

    Otherwise they would be black after loading, and Blender would ask about each of them when it quits. A picture that
    changes while it is packed waits for the next call.
    """
    unsaved = [
        image
        for image in bpy.data.images
        if image.get(TAG) == "live" and image.is_dirty and image.is_editable
    ]
    for uid in [image.session_uid for image in unsaved]:
        yield from _packed(uid)


def _image(uid: int) -> bpy.types.Image | None:
    """Return the image with this `session_uid` (names are not unique: another file may have been opened)."""
    return next((image for image in bpy.data.images if image.session_uid == uid), None)


def _packed(uid: int) -> Steps[None]:
    """Pack a picture's pixels into the file as a BMP, the fastest format to write.

    `Image.pack` alone makes a PNG, which takes ten times as long.
    """
    image, before = _image(uid), _pictures_shown
    if image is None:
        return
    width, height = image.size
    pixels = np.empty(width * height * 4, np.float32)
    image.pixels.foreach_get(pixels)
    yield
    rows, parts = pixels.reshape(height, width, 4), [bmp.header(width, height)]
    for start in range(0, height, PACKED_ROWS):
        part = np.rint(rows[start : start + PACKED_ROWS] * 255)
        parts.append(bmp.rows(part.astype(np.uint8)))
        yield
    image = _image(uid)
    if image is None or _pictures_shown != before:
        return
    data = b"".join(parts)
    image.pack(data=data, data_len=len(data))
    if image.source != "FILE":
        image.source = "FILE"
    image.buffers_free()  # Blender now shows the packed pixels, and nothing is unsaved
    _stir(image)  # Cycles misses a picture when the changes since its last look end at the same mode


# --- colours ---------------------------------------------------------------------------------------------------------


def color_space(scene: bpy.types.Scene) -> str:
    """Return the colour space in which the scene's view transform shows a picture unchanged (or `sRGB`)."""
    return COLOR_SPACES.get(scene.view_settings.view_transform, "sRGB")


def follow_view_transform(ob: bpy.types.Object, scene: bpy.types.Scene) -> None:
    """Declare the character's pictures to be in the colour space that the scene's view transform shows unchanged."""
    for image in (ob.edtalk.live_image, ob.edtalk.take_image):
        if image is not None and image.is_editable:
            _follow(image, scene)


def _follow(image: bpy.types.Image, scene: bpy.types.Scene) -> None:
    wanted = LINEAR if is_linear(image) else color_space(scene)
    if wanted not in _missing_spaces and image.colorspace_settings.name != wanted:
        _declare_color_space(image, wanted)


def _declare_color_space(image: bpy.types.Image, name: str) -> None:
    """Set the colour space, and restore pixels written from Python, which Blender drops."""
    pixels = np.empty(len(image.pixels) if image.get(TAG) == "live" else 0, np.float32)
    if pixels.size:
        image.pixels.foreach_get(pixels)
    try:
        image.colorspace_settings.name = name
    except TypeError:  # a studio's own colour configuration; `color_remark` tells the user
        _missing_spaces.add(name)
        return
    if pixels.size:
        image.pixels.foreach_set(pixels)
        image.update()
        image.update_tag()


def is_linear(image: bpy.types.Image | None) -> bool:
    """Return whether a picture holds linear light."""
    return image is not None and image.filepath.endswith(".exr")


def color_remark(scene: bpy.types.Scene) -> str:
    """Return a sentence on what changes the server's colours on the plane; empty when nothing does."""
    view = scene.view_settings
    if view.view_transform not in COLOR_SPACES or color_space(scene) in _missing_spaces:
        return iface_("View transform {name} changes the picture's colours", name=view.view_transform)
    if view.look not in {"None", ""} or view.exposure != 0.0 or view.gamma != 1.0 or view.use_curve_mapping:
        return iface_("Look, exposure, gamma or curves change the picture's colours")
    return ""
