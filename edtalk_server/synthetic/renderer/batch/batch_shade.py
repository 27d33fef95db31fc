"""Light on the surface for many frames at once, in plain torch; the formulas of `shader.py`.

Pixels are planes: [B, N] numbers, [B, 3, N] colours and directions, N being all pixels of a frame. Background pixels
are computed like the others, with any triangle, and replaced at the end: that costs less than sorting them out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from edtalk_server.synthetic.renderer import shading
from edtalk_server.synthetic.renderer.batch.batch_deform import mapped
from edtalk_server.synthetic.renderer.batch.batch_raster import (
    EMPTY_DEPTH,
    Surface,
    barycentric,
    blend,
    corners_of,
)
from edtalk_server.synthetic.renderer.geometry.mesh import ATLAS, HeadMesh

_BORDER = 3


@dataclass(frozen=True)
class Lights:
    """The lights of a batch; frames with fewer lights than others have black ones."""

    ambient_up: Tensor
    """[B, 3]"""
    ambient_down: Tensor
    directions: Tensor
    """[B, L, 3]"""
    colours: Tensor
    """[B, L, 3]"""
    exposure: Tensor
    """[B]"""

    def shadow_axes(self) -> Tensor:
        """Return right and up of the first light's view, [B, 2, 3]."""
        towards = self.directions[:, 0]
        right = torch.linalg.cross(towards.new_tensor([0, 1, 0.01]).expand_as(towards), towards)
        right = right / right.norm(dim=-1, keepdim=True)
        return torch.stack([right, torch.linalg.cross(towards, right)], dim=1)

    def shadow_screen(self, vertices: Tensor) -> Tensor:
        """Return vertices [B, V, 3] in the shadow map: x, y in its pixels, depth towards the light."""
        flip = vertices.new_tensor([[1.0], [-1.0]]) * (shading.SHADOW_SIDE / shading.SHADOW_EXTENT)
        across = mapped(vertices, self.shadow_axes() * flip) + shading.SHADOW_SIDE / 2
        return torch.cat([across, mapped(vertices, self.directions[:, :1])], dim=-1)


@dataclass(frozen=True)
class _Points:
    """What is known about the surface in each pixel before it is lit."""

    position: Tensor
    normal: Tensor
    view: Tensor
    """[B, 3, N] unit vectors towards the camera."""
    facing: Tensor
    sky: Tensor
    """[B, N] how open the place is."""
    colour: Tensor
    """[B, 3, N]"""
    specular: Tensor
    wrap: Tensor
    """[B, 3, N]"""
    gloss: Tensor


class Shader:
    """The materials of one mesh on one device."""

    def __init__(self, mesh: HeadMesh, occlusion: np.ndarray, surface: Surface, device: torch.device) -> None:
        self._surface = surface
        self._uvs = torch.from_numpy(mesh.uvs).permute(1, 2, 0).contiguous().to(device)  # [3 corners, 2, T]
        parts = torch.from_numpy(mesh.part.astype(np.int64))
        self._wrap = torch.from_numpy(shading.WRAP)[parts].T.contiguous().to(device)  # [3, T]
        self._gloss = torch.from_numpy(shading.GLOSS)[parts].to(device)
        self._occlusion = torch.from_numpy(occlusion).to(device)

    def shade(
        self,
        ids: Tensor,
        screen: Tensor,
        vertices: Tensor,
        normals: Tensor,
        atlases: Tensor,
        people: Tensor,
        eye_distance: Tensor,
        lights: Lights,
        shadow: Tensor,
    ) -> Tensor:
        """Return display colours [B, 3, H * W] 0..1 of triangles `ids` [B, H, W].

        `screen`, `vertices` and `normals` are [B, V, 3]; `atlases` [places, 1024 * 1024, 4] are read at `people` [B];
        `shadow` [B, 256, 256] is the first light's depth map.
        """
        points = self._points(ids, screen, vertices, normals, atlases, people, eye_distance)
        lit = torch.zeros_like(points.colour)
        shine = torch.zeros_like(points.colour)
        for number in range(lights.directions.shape[1]):
            direction, colour = lights.directions[:, number, :, None], lights.colours[:, number, :, None]
            towards = (points.normal * direction).sum(1)
            free = _free(lights, shadow, points.position, direction, towards) if number == 0 else 1.0
            lit += colour * _diffuse(points, towards, free)
            shine += colour * _highlight(points, towards, direction, free)[:, None]
        up = (points.normal[:, 1] * 0.5 + 0.5)[:, None]
        down = lights.ambient_down[..., None]
        ambient = (down + (lights.ambient_up[..., None] - down) * up) * points.sky[:, None]
        fresnel = (0.04 + 0.5 * (1 - points.facing.clamp(0, 1)) ** 5)[:, None]
        reflected = shine * (0.12 + fresnel) + fresnel * ambient * 0.35
        colour = points.colour * (ambient + lit) + points.specular[:, None] * reflected
        return _tone(colour * lights.exposure[:, None, None])

    def _points(
        self,
        ids: Tensor,
        screen: Tensor,
        vertices: Tensor,
        normals: Tensor,
        atlases: Tensor,
        people: Tensor,
        eye_distance: Tensor,
    ) -> _Points:
        frames, height, width = ids.shape
        triangle = ids.view(frames, -1).clamp(min=0)
        corners = corners_of(triangle, self._surface, vertices.shape[1])
        middle = torch.arange(height * width, device=ids.device)
        x, y = middle % width + 0.5, torch.div(middle, width, rounding_mode="trunc") + 0.5
        mix = barycentric(screen, corners, x, y)
        sky = self._occlusion.expand(frames, -1)[..., None]
        values = torch.cat([vertices, normals, sky], dim=-1).flatten(0, 1)
        mixed = blend(values, corners, mix).mT.contiguous()  # [B, 7, N]
        position, normal = mixed[:, 0:3], _unit(mixed[:, 3:6])
        eye = torch.nn.functional.pad(eye_distance[:, None], (2, 0))[..., None]
        view = _unit(eye - position)
        facing = (normal * view).sum(1)
        turned = self._surface.two_sided[triangle] & (facing < 0)
        texel = self._texels(triangle, mix, atlases, people)
        return _Points(
            position=position,
            normal=torch.where(turned[:, None], -normal, normal),
            view=view,
            facing=torch.where(turned, -facing, facing),
            sky=mixed[:, 6],
            colour=texel[:, :3],
            specular=texel[:, 3],
            wrap=self._wrap[:, triangle].transpose(0, 1),
            gloss=self._gloss[triangle],
        )

    def _texels(self, triangle: Tensor, mix: tuple[Tensor, ...], atlases: Tensor, people: Tensor) -> Tensor:
        """Return the bilinear samples of the atlases, [B, 4, N]."""
        a, b, c = (uv[:, triangle] * weight for uv, weight in zip(self._uvs, mix, strict=True))
        u, v = ((a + b + c) * ATLAS - 0.5).clamp(0, ATLAS - 2)
        u0, v0 = u.int(), v.int()
        fx, fy = (u - u0)[..., None], (v - v0)[..., None]
        corner = people[:, None] * (ATLAS * ATLAS) + v0 * ATLAS + u0
        texels = atlases.flatten(0, 1)
        upper = texels[corner].lerp(texels[1:][corner], fx)
        lower = texels[ATLAS:][corner].lerp(texels[ATLAS + 1 :][corner], fx)
        return upper.lerp(lower, fy).mT.contiguous()


