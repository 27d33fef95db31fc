"""Many pictures at once, in plain torch on any device: the same pictures as `frame.Renderer`, one by one.

Rendering itself needs torch alone. The mesh with its occlusion, and the people, come from a `frame.Renderer`, which
also needs numba, SciPy and OpenCV on the CPU; people can be made in other processes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edtalk_server.synthetic.renderer import shading
from edtalk_server.synthetic.renderer.batch import batch_raster
from edtalk_server.synthetic.renderer.batch.batch_deform import BatchDeformer, mapped, poses
from edtalk_server.synthetic.renderer.batch.batch_raster import Surface
from edtalk_server.synthetic.renderer.batch.batch_shade import Lights, Shader, halve
from edtalk_server.synthetic.renderer.camera import Camera
from edtalk_server.synthetic.renderer.geometry import mesh

if TYPE_CHECKING:
    from edtalk_server.synthetic.renderer.frame import Renderer
    from edtalk_server.synthetic.renderer.identity import Identity
    from edtalk_server.synthetic.renderer.scene import Light

FloatArray = npt.NDArray[np.float32]

_CUDA_FRAMES, _CPU_FRAMES = 16, 1
_CUDA_FRAGMENTS, _CPU_FRAGMENTS = 2**25, 2**21


@dataclass(frozen=True)
class RenderBatch:
    """B pictures with all that is known about them, on the renderer's device. Fields are those of `frame.Render`."""

    image: Tensor
    """[B, size, size, 3] uint8 RGB."""
    parts: Tensor
    """[B, size, size] uint8 `mesh.Part`, 255 for background."""
    landmarks: Tensor
    """[B, 68, 2] x, y in 0..1 of the picture."""
    weights: Tensor
    """[B, 36]"""
    screen: Tensor
    """[B, V, 3] vertices in raster pixels (twice the picture's)."""
    depth: Tensor
    """[B, 2 * size, 2 * size]"""
    triangle: Tensor
    """[B, 2 * size, 2 * size] int32, -1 for background."""

    def __len__(self) -> int:
        return len(self.image)


