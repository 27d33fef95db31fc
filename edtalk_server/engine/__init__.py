"""Expensive once, cheap many times: `prepare(portrait) -> Source`, `render(source, weights) -> frames`.

Rule of this package: it wraps the networks (device, batches, memory) and never changes their maths.
`FakeEngine` has the same interface and serves the tests of everything above.
"""

from typing import TYPE_CHECKING, Any

from edtalk_server.engine.fake import FakeEngine
from edtalk_server.engine.source import Source, check_weights

if TYPE_CHECKING:
    from edtalk_server.engine.engine import Engine

__all__ = ["Engine", "FakeEngine", "Source", "check_weights"]


def __getattr__(name: str) -> Any:
    """Import `Engine` when it is first asked for: it needs torch, and nothing else here does."""
    if name != "Engine":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from edtalk_server.engine.engine import Engine

    return Engine
