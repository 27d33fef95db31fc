"""Pictures from phones, renderers and picture generators are read as people see them, and small files stay small."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import OpenEXR
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from edtalk_server.media.faces.portrait import load_portrait
from edtalk_server.media.pictures.light import to_srgb
from edtalk_server.media.pictures.limits import MAX_SIDE
from edtalk_server.media.pictures.load import load_picture
from shared_protocol.errors import EDTalkError, ErrorCode

Array = npt.NDArray[np.generic]


@pytest.fixture(scope="module")
def gradient() -> npt.NDArray[np.uint8]:
    y, x = np.mgrid[0:64, 0:96]
    return np.stack([20 + 2 * x, 30 + 3 * y, 230 - x - y], axis=-1).astype(np.uint8)


def saved(pixels: Array, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def code(data: bytes | Path) -> ErrorCode:
    with pytest.raises(EDTalkError) as caught:
        load_picture(data)
    return caught.value.code


@pytest.mark.parametrize(
    ("kind", "tolerance"),
    [
        ("PNG", 0.0),
        ("JPEG", 1.5),
        ("WEBP", 2.0),
        ("TIFF", 0.0),
        ("BMP", 0.0),
        ("TGA", 0.0),
        ("HEIF", 1.5),
        ("AVIF", 1.5),
        ("JPEG2000", 0.0),
    ],
)
def test_formats_that_we_mean_are_read(kind: str, tolerance: float, gradient: npt.NDArray[np.uint8]) -> None:
    options = {"quality": 95} if tolerance else {}
    picture = load_picture(saved(gradient, kind, **options)).astype(int)
    assert np.abs(picture - gradient).mean() <= tolerance


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_phones_pictures_are_upright(kind: str, orientation: int) -> None:
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:15, :15] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = load_picture(saved(pixels, kind, exif=exif))
    assert picture.shape == ((40, 60, 3) if orientation < 5 else (60, 40, 3))
    corner = {1: (0, 0), 2: (0, -1), 3: (-1, -1), 4: (-1, 0), 5: (0, 0), 6: (0, -1), 7: (-1, -1), 8: (-1, 0)}
    assert picture[corner[orientation]].min() > 200


# --- profiles --------------------------------------------------------------------------------------------------------

SPACES = {
    "Adobe RGB": (2.19921875, [(0.64, 0.33), (0.21, 0.71), (0.15, 0.06)], (0.3127, 0.3290)),
    "ProPhoto": (1.80078125, [(0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001)], (0.3457, 0.3585)),
    "Display P3": (None, [(0.68, 0.32), (0.265, 0.69), (0.15, 0.06)], (0.3127, 0.3290)),
}
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
D50 = np.array([0.9642, 1.0, 0.8249])


def to_xyz(primaries: list[tuple[float, float]], white: tuple[float, float]) -> Array:
    """Linear RGB to XYZ at D50 (SMPTE RP 177, adapted after Bradford)."""
    columns = np.array([[x / y, 1.0, (1 - x - y) / y] for x, y in primaries]).T
    neutral = np.array([white[0] / white[1], 1.0, (1 - sum(white)) / white[1]])
    matrix = columns * np.linalg.solve(columns, neutral)
    gain = np.diag((BRADFORD @ D50) / (BRADFORD @ neutral))
    return np.linalg.inv(BRADFORD) @ gain @ BRADFORD @ matrix


def profile_of(gamma: float | None, matrix: Array) -> bytes:
    """A matrix profile (ICC.1:2010); without a gamma the curve is sRGB's, in 1024 steps."""

    def xyz(values: Array) -> bytes:
        return b"XYZ \0\0\0\0" + struct.pack(">3i", *np.round(np.asarray(values) * 65536).astype(int))

    def curve() -> bytes:
        if gamma is not None:
            return b"curv\0\0\0\0" + struct.pack(">IHH", 1, round(gamma * 256), 0)
        steps = np.round(linear(np.arange(1024) / 1023, None) * 65535).astype(">u2")
        return b"curv\0\0\0\0" + struct.pack(">I", 1024) + steps.tobytes()

    tags = {b"wtpt": xyz(D50), b"desc": b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(82)}
    tags |= {b"rXYZ": xyz(matrix[:, 0]), b"gXYZ": xyz(matrix[:, 1]), b"bXYZ": xyz(matrix[:, 2])}
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve())
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        body += bytes(-len(body) % 4)
        table += name + struct.pack(">II", 132 + 12 * len(tags) + len(body), len(data))
        body += data
    head = struct.pack(
        ">I4sI4s4s4s", 132 + 12 * len(tags) + len(body), b"test", 0x02400000, b"mntr", b"RGB ", b"XYZ "
    )
    head += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + table + body


