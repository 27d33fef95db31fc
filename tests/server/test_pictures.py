"""What animators and compositors are told about portraits and get as frames, over real sockets."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import cv2
import numpy as np
import OpenEXR
import pytest

from blender_addon.core.server.client import Client
from blender_addon.core.server.events import pixels_of
from edtalk_server.media.output_spec import linear_light_of_bytes
from edtalk_server.service.handlers.images import PREVIEW_SIDE
from edtalk_server.service.model import FakeBackend
from shared_protocol.messages import CUT_OUT, Crop, Done, Failed, Frame, Inspected, Prepared, PreviewFrame
from tests import asking

from .conftest import CHANNELS, SIZE, RunningServer

PORTRAIT = b"\x40portrait"


def prepared(client: Client, portrait: bytes = PORTRAIT) -> Prepared:
    answer = client.wait(client.start(*asking.prepare(portrait)), 20)[0]
    assert isinstance(answer, Prepared)
    return answer


def frames_of(client: Client, source: str, rows: int = 2, **wanted: object) -> list[Frame]:
    weights = np.full((rows, CHANNELS), 0.5, np.float32)
    told = client.wait(client.start(*asking.render(source, range(rows), weights, **wanted)), 20)  # type: ignore[arg-type]
    assert isinstance(told[-1], Done), told[-1]
    return [event for event in told if isinstance(event, Frame)]


def read_exr(data: bytes) -> np.ndarray:
    (channel,) = OpenEXR.File(io.BytesIO(data)).channels().values()
    return channel.pixels


def test_a_portrait_is_judged_before_it_is_prepared(server: RunningServer, client: Client) -> None:
    answer, done = client.wait(client.start(*asking.inspect(PORTRAIT)), 20)
    assert isinstance(answer, Inspected) and isinstance(done, Done)
    assert (answer.width, answer.height) == (30, 20)
    assert (answer.verdict, answer.advice, answer.turned) == ("turned", "Use a picture from the front.", 35.0)
    assert answer.faces == (Crop(1, 2, 3, 0),)
    assert "prepare" not in server.backend.log, "nothing is encoded for it"


def test_an_animators_crop_is_the_one_that_is_judged(client: Client) -> None:
    answer = client.wait(client.start(*asking.inspect(PORTRAIT, Crop(9, 8, 7, 0.1))), 20)[0]
    assert isinstance(answer, Inspected)
    assert answer.crop == Crop(9, 8, 7, 0.1)


def test_preparing_tells_the_verdict_and_the_size_of_full_frames(client: Client) -> None:
    answer = prepared(client)
    assert (answer.verdict, answer.full_width, answer.full_height) == ("too_small", 2 * SIZE, SIZE)
    assert (answer.width, answer.height) == (SIZE, SIZE)


def test_pictures_have_the_size_that_is_asked_for_and_the_bundles_own_for_old_clients(client: Client) -> None:
    answer = prepared(client)
    assert answer.sizes == (SIZE, 2 * SIZE)
    assert answer.landmarks == (0.25, 0.5)
    for asked, side in (
        ({}, SIZE),
        ({"size": 2 * SIZE}, 2 * SIZE),
        ({"size": 4096}, 2 * SIZE),
        ({"size": -1}, SIZE),
    ):
        (frame,) = frames_of(client, answer.source, 1, **asked)
        assert (frame.width, frame.height) == (side, side)
    request, files, slot = asking.preview(answer.source, np.zeros(CHANNELS))
    shown = client.wait(client.start(replace(request, size=2 * SIZE), files, slot), 20)[0]
    assert isinstance(shown, PreviewFrame) and shown.width == 2 * SIZE


def test_full_frames_have_the_portraits_size(client: Client) -> None:
    source = prepared(client).source
    for frame in frames_of(client, source, framing="full"):
        assert (frame.width, frame.height) == (2 * SIZE, SIZE)
        picture = cv2.imdecode(np.frombuffer(frame.data, np.uint8), cv2.IMREAD_UNCHANGED)
        assert picture.shape == (SIZE, 2 * SIZE, 3)
    preview = client.wait(client.start(*asking.preview(source, np.zeros(CHANNELS), framing="full")), 20)[0]
    assert isinstance(preview, PreviewFrame)
    assert pixels_of(preview).shape == (SIZE, 2 * SIZE, 4)


def test_full_frames_are_rendered_one_by_one_so_that_a_preview_need_not_wait(
    server: RunningServer, client: Client
) -> None:
    frames_of(client, prepared(client).source, 6, framing="full")
    assert set(server.backend.log) == {"prepare", "render 1"}


@pytest.mark.parametrize("framing", ["face", "full"])
def test_png_with_alpha_is_rgba(client: Client, framing: str) -> None:
    for frame in frames_of(client, prepared(client).source, alpha=True, framing=framing):
        picture = cv2.imdecode(np.frombuffer(frame.data, np.uint8), cv2.IMREAD_UNCHANGED)
        assert picture.shape == (frame.height, frame.width, 4)
        assert (picture[3, 3] == (0, 50, 0x40, 51)).all(), "straight: a fifth of alpha, all of the colour"


def test_raw_frames_carry_alpha_too(client: Client) -> None:
    source = prepared(client).source
    for alpha, expected in ((False, 255), (True, 51)):
        (frame,) = frames_of(client, source, 1, alpha=alpha, encoding="rgba")
        assert (pixels_of(frame)[..., 3] == expected).all()


@pytest.mark.parametrize(("alpha", "channels"), [(False, 3), (True, 4)])
def test_exr_frames_are_half_floats_in_linear_light(client: Client, alpha: bool, channels: int) -> None:
    for frame in frames_of(client, prepared(client).source, alpha=alpha, encoding="exr"):
        pixels = read_exr(frame.data)
        assert (pixels.dtype, pixels.shape) == (np.float16, (SIZE, SIZE, channels))
        assert np.array_equal(pixels[3, 3, :3], linear_light_of_bytes(np.array([0x40, 50, 0], np.uint8)))


@pytest.mark.parametrize("wanted", [{"framing": "half"}, {"encoding": "gif"}])
def test_what_this_server_does_not_know_is_refused_in_words(client: Client, wanted: dict[str, str]) -> None:
    source = prepared(client).source
    (failure,) = client.wait(client.start(*asking.render(source, [1], np.zeros((1, CHANNELS)), **wanted)), 20)  # type: ignore[arg-type]
    assert isinstance(failure, Failed)
    assert failure.code == "unsupported" and "Update" in failure.fix


class UngatedFake(FakeBackend):
    """With the gates that the fixture opens at the end; nothing waits at them."""

    gate = opened = threading.Event()


@pytest.fixture
def fake(start_server: Callable[..., RunningServer]) -> Iterator[Client]:
    """A client of the server that runs without a model."""
    client = start_server(UngatedFake()).client()
    yield client
    client.close()


@pytest.mark.parametrize("encoding", ["png", "exr"])
def test_full_frames_of_a_cut_out_keep_its_alpha_where_a_client_knows_of_it(
    fake: Client, encoding: str
) -> None:
    picture = np.full((100, 160, 4), 90, np.uint8)
    picture[..., 3] = np.where(np.arange(160) < 40, 0, 255)
    picture[:, 40, 3] = 51
    source = prepared(fake, cv2.imencode(".png", picture)[1].tobytes())
    assert source.cut_out and CUT_OUT in fake.welcome.capabilities
    shown = {"framing": "full", "encoding": encoding}
    for cut_out, channels in ((True, 4), (False, 3)):
        (frame,) = frames_of(fake, source.source, 1, cut_out=cut_out, **shown)
        pixels = (
            read_exr(frame.data)
            if encoding == "exr"
            else cv2.imdecode(np.frombuffer(frame.data, np.uint8), cv2.IMREAD_UNCHANGED)
        )
        assert pixels.shape == (100, 160, channels), (
            "a client that knows of no cut-outs gets what it always got"
        )
        if cut_out:
            alpha = pixels[..., 3].astype(float) / (1 if encoding == "exr" else 255)
            assert (alpha[:, :40] == 0).all() and (alpha[:, 41:] == 1).all()
            assert np.allclose(alpha[:, 40], 0.2, atol=1e-3)
    whole = prepared(fake, cv2.imencode(".png", picture[..., :3])[1].tobytes())
    assert not whole.cut_out


def test_the_server_without_a_model_does_it_all_too(fake: Client) -> None:
    picture = np.full((600, 1500, 3), 90, np.uint8)
    portrait = cv2.imencode(".png", picture)[1].tobytes()
    answer = fake.wait(fake.start(*asking.inspect(portrait)), 60)[0]
    assert isinstance(answer, Inspected)
    assert (answer.width, answer.height, answer.verdict, answer.faces) == (1500, 600, "good", ())
    source = prepared(fake, portrait)
    assert (source.full_width, source.full_height) == (1500, 600)
    (frame,) = frames_of(fake, source.source, 1, framing="full", encoding="exr", alpha=True)
    pixels = read_exr(frame.data)
    assert pixels.shape == (600, 1500, 4)
    assert (pixels[:, :300, 3] == 0).all() and pixels[300, 750, 3] == 1
    preview = fake.wait(fake.start(*asking.preview(source.source, np.zeros(CHANNELS), framing="full")), 20)[0]
    assert isinstance(preview, PreviewFrame)
    assert preview.width == PREVIEW_SIDE, "large previews are scaled down"
    assert preview.height == round(600 * PREVIEW_SIDE / 1500)
