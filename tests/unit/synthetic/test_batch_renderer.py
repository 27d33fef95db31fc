"""The batched renderer: many frames at once must show what the renderer shows one by one."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("numba", reason="the renderer needs the 'train' extra")
FACEKIT = Path(__file__).parents[4] / "shared" / "data" / "ict_facekit.npz"
if not FACEKIT.exists():
    pytest.skip("the face kit ../shared/data/ict_facekit.npz is not here", allow_module_level=True)

from edtalk_server.synthetic.controls import FloatArray, neutral  # noqa: E402
from edtalk_server.synthetic.data import sampling  # noqa: E402
from edtalk_server.synthetic.data.clips import jittered_camera  # noqa: E402
from edtalk_server.synthetic.renderer.batch.batch_frame import BatchRenderer, RenderBatch  # noqa: E402
from edtalk_server.synthetic.renderer.camera import Camera  # noqa: E402
from edtalk_server.synthetic.renderer.frame import Render, Renderer  # noqa: E402
from edtalk_server.synthetic.renderer.geometry.mesh import BACKGROUND, Part  # noqa: E402
from edtalk_server.synthetic.renderer.identity import Identity  # noqa: E402
from edtalk_server.synthetic.renderer.scene import Light, make_background, make_light  # noqa: E402
from edtalk_server.synthetic.renderer.shading import BOTH_BACKGROUND, VISIBLE  # noqa: E402

SIZE = 96
SEEDS = (3, 101)
WORN = (Part.GLASSES, Part.HEADWEAR, Part.OCCLUDER)
"""What some people must show, besides those of `SEEDS`."""
FRAMES = 3
"""Frames of each person: the first, a free one, a spoken one."""


class Scene:
    """Some frames of some people, as arguments of both renderers."""

    def __init__(self) -> None:
        self.persons: list[Identity] = []
        self.weights: list[FloatArray] = []
        self.lights: list[Light] = []
        self.backgrounds: list[FloatArray] = []
        self.cameras: list[Camera] = []

    def add(self, renderer: Renderer, seed: int, frames: int = FRAMES) -> Scene:
        random = np.random.default_rng(seed)
        person, light = renderer.identity(seed), make_light(random)
        background, first = make_background(random, 2 * SIZE), sampling.sample_first(random)
        camera = jittered_camera(random, renderer, person, first)
        rows = first, sampling.sample_free(random, first), sampling.sample_speech(random, first)
        for row in rows[:frames]:
            self.persons.append(person)
            self.weights.append(row)
            self.lights.append(light)
            self.backgrounds.append(background)
            self.cameras.append(camera)
        return self

    def one_by_one(self, renderer: Renderer) -> list[Render]:
        scenes = zip(self.persons, self.weights, self.lights, self.backgrounds, self.cameras, strict=True)
        return [renderer.render(*scene, SIZE) for scene in scenes]

    def at_once(self, batch: BatchRenderer) -> RenderBatch:
        weights = np.stack(self.weights)
        return batch.render(self.persons, weights, self.lights, self.backgrounds, self.cameras, SIZE)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer(FACEKIT)


@pytest.fixture(scope="module")
def batch(renderer: Renderer) -> BatchRenderer:
    return BatchRenderer(renderer, "cpu")


def _wearers(renderer: Renderer) -> set[int]:
    """Seeds of people who wear or hold each of `WORN`."""
    found: dict[Part, int] = {}
    for seed in range(200, 300):
        first = Scene().add(renderer, seed, frames=1).one_by_one(renderer)[0]
        found |= {part: seed for part in WORN if part not in found and (first.parts == part).any()}
        if len(found) == len(WORN):
            return set(found.values())
    raise AssertionError(f"of a hundred people none shows some of {WORN}")


@pytest.fixture(scope="module")
def scene(renderer: Renderer) -> Scene:
    made = Scene()
    for seed in (*SEEDS, *sorted(_wearers(renderer))):
        made.add(renderer, seed)
    return made


@pytest.fixture(scope="module")
def expected(scene: Scene, renderer: Renderer) -> list[Render]:
    return scene.one_by_one(renderer)


@pytest.fixture(scope="module")
def drawn(scene: Scene, batch: BatchRenderer) -> RenderBatch:
    return scene.at_once(batch)


def _differences(batch: RenderBatch, frames: list[Render]) -> FloatArray:
    return np.abs(batch.image.cpu().numpy().astype(np.float32) - np.stack([frame.image for frame in frames]))


def test_the_pictures_are_those_of_the_renderer(drawn: RenderBatch, expected: list[Render]) -> None:
    off = _differences(drawn, expected)
    assert off.mean(axis=(1, 2, 3)).max() <= 0.5
    assert (off.max(axis=-1) <= 2).mean(axis=(1, 2)).min() >= 0.995


def test_the_part_masks_are_those_of_the_renderer(drawn: RenderBatch, expected: list[Render]) -> None:
    parts = np.stack([frame.parts for frame in expected])
    assert (drawn.parts.numpy() == parts).mean(axis=(1, 2)).min() >= 0.999
    assert {*WORN, Part.EYE, Part.TEETH, Part.HAIR, Part.LASHES} <= set(np.unique(parts))


def test_landmarks_and_weights_are_those_of_the_renderer(
    drawn: RenderBatch, expected: list[Render], scene: Scene
) -> None:
    for row, frame in enumerate(expected):
        assert drawn.landmarks[row].numpy() * SIZE == pytest.approx(frame.landmarks * SIZE, abs=0.01)
    assert np.array_equal(drawn.weights.numpy(), np.stack(scene.weights))


def test_flow_and_visibility_are_those_of_the_renderer(
    renderer: Renderer, batch: BatchRenderer, drawn: RenderBatch, expected: list[Render]
) -> None:
    pairs = [
        (start + target, start + source)
        for start in range(0, len(drawn), FRAMES)
        for target, source in ((1, 0), (2, 1), (0, 2))
    ]
    flow, seen = batch.flow(drawn, *zip(*pairs, strict=True), SIZE // 2)
    for row, (target, source) in enumerate(pairs):
        true_flow, true_seen = renderer.flow(expected[target], expected[source], SIZE // 2)
        ours = seen[row].numpy()
        assert (ours == true_seen).mean() >= 0.999
        both = (ours == VISIBLE) & (true_seen == VISIBLE)
        assert both.mean() > 0.2
        assert np.abs(flow[row].numpy() - true_flow)[both].max() <= 0.01
        empty = ours == BOTH_BACKGROUND
        assert (flow[row].numpy()[empty] == 0).all()


def test_a_frame_flows_onto_itself_without_moving(batch: BatchRenderer, drawn: RenderBatch) -> None:
    flow, seen = batch.flow(drawn, [4], [4], SIZE)
    assert flow.abs().max() < 1e-3
    assert (seen[drawn.parts[[4]] != BACKGROUND] == VISIBLE).all()


def test_the_same_frames_give_the_same_bytes(scene: Scene, batch: BatchRenderer, drawn: RenderBatch) -> None:
    again = scene.at_once(batch)
    assert torch.equal(again.image, drawn.image)
    assert torch.equal(again.triangle, drawn.triangle)


def test_memory_limits_do_not_change_the_picture(
    scene: Scene, renderer: Renderer, drawn: RenderBatch, expected: list[Render]
) -> None:
    together = BatchRenderer(renderer, "cpu", frames=7, fragments=30_000)
    split = scene.at_once(together)
    assert (split.triangle == drawn.triangle).float().mean() > 0.9999
    assert _differences(split, expected).mean() <= 0.05


def test_a_trainer_that_computes_coarsely_gets_the_same_picture(
    scene: Scene, batch: BatchRenderer, drawn: RenderBatch
) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        coarse = scene.at_once(batch)
    assert torch.equal(coarse.image, drawn.image)


def test_people_give_up_their_places_for_new_ones_and_come_back(
    scene: Scene, renderer: Renderer, expected: list[Render]
) -> None:
    cramped = BatchRenderer(renderer, "cpu", places=2)
    order = [0, 3, 6, 0, 3]
    for row in order:
        part = slice(row, row + 1)
        one = cramped.render(
            scene.persons[part],
            np.stack(scene.weights[part]),
            scene.lights[part],
            scene.backgrounds[part],
            scene.cameras[part],
            SIZE,
        )
        assert _differences(one, [expected[row]]).mean() <= 0.5


def test_a_head_outside_the_picture_leaves_the_background(
    scene: Scene, renderer: Renderer, batch: BatchRenderer
) -> None:
    crop = scene.cameras[0].crop
    away = replace(crop, shift=crop.shift + 50)
    camera = Camera(scene.cameras[0].distance, away, away)
    first = scene.persons[0], neutral(), scene.lights[0], scene.backgrounds[0], camera
    gone = batch.render(*([argument] for argument in first), SIZE)
    assert (gone.parts == BACKGROUND).all()
    assert np.array_equal(gone.image[0].numpy(), renderer.render(*first, SIZE).image)


def test_drawing_needs_neither_numba_nor_opencv() -> None:
    absent = "; ".join(f"sys.modules['{name}'] = None" for name in ("numba", "cv2", "platformdirs"))
    code = f"import sys; {absent}; import edtalk_server.synthetic.renderer.batch.batch_frame"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")
def test_a_graphics_card_draws_the_same(scene: Scene, renderer: Renderer, expected: list[Render]) -> None:
    card = BatchRenderer(renderer, "cuda")
    drawn = scene.at_once(card)
    off = _differences(drawn, expected)
    assert off.mean() <= 0.5
    assert (off.max(axis=-1) <= 2).mean() >= 0.995
    assert torch.equal(drawn.image, scene.at_once(card).image)