def _unit(vectors: Tensor) -> Tensor:
    return vectors * torch.rsqrt((vectors * vectors).sum(1, keepdim=True) + 1e-9)


def _diffuse(points: _Points, towards: Tensor, free: Tensor | float) -> Tensor:
    """Return wrapped diffuse reflection [B, 3, N]."""
    bright = ((towards[:, None] + points.wrap) / (1 + points.wrap)).relu()
    return bright * ((0.35 + 0.65 * points.sky) * free)[:, None]


def _highlight(points: _Points, towards: Tensor, direction: Tensor, free: Tensor | float) -> Tensor:
    """Return the Blinn-Phong highlight [B, N]."""
    half = _unit(direction + points.view)
    shine = (points.normal * half).sum(1).relu() ** points.gloss * ((points.gloss + 8) / 40)
    return shine * (0.25 + 0.75 * points.sky) * free * (towards > 0)


def _free(lights: Lights, shadow: Tensor, position: Tensor, direction: Tensor, towards: Tensor) -> Tensor:
    """Return 1 in the light to 0.2 in full shadow, [B, N]: the mean of 3 x 3 samples of the shadow map."""
    side, scale = shadow.shape[1], shading.SHADOW_SIDE / shading.SHADOW_EXTENT
    bias = 0.5 + 0.6 * (1 - towards.relu())
    limit = (position * direction).sum(1) + bias
    u, v = ((position * axis[..., None]).sum(1) for axis in lights.shadow_axes().unbind(1))
    # samples beyond the map hide nothing: a border of emptiness stands for them
    column = (side * 0.5 + u * scale).clamp(-2, side + 1).int() + _BORDER
    row = (side * 0.5 - v * scale).clamp(-2, side + 1).int() + _BORDER
    padded = torch.nn.functional.pad(shadow, (_BORDER,) * 4, value=EMPTY_DEPTH)
    width = side + 2 * _BORDER
    frame = torch.arange(len(shadow), device=shadow.device)[:, None] * (width * width)
    place, depths = frame + (row - 1) * width + (column - 1), padded.flatten()
    hidden = torch.zeros_like(limit)
    for down in (0, width, 2 * width):
        for across in (0, 1, 2):
            hidden += depths[down + across :][place] > limit
    return 1 - hidden * (0.8 / 9.0)


def _tone(colour: Tensor) -> Tensor:
    """Convert linear light to a display value 0..1, with a soft shoulder."""
    colour = colour * (1 + colour * 0.12) / (1 + colour * 0.45)
    return colour.clamp(0, 1) ** (1 / 2.2)


def halve(colours: Tensor) -> Tensor:
    """Average 2 x 2 pixels of [B, 3, H, W] 0..1 into uint8 [B, H/2, W/2, 3]."""
    frames, _, height, width = colours.shape
    total = colours.view(frames, 3, height // 2, 2, width // 2, 2).sum(dim=(3, 5))
    return (total * 63.75 + 0.5).clamp(max=255.0).byte().permute(0, 2, 3, 1).contiguous()
