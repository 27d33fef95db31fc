"""The engine: one encoding for each portrait, honest pictures, bounded memory, clear refusals."""

from __future__ import annotations

import math
from pathlib import Path
from unittest.mock import patch

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch

from edtalk_server import bundles
from edtalk_server.bundles import Bundle, BundleManifest, NetworkPart
from edtalk_server.bundles.official import convert
from edtalk_server.bundles.official_names import face_tensors
from edtalk_server.engine import Engine, FakeEngine, Source
from edtalk_server.engine.engine import FAST_VARIABLE
from edtalk_server.evaluation.golden import rule
from edtalk_server.media.image import to_network
from edtalk_server.media.output_spec import OutputSpec, linear_light_of_bytes
from edtalk_server.networks.config import EDTalkConfig
from edtalk_server.networks.edtalk import EDTalk
from edtalk_server.networks.fast import FastEDTalk
from shared_protocol.banks import numbered_layout
from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.messages import Crop

CONFIG = EDTalkConfig(size=64, style_dim=64, width_base=1024, width_max=32, enhancement_hidden=16)
WHOLE = Crop(32.0, 32.0, 64.0, 0.0)
AnyEngine = Engine | FakeEngine


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    names = face_tensors(CONFIG)
    face = EDTalk(CONFIG)
    face.load_state_dict(convert(rule.checkpoint("TEST", "edtalk", names), names, "rule"))
    manifest = BundleManifest(
        name="tiny",
        title="Tiny",
        version="1",
        licence="CC0-1.0",
        size=64,
        face=NetworkPart("edtalk", CONFIG.to_dict(), "face.safetensors"),
        layout=numbered_layout(),
    )
    folder = tmp_path_factory.mktemp("bundles") / "tiny"
    bundles.save(folder, manifest, {"face": face})
    return bundles.load(folder)


@pytest.fixture(scope="module")
def engine(bundle: Bundle) -> Engine:
    return Engine.open(bundle, device="cpu")


@pytest.fixture(params=["engine", "fake"])
def any_engine(request: pytest.FixtureRequest, engine: Engine) -> AnyEngine:
    return engine if request.param == "engine" else FakeEngine()


@pytest.fixture(scope="module")
def portrait() -> npt.NDArray[np.uint8]:
    field = rule.waves("TEST/portrait", (3, 64, 64), 4, 4.0, 0.9)
    return np.round((field + 1.0) * 127.5).astype(np.uint8).transpose(1, 2, 0)


def _rows(count: int, seed: int = 0) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(count, 36)).astype(np.float32)


# --- what every engine does ---


def test_frames_come_in_the_bundles_size_one_for_each_row(
    any_engine: AnyEngine, portrait: npt.NDArray[np.uint8]
) -> None:
    frames = any_engine.render(any_engine.prepare(portrait, WHOLE), _rows(5))
    assert frames.shape == (5, any_engine.size, any_engine.size, 3)
    assert frames.dtype == np.uint8


def test_face_pictures_have_the_largest_size_that_is_asked_for_and_held(
    portrait: npt.NDArray[np.uint8],
) -> None:
    engine = FakeEngine()
    large = np.kron(portrait, np.ones((4, 4, 1), np.uint8))
    side = float(min(large.shape[:2]))
    for held, sizes in ((60.0, (64,)), (120.0, (64, 128)), (side, (64, 128, 192, 256))):
        source = engine.prepare(large, Crop(side / 2, side / 2, held))
        assert source.sizes == sizes
        for asked in (0, 1, 64, 130, 192, 5000):
            got = max((size for size in sizes if size <= asked), default=64)
            frames = engine.render(source, source.weights[None], OutputSpec(size=asked))
            assert frames.shape == (1, got, got, 3) and source.side(asked) == got
        assert engine.render(source, source.weights[None], OutputSpec("full", size=128)).shape == (
            1,
            *large.shape,
        )


