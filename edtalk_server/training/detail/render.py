"""Render what the mouth and eye painters learn from: small boxes of one person before and after a move.

A row holds, for one pair of frames of one person, the boxes of the source, of what the frozen face network draws for
the move, and of the true render, beside where the teeth stand. Only the boxes of the true render are shaded, so that
a row costs about half a whole frame. Can be stopped at any time and started again with the same arguments.

`python -m edtalk_server.training.detail.render --facekit PATH --out FOLDER --worker 0 --rows 8000`
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edtalk_server import bundles
from edtalk_server.networks.compact import CompactNetwork
from edtalk_server.networks.detail.boxes import (
    ANCHORS,
    EYE_SIZE,
    MOUTH_SIZE,
    Boxes,
    FaceBoxes,
    box_coordinates,
    cut_boxes,
    face_boxes,
)
from edtalk_server.synthetic.controls import GAZE_LEFT, GAZE_UP, POSE, STARTER_LAYOUT
from edtalk_server.synthetic.data import sampling
from edtalk_server.synthetic.data.clips import as_shown, jittered_camera
from edtalk_server.synthetic.renderer.camera import Camera
from edtalk_server.synthetic.renderer.frame import Renderer
from edtalk_server.synthetic.renderer.geometry import raster
from edtalk_server.synthetic.renderer.geometry.dental import TEETH_IN_A_ROW
from edtalk_server.synthetic.renderer.geometry.mesh import ATLAS, BACKGROUND, TILES, Part
from edtalk_server.synthetic.renderer.identity import Identity
from edtalk_server.synthetic.renderer.scene import Light, make_background, make_light
from edtalk_server.synthetic.renderer.shading import SUPERSAMPLING

log = logging.getLogger(__name__)

FloatArray = npt.NDArray[np.float32]
Random = np.random.Generator

SIZE = 256
TARGETS = 7
"""Frames of a person that are drawn from one source."""
INSIDE = (Part.MOUTH, Part.GUMS, Part.TEETH)
SEED = 60_000_000
"""Added to people's seeds: none of them is in any other set."""
HOLDOUT_SEED = 90_000_000
_JITTER = 0.006
"""Standard deviation of anchors against the truth, in picture widths: a reader's error."""

FIELDS: dict[str, tuple[tuple[int, ...], type[np.generic]]] = {
    "mouth": ((3, *MOUTH_SIZE, 3), np.uint8),  # source, drawn, true
    "inside": ((2, *MOUTH_SIZE), np.uint8),  # of the true render: inside of the mouth, teeth; 0..255
    "eyes": ((2, 3, *EYE_SIZE, 3), np.uint8),  # left and right of the picture; source, drawn, true
    "balls": ((2, 2, *EYE_SIZE), np.uint8),  # of source and true render: eyeball, 0..255
    "teeth": ((2, TEETH_IN_A_ROW, 2, 2), np.float32),  # upper, lower; edge, root; box coordinates
    "enamel": ((16, 128, 3), np.uint8),  # the person's teeth without light, display colours
    "weights": ((2, 36), np.float32),  # source, true
    "points": ((2, 68, 2), np.float32),  # landmarks of source and true render in 0..1
    "frames": ((2, 7, 2), np.float32),  # the anchors that the boxes hang on
    "identity": ((), np.int64),
}


# --- what people do --------------------------------------------------------------------------------------------------


def _set(row: FloatArray, name: str, value: float) -> None:
    row[STARTER_LAYOUT.index(name)] = value


def _plain_move(random: Random, first: FloatArray) -> FloatArray:
    """Draw what an animator tries first: one or two controls at strength, all else as it was."""
    row = first.copy()
    strength = float(random.uniform(0.4, 1.0))
    dice = random.integers(0, 7)
    if dice in (0, 1):
        _set(row, "jaw_open", strength)
    if dice == 1:
        _set(row, "smile", float(random.uniform(0.3, 1.0)))
    if dice in (2, 3):
        left = 1.0 if random.random() < 0.7 else strength
        _set(row, "blink_left", left)
        _set(
            row,
            "blink_right",
            left if random.random() < 0.8 else float(row[STARTER_LAYOUT.index("blink_right")]),
        )
    if dice == 4:
        row[GAZE_LEFT], row[GAZE_UP] = random.uniform(-1, 1, 2)
    if dice == 5:
        _set(row, "upper_lip_up", strength)
        _set(row, "lower_lip_down", float(random.uniform(0, 1)))
        _set(row, "smile", float(random.uniform(0, 1)))
    if dice == 6:
        row = first + np.where(np.arange(len(row)) < 20, sampling.sample_mouth(random), 0).astype(np.float32)
    return row