def linear(values: Array, gamma: float | None) -> Array:
    if gamma is not None:
        return values**gamma
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "RGBA"])
def test_an_embedded_profile_is_converted_to_srgb(
    space: str, kind: str, gradient: npt.NDArray[np.uint8]
) -> None:
    gamma, primaries, white = SPACES[space]
    matrix, pixels = to_xyz(primaries, white), (64 + gradient // 3).astype(np.uint8)
    if kind == "RGBA":
        pixels = np.dstack([pixels, np.arange(64 * 96).reshape(64, 96) % 256]).astype(np.uint8)
    options = {"icc_profile": profile_of(gamma, matrix)} | ({"lossless": True} if kind == "WEBP" else {})
    picture = load_picture(saved(pixels, "PNG" if kind == "RGBA" else kind, **options))
    srgb = to_xyz([(0.64, 0.33), (0.30, 0.60), (0.15, 0.06)], (0.3127, 0.3290))
    light = linear(pixels[..., :3] / 255.0, gamma) @ matrix.T @ np.linalg.inv(srgb).T
    light = np.clip(light, 0, 1)
    expected = 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    assert np.abs(pixels[..., :3] - expected).mean() > 1, "the profile must matter"
    assert np.abs(picture[..., :3] - expected).mean() <= 0.3
    assert np.abs(picture[..., :3] - expected).max() <= 1.0
    if kind == "RGBA":
        assert np.array_equal(picture[..., 3], pixels[..., 3])


@pytest.mark.parametrize("space", [*SPACES, "none"])
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "RGBA"])
def test_sixteen_bits_are_rounded_once(space: str, kind: str) -> None:
    rng = np.random.default_rng(1)
    deep = rng.integers(9000, 50_000, (40, 50, 4 if kind == "RGBA" else 3)).astype(np.uint16)
    gamma, primaries, white = SPACES.get(
        space, (None, [(0.64, 0.33), (0.30, 0.60), (0.15, 0.06)], (0.3127, 0.3290))
    )
    matrix = to_xyz(primaries, white)
    order = [2, 1, 0, 3][: deep.shape[2]]
    data = cv2.imencode(".tif" if kind == "TIFF" else ".png", deep[..., order])[1].tobytes()
    profile = b"" if space == "none" else profile_of(gamma, matrix)
    if kind == "TIFF":
        data = with_tiff_profile(data, profile)
    elif profile:
        body = b"test\0\0" + zlib.compress(profile)
        crc = struct.pack(">I", zlib.crc32(b"iCCP" + body))
        data = data[:33] + struct.pack(">I", len(body)) + b"iCCP" + body + crc + data[33:]
    picture = load_picture(data)
    srgb = to_xyz([(0.64, 0.33), (0.30, 0.60), (0.15, 0.06)], (0.3127, 0.3290))
    light = np.clip(linear(deep[..., :3] / 65535.0, gamma) @ matrix.T @ np.linalg.inv(srgb).T, 0, 1)
    expected = 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    assert np.abs(picture[..., :3] - expected).mean() <= 0.27
    assert np.abs(picture[..., :3] - expected).max() <= 0.8


def with_tiff_profile(data: bytes, profile: bytes) -> bytes:
    """A little-endian TIFF with one more tag in its directory, which moves to the end."""
    if not profile:
        return data
    start = struct.unpack_from("<I", data, 4)[0]
    count = struct.unpack_from("<H", data, start)[0]
    entries = data[start + 2 : start + 2 + 12 * count]
    tag = struct.pack("<HHII", 34675, 7, len(profile), len(data))
    directory = struct.pack("<H", count + 1) + entries + tag + bytes(4)
    padded = data + profile + bytes(len(profile) % 2)
    return padded[:4] + struct.pack("<I", len(padded)) + padded[8:] + directory


