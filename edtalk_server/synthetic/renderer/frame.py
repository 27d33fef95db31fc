"""One picture of one person, and the correspondence between two of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edtalk_server.synthetic import controls
from edtalk_server.synthetic.renderer import shader, shading
from edtalk_server.synthetic.renderer.camera import Camera, HeadPose, fit_template
from edtalk_server.synthetic.renderer.deform import Deformer
from edtalk_server.synthetic.renderer.geometry import kit, mesh, occlusion, raster
from edtalk_server.synthetic.renderer.identity import Identity, make_identity, measure
from edtalk_server.synthetic.renderer.scene import Light
from edtalk_server.synthetic.renderer.shading import BOTH_BACKGROUND, SUPERSAMPLING

FloatArray = npt.NDArray[np.float32]
ByteArray = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Render:
    """A picture with all that is known about it."""

    image: ByteArray
    """[size, size, 3] RGB."""
    parts: ByteArray
    """[size, size] `mesh.Part`, 255 for background."""
    landmarks: FloatArray
    """[68, 2] x, y in 0..1 of the picture; points outside lie beyond it."""
    weights: FloatArray
    """[36] what the picture shows."""
    screen: FloatArray
    """[V, 3] vertices in raster pixels (twice the picture's)."""
    depth: FloatArray
    triangle: npt.NDArray[np.int32]
    barycentric: FloatArray


class Renderer:
    """Draws people of one face kit. Keeps scratch arrays; one instance per process."""

    def __init__(self, facekit: Path) -> None:
        cv2.setNumThreads(1)
        self.mesh = mesh.build(kit.load(facekit))
        self._maps = measure(self.mesh)
        self.occlusion = occlusion.occlusion(self.mesh)
        self.deformer = Deformer(self.mesh)
        self._normals = np.zeros((self.mesh.size, 3), np.float32)
        side = (shading.SHADOW_SIDE, shading.SHADOW_SIDE)
        self._shadow = (
            np.empty(side, np.float32),
            np.empty(side, np.int32),
            np.empty((*side, 2), np.float32),
        )

    def identity(self, seed: int) -> Identity:
        """Return the person of this seed."""
        return make_identity(self.mesh, self._maps, seed)

    def camera(self, identity: Identity, weights: FloatArray | None = None, distance: float = 85.0) -> Camera:
        """Return a camera whose crop fits the template for this person under `weights` [36] (neutral without them).

        Of the pose part only the angles count: the crop takes out any shift and scale, as the crop of a photo does.
        """
        placeholder = fit_template(self._plane(identity, controls.neutral(), distance))
        camera = Camera(distance, placeholder, placeholder)
        if weights is None:
            return camera
        return Camera(distance, fit_template(self._plane(identity, weights, distance)), camera.rest)

    def _plane(self, identity: Identity, weights: FloatArray, distance: float) -> npt.NDArray:
        angles = weights[[controls.PITCH, controls.YAW, controls.ROLL]] * controls.POSE_ANGLE
        pose = HeadPose(float(angles[0]), float(angles[1]), float(angles[2]), np.zeros(3))
        points = self.deformer.head(identity, weights, pose)[self.mesh.kit.landmarks]
        return points[:, :2] * (distance / (distance - points[:, 2:]))

    def render(
        self,
        identity: Identity,
        weights: FloatArray,
        light: Light,
        background: FloatArray,
        camera: Camera,
        size: int,
    ) -> Render:
        """Draw the person under `weights` [36]. `background` is [2 * size, 2 * size, 3] in display colours.

        Raises `ValueError` for a background of another size: compiled code would read beyond it.
        """
        side = size * SUPERSAMPLING
        if background.shape != (side, side, 3):
            raise ValueError(f"the background is {background.shape}, and not {(side, side, 3)}")
        vertices = self.deformer.head(identity, weights, camera.head_pose(weights))
        screen = camera.project(vertices, side)
        depth, ids = np.empty((side, side), np.float32), np.empty((side, side), np.int32)
        barycentric = np.zeros((side, side, 2), np.float32)
        raster.rasterise(screen, self.mesh.triangles, self.mesh.two_sided, depth, ids, barycentric)
        image = self._shade(identity, vertices, light, background, camera, ids, barycentric)
        pixel_ids = ids[SUPERSAMPLING // 2 :: SUPERSAMPLING, SUPERSAMPLING // 2 :: SUPERSAMPLING]
        return Render(
            image=image,
            parts=np.where(pixel_ids >= 0, self.mesh.part[pixel_ids], mesh.BACKGROUND).astype(np.uint8),
            landmarks=screen[self.mesh.kit.landmarks, :2] / np.float32(side),
            weights=np.asarray(weights, np.float32),
            screen=screen,
            depth=depth,
            triangle=ids,
            barycentric=barycentric,
        )

    def _shade(
        self,
        identity: Identity,
        vertices: FloatArray,
        light: Light,
        background: FloatArray,
        camera: Camera,
        ids: npt.NDArray[np.int32],
        barycentric: FloatArray,
    ) -> ByteArray:
        raster.vertex_normals(vertices, self.mesh.triangles, self._normals)
        axes = occlusion.view_axes(light.directions[0].astype(float)).astype(np.float32)
        self._cast_shadow(vertices, light.directions[0], axes)
        colours = np.empty((*ids.shape, 3), np.float32)
        shader.shade(
            ids,
            barycentric,
            self.mesh.triangles,
            self.mesh.uvs,
            self.mesh.part,
            self.mesh.two_sided,
            vertices,
            self._normals,
            self.occlusion,
            identity.atlas,
            background,
            np.array([0, 0, camera.distance], np.float32),
            light.ambient_up,
            light.ambient_down,
            light.directions,
            light.colours,
            shading.WRAP,
            shading.GLOSS,
            light.exposure,
            self._shadow[0],
            shading.SHADOW_SIDE / shading.SHADOW_EXTENT,
            axes,
            colours,
        )
        image = np.empty((ids.shape[0] // SUPERSAMPLING, ids.shape[1] // SUPERSAMPLING, 3), np.uint8)
        shader.halve(colours, image)
        return image

    def _cast_shadow(self, vertices: FloatArray, direction: FloatArray, axes: FloatArray) -> None:
        scale = shading.SHADOW_SIDE / shading.SHADOW_EXTENT
        across = shading.SHADOW_SIDE / 2 + vertices @ (axes * np.array([[1], [-1]], np.float32)).T * scale
        screen = np.column_stack([across, vertices @ direction]).astype(np.float32)
        raster.rasterise(screen, self.mesh.triangles, self.mesh.two_sided, *self._shadow)

    def flow(self, target: Render, source: Render, size: int) -> tuple[FloatArray, ByteArray]:
        """Return where each target pixel's surface lies in the source.

        Returns the backward flow [size, size, 2], in pixels of that size from target to source, and visibility [size,
        size]: 0 hidden in the source, 1 visible, 2 background in both. `size` divides the raster's size.
        """
        step = target.triangle.shape[0] // size
        flow, visibility = np.empty((size, size, 2), np.float32), np.empty((size, size), np.uint8)
        raster.trace(
            target.triangle,
            target.barycentric,
            self.mesh.triangles,
            source.screen,
            source.depth,
            step,
            shading.SLACK,
            flow,
            visibility,
        )
        middle = slice(step // 2, None, step)
        empty = (target.triangle[middle, middle] < 0) & (source.triangle[middle, middle] < 0)
        visibility[empty] = BOTH_BACKGROUND
        return flow / step, visibility
