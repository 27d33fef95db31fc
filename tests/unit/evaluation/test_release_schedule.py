"""The reference of every claim of speed computes the same frame, in the release's way."""

from __future__ import annotations

import torch

from edtalk_server.evaluation.speed.release import as_the_release_resamples, release_frame, resampled
from edtalk_server.networks.blocks import Fir, Upsample
from edtalk_server.networks.config import EDTalkConfig
from edtalk_server.networks.edtalk import EDTalk

SMALL = EDTalkConfig(size=16, style_dim=48, width_base=256, width_max=16, enhancement_hidden=8)


def test_filtering_channel_by_channel_is_the_same_filter() -> None:
    x = torch.randn(2, 3, 8, 6, generator=torch.Generator().manual_seed(0))
    for layer, up, pads in ((Fir(1, 4.0), 1, (1, 1)), (Fir(2), 1, (2, 2)), (Upsample(), 2, (2, 1))):
        torch.testing.assert_close(resampled(x, layer.kernel, up, pads), layer(x))


def test_the_schedule_draws_the_frame_of_the_equations() -> None:
    face = EDTalk(SMALL).eval().requires_grad_(False)
    portrait, pose = torch.rand(2, 1, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    weights = face.weights_of(pose)
    expected = face(portrait, weights)
    drawn = release_frame(as_the_release_resamples(face), portrait, pose, weights)
    torch.testing.assert_close(drawn, expected, rtol=1e-3, atol=1e-3)