def test_srgb_itself_and_broken_profiles_change_nothing(gradient: npt.NDArray[np.uint8]) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile in (srgb, b"no profile at all", srgb[:200], srgb.replace(b"RGB ", b"CMYK")):
        assert np.array_equal(load_picture(saved(gradient, icc_profile=profile)), gradient)


def test_cmyk_and_grey_are_read(gradient: npt.NDArray[np.uint8]) -> None:
    cmyk = Image.fromarray(gradient).convert("CMYK")
    file = io.BytesIO()
    cmyk.save(file, "TIFF")
    assert np.abs(load_picture(file.getvalue()).astype(int) - gradient).max() <= 2
    grey = gradient[..., 0].astype(np.uint16) * 257
    assert np.array_equal(load_picture(saved(grey))[..., 1], gradient[..., 0])


# --- light -----------------------------------------------------------------------------------------------------------


def exr(channels: dict[str, Array], **header: object) -> bytes:
    file = io.BytesIO()
    start = {"type": OpenEXR.scanlineimage, "compression": OpenEXR.ZIP_COMPRESSION}
    OpenEXR.File(start | header, channels).write(file)
    return file.getvalue()


@pytest.fixture(scope="module")
def light() -> npt.NDArray[np.float32]:
    y, x = np.mgrid[0:40, 0:61]
    return np.stack([x / 60, y / 40, (x + y) / 60], axis=-1).astype(np.float32)


def test_linear_light_becomes_srgb(light: npt.NDArray[np.float32]) -> None:
    expected = to_srgb(light)
    assert to_srgb(np.float32([0.0, 0.214, 1.0, 7.0])).tolist() == [0, 127, 255, 255]
    assert np.array_equal(load_picture(exr({"RGB": light})), expected)
    half = load_picture(exr({"RGB": light.astype(np.float16)}))
    assert np.abs(half.astype(int) - expected).max() <= 1
    _, hdr = cv2.imencode(".hdr", np.ascontiguousarray(light[..., ::-1]))
    assert np.abs(load_picture(hdr.tobytes()).astype(int) - expected).mean() < 0.5


def test_the_combined_layer_of_a_render_is_the_picture(light: npt.NDArray[np.float32]) -> None:
    cover = np.full(light.shape[:2], 0.5, np.float32)
    layers = {f"View Layer.Combined.{c}": light[..., i] * 0.5 for i, c in enumerate("RGB")}
    layers |= {"View Layer.Combined.A": cover, "View Layer.Depth.Z": cover}
    layers |= {f"View Layer.Albedo.{c}": cover for c in "RGB"}
    picture = load_picture(exr(layers))
    assert picture.shape == (40, 61, 4)
    assert np.abs(picture[..., :3].astype(int) - to_srgb(light)).max() <= 1, "colours are multiplied by alpha"
    assert (picture[..., 3] == 128).all()


def test_an_exr_lies_in_its_frame(light: npt.NDArray[np.float32]) -> None:
    frame = {"dataWindow": ((5, 3), (65, 42)), "displayWindow": ((0, 0), (79, 39))}
    header = {name: tuple(np.array(corner, np.int32) for corner in window) for name, window in frame.items()}
    picture = load_picture(exr({"RGB": light}, **header))
    assert picture.shape == (40, 80, 4)
    assert np.array_equal(picture[3:, 5:66, :3], to_srgb(light)[:37])
    assert not picture[:3, :, 3].any()


# --- what is around the picture ---------------------------------------------------------------------------------------


def test_texts_and_profiles_of_megabytes_do_no_harm(gradient: npt.NDArray[np.uint8]) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("workflow", "x" * 5_000_000, zip=True)
    info.add_itxt("prompt", "y" * 3_000_000, zip=True)
    info.add_text("plain", "z" * 2_000_000)
    assert np.array_equal(load_picture(saved(gradient, pnginfo=info)), gradient)
    gamma, primaries, white = SPACES["Adobe RGB"]
    profile = profile_of(gamma, to_xyz(primaries, white))
    large = load_picture(saved(gradient, icc_profile=profile + bytes(3_000_000)))
    assert np.array_equal(large, load_picture(saved(gradient, icc_profile=profile)))


