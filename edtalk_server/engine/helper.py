"""A helper: a process that draws frames of one bundle on one core, for the process that started it.

`python -m edtalk_server.engine.helper BUNDLE DIGEST FAST` reads requests from its input and writes answers to its
output, each four bytes of length and a msgpack map. It ends when its input ends, so it never outlives whom it helps.
"""

from __future__ import annotations

import os
import signal
import struct
import sys
from collections.abc import Sequence
from typing import IO, Any

import msgpack
import numpy as np

_Sent = Sequence[dict[str, Any] | None]
"""A picture and a photo as plain values."""
_LENGTH = struct.Struct("<I")


def write(stream: IO[bytes], message: dict[str, Any]) -> None:
    """Write one message. Raises `OSError` when the other side is gone."""
    data = msgpack.packb(message)
    stream.write(_LENGTH.pack(len(data)) + data)
    stream.flush()


def read(stream: IO[bytes]) -> dict[str, Any] | None:
    """Read one message; None at the end of the stream."""
    head = stream.read(_LENGTH.size)
    data = stream.read(_LENGTH.unpack(head)[0]) if len(head) == _LENGTH.size else b""
    message: dict[str, Any] | None = msgpack.unpackb(data) if data else None
    return message


def packed(array: np.ndarray[Any, Any] | None) -> dict[str, Any] | None:
    """Return an array as plain values."""
    return None if array is None else {"type": array.dtype.str, "shape": array.shape, "data": array.tobytes()}


def unpacked(values: dict[str, Any] | None) -> Any:
    """Return the array of plain values, read-only."""
    if values is None:
        return None
    return np.frombuffer(values["data"], values["type"]).reshape(values["shape"])


def _writable(values: dict[str, Any] | None) -> Any:
    """Return a copy of the array of plain values."""
    return None if values is None else unpacked(values).copy()


class _Drawer:
    """The bundle's network and the faces that were sent."""

    def __init__(self, folder: str, digest: str, is_fast: bool) -> None:
        from edtalk_server import bundles
        from edtalk_server.engine.device_manager import CPU, DeviceManager
        from edtalk_server.networks.fast import accelerate

        bundle = bundles.load(folder)
        if bundle.digest != digest:
            raise SystemExit("the bundle's files have changed: this helper would draw other frames")
        self._manager = DeviceManager(accelerate(bundle.face) if is_fast else bundle.face, CPU)
        self._faces: dict[int, Any] = {}
        self._compilation: Any = None

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Keep a face, or draw a row with one that was sent before."""
        from edtalk_server.engine.drawing import draw

        if "face" in request:
            self._keep(request["face"], (request["picture"], request["photo"]), request["others"])
        face, row, decode = (
            self._faces[request["of"]],
            unpacked(request["row"]),
            self._decoder(request["path"]),
        )
        return {"frame": packed(draw(self._manager, face, row, request["deep"], decode))}

    def _decoder(self, path: str) -> Any:
        """Return what draws in that way. Whoever asks for a compiled one has made its library."""
        from edtalk_server.engine.compiled.compilation import Compilation
        from edtalk_server.engine.compiled.settings import Precision

        if not path:
            return None
        if self._compilation is None or self._compilation.path != path:
            self._compilation = Compilation(self._manager.face, Precision(path.split()[-1]))
            self._compilation.start()
        if not self._compilation.wait():
            raise RuntimeError("there is no compiled library")
        return self._compilation.decode

    def _keep(self, number: int, face: _Sent, others: Sequence[_Sent]) -> None:
        from edtalk_server.engine.device_manager import MAX_ENCODED_FACES, EncodedFace

        def encoded(sent: _Sent, others: tuple[EncodedFace, ...] = ()) -> EncodedFace:
            picture, photo = map(_writable, sent)
            return EncodedFace(picture, photo, others=others)

        self._faces[number] = encoded(face, tuple(map(encoded, others)))
        while len(self._faces) > MAX_ENCODED_FACES:
            del self._faces[next(iter(self._faces))]


def main() -> None:
    """Serve until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the program that started us
    import torch

    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print must not come between the answers
    torch.set_num_threads(1)
    with torch.inference_mode():
        drawer = _Drawer(sys.argv[1], sys.argv[2], sys.argv[3] == "1")
        write(answers, {"ready": os.getpid()})
        while (request := read(sys.stdin.buffer)) is not None:
            try:
                answer = drawer.answer(request)
            except (RuntimeError, MemoryError, LookupError, ValueError) as error:
                answer = {"error": f"{type(error).__name__}: {error}"}
            write(answers, answer)


if __name__ == "__main__":
    main()
