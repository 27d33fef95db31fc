"""A helper: a process that draws frames of one bundle on one core, for the process that started it.

`python -m edtalk_server.engine.helper BUNDLE DIGEST FAST` answers messages of `child_process`. It ends when its input
ends, so it never outlives whom it helps.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from edtalk_server import child_process

_Sent = Sequence[Any]
"""A picture and a photo, or None."""


def _copy(array: Any) -> Any:
    """Return an array that torch may take, for what was received is read-only."""
    return None if array is None else array.copy()


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
            request["row"],
            self._decoder(request["path"]),
        )
        return {"frame": draw(self._manager, face, row, request["deep"], decode)}

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
            picture, photo = map(_copy, sent)
            return EncodedFace(picture, photo, others=others)

        self._faces[number] = encoded(face, tuple(map(encoded, others)))
        while len(self._faces) > MAX_ENCODED_FACES:
            del self._faces[next(iter(self._faces))]


def main() -> None:
    """Serve until the input ends."""
    answers = child_process.answers()
    import torch

    torch.set_num_threads(1)
    with torch.inference_mode():
        drawer = _Drawer(sys.argv[1], sys.argv[2], sys.argv[3] == "1")
        child_process.send(answers, child_process.pack({"ready": True}))
        while (request := child_process.receive(sys.stdin.buffer)) is not None:
            try:
                answer = drawer.answer(child_process.unpack(request))
            except (RuntimeError, MemoryError, LookupError, ValueError) as error:
                answer = {"error": f"{type(error).__name__}: {error}"}
            child_process.send(answers, child_process.pack(answer))


if __name__ == "__main__":
    main()