def moves(random: Random, first: FloatArray) -> FloatArray:
    """Draw what the frames of a person show, [8, 36]: the source, a quiet or smiling portrait, then seven moves of
    it."""
    rows = [first]
    for _ in range(TARGETS):
        dice = random.random()
        if dice < 0.4:
            row = _plain_move(random, first)
        elif dice < 0.75:
            row = sampling.sample_speech(random, first)
        else:
            row = sampling.sample_free(random, first)
            row[POSE] = first[POSE] + (row[POSE] - first[POSE]) * np.float32(random.uniform(0.2, 0.8))
        rows.append(row)
    return np.stack(rows).astype(np.float32)


# --- teeth -----------------------------------------------------------------------------------------------------------


class TeethPlaces:
    """Edges and roots of the sixteen upper and the sixteen lower teeth, as means of the mesh's vertices."""

    def __init__(self, renderer: Renderer) -> None:
        mesh = renderer.mesh
        corners = mesh.part == Part.TEETH
        x, y, width, height = TILES[Part.TEETH]
        vertex = mesh.triangles[corners].ravel()
        uv = (mesh.uvs[corners].reshape(-1, 2) * ATLAS - [x, y]) / [width, height]
        lower = uv[:, 1] > 0.5
        number = np.clip((uv[:, 0] * TEETH_IN_A_ROW).astype(int), 0, TEETH_IN_A_ROW - 1)
        along = (uv[:, 1] - 0.5 * lower - 0.02) / 0.46
        depth = mesh.kit.vertices[vertex, 2]
        self._groups = [
            [
                [
                    self._chosen(vertex, (lower == bool(row)) & (number == tooth), along, depth, root)
                    for root in (False, True)
                ]
                for tooth in range(TEETH_IN_A_ROW)
            ]
            for row in (0, 1)
        ]

    @staticmethod
    def _chosen(
        vertex: npt.NDArray, of_tooth: npt.NDArray, along: npt.NDArray, depth: npt.NDArray, root: bool
    ) -> npt.NDArray:
        """Return a tooth's vertices at its edge or, on its front, at its root."""
        place = along[of_tooth]
        near = place >= np.quantile(place, 0.85) if root else place <= np.quantile(place, 0.15)
        if root:
            front = depth[of_tooth] >= np.median(depth[of_tooth][near])
            near &= front
        return np.unique(vertex[of_tooth][near])

    def of(self, screen: FloatArray) -> FloatArray:
        """Return [2, 16, 2, 2] x, y of the raster."""
        return np.array(
            [[[screen[group, :2].mean(0) for group in tooth] for tooth in row] for row in self._groups],
            np.float32,
        )