@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt", b"iTXt", b"tIME", b"pHYs", b"iCCP", b"eXIf", b"abCd"])
def test_a_wrong_checksum_matters_only_in_the_picture(kind: bytes, gradient: npt.NDArray[np.uint8]) -> None:
    data, body = saved(gradient), b"Comment\0hello there"
    chunk = struct.pack(">I", len(body)) + kind + body + b"\1\2\3\4"
    for place in (33, data.index(b"IEND") - 4):
        assert np.array_equal(load_picture(data[:place] + chunk + data[place:]), gradient)
    broken = bytearray(data)
    broken[data.index(b"IDAT") + 20] ^= 1
    assert code(bytes(broken)) is ErrorCode.IMAGE_UNREADABLE


@pytest.mark.parametrize("is_progressive", [False, True])
@pytest.mark.parametrize("share", [0.001, 0.02, 0.3])
def test_a_jpeg_without_its_end_is_the_picture(
    is_progressive: bool, share: float, gradient: npt.NDArray[np.uint8]
) -> None:
    whole = np.kron(gradient, np.ones((4, 4, 1), np.uint8))
    data = saved(whole, "JPEG", quality=92, progressive=is_progressive)
    picture = load_picture(data[: -max(2, round(share * len(data)))])
    assert picture.shape == whole.shape
    kept = round((1 - share) * len(whole)) - 48
    assert np.abs(picture[:kept].astype(int) - whole[:kept]).mean() < 3


def test_the_shared_cases_are_the_picture(shared: Path) -> None:
    folder = shared / "cases" / "files"
    plain = load_picture(folder / "plain.png")
    assert np.array_equal(load_picture(folder / "long_text.png"), plain)
    assert np.abs(load_picture(folder / "iphone.heic").astype(int) - plain).mean() < 1.5
    assert load_picture(folder / "rendered.exr").shape == plain.shape
    assert np.abs(load_picture(folder / "adobe_rgb.png").astype(int) - plain).mean() > 3
    cutout = load_picture(folder / "cutout.png")
    assert cutout.shape == (*plain.shape[:2], 4)
    assert (load_portrait(folder / "cutout.png")[cutout[..., 3] == 0] == 128).all()


# --- limits ----------------------------------------------------------------------------------------------------------


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds a few bytes."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


def test_sizes_are_refused_before_anything_is_decoded() -> None:
    for width, height in (
        (1, 90_000_000),
        (90_000_000, 1),
        (MAX_SIDE + 1, 2),
        (20_000, 20_000),
        (2**31 - 1, 2**31 - 1),
    ):
        assert code(png_header(width, height)) is ErrorCode.TOO_LARGE
    hdr = b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 900000 +X 900000\n"
    assert code(hdr) is ErrorCode.TOO_LARGE
    small = exr({"RGB": np.zeros((4, 4, 3), np.float16)})
    frame = struct.pack("<4i", 0, 0, 3, 3)
    assert frame in small
    assert code(small.replace(frame, struct.pack("<4i", 0, 0, 200_000, 200_000))) is ErrorCode.TOO_LARGE


def test_a_large_plain_picture_needs_little_more_than_its_pixels() -> None:
    import tracemalloc

    data = saved(np.zeros((3000, 4000, 3), np.uint8), "TIFF", compression="tiff_deflate")
    tracemalloc.start()
    picture = load_picture(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.3 * picture.nbytes, "NumPy's memory: the picture and a few rows"


@pytest.mark.parametrize("kind", ["EPS", "PDF", "PCX"])
def test_formats_that_we_do_not_mean_stay_closed(
    kind: str, gradient: npt.NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("another program was asked for")

    monkeypatch.setattr("subprocess.Popen", forbidden)
    monkeypatch.setattr("subprocess.check_call", forbidden)
    assert code(saved(gradient, kind)) is ErrorCode.IMAGE_UNREADABLE


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_what_never_ends_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    for path in (tmp_path / "pipe.png", Path("/dev/zero"), tmp_path):
        assert code(path) is ErrorCode.IMAGE_UNREADABLE