def test_a_frame_depends_on_its_own_row_alone(any_engine: AnyEngine, portrait: npt.NDArray[np.uint8]) -> None:
    source, rows = any_engine.prepare(portrait, WHOLE), _rows(6)
    frames = any_engine.render(source, rows)
    for i, row in enumerate(rows):
        assert np.array_equal(any_engine.render(source, row[None])[0], frames[i])
    changed = rows.copy()
    changed[3, 7] += 1.0
    again = any_engine.render(source, changed)
    assert [np.array_equal(a, b) for a, b in zip(frames, again, strict=True)] == [True] * 3 + [False] + [
        True
    ] * 2


def test_every_single_weight_shows(any_engine: AnyEngine, portrait: npt.NDArray[np.uint8]) -> None:
    source = any_engine.prepare(portrait, WHOLE)
    rows = np.repeat(source.weights[None], 37, axis=0)
    rows[1:] += np.eye(36, dtype=np.float32) * 2.0
    frames = any_engine.render(source, rows)
    assert all((frame != frames[0]).any() for frame in frames[1:])


def test_the_same_portrait_and_crop_have_the_same_key_and_others_another(
    any_engine: AnyEngine, portrait: npt.NDArray[np.uint8]
) -> None:
    other = portrait.copy()
    other[0, 0, 0] ^= 1
    keys = [
        any_engine.prepare(portrait, WHOLE).key,
        any_engine.prepare(portrait.copy(), WHOLE).key,
        any_engine.prepare(other, WHOLE).key,
        any_engine.prepare(portrait, Crop(32.0, 32.0, 63.0, 0.0)).key,
    ]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3


def test_a_source_cannot_be_changed(any_engine: AnyEngine, portrait: npt.NDArray[np.uint8]) -> None:
    source = any_engine.prepare(portrait, WHOLE)
    with pytest.raises(AttributeError):
        source.key = "other"  # type: ignore[misc]
    with pytest.raises(ValueError, match="read-only"):
        source.weights[0] = 1.0


@pytest.mark.parametrize(
    "weights",
    [
        np.zeros((2, 35), np.float32),
        np.zeros(36, np.float32),
        np.full((1, 36), np.nan, np.float32),
        np.full((1, 36), np.inf, np.float32),
        np.full((1, 36), 1e300),
        np.array([["a"] * 36]),
    ],
    ids=["a channel too few", "one row flat", "not a number", "infinite", "too large", "text"],
)
def test_impossible_weights_are_refused(
    any_engine: AnyEngine, portrait: npt.NDArray[np.uint8], weights: npt.NDArray[np.float32]
) -> None:
    source = any_engine.prepare(portrait, WHOLE)
    with pytest.raises(EDTalkError) as caught:
        any_engine.render(source, weights)
    assert caught.value.code is ErrorCode.BAD_WEIGHTS


def test_no_rows_are_no_frames(any_engine: AnyEngine, portrait: npt.NDArray[np.uint8]) -> None:
    frames = any_engine.render(any_engine.prepare(portrait, WHOLE), np.empty((0, 36), np.float32))
    assert frames.shape == (0, any_engine.size, any_engine.size, 3)


def test_what_is_neither_rgb_nor_rgba_is_refused(any_engine: AnyEngine) -> None:
    for picture in (
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 2), np.uint8),
        np.zeros((8, 8, 3), np.float32),
    ):
        with pytest.raises(EDTalkError) as caught:
            any_engine.prepare(picture, WHOLE)  # type: ignore[arg-type]
        assert caught.value.code is ErrorCode.IMAGE_UNREADABLE


# --- the real one ---


def test_brightness_maps_by_a_fixed_rule_and_not_by_the_clips_content(
    engine: Engine, portrait: npt.NDArray[np.uint8]
) -> None:
    source, rows = engine.prepare(portrait, WHOLE), _rows(1)
    with torch.no_grad():
        raw = engine.face.decode(source.encoded.state, torch.from_numpy(rows))[0].numpy()
    expected = np.round((np.clip(raw, -1.0, 1.0) + 1.0) * 127.5).astype(np.uint8).transpose(1, 2, 0)
    assert np.array_equal(engine.render(source, rows)[0], expected)


