"""Before anything is rendered an animator is told what a portrait is worth, and what to do about it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from edtalk_server.media.faces.detection import find_faces
from edtalk_server.media.faces.portrait import Picture, load_portrait
from edtalk_server.media.faces.portrait_quality import QualityReport, Verdict, assess_crop, assess_portrait
from shared_protocol.errors import EDTalkError
from shared_protocol.messages import Crop


@pytest.fixture(scope="module")
def astronaut(shared: Path) -> Picture:
    return load_portrait(shared / "data" / "astronaut.png")


def judged(image: Picture, turn: float = 0.0) -> QualityReport:
    """Without a landmark_detector; the reader of turns always says `turn`."""
    image = np.ascontiguousarray(image)
    return assess_portrait(image, find_faces(image), None, lambda picture, crop: turn)


def judged_crop(image: Picture, crop: Crop) -> QualityReport:
    return assess_crop(image, crop, None, None)


def resized(image: Picture, factor: float) -> Picture:
    return np.asarray(cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), np.uint8)


def test_a_good_portrait_needs_no_advice(astronaut: Picture) -> None:
    judgement = judged(astronaut)
    assert (judgement.verdict, judgement.advice, judgement.notes) == (Verdict.GOOD, "", ())


def test_a_picture_without_a_face_gets_a_crop_to_begin_with_and_advice(astronaut: Picture) -> None:
    judgement = judged(astronaut[300:])
    assert judgement.verdict is Verdict.NO_FACE
    assert "by hand" in judgement.advice
    assert judgement.crop == Crop(256.0, 106.0, 212.0, 0.0)


def test_of_two_faces_the_largest_is_used_and_the_others_are_told(astronaut: Picture) -> None:
    small = resized(astronaut[:, :400], 0.6)
    wide = np.zeros((512, 512 + small.shape[1], 3), np.uint8)
    wide[:, :512] = astronaut
    wide[: len(small), 512:] = small
    judgement = judged(wide)
    assert judgement.verdict is Verdict.SEVERAL_FACES
    assert "2 faces" in judgement.advice
    assert abs(judgement.crop.center_x - judged(astronaut).crop.center_x) < 10


def test_a_small_face_is_told_in_pixels(astronaut: Picture) -> None:
    judgement = judged(resized(astronaut, 0.5))
    assert judgement.verdict is Verdict.TOO_SMALL
    assert f"{judgement.crop.side:.0f} pixels" in judgement.advice
    assert "larger picture" in judgement.advice


def test_a_face_that_the_picture_cuts_is_cut_off(astronaut: Picture) -> None:
    assert judged(astronaut[:, 190:]).verdict is Verdict.CUT_OFF


def test_near_the_edge_a_crop_stays_in_the_picture(astronaut: Picture) -> None:
    judgement = judged(astronaut[:, 150:])
    assert (judgement.verdict, judgement.advice, judgement.notes) == (Verdict.GOOD, "", ())
    assert judgement.crop.center_x >= judgement.crop.side / 2, "nothing is filled from the edge"


@pytest.mark.parametrize(("turn", "verdict"), [(10.0, Verdict.GOOD), (-30.0, Verdict.TURNED)])
def test_a_head_that_is_turned_too_far_is_told_with_its_angle(
    astronaut: Picture, turn: float, verdict: Verdict
) -> None:
    judgement = judged(astronaut, turn)
    assert (judgement.verdict, judgement.turned) == (verdict, turn)
    assert verdict is Verdict.GOOD or "30 degrees" in judgement.advice


def test_the_most_serious_thing_is_the_verdict_and_the_rest_are_notes(astronaut: Picture) -> None:
    judgement = judged(resized(astronaut, 0.5), turn=40.0)
    assert judgement.verdict is Verdict.TURNED
    assert len(judgement.notes) == 2 and "pixels" in judgement.notes[1]


def test_a_crop_on_the_face_is_good_also_a_little_off(astronaut: Picture) -> None:
    crop = judged(astronaut).crop
    for chosen in (crop, replace(crop, center_x=crop.center_x + 15), replace(crop, side=crop.side * 1.3)):
        assert judged_crop(astronaut, chosen).verdict is Verdict.GOOD
        assert judged_crop(astronaut, chosen).crop == chosen, "the animator's crop stays as it is"


def test_a_crop_beside_the_face_says_that_no_face_is_in_it(astronaut: Picture) -> None:
    crop = judged(astronaut).crop
    judgement = judged_crop(astronaut, replace(crop, center_x=crop.center_x + 200))
    assert judgement.verdict is Verdict.NO_FACE
    assert "move" in judgement.advice


def test_a_crop_that_cuts_the_face_or_dwarfs_it_says_so(astronaut: Picture) -> None:
    crop = judged(astronaut).crop
    assert judged_crop(astronaut, replace(crop, side=crop.side * 0.6)).verdict is Verdict.CUT_OFF
    assert judged_crop(astronaut, replace(crop, center_x=crop.center_x + 70)).verdict is Verdict.CUT_OFF
    large = judged_crop(astronaut, Crop(256.0, 256.0, 500.0, 0.0))
    assert large.verdict is Verdict.TOO_SMALL
    assert "instead of 500" in large.advice


def test_a_tilted_crop_is_judged_upright(astronaut: Picture) -> None:
    crop = judged(astronaut).crop
    turn = cv2.getRotationMatrix2D((crop.center_x, crop.center_y), -40, 1.0)
    tilted = np.asarray(cv2.warpAffine(astronaut, turn, (512, 512), borderMode=cv2.BORDER_REFLECT), np.uint8)
    judgement = judged_crop(tilted, replace(crop, roll=crop.roll + np.radians(40)))
    assert judgement.verdict is Verdict.GOOD
    assert any("tilted" in note for note in judgement.notes)


def test_a_crop_without_extent_is_refused(astronaut: Picture) -> None:
    with pytest.raises(EDTalkError, match="crop"):
        judged_crop(astronaut, Crop(10.0, 10.0, float("nan"), 0.0))


def test_faces_seen_from_the_side_are_turned_and_mostly_not_absent(shared: Path) -> None:
    pytest.importorskip("numba", reason="the face renderer needs numba")
    from edtalk_server.synthetic.controls import weights_of
    from edtalk_server.synthetic.renderer.frame import Renderer
    from edtalk_server.synthetic.renderer.scene import make_background, make_light

    renderer = Renderer(shared / "data" / "ict_facekit.npz")
    verdicts = []
    for seed in range(12):
        random, person = np.random.default_rng(seed), renderer.identity(seed)
        light, behind, camera = make_light(random), make_background(random, 640), renderer.camera(person)
        look = weights_of(yaw=2.4 if seed % 2 else -2.4, scale=-4.0)
        image = renderer.render(person, look, light, behind, camera, 320).image
        judgement = judged(image)
        verdicts.append(judgement.verdict)
        if judgement.verdict is Verdict.TURNED:
            assert judgement.turned > 30
            assert abs(judgement.crop.center_x - 160) < 80
    assert verdicts.count(Verdict.TURNED) >= 6, verdicts
