"""Heads that a flow moves: seeded on the shot's clock, seamless, within ranges, at rest in pauses, on any bundle."""

from __future__ import annotations

import copy
from functools import cache

import numpy as np
import pytest
import torch

from edtalk_server.arrays import Doubles, Floats
from edtalk_server.media.audio.voice import SAMPLE_RATE, Waveform
from edtalk_server.motion.pose import HeadMotion, add_head_pose, can_move, head_pose
from edtalk_server.networks.voice.pose_flow import PoseFlow, PoseFlowConfig
from edtalk_server.synthetic.controls import STARTER_LAYOUT
from shared_protocol.banks import NATURAL_POSE, Bank, numbered_layout

FLOWS = {
    "mdct": PoseFlowConfig(steps=2, width=16, radius=2, kernel=3),
    "none": PoseFlowConfig("none", 1, steps=2, width=16, radius=2, kernel=3),
    "response": PoseFlowConfig(steps=2, width=16, radius=2, kernel=3, response=8),
}
BOTH = pytest.mark.parametrize("kind", list(FLOWS))


@cache
def flow(kind: str = "mdct") -> PoseFlow:
    torch.manual_seed(2)
    network = PoseFlow(FLOWS[kind])
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    network.pose_deviation.fill_(0.1)
    network.limit.fill_(0.5)
    return network.eval().requires_grad_(False)


@cache
def voice(minutes: float = 1.0) -> Waveform:
    """Three seconds of syllables, then two of pause."""
    time = np.arange(int(minutes * 60 * SAMPLE_RATE)) / SAMPLE_RATE
    buzz = np.sign(np.sin(2 * np.pi * (120 + 20 * np.sin(time)) * time)) * np.clip(
        np.sin(8 * np.pi * time), 0, 1
    )
    return Waveform((0.1 * buzz * ((time % 5) < 3)).astype(np.float32))


def at(first: float, last: float, fps: float = 25.0) -> Doubles:
    return np.arange(round(first * fps), round(last * fps)) / fps


def happy(seconds: Doubles) -> Floats:
    rows = np.zeros((len(seconds), 8), np.float32)
    rows[:, 0] = np.clip(seconds / 30, 0, 1)
    return rows


@BOTH
@pytest.mark.parametrize("fps", [24.0, 25.0, 60.0])
def test_any_part_of_a_shot_moves_as_the_whole(kind: str, fps: float) -> None:
    whole = head_pose(flow(kind), voice(), happy, at(-5, 65, fps), HeadMotion(3))
    first = round(25 * fps)
    part = head_pose(flow(kind), voice(), happy, at(20, 30, fps), HeadMotion(3))
    assert np.abs(part - whole[first : first + len(part)]).max() < 1e-5


def test_minutes_are_made_in_pieces_that_fit() -> None:
    long = voice(6.0)
    pieces: list[int] = []
    whole = head_pose(flow(), long, None, at(0, 360), checkpoint=lambda *told: pieces.extend(told[:1]))
    assert len(pieces) == 3 and pieces == sorted(set(pieces))
    part = head_pose(flow(), long, None, at(155, 165))
    assert np.abs(part - whole[155 * 25 : 165 * 25]).max() < 1e-5


def test_a_part_of_the_sound_moves_as_the_whole_when_the_shots_clock_is_told() -> None:
    whole = head_pose(flow(), voice(), None, at(30, 40), HeadMotion(5))
    part = Waveform(voice().samples[10 * SAMPLE_RATE :].copy())
    moved = head_pose(flow(), part, None, at(20, 30), HeadMotion(5, clock=10.0))
    assert np.abs(moved - whole).max() < 1e-5


def test_a_seed_is_one_performance_and_another_seed_another() -> None:
    one, same, other = (head_pose(flow(), voice(), None, at(0, 60), HeadMotion(seed)) for seed in (1, 1, 2))
    assert (one == same).all()
    for a, b in zip(one.T[:3], other.T[:3], strict=True):
        assert abs(np.corrcoef(a, b)[0, 1]) < 0.5


