"""The compact network: what an animator relies on, whatever it was trained to."""

from dataclasses import replace

import pytest
import torch

from edtalk_server.networks.compact import REST_MASK_LOGIT, CompactConfig, CompactNetwork, FlowLevel
from edtalk_server.networks.compact_motion_encoder import MotionEncoder

FULL = CompactConfig(reader="points", tone=True, refined=True)


@pytest.fixture(scope="module", params=[CompactConfig(), FULL], ids=["plain", "full"])
def network(request: pytest.FixtureRequest) -> CompactNetwork:
    """Untrained, but with heads loud enough to move something."""
    torch.manual_seed(0)
    made = CompactNetwork(request.param).eval().requires_grad_(requires_grad=False)
    for name, parameter in made.named_parameters():
        if "to_flow" in name or "to_picture" in name:
            parameter.mul_(10)
        if "to_tone" in name or ".add." in name:
            parameter.normal_(0, 0.02, generator=torch.Generator().manual_seed(3))
    return made


@pytest.fixture(scope="module")
def photo() -> torch.Tensor:
    levels = torch.randint(0, 256, (1, 3, 256, 256), generator=torch.Generator().manual_seed(1))
    return levels / 127.5 - 1


def _to_bytes(images: torch.Tensor) -> torch.Tensor:
    return ((images.clamp(-1, 1) + 1) * 127.5).round()


def test_at_its_own_weights_the_picture_is_the_photo_to_the_byte(
    network: CompactNetwork, photo: torch.Tensor
) -> None:
    prepared = network.prepare(photo)
    made = network.decode(prepared, prepared.weights)
    assert torch.equal(_to_bytes(made), _to_bytes(photo))


def test_a_portraits_own_weights_have_as_many_decimals_as_sliders_show(
    network: CompactNetwork, photo: torch.Tensor
) -> None:
    prepared, estimated = network.prepare(photo), network.weights_of(photo)
    assert (prepared.weights - estimated).abs().max() <= 0.5001e-3
    own = prepared.weights.double()
    assert ((own == 0) | (own.abs() >= 1e-3)).all(), "Blender shows what is smaller with six decimals"
    assert not torch.signbit(prepared.weights[prepared.weights == 0]).any()
    assert torch.equal(_to_bytes(network.decode(prepared, prepared.weights)), _to_bytes(photo))
    known = torch.full_like(estimated, 0.000765)
    assert torch.equal(network.prepare(photo, known).weights, known), "known ones are taken as they are"


def test_moving_a_weight_moves_the_picture_and_more_of_it_moves_it_more(
    network: CompactNetwork, photo: torch.Tensor
) -> None:
    prepared = network.prepare(photo)
    rows = prepared.weights.repeat(3, 1)
    rows[:, 0] += torch.tensor([0.0, 0.01, 0.5])
    rest, hint, full = network.decode(prepared, rows)
    assert 0 < (hint - rest).abs().mean() < (full - rest).abs().mean()


def test_a_frame_does_not_depend_on_its_neighbours(network: CompactNetwork, photo: torch.Tensor) -> None:
    prepared = network.prepare(photo)
    rows = (
        prepared.weights + torch.randn(4, network.channels, generator=torch.Generator().manual_seed(2)) * 0.3
    )
    together = network.decode(prepared, rows)
    alone = torch.cat([network.decode(prepared, row[None]) for row in rows])
    assert (_to_bytes(together) - _to_bytes(alone)).abs().max() <= 1


def test_the_banks_are_orthonormal(network: CompactNetwork) -> None:
    basis = network.basis()
    assert basis.shape == (256, 36)
    assert torch.allclose(basis.t() @ basis, torch.eye(36), atol=1e-5)


