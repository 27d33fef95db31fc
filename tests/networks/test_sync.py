"""The sync expert: how it cuts out lips, and what its embeddings promise."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from edtalk_server.networks.config import SyncConfig
from edtalk_server.networks.sync import FRAMES, SyncExpert, half_faces, lip_windows, runs_of

TINY = SyncConfig((4, 6, 8, 8, 8), (4, 4, 6, 6, 8))


def face(count: int, frames: int, jaw_left: float = 0.25, chin: float = 0.9) -> Tensor:
    """Landmarks [count, frames, 68, 2] whose jaw line is half the picture wide."""
    points = torch.full((count, frames, 68, 2), 0.5)
    points[..., :17, 0] = torch.linspace(jaw_left, jaw_left + 0.5, 17)
    points[..., :17, 1] = 0.5 + (chin - 0.5) * torch.linspace(0, torch.pi, 17).sin()
    return points


def test_lips_and_sound_become_vectors_of_one_length_whose_cosine_is_a_probability() -> None:
    expert = SyncExpert(TINY).eval()
    lips, sound = torch.randn(3, 15, 48, 96), torch.randn(3, 1, 80, 16)
    with torch.no_grad():
        seen, heard, cosine = expert.embed_lips(lips), expert.embed_sound(sound), expert(lips, sound)
    assert seen.shape == heard.shape == (3, 512)
    assert seen.norm(dim=1).tolist() == pytest.approx([1, 1, 1], abs=1e-5)
    assert min(seen.min(), heard.min(), cosine.min()) >= 0
    assert float(cosine.max()) <= 1 + 1e-6


def test_a_bundle_can_hold_it_and_wrong_sizes_are_named() -> None:
    again = SyncExpert.from_config(TINY.to_dict())
    again.load_state_dict(SyncExpert(TINY).state_dict())
    with pytest.raises(ValueError, match="five numbers"):
        SyncConfig(widths=(4, 4))
    with pytest.raises(ValueError, match="embedding"):
        SyncConfig(embedding=0)


def test_the_box_holds_the_lower_half_of_the_face() -> None:
    line = (torch.arange(128) + 0.5) / 128
    across = line.expand(1, FRAMES, 1, 128, 128)
    down = line[:, None].expand(1, FRAMES, 1, 128, 128)
    pictures = torch.cat([across, down, across * 0], dim=2)
    (window,) = lip_windows(pictures, face(1, FRAMES))[0]
    x, y = window[0], window[1]
    width, bottom = 0.55, 0.9 + 0.05 * 0.55
    assert [float(x[0, 0]), float(x[0, -1])] == pytest.approx([0.5 - width / 2, 0.5 + width / 2], abs=0.01)
    assert [float(y[0, 0]), float(y[-1, 0])] == pytest.approx([bottom - width / 2, bottom], abs=0.01)


def test_a_run_has_one_box_so_that_the_jaw_moves_in_it() -> None:
    still, moving = face(1, FRAMES), face(1, FRAMES)
    moving[:, :, 8, 1] += torch.tensor([-0.04, 0.02, 0.04, 0.02, -0.04])
    moving[:, :, 8, 1] += still[0, 0, 8, 1] - moving[0, :, 8, 1].mean()
    picture = torch.rand(1, 1, 3, 64, 64).expand(-1, FRAMES, -1, -1, -1)
    assert torch.allclose(lip_windows(picture, still), lip_windows(picture, moving), atol=1e-4)


def test_runs_overlap_and_large_pictures_are_seen_as_small_ones() -> None:
    torch.manual_seed(0)
    small = torch.rand(2, 7, 3, 128, 128)
    large = torch.nn.functional.interpolate(small.flatten(0, 1), 256).unflatten(0, (2, 7))
    windows = lip_windows(small, face(2, 7))
    assert windows.shape == (2, 3, 15, 48, 96)
    assert torch.equal(windows[:, 0, 3:], windows[:, 1, :-3])
    assert torch.allclose(lip_windows(large, face(2, 7)), windows, atol=1e-5)
    with pytest.raises(ValueError, match="at least 5"):
        lip_windows(small[:, :4], face(2, 4))


def test_frames_with_one_box_give_the_same_runs() -> None:
    frames, points = torch.rand(2, 7, 3, 64, 64), face(2, 7)
    halves = half_faces(frames, points[:, 0])
    assert halves.shape == (2, 7, 3, 48, 96)
    assert torch.allclose(runs_of(halves), lip_windows(frames, points), atol=1e-5)
    right = half_faces(frames, points[:, 0], torch.tensor([[0.1, 0.0, 0.0]]).repeat(2, 1))
    assert not torch.allclose(right, halves, atol=0.1)


def test_gradients_reach_the_frames_through_a_frozen_expert() -> None:
    expert = SyncExpert(TINY).eval().requires_grad_(requires_grad=False)
    frames = torch.rand(1, FRAMES, 3, 64, 64, requires_grad=True)
    expert(lip_windows(frames, face(1, FRAMES))[:, 0], torch.randn(1, 1, 80, 16)).sum().backward()
    assert frames.grad is not None
    assert bool((frames.grad.abs().amax(dim=(0, 2, 3, 4)) > 0).all()), "all five frames count"
    assert float(frames.grad[..., :24, :].abs().max()) == 0, "the upper face does not"
    assert all(parameter.grad is None for parameter in expert.parameters())