def test_gain_and_temperature_say_how_much() -> None:
    usual, double, still, calm = (
        head_pose(flow(), voice(), None, at(0, 60), HeadMotion(1, temperature, gain))
        for temperature, gain in ((0.8, 1), (0.8, 2), (0.8, 0), (0.2, 1))
    )
    assert np.allclose(double, 2 * usual, atol=1e-6)
    assert not still.any()
    assert calm.std() < 0.7 * usual.std()


def test_emotions_change_the_movement() -> None:
    neutral, shown = (head_pose(flow(), voice(), emotions, at(0, 20)) for emotions in (None, happy))
    assert np.abs(neutral - shown).max() > 1e-3


def test_the_head_is_calmer_in_pauses() -> None:
    speed = np.abs(np.diff(head_pose(flow("none"), voice(), None, at(0, 60)), axis=0))
    second = at(0, 60)[1:] % 5
    assert speed[(second > 3.6) & (second < 4.6)].mean() < 0.2 * speed[(second > 0.6) & (second < 2.6)].mean()


def test_no_movement_is_beyond_those_that_it_learned_from() -> None:
    wild = head_pose(flow(), voice(), None, at(0, 30), HeadMotion(temperature=50.0))
    assert np.abs(wild).max() <= 0.5


def test_no_nod_is_deeper_than_a_face_can_be_drawn_well() -> None:
    learned_from_wild = copy.deepcopy(flow())
    learned_from_wild.limit.fill_(2.0)
    wild = head_pose(learned_from_wild, voice(), None, at(0, 30), HeadMotion(temperature=50.0))
    assert np.abs(wild[:, 0]).max() <= 0.7
    assert np.abs(wild[:, 1]).max() > 0.9, "turns are drawn well beyond that"


# --- the bundle's own weights ---


def test_named_weights_move_and_the_eyes_stay_on_whom_they_look_at() -> None:
    rows = np.zeros((3, len(STARTER_LAYOUT)), np.float32)
    pose = np.tile(np.arange(1.0, 7.0, dtype=np.float32) / 20, (3, 1))
    moved = add_head_pose(rows, STARTER_LAYOUT, None, pose)
    for index, name in enumerate(NATURAL_POSE):
        assert moved[0, STARTER_LAYOUT.index(name)] == pytest.approx((index + 1) / 20)
    assert moved[0, STARTER_LAYOUT.index("gaze_up")] == pytest.approx(-0.64 / 20)
    assert moved[0, STARTER_LAYOUT.index("gaze_left")] == pytest.approx(-0.64 * 2 / 20)
    assert not moved[:, STARTER_LAYOUT.slice_of(Bank.MOUTH)].any()


def test_weights_keep_to_their_range_unless_the_portrait_is_beyond_it() -> None:
    rows = np.zeros((2, len(STARTER_LAYOUT)), np.float32)
    pitch = STARTER_LAYOUT.index("pitch")
    rows[1, pitch] = 1.4
    pose = np.zeros((2, 6), np.float32)
    pose[:, 0] = 5.0
    assert add_head_pose(rows, STARTER_LAYOUT, None, pose)[:, pitch].tolist() == [1.0, pytest.approx(1.4)]


def test_a_pose_map_turns_movements_into_weights_without_names() -> None:
    layout = numbered_layout()
    pose_map = np.arange(36, dtype=np.float32).reshape(6, 6) / 36
    pose = np.random.default_rng(0).normal(0, 0.2, (4, 6)).astype(np.float32)
    moved = add_head_pose(np.zeros((4, 36), np.float32), layout, pose_map, pose)
    assert moved[:, layout.slice_of(Bank.POSE)] == pytest.approx(pose @ pose_map.T, abs=1e-6)
    assert not moved[:, :20].any() and not moved[:, 26:].any()
    assert (can_move(layout, None), can_move(layout, pose_map), can_move(STARTER_LAYOUT, None)) == (
        False,
        True,
        True,
    )
