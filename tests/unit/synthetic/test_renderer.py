"""The face renderer: what it draws must be what the weights say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from edtalk_server.media.faces.template import FITTED_POINTS, TEMPLATE68, TEMPLATE_SIZE
from edtalk_server.synthetic import controls
from edtalk_server.synthetic.controls import FloatArray, neutral, weights_of

pytest.importorskip("numba", reason="the renderer needs the 'train' extra")
FACEKIT = Path(__file__).parents[4] / "shared" / "data" / "ict_facekit.npz"
if not FACEKIT.exists():
    pytest.skip("the face kit ../shared/data/ict_facekit.npz is not here", allow_module_level=True)

from edtalk_server.synthetic.data.clips import as_shown, jittered_camera, make_clip  # noqa: E402
from edtalk_server.synthetic.renderer.camera import Camera  # noqa: E402
from edtalk_server.synthetic.renderer.frame import Render, Renderer  # noqa: E402
from edtalk_server.synthetic.renderer.geometry.mesh import BACKGROUND, OUT_OF_SIGHT, Part  # noqa: E402
from edtalk_server.synthetic.renderer.identity import Identity  # noqa: E402
from edtalk_server.synthetic.renderer.scene import studio_background, studio_light  # noqa: E402
from edtalk_server.synthetic.renderer.shading import BOTH_BACKGROUND, VISIBLE  # noqa: E402

SIZE = 128


def bare_faced(person: Identity) -> Identity:
    """The same person without glasses or anything before the face."""
    hidden = np.full_like(person.worn.vertices, OUT_OF_SIGHT)
    return replace(person, worn=replace(person.worn, vertices=hidden))


class Studio:
    """One person in front of a fixed camera, with nothing before the face."""

    def __init__(self, renderer: Renderer, seed: int = 58) -> None:
        self.renderer = renderer
        self.person: Identity = bare_faced(renderer.identity(seed))
        self.camera: Camera = renderer.camera(self.person)

    def take(self, weights: FloatArray) -> Render:
        return self.renderer.render(
            self.person, weights, studio_light(), studio_background(2 * SIZE), self.camera, SIZE
        )


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer(FACEKIT)


@pytest.fixture(scope="module")
def studio(renderer: Renderer) -> Studio:
    return Studio(renderer)


@pytest.fixture(scope="module")
def calm(studio: Studio) -> Render:
    return studio.take(neutral())


def _count(render: Render, part: Part) -> int:
    return int((render.parts == part).sum())


def _opening(render: Render, upper: tuple[int, int], lower: tuple[int, int]) -> float:
    """Height of an opening in picture widths."""
    heights = render.landmarks[:, 1]
    return float(heights[list(lower)].mean() - heights[list(upper)].mean())


LEFT_EYE, RIGHT_EYE = ((43, 44), (47, 46)), ((37, 38), (41, 40))


def test_the_same_seed_gives_the_same_picture(renderer: Renderer, calm: Render) -> None:
    assert np.array_equal(Studio(renderer).take(neutral()).image, calm.image)
    assert not np.array_equal(Studio(renderer, seed=59).take(neutral()).image, calm.image)


def test_a_neutral_head_fits_the_official_template(calm: Render) -> None:
    error = np.linalg.norm(calm.landmarks * TEMPLATE_SIZE - TEMPLATE68, axis=1)
    assert error[:FITTED_POINTS].mean() < 10
    eyes = calm.landmarks[36:48].mean(axis=0) * TEMPLATE_SIZE
    assert eyes == pytest.approx(TEMPLATE68[36:48].mean(axis=0), abs=10)


def test_opening_the_jaw_lowers_the_lip_and_shows_the_cavity(studio: Studio, calm: Render) -> None:
    wide = studio.take(weights_of(jaw_open=0.9))
    assert (wide.landmarks[55:60, 1] > calm.landmarks[55:60, 1] + 0.03).all()
    assert abs(wide.landmarks[30] - calm.landmarks[30]).max() < 0.01
    inside = np.isin(wide.parts, (Part.MOUTH, Part.GUMS, Part.TEETH))
    assert inside.sum() > 100
    assert wide.image[inside].mean() < 0.6 * wide.image[wide.parts == Part.SKIN].mean()


def test_a_broad_smile_shows_teeth_and_lifts_the_corners(studio: Studio, calm: Render) -> None:
    broad = studio.take(weights_of(smile=1.0, upper_lip_up=0.5, lower_lip_down=0.5))
    assert _count(broad, Part.TEETH) > _count(calm, Part.TEETH) + 30
    assert (broad.landmarks[[48, 54], 1] < calm.landmarks[[48, 54], 1] - 0.01).all()


@pytest.mark.parametrize("seed", range(58, 64))
def test_everybody_can_close_both_eyes(renderer: Renderer, seed: int) -> None:
    studio = Studio(renderer, seed)
    open_, shut = studio.take(neutral()), studio.take(weights_of(blink_left=1, blink_right=1))
    assert _count(open_, Part.EYE) > 40
    assert _count(shut, Part.EYE) <= 0.15 * _count(open_, Part.EYE)


def test_each_eye_blinks_alone(studio: Studio, calm: Render) -> None:
    wink = studio.take(weights_of(blink_left=1))
    assert _opening(wink, *LEFT_EYE) < 0.3 * _opening(calm, *LEFT_EYE)
    assert _opening(wink, *RIGHT_EYE) == pytest.approx(_opening(calm, *RIGHT_EYE), abs=0.004)


@pytest.mark.parametrize(
    ("weights", "direction"),
    [
        (weights_of(yaw=1), (1, 0)),  # the person's own left is the picture's right
        (weights_of(pitch=1), (0, -1)),
        (weights_of(shift_x=1), (1, 0)),
        (weights_of(shift_y=1), (0, -1)),
    ],
)
def test_pose_moves_the_nose_the_way_the_slider_says(
    studio: Studio, calm: Render, weights: FloatArray, direction: tuple[int, int]
) -> None:
    moved = studio.take(weights).landmarks[30] - calm.landmarks[30]
    assert moved @ direction > 0.05


def test_a_shift_of_one_is_a_tenth_of_the_picture(studio: Studio, calm: Render) -> None:
    moved = studio.take(weights_of(shift_x=1)).landmarks - calm.landmarks
    assert moved[:, 0].mean() == pytest.approx(0.1, abs=0.02)
    near = studio.take(weights_of(scale=1)).landmarks
    growth = np.ptp(near[:, 0]) / np.ptp(calm.landmarks[:, 0])
    assert growth == pytest.approx(np.exp(0.1), rel=0.03)


def test_roll_tilts_the_head_to_the_right_of_the_picture(studio: Studio, calm: Render) -> None:
    def axis(render: Render) -> float:
        up = render.landmarks[27] - render.landmarks[8]
        return float(np.degrees(np.arctan2(up[0], -up[1])))

    assert axis(studio.take(weights_of(roll=1))) - axis(calm) == pytest.approx(20, abs=2)


def test_pose_weights_survive_the_camera(renderer: Renderer) -> None:
    person, random = renderer.identity(3), np.random.default_rng(5)
    camera = jittered_camera(random, renderer, person, weights_of(yaw=0.3, roll=0.2))
    weights = neutral()
    weights[controls.POSE] = random.normal(0, 0.5, 6)
    assert camera.pose_weights(camera.head_pose(weights)) == pytest.approx(weights[controls.POSE], abs=1e-4)


def test_the_first_frame_shows_the_jitter_of_its_crop(renderer: Renderer) -> None:
    person = renderer.identity(3)
    fitted = renderer.camera(person, neutral())
    crop = fitted.crop.jittered(scale=1.0, turn=np.radians(4), shift=np.array([0.03, -0.02]))
    shown = as_shown(Camera(fitted.distance, crop, fitted.rest), neutral())
    assert shown[controls.ROLL] * 20 == pytest.approx(4, abs=1e-3)
    straight = fitted.crop.jittered(scale=1.05, turn=0.0, shift=np.array([0.03, -0.02]))
    shown = as_shown(Camera(fitted.distance, straight, fitted.rest), neutral())
    assert shown[controls.SCALE] == pytest.approx(np.log(1.05) / 0.1, abs=1e-3)


def test_flow_carries_the_source_onto_the_target(studio: Studio, calm: Render) -> None:
    target = studio.take(weights_of(yaw=0.6, pitch=0.2, jaw_open=0.6, smile=0.5, shift_x=-0.4))
    flow, seen = studio.renderer.flow(target, calm, SIZE)
    x, y = np.meshgrid(np.arange(SIZE, dtype=np.float32), np.arange(SIZE, dtype=np.float32))
    warped = cv2.remap(calm.image, x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR)
    visible = seen == VISIBLE
    after = np.abs(warped.astype(float) - target.image)[visible].mean()
    before = np.abs(calm.image.astype(float) - target.image)[visible].mean()
    assert visible.mean() > 0.25
    assert after < 10
    assert after < 0.4 * before


def test_what_the_source_hides_is_marked_hidden(studio: Studio, calm: Render) -> None:
    open_mouth = studio.take(weights_of(jaw_open=0.9))
    _, seen = studio.renderer.flow(open_mouth, calm, SIZE)
    inside = np.isin(open_mouth.parts, (Part.MOUTH, Part.GUMS))
    assert (seen[inside] == VISIBLE).mean() < 0.2
    both = (open_mouth.parts == BACKGROUND) & (calm.parts == BACKGROUND)
    assert (seen[both] == BOTH_BACKGROUND).mean() > 0.98


def test_a_picture_flows_onto_itself_without_moving(studio: Studio, calm: Render) -> None:
    flow, seen = studio.renderer.flow(calm, calm, SIZE)
    assert np.abs(flow).max() < 1e-3
    assert (seen[calm.parts != BACKGROUND] == VISIBLE).all()


def test_a_mirrored_head_is_the_head_of_mirrored_weights(studio: Studio) -> None:
    weights = weights_of(
        jaw_left=0.8, mouth_left=0.4, blink_left=1, yaw=0.5, roll=0.4, shift_x=0.3, gaze_left=0.7
    )
    plain = studio.take(weights)
    mirrored = studio.take(controls.mirror(weights))
    flipped = plain.landmarks[controls.MIRROR_LANDMARKS] * [-1, 1] + [1, 0]
    # nobody is symmetric, nor is the template: compare movements, not positions
    rest = studio.take(neutral()).landmarks
    flipped_rest = rest[controls.MIRROR_LANDMARKS] * [-1, 1] + [1, 0]
    assert (mirrored.landmarks - rest) == pytest.approx(flipped - flipped_rest, abs=0.015)


def test_a_clip_keeps_one_person_and_names_its_sources(renderer: Renderer) -> None:
    clip = make_clip(renderer, renderer.identity(4), np.random.default_rng(0), SIZE)
    assert len(clip.frames) == len(clip.pairs) == 8
    assert clip.identity == 4
    assert all(first.source == 0 for first, _ in clip.pairs[1:])
    assert all(pair.source != index for index, pairs in enumerate(clip.pairs) for pair in pairs)
    assert not np.array_equal(clip.frames[0].image, clip.frames[1].image)
