"""Drawing by several processes: of this machine, or of a Ray cluster. The same task gives the same bytes everywhere.

Rule of this package: a worker answers bytes with bytes (`wire`), whatever carries them, and keeps nothing but encoded
portraits, which it can be given again. So a worker that is lost costs the frames that it was drawing, and they are
drawn again (`pool`). Nothing is unpickled here.
"""

from .images import EncodedImage, encode
from .pool import Pool
from .task import DrawTask
from .worker import Worker, WorkerLostError, WorkerSettings

__all__ = ["DrawTask", "EncodedImage", "Pool", "Worker", "WorkerLostError", "WorkerSettings", "encode"]
