"""Real Blender (the `bpy` module), the packed extension with its own wheels, a real server process.

Run with a Python that has bpy, for each Blender to be tested, never with the server's own environment:

    python -m venv .venv-bpy50 && .venv-bpy50/bin/pip install "bpy==5.0.1" "numpy<2" pytest pytest-timeout
    .venv-bpy50/bin/pytest tests/blender

The server is taken from `.venv` (or the Python in EDTALK_TEST_SERVER_PYTHON) and runs with its fake engine. Wheels for
the package come from the folder in EDTALK_WHEELS, or from the package index. Nothing of the user's own Blender is
touched.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import struct
import subprocess
import wave
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import staging

HAS_BLENDER = importlib.util.find_spec("bpy") is not None
collect_ignore_glob = [] if HAS_BLENDER else ["test_*.py"]

if HAS_BLENDER:
    staging.set_aside()


@pytest.fixture(scope="session")
def server_python() -> Path:
    """The Python of the environment that has the server."""
    python = staging.server_python()
    if not python.exists():
        pytest.skip(f"the server's environment is not here ({python})")
    return python


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packed extension for this Blender."""
    return staging.built(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="session")
def installed(package: Path) -> str:
    """The extension is installed; the answer is its module's name."""
    staging.install(package)
    return staging.MODULE


@pytest.fixture(scope="session")
def server(server_python: Path) -> Iterator[subprocess.Popen[str]]:
    """A server without a model, which the add-on finds by its connection file."""
    with staging.serving(server_python, "--fake") as process:
        yield process


@pytest.fixture(scope="session")
def models_folder(server_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The runtime folder of a server with the model that ships: starting it takes seconds, so tests share it."""
    folder = tmp_path_factory.mktemp("run")
    connection = str(folder / "server-shared.json")
    with staging.serving(server_python, "--connection-file", connection):
        yield folder


@pytest.fixture
def model_server(models_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The add-on finds a server with the model that ships."""
    monkeypatch.setenv("EDTALK_RUNTIME_DIR", str(models_folder))


class Addon:
    """The enabled add-on: its modules by name, `addon("scene.keys.actions")`."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, module: str) -> ModuleType:
        import importlib

        return importlib.import_module(f"{self.name}.{module}")

    @property
    def session(self) -> Any:
        """The add-on's session."""
        return self("ui.runtime.runtime").session()


@pytest.fixture
def addon(installed: str, tmp_path: Path) -> Iterator[Addon]:
    """An empty file, saved in a folder of its own, with the add-on enabled."""
    import bpy

    staging.begin_anew()
    folder = tmp_path / "proj ect ä"
    folder.mkdir()
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "shot.blend"))
    yield Addon(installed)
    staging.disable()


# --- material --------------------------------------------------------------------------------------------------------


def png(pixels: Any) -> bytes:
    """An RGB picture, uint8 [height, width, 3], as the bytes of a PNG file."""
    height, width, _ = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    parts = (struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.fixture
def portrait(tmp_path: Path) -> Path:
    """A picture beside the file. (The server of these tests sees a face in anything.)"""
    import numpy as np

    x, y = np.meshgrid(np.arange(96), np.arange(96))
    path = tmp_path / "proj ect ä" / "face.png"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(png(np.stack([x * 2, y * 2, x + y], axis=-1).astype(np.uint8)))
    return path


@pytest.fixture
def voice(tmp_path: Path) -> Path:
    """Half a second that swells and fades."""
    import numpy as np

    time = np.arange(8000) / 16000
    samples = np.sin(2 * np.pi * 220 * time) * np.sin(2 * np.pi * time) * 20000
    path = tmp_path / "proj ect ä" / "voice.wav"
    path.parent.mkdir(exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(samples.astype("<i2").tobytes())
    return path


MOVIE = """
import sys, cv2, numpy as np
video = cv2.VideoWriter(sys.argv[1], cv2.VideoWriter_fourcc(*"mp4v"), 25, (64, 64))
for level in range(0, 250, 25):
    video.write(np.full((64, 64, 3), level, np.uint8))
video.release()
"""


@pytest.fixture(scope="session")
def made_movie(server_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten pictures at 25 a second that get brighter: a server without a model opens the mouth with the light."""
    path = tmp_path_factory.mktemp("movie") / "driver.mp4"
    subprocess.run([str(server_python), "-c", MOVIE, str(path)], check=True)
    return path


@pytest.fixture
def movie(made_movie: Path, tmp_path: Path) -> Path:
    """A copy of `made_movie` in the test's own folder."""
    return Path(shutil.copy(made_movie, tmp_path))


@pytest.fixture
def resting(addon: Addon, server: Any, portrait: Path) -> Any:
    """A new character, in a scene of twelve frames."""
    import bpy

    bpy.context.scene.frame_start, bpy.context.scene.frame_end = 1, 12
    bpy.ops.edtalk.new_character(filepath=str(portrait))
    bpy.context.object.edtalk.writing.reduce = False  # a key on each frame, so that tests can name one
    return bpy.context.object


@pytest.fixture
def talking(resting: Any, voice: Path) -> Any:
    """A character with a predicted performance over twelve frames."""
    import bpy

    bpy.ops.edtalk.choose_voice(filepath=str(voice))
    bpy.ops.edtalk.predict()
    return resting


@pytest.fixture
def unsaved(addon: Addon, portrait: Path) -> Callable[[], Any]:
    """A character in a file that was never saved."""
    import bpy

    def make() -> Any:
        staging.begin_anew()
        bpy.ops.edtalk.new_character(filepath=str(portrait))
        return bpy.context.object

    return make


@pytest.fixture
def renders(addon: Addon, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many frames each render request asked for."""
    client, counts = addon("core.server.client").Client, []
    start = client.start

    def counted(self: Any, request: Any, *rest: Any) -> str:
        if type(request).__name__ == "Render":
            counts.append(len(request.frames))
        return start(self, request, *rest)

    monkeypatch.setattr(client, "start", counted)
    return counts


@pytest.fixture
def own_server(
    addon: Addon, server_python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], None]]:
    """The add-on will start a server of its own (without a model); the answer kills it."""
    monkeypatch.setenv("EDTALK_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("EDTALK_SERVER_PYTHON", str(server_python))
    install = addon("core.server.discovery").ServerInstall
    command = install.command
    monkeypatch.setattr(install, "command", lambda *arguments: [*command(*arguments), "--fake"])
    session = addon.session

    def kill() -> None:
        os.kill(session.server.connection.pid, signal.SIGKILL)

    yield kill
    session.close()


@pytest.fixture
def real_server(
    addon: Addon, server_python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """The add-on starts the server as it is installed."""
    monkeypatch.setenv("EDTALK_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("EDTALK_SERVER_PYTHON", str(server_python))
    yield
    addon.session.close()
