"""EDTalk's server, and its packages as a Python library: `import edtalk_server as edtalk` (docs/python.md).

The names below are those of `edtalk_server.api`. They are loaded when first used, because the installer imports this
package on a Python that has no PyTorch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shared_protocol import __version__

if TYPE_CHECKING:
    from edtalk_server.api import (
        Animation,
        Captured,
        CaptureSettings,
        Crop,
        EDTalkError,
        Engine,
        Predicted,
        Source,
        Transcript,
        animate,
        capture,
        load_picture,
        load_portrait,
        load_transcript,
        load_voice,
        load_weights,
        mix,
        perform,
        predict,
        prepare,
        render,
        write,
    )

__all__ = [
    "Animation",
    "CaptureSettings",
    "Captured",
    "Crop",
    "EDTalkError",
    "Engine",
    "Predicted",
    "Source",
    "Transcript",
    "__version__",
    "animate",
    "capture",
    "load_picture",
    "load_portrait",
    "load_transcript",
    "load_voice",
    "load_weights",
    "mix",
    "perform",
    "predict",
    "prepare",
    "render",
    "write",
]


def __getattr__(name: str) -> Any:
    """Load a name of the library when it is first used."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from edtalk_server import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return __all__