def enamel_of(person: Identity) -> npt.NDArray[np.uint8]:
    """Return a person's teeth [16, 128, 3] in display colours, one column a tooth: upper row above, each from edge to
    root."""
    x, y, width, height = TILES[Part.TEETH]
    tile = person.atlas[y : y + height, x : x + width, :3]
    small = tile.reshape(16, height // 16, 128, width // 128, 3).mean((1, 3))
    return np.round(np.clip(small, 0, 1) ** (1 / 2.2) * 255).astype(np.uint8)


# --- drawing ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sight:
    """One render: `picture` [3, n, n] in 0..1, `inside` [3, n, n] the inside of the mouth, teeth and
    eyeballs (0..1), landmarks and teeth in 0..1 of the picture."""

    picture: Tensor
    inside: Tensor
    landmarks: FloatArray
    teeth: FloatArray


class Studio:
    """Draws the frames of people, whole or only where boxes lie."""

    def __init__(self, facekit: Path) -> None:
        self.renderer = Renderer(facekit)
        self.teeth = TeethPlaces(self.renderer)

    def draw(
        self,
        person: Identity,
        row: FloatArray,
        light: Light,
        background: FloatArray,
        camera: Camera,
        *,
        whole: bool,
    ) -> Sight:
        """Draw one frame. Unless it is wanted `whole`, only mouth and eyes and what lies round them are shaded."""
        renderer, side = self.renderer, SIZE * SUPERSAMPLING
        vertices = renderer.deformer.head(person, row, camera.head_pose(row))
        screen = camera.project(vertices, side)
        depth, ids = np.empty((side, side), np.float32), np.empty((side, side), np.int32)
        barycentric = np.zeros((side, side, 2), np.float32)
        mesh = renderer.mesh
        raster.rasterise(screen, mesh.triangles, mesh.two_sided, depth, ids, barycentric)
        landmarks = screen[mesh.kit.landmarks, :2] / np.float32(side)
        parts = np.where(ids >= 0, mesh.part[ids], BACKGROUND)
        masks = np.stack([np.isin(parts, INSIDE), parts == Part.TEETH, parts == Part.EYE])
        if not whole:
            ids = np.where(self._near(landmarks, side), ids, -1)
        image = renderer._shade(person, vertices, light, background, camera, ids, barycentric)
        small = masks.reshape(3, SIZE, SUPERSAMPLING, SIZE, SUPERSAMPLING).mean((2, 4), dtype=np.float32)
        return Sight(
            torch.from_numpy(image).permute(2, 0, 1).float() / 255,
            torch.from_numpy(small),
            landmarks,
            self.teeth.of(screen) / np.float32(side),
        )

    @staticmethod
    def _near(landmarks: FloatArray, side: int) -> npt.NDArray[np.bool_]:
        """Return the pixels of the raster that boxes may show."""
        near = np.zeros((side, side), bool)
        boxes = face_boxes(torch.from_numpy(landmarks[list(ANCHORS)])[None])
        for box, size in zip(boxes, (MOUTH_SIZE, EYE_SIZE, EYE_SIZE), strict=True):
            centre, u = box.centre[0].numpy(), box.across[0].numpy()
            v = np.array([-u[1], u[0]]) * size[0] / size[1]
            reach = np.abs(u) + np.abs(v) + 0.03
            low, high = ((centre - reach) * side).astype(int), ((centre + reach) * side).astype(int)
            low, high = np.clip(low, 0, side), np.clip(high, 0, side)
            near[low[1] : high[1], low[0] : high[0]] = True
        return near


def _bytes(x: Tensor) -> npt.NDArray[np.uint8]:
    return np.asarray((x.clamp(0, 1) * 255).round().byte().numpy())


def _pictures(box: Boxes, size: tuple[int, int], pictures: Tensor) -> npt.NDArray[np.uint8]:
    return _bytes(cut_boxes(pictures, box, size).permute(0, 2, 3, 1))


class Maker:
    """Makes the rows of people."""

    def __init__(self, facekit: Path, face: CompactNetwork) -> None:
        self.studio, self.face = Studio(facekit), face
        self.basis = face.basis()

    @torch.no_grad()
    def rows(self, seed: int) -> list[dict[str, npt.NDArray]]:
        """Render the seven rows of a person."""
        random = np.random.default_rng([seed, 7])
        renderer = self.studio.renderer
        person = renderer.identity(seed)
        light, background = make_light(random), make_background(random, SIZE * SUPERSAMPLING)
        first = sampling.sample_first(random)
        camera = jittered_camera(random, renderer, person, first)
        weights = moves(random, as_shown(camera, first))
        sights = [
            self.studio.draw(person, row, light, background, camera, whole=number == 0)
            for number, row in enumerate(weights)
        ]
        drawn = self._drawn(sights[0], torch.from_numpy(weights), random)
        enamel = enamel_of(person)
        return [
            self._row(sights[0], sight, drawn[number], weights[[0, number + 1]], enamel, seed, random)
            for number, sight in enumerate(sights[1:])
        ]

    def _drawn(self, source: Sight, weights: Tensor, random: Random) -> Tensor:
        """Draw the moves with the face network, [7, 3, n, n] in 0..1."""
        photo = source.picture[None] * 2 - 1
        noise = torch.from_numpy(random.normal(0, 0.02, (TARGETS, weights.shape[1])).astype(np.float32))
        with torch.autocast("cpu", torch.bfloat16):
            encoding = self.face.encode(photo)
            drawing = self.face.draw(encoding, self.basis, weights[1:] - weights[:1] + noise)
        return (self.face.compose(photo, drawing).float() + 1) / 2

    def _row(
        self,
        source: Sight,
        target: Sight,
        drawn: Tensor,
        weights: FloatArray,
        enamel: npt.NDArray,
        seed: int,
        random: Random,
    ) -> dict[str, npt.NDArray]:
        points = np.stack([source.landmarks, target.landmarks])
        frames = points[:, list(ANCHORS)] + random.normal(0, _JITTER / 2, (2, len(ANCHORS), 2))
        frames = frames + random.normal(0, _JITTER, (2, 1, 2))
        boxes = face_boxes(torch.from_numpy(frames.astype(np.float32)))
        before, after = (
            FaceBoxes(*(Boxes(b.centre[i : i + 1], b.across[i : i + 1]) for b in boxes)) for i in (0, 1)
        )
        views = [(source.picture[None], before), (drawn[None], after), (target.picture[None], after)]
        eyes = [
            [_pictures(getattr(where, side), EYE_SIZE, picture)[0] for picture, where in views]
            for side in ("left_eye", "right_eye")
        ]
        balls = [
            [
                _bytes(cut_boxes(sight.inside[None, 2:3], getattr(where, side), EYE_SIZE))[0, 0]
                for sight, where in ((source, before), (target, after))
            ]
            for side in ("left_eye", "right_eye")
        ]
        teeth = torch.from_numpy(target.teeth)[None]
        return {
            "mouth": np.stack([_pictures(where.mouth, MOUTH_SIZE, picture)[0] for picture, where in views]),
            "inside": _bytes(cut_boxes(target.inside[None, :2], after.mouth, MOUTH_SIZE))[0],
            "eyes": np.array(eyes),
            "balls": np.array(balls),
            "teeth": box_coordinates(after.mouth, teeth, MOUTH_SIZE)[0].numpy(),
            "enamel": enamel,
            "weights": weights,
            "points": points,
            "frames": frames,
            "identity": np.int64(seed),
        }


# --- shards ----------------------------------------------------------------------------------------------------------


def open_rows(
    folder: Path, worker: int, rows: int = 0
) -> tuple[dict[str, npt.NDArray], npt.NDArray[np.int32]]:
    """Open a worker's arrays and the count of its finished rows; they are made new for `rows` rows where they are not
    there."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted: dict[str, tuple[tuple[int, ...], type[np.generic]]] = {**FIELDS, "done": ((1,), np.int32)}
    arrays: dict[str, npt.NDArray] = {}
    for name, (shape, kind) in wanted.items():
        path = folder / f"{worker}_{name}.npy"
        full = shape if name == "done" else (rows, *shape)
        if path.exists() or not rows:
            arrays[name] = np.load(path, mmap_mode="r+" if rows else "r")
        else:
            arrays[name] = np.lib.format.open_memmap(path, mode="w+", dtype=kind, shape=full)
    done = arrays.pop("done")
    return arrays, done


def generate(bundle: str, facekit: Path, out: Path, worker: int, rows: int, *, holdout: bool = False) -> None:
    """Fill a worker's shard with `rows` rows drawn by a bundle's face network, going on where it ended."""
    torch.set_num_threads(1)
    face = bundles.load(bundle).face
    if not isinstance(face, CompactNetwork):
        raise TypeError("only compact face networks have painters")
    maker = Maker(facekit, face)
    arrays, done = open_rows(out, worker, rows // TARGETS * TARGETS)
    started, began = time.monotonic(), int(done[0])
    base = (HOLDOUT_SEED if holdout else SEED) + worker * 1_000_000
    for first in range(began, len(arrays["mouth"]), TARGETS):
        new_rows = maker.rows(base + first // TARGETS)
        for offset, values in enumerate(new_rows):
            for name, value in values.items():
                arrays[name][first + offset] = value
        done[0] = first + TARGETS
        if first // TARGETS % 10 == 0:
            rate = (int(done[0]) - began) / (time.monotonic() - started)
            log.info(
                "worker %d: %d of %d rows, %.1f rows/s", worker, int(done[0]), len(arrays["mouth"]), rate
            )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--facekit", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--worker", type=int, default=0)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--bundle", default="starter", help="whose face network draws (default: starter)")
    parser.add_argument("--holdout", action="store_true", help="people of another seed, to measure on")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    generate(
        options.bundle, options.facekit, options.out, options.worker, options.rows, holdout=options.holdout
    )


if __name__ == "__main__":
    main()