class BatchRenderer:
    """Draws people of one face kit on one device.

    `places` people stay on the device (17 MiB each). Of a batch, `frames` are drawn at a time (about 100 MiB each at
    256 pixels), and at most about `fragments` triangle pixels are held at a time.
    """

    def __init__(
        self,
        renderer: Renderer,
        device: torch.device | str,
        places: int | None = None,
        frames: int | None = None,
        fragments: int | None = None,
    ) -> None:
        self.device = torch.device(device)
        on_cpu = self.device.type == "cpu"
        self._frames = frames or (_CPU_FRAMES if on_cpu else _CUDA_FRAMES)
        self._fragments = fragments or (_CPU_FRAGMENTS if on_cpu else _CUDA_FRAGMENTS)
        self.mesh = renderer.mesh
        triangles = torch.from_numpy(self.mesh.triangles.astype(np.int64)).to(self.device)
        self._surface = Surface(triangles, torch.from_numpy(self.mesh.two_sided).to(self.device))
        self._shader = Shader(self.mesh, renderer.occlusion, self._surface, self.device)
        places = max(places or 4 * self._frames, self._frames)
        self._deformer = BatchDeformer(self.mesh, renderer.deformer.attached, places, self.device)
        self._landmarks = torch.from_numpy(self.mesh.kit.landmarks.astype(np.int64)).to(self.device)
        parts = np.append(self.mesh.part, np.uint8(mesh.BACKGROUND))  # triangle -1 reads the last one
        self._parts = torch.from_numpy(parts).to(self.device)

    @torch.no_grad()
    def render(
        self,
        persons: Sequence[Identity],
        weights: FloatArray | Tensor,
        lights: Sequence[Light],
        backgrounds: Sequence[FloatArray] | Tensor,
        cameras: Sequence[Camera],
        size: int,
    ) -> RenderBatch:
        """Draw B frames: frame i shows `persons[i]` under `weights[i]` [36], in `lights[i]`, before `backgrounds[i]`
        [2 * size, 2 * size, 3] in display colours, seen by `cameras[i]`.

        A person or background that occurs several times (the same object) is brought to the device once.
        """
        rows = np.asarray(weights.cpu() if isinstance(weights, Tensor) else weights, np.float32)
        parts = (slice(start, start + self._frames) for start in range(0, len(rows), self._frames))
        with torch.autocast(self.device.type, enabled=False):
            batches = [
                self._draw(persons[part], rows[part], lights[part], backgrounds[part], cameras[part], size)
                for part in parts
            ]
        return RenderBatch(
            *(torch.cat([getattr(batch, field.name) for batch in batches]) for field in fields(RenderBatch))
        )

    def _draw(
        self,
        persons: Sequence[Identity],
        rows: FloatArray,
        lights: Sequence[Light],
        backgrounds: Sequence[FloatArray] | Tensor,
        cameras: Sequence[Camera],
        size: int,
    ) -> RenderBatch:
        side = size * shading.SUPERSAMPLING
        people, weights = self._deformer.people.find(persons), self._tensor(rows)
        vertices, normals = self._deformer.heads(people, weights, poses(rows, cameras, self.device))
        distance = self._tensor([camera.distance for camera in cameras])
        screen = self._project(vertices, cameras, distance, side)
        depth, ids = batch_raster.rasterise(screen, self._surface, side, self._fragments)
        lit = self._lights(lights)
        shadow = batch_raster.depth_map(
            lit.shadow_screen(vertices), self._surface, shading.SHADOW_SIDE, self._fragments
        )
        atlases = self._deformer.people.atlases
        colours = self._shader.shade(ids, screen, vertices, normals, atlases, people, distance, lit, shadow)
        behind = self._behind(backgrounds)
        picture = torch.where((ids < 0)[:, None], behind, colours.view_as(behind))
        middle = slice(shading.SUPERSAMPLING // 2, None, shading.SUPERSAMPLING)
        return RenderBatch(
            image=halve(picture),
            parts=self._parts[ids[:, middle, middle].long()],
            landmarks=screen[:, self._landmarks, :2] / side,
            weights=weights,
            screen=screen,
            depth=depth,
            triangle=ids,
        )

    def _tensor(self, values: npt.ArrayLike) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values, np.float32)).to(self.device)

    def _project(self, vertices: Tensor, cameras: Sequence[Camera], distance: Tensor, side: int) -> Tensor:
        """Return vertices [B, V, 3] on the screen: x, y (down), depth."""
        zoom = distance[:, None, None] / (distance[:, None, None] - vertices[..., 2:])
        crop = self._tensor([camera.crop.matrix() for camera in cameras])
        shift = self._tensor([camera.crop.shift for camera in cameras])[:, None]
        place = (mapped(vertices[..., :2] * zoom, crop) + shift) * side
        return torch.cat([place, vertices[..., 2:]], dim=-1)

    def _lights(self, lights: Sequence[Light]) -> Lights:
        most = max(len(light.directions) for light in lights)

        def filled(rows: FloatArray, rest: FloatArray) -> FloatArray:
            return np.concatenate([rows, np.repeat(rest[None], most - len(rows), axis=0)])

        return Lights(
            ambient_up=self._tensor([light.ambient_up for light in lights]),
            ambient_down=self._tensor([light.ambient_down for light in lights]),
            directions=self._tensor([filled(light.directions, light.directions[0]) for light in lights]),
            colours=self._tensor([filled(light.colours, np.zeros(3, np.float32)) for light in lights]),
            exposure=self._tensor([light.exposure for light in lights]),
        )

    def _behind(self, backgrounds: Sequence[FloatArray] | Tensor) -> Tensor:
        """Return the background of each frame, [B, 3, H, W]."""
        if isinstance(backgrounds, Tensor):
            return backgrounds.to(self.device).permute(0, 3, 1, 2)
        brought = {id(picture): self._tensor(picture) for picture in _unique(backgrounds)}
        return torch.stack([brought[id(picture)] for picture in backgrounds]).permute(0, 3, 1, 2)

    @torch.no_grad()
    def flow(
        self, batch: RenderBatch, targets: Sequence[int], sources: Sequence[int], size: int
    ) -> tuple[Tensor, Tensor]:
        """Return where the surface in each pixel of frames `targets` [K] lies in frames `sources` [K] of the same
        person.

        Returns the backward flow [K, size, size, 2], in pixels of that size from target to source, and visibility [K,
        size, size] uint8: 0 hidden in the source, 1 visible, 2 background in both. `size` divides the raster's size.
        """
        side = batch.triangle.shape[1]
        step = side // size
        to, of = (torch.as_tensor(indices, device=self.device) for indices in (targets, sources))
        middle = torch.arange(size, device=self.device) * step + step // 2
        ids = batch.triangle[:, middle[:, None], middle].flatten(1)
        x, y = (middle + 0.5).repeat(size), (middle + 0.5).repeat_interleave(size)
        corners = batch_raster.corners_of(ids[to], self._surface, batch.screen.shape[1])
        mix = batch_raster.barycentric(batch.screen[to], corners, x, y)
        points = batch.screen[of].flatten(0, 1)
        sx, sy, sz = batch_raster.blend(points, corners, mix).unbind(-1)
        within = (sx >= 0) & (sx < side) & (sy >= 0) & (sy < side)
        pixel = sy.clamp(0, side - 1).long() * side + sx.clamp(0, side - 1).long()
        front = batch.depth[of].flatten(1).gather(1, pixel)
        covered = ids[to] >= 0
        visibility = (covered & within & (front < sz + shading.SLACK)).byte() * shading.VISIBLE
        visibility[~covered & (ids[of] < 0)] = shading.BOTH_BACKGROUND
        flow = torch.stack([sx - x, sy - y], dim=-1) * covered[..., None] / step
        return flow.view(-1, size, size, 2), visibility.view(-1, size, size)


def _unique(pictures: Iterable[FloatArray]) -> list[FloatArray]:
    return list({id(picture): picture for picture in pictures}.values())