def test_the_source_is_encoded_once_for_a_clip(
    network: CompactNetwork, photo: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    for name in ("encode", "basis", "weights_of"):
        real = getattr(network, name)
        monkeypatch.setattr(network, name, lambda *a, _n=name, _r=real: (calls.append(_n), _r(*a))[1])
    prepared = network.prepare(photo)
    for _ in range(3):
        network.decode(prepared, prepared.weights + 0.1)
    assert sorted(calls) == ["basis", "encode", "weights_of"]


def test_true_weights_can_stand_in_for_the_read_ones(network: CompactNetwork, photo: torch.Tensor) -> None:
    known = torch.full((1, network.channels), 0.25)
    made = network.decode(network.prepare(photo, known), known)
    assert torch.equal(_to_bytes(made), _to_bytes(photo))


def test_landmarks_are_read_from_any_size_of_crop(network: CompactNetwork) -> None:
    for size in (64, 128, 256):
        assert network.landmarks_of(torch.zeros(2, 3, size, size)).shape == (2, 68, 2)


def test_a_source_of_the_wrong_size_is_refused(network: CompactNetwork) -> None:
    with pytest.raises(ValueError, match="256"):
        network.prepare(torch.zeros(1, 3, 128, 128))


def test_the_config_survives_a_bundle() -> None:
    config = CompactConfig(latent=64, gain=2.5)
    assert CompactConfig.from_dict(config.to_dict()) == config
    with pytest.raises(TypeError):
        CompactConfig.from_dict({"colour": 1})
    with pytest.raises(ValueError, match="trunk"):
        CompactConfig(trunk_size=32)


def test_the_network_runs_at_other_sizes() -> None:
    config = CompactConfig(
        size=128,
        detail_size=64,
        trunk_size=32,
        encoder_channels=(32, 16, 16),
        decoder_channels=(16, 16),
        motion_size=64,
        motion_channels=(8, 8, 16, 16),
        locator_size=32,
        locator_channels=(8, 8, 8),
    )
    network = CompactNetwork(config).eval()
    prepared = network.prepare(torch.zeros(1, 3, 128, 128))
    assert network.decode(prepared, prepared.weights + 0.5).shape == (1, 3, 128, 128)


def test_what_was_added_later_leaves_a_trained_network_as_it_was(photo: torch.Tensor) -> None:
    torch.manual_seed(0)
    earlier = CompactNetwork(CompactConfig()).eval().requires_grad_(requires_grad=False)
    later = CompactNetwork(FULL).eval().requires_grad_(requires_grad=False)
    own = later.state_dict()
    trained = {k: v for k, v in earlier.state_dict().items() if k in own and own[k].shape == v.shape}
    assert not later.load_state_dict(trained, strict=False).unexpected_keys
    weights = torch.zeros(1, later.channels)
    pictures = [n.decode(n.prepare(photo, weights), weights + 0.4) for n in (earlier, later)]
    assert torch.equal(*pictures)


def test_a_steady_level_has_no_dashes_and_keeps_what_is_wide() -> None:
    rows, columns = torch.meshgrid(torch.arange(128), torch.arange(128), indexing="ij")
    dashes = ((rows - columns).abs() < 2) & (columns % 4 < 2)
    opening = (rows - 90).abs().maximum((columns - 30).abs()) < 8
    logits = torch.where(dashes | opening, -REST_MASK_LOGIT, REST_MASK_LOGIT)[None, None]
    comb = 0.01 * (-1.0) ** rows[None, None]
    step = 0.1 * (columns > 64)[None, None]
    level = FlowLevel(torch.cat([step + 0 * comb, comb + 0 * step], 1), logits).steadied()
    mask = torch.sigmoid(level.mask_logits)[0, 0]
    assert float(mask[dashes & ~opening].min()) > 0.99, "the photo is shown along a contour"
    assert float(mask[90, 30]) < 0.01, "an open mouth is drawn"
    assert float(level.flow[0, 1, 1:-1].abs().max()) < 1e-6
    assert float(level.flow[0, 0, 64, 60]) == 0 and float(level.flow[0, 0, 64, 70]) == pytest.approx(0.1)


def test_a_steady_network_rests_as_well_and_only_says_so_where_it_is(photo: torch.Tensor) -> None:
    torch.manual_seed(4)
    plain = CompactNetwork(FULL).eval().requires_grad_(requires_grad=False)
    steady = CompactNetwork(replace(FULL, steady=True)).eval().requires_grad_(requires_grad=False)
    steady.load_state_dict(plain.state_dict())
    prepared = steady.prepare(photo)
    assert torch.equal(_to_bytes(steady.decode(prepared, prepared.weights)), _to_bytes(photo))
    moved = prepared.weights + 0.5
    assert not torch.equal(steady.decode(prepared, moved), plain.decode(prepared, moved))
    assert "steady" not in FULL.to_dict() and CompactConfig.from_dict(steady.config.to_dict()).steady


def test_a_landmark_is_found_where_the_heat_is() -> None:
    torch.manual_seed(0)
    reader = MotionEncoder(128, (8, 16, 16, 16, 16), 16, weights=36).eval()
    maps = [torch.zeros(1, 16, n, n) for n in (32, 16, 8, 4)]
    with torch.no_grad():
        reader.heat.weight.zero_()
        reader.heat.bias.zero_()
        assert torch.allclose(reader._places(maps), torch.full((1, 68, 2), 0.5), atol=1e-6)
        reader.heat.weight[0, 0] = 50.0
        for layer in (*reader.sides, *reader.merges):
            for parameter in layer.parameters():
                parameter.zero_()
        reader.merges[0][1].weight.fill_(1.0)
        reader.sides[0].weight[0, 0] = 1.0
        reader.merges[0][0].weight[0, 0, 1, 1] = 1.0
        maps[0][0, 0, 4, 20] = 1.0
        x, y = reader._places(maps)[0, 0]
    assert abs(float(x) - 20.5 / 32) < 0.01
    assert abs(float(y) - 4.5 / 32) < 0.01