def test_the_sources_weights_are_what_the_network_reads_in_the_cropped_portrait(
    engine: Engine, portrait: npt.NDArray[np.uint8]
) -> None:
    source = engine.prepare(portrait, WHOLE)
    with torch.no_grad():
        read = engine.bundle.face.weights_of(torch.from_numpy(to_network(portrait))[None])[0]
    assert np.allclose(source.weights, read.numpy(), atol=1e-4)


def test_a_clip_encodes_its_portrait_once_and_factorises_no_bank(
    engine: Engine, portrait: npt.NDArray[np.uint8]
) -> None:
    face = engine.bundle.face
    assert isinstance(face, EDTalk)
    engine.prepare(portrait, WHOLE)
    with (
        patch.object(face.encoder, "forward", wraps=face.encoder.forward) as encode,
        patch("torch.linalg.qr", wraps=torch.linalg.qr) as factorise,
    ):
        source = engine.prepare(portrait, WHOLE)
        assert len(engine.render(source, _rows(100))) == 100
    assert encode.call_count == 1
    assert factorise.call_count == 0


def test_when_memory_is_short_the_batch_shrinks_and_all_frames_still_come(
    bundle: Bundle, portrait: npt.NDArray[np.uint8], caplog: pytest.LogCaptureFixture
) -> None:
    engine = Engine.open(bundle, "cpu")
    engine.device, engine.batch = torch.device("meta"), 8  # batches are for accelerators
    source, rows = engine.prepare(portrait, WHOLE), _rows(11)
    sizes: list[int] = []

    def decode(prepared: object, weights: torch.Tensor) -> torch.Tensor:
        if len(weights) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        sizes.append(len(weights))
        return torch.tanh(weights[:, 0, None, None, None]).expand(-1, 3, 64, 64)

    with patch.object(engine.face, "decode", decode):
        frames = engine.render(source, rows)
    expected = np.round((np.tanh(rows[:, 0]) + 1.0) * 127.5)
    assert np.abs(frames[:, 0, 0, 0].astype(float) - expected).max() <= 1.0
    assert sizes == [2, 2, 2, 2, 2, 1]
    assert "out of memory" in caplog.text


def test_when_not_even_one_frame_fits_the_error_says_so(
    bundle: Bundle, portrait: npt.NDArray[np.uint8]
) -> None:
    engine = Engine.open(bundle, "cpu")
    source = engine.prepare(portrait, WHOLE)
    broken = RuntimeError(
        "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
    )
    with patch.object(engine.face, "decode", side_effect=broken), pytest.raises(EDTalkError) as caught:
        engine.render(source, _rows(1))
    assert caught.value.code is ErrorCode.OUT_OF_MEMORY


def test_other_failures_are_not_mistaken_for_short_memory(
    engine: Engine, portrait: npt.NDArray[np.uint8]
) -> None:
    source = engine.prepare(portrait, WHOLE)
    with (
        patch.object(engine.face, "decode", side_effect=RuntimeError("shapes do not match")),
        pytest.raises(RuntimeError, match="shapes do not match"),
    ):
        engine.render(source, _rows(2))


def test_a_long_clip_streams_in_parts_that_equal_the_whole(
    engine: Engine, portrait: npt.NDArray[np.uint8]
) -> None:
    source, rows = engine.prepare(portrait, WHOLE), _rows(7)
    parts = list(engine.stream(source, rows))
    assert len(parts) > 1
    assert np.array_equal(np.concatenate(parts), engine.render(source, rows))


@pytest.mark.skipif(
    not (Path(bundles.__file__).parent / "starter" / "bundle.json").is_file(), reason="no starter bundle"
)
def test_a_frame_is_the_same_bytes_whatever_is_rendered_with_it(shared: Path) -> None:
    from edtalk_server.media.faces.portrait import load_portrait

    engine = Engine.open("starter", "cpu")
    source = engine.prepare(load_portrait(shared / "data" / "astronaut.png"))
    rows = source.weights + 0.2 * _rows(6)
    alone = np.concatenate([engine.render(source, rows[i : i + 1]) for i in range(6)])
    assert np.array_equal(engine.render(source, rows), alone)
    assert np.array_equal(engine.render(source, rows[::-1])[::-1], alone)


