"""Expensive once, cheap many times: `prepare(portrait) -> Source`, `render(source, weights) -> frames`.

Rule of this package: it wraps the networks (device, batches, memory) and never changes their maths.
`FakeEngine` has the same face and serves the tests of everything above.
"""

from edtalk_server.engine.engine import Engine
from edtalk_server.engine.fake import FakeEngine
from edtalk_server.engine.source import Source, check_weights

__all__ = ["Engine", "FakeEngine", "Source", "check_weights"]