def test_without_a_crop_the_face_is_found(engine: Engine, shared: Path) -> None:
    from edtalk_server.media.faces.portrait import load_portrait

    source = engine.prepare(load_portrait(shared / "data" / "astronaut.png"))
    assert 100 < source.crop.side < 300
    assert abs(source.crop.center_x - 220) < 50


def test_a_picture_without_a_face_says_so(engine: Engine, portrait: npt.NDArray[np.uint8]) -> None:
    with pytest.raises(EDTalkError) as caught:
        engine.prepare(portrait)
    assert caught.value.code is ErrorCode.NO_FACE


def test_a_device_that_is_not_there_is_named(bundle: Bundle) -> None:
    with (
        patch("torch.cuda.is_available", return_value=False),
        pytest.raises(EDTalkError, match="'cuda'") as caught,
    ):
        Engine.open(bundle, "cuda")
    assert caught.value.code is ErrorCode.UNSUPPORTED
    assert Engine.open(bundle, "auto").device.type in ("cpu", "cuda", "mps")


# --- the fake one ---


def test_the_fake_engine_counts_and_fails_where_it_is_told(portrait: npt.NDArray[np.uint8]) -> None:
    fake = FakeEngine(fail_at_frame=3)
    source = fake.prepare(portrait)
    fake.render(source, _rows(3))
    assert (fake.calls["prepare"], fake.calls["render"], fake.calls["frame"]) == (1, 1, 3)
    with pytest.raises(RuntimeError, match="told to fail"):
        fake.render(source, _rows(1))


# --- full frames, alpha, half floats ---


@pytest.fixture(params=["engine", "fake"])
def placed(request: pytest.FixtureRequest, engine: Engine) -> tuple[AnyEngine, Source, npt.NDArray[np.uint8]]:
    """An engine and the source of a face in a larger picture, cut out askew."""
    field = rule.waves("TEST/wide", (3, 120, 200), 4, 4.0, 0.9)
    picture = np.round((field + 1.0) * 127.5).astype(np.uint8).transpose(1, 2, 0)
    any_engine = engine if request.param == "engine" else FakeEngine()
    return any_engine, any_engine.prepare(picture, Crop(90.0, 60.0, 70.0, 0.2)), picture


def test_a_full_frame_is_the_portrait_with_another_face(
    placed: tuple[AnyEngine, Source, npt.NDArray[np.uint8]],
) -> None:
    any_engine, source, picture = placed
    full = any_engine.render(source, _rows(2), OutputSpec(framing="full"))
    assert (full.shape, full.dtype) == ((2, 120, 200, 3), np.uint8)
    assert source.full_size == (200, 120)
    assert np.array_equal(full[:, :, 145:], np.stack([picture, picture])[:, :, 145:])
    assert not np.array_equal(full[0, 40:80, 70:110], full[1, 40:80, 70:110]), "each row has its own face"


def test_a_preview_of_a_full_frame_can_be_smaller(
    placed: tuple[AnyEngine, Source, npt.NDArray[np.uint8]],
) -> None:
    any_engine, source, _ = placed
    assert any_engine.render(source, _rows(1), OutputSpec(framing="full", largest=100)).shape == (
        1,
        60,
        100,
        3,
    )


@pytest.mark.parametrize("framing", ["face", "full"])
def test_half_floats_come_from_the_networks_own_numbers(
    placed: tuple[AnyEngine, Source, npt.NDArray[np.uint8]], framing: str
) -> None:
    any_engine, source, _ = placed
    deep = any_engine.render(source, _rows(2), OutputSpec(framing, deep=True))
    plain = any_engine.render(source, _rows(2), OutputSpec(framing))
    assert deep.dtype == np.float16
    assert np.abs(deep.astype(np.float64) - linear_light_of_bytes(plain)).max() < 0.006, "the same picture"
    if isinstance(any_engine, Engine):
        assert (deep != linear_light_of_bytes(plain)).mean() > 0.1, "not rounded to 8 bits on the way"


@pytest.mark.parametrize("framing", ["face", "full"])
@pytest.mark.parametrize("deep", [False, True])
def test_alpha_leaves_the_colours_as_they_are(
    placed: tuple[AnyEngine, Source, npt.NDArray[np.uint8]], framing: str, deep: bool
) -> None:
    any_engine, source, _ = placed
    cut_out = any_engine.render(source, _rows(2), OutputSpec(framing, alpha=True, deep=deep))
    assert np.array_equal(
        cut_out[..., :3], any_engine.render(source, _rows(2), OutputSpec(framing, deep=deep))
    )
    assert np.array_equal(cut_out[0, ..., 3], cut_out[1, ..., 3]), "the matte does not flicker"


def test_a_source_keeps_its_portrait_whatever_becomes_of_the_callers_array(
    portrait: npt.NDArray[np.uint8], any_engine: AnyEngine
) -> None:
    mine = portrait.copy()
    source = any_engine.prepare(mine, WHOLE)
    mine[:] = 0
    assert np.array_equal(source.portrait, portrait)
    assert source.nbytes >= portrait.nbytes


def test_very_large_portraits_are_rendered_smaller_and_that_is_said(any_engine: AnyEngine) -> None:
    large = np.full((500, 5000, 3), 90, np.uint8)
    source = any_engine.prepare(large, Crop(2500.0, 250.0, 400.0, 0.0))
    assert source.full_size == (4096, 410)
    assert any("4096 x 410" in note for note in source.notes)
    full = any_engine.render(source, _rows(1), OutputSpec(framing="full"))
    assert full.shape == (1, 410, 4096, 3)
    assert (full[0, :, :1500] == 90).all()


def test_a_crop_without_a_face_is_used_and_judged(engine: Engine, portrait: npt.NDArray[np.uint8]) -> None:
    assert engine.prepare(portrait, WHOLE).verdict == "no_face"


@pytest.mark.skipif(
    not (Path(bundles.__file__).parent / "starter" / "bundle.json").is_file(), reason="no starter bundle"
)
@pytest.mark.parametrize("enlarged", [1, 3])
def test_the_starters_full_frame_at_rest_is_the_photo(shared: Path, enlarged: int) -> None:
    from edtalk_server.media.faces.portrait import load_portrait

    engine, photo = Engine.open("starter", "cpu"), load_portrait(shared / "data" / "astronaut.png")
    if enlarged > 1:
        photo = np.asarray(
            cv2.resize(photo, None, fx=enlarged, fy=enlarged, interpolation=cv2.INTER_CUBIC), np.uint8
        )
    source = engine.prepare(photo)
    assert source.verdict == "good"
    full = engine.render(source, source.weights[None], OutputSpec(framing="full"))[0]
    reach = math.ceil(0.75 * source.crop.side)
    x, y = round(source.crop.center_x), round(source.crop.center_y)
    window = slice(max(0, y - reach), y + reach), slice(max(0, x - reach), x + reach)
    changed = full.astype(np.float64) - photo
    assert 10 * np.log10(255**2 / max(1e-9, np.mean(changed[window] ** 2))) > 45
    changed[window] = 0
    assert not changed.any()
    opened = source.weights[None].copy()
    opened[0, engine.bundle.layout.index("jaw_open")] += 0.8
    assert np.abs(engine.render(source, opened, OutputSpec(framing="full"))[0].astype(int) - photo).max() > 60


def test_the_fast_path_can_be_switched_off_and_draws_the_same_frames(
    bundle: Bundle, portrait: npt.NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    fast = Engine.open(bundle, device="cpu")
    monkeypatch.setenv(FAST_VARIABLE, "0")
    plain = Engine.open(bundle, device="cpu")
    assert plain.face is bundle.face
    assert isinstance(fast.face, FastEDTalk)
    assert isinstance(Engine.open(bundle, device="cpu", fast=True).face, FastEDTalk)
    frames = [engine.render(engine.prepare(portrait, WHOLE), _rows(3)) for engine in (fast, plain)]
    assert int(np.abs(frames[0].astype(int) - frames[1].astype(int)).max()) <= 1
