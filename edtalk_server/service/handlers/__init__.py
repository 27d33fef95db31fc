"""One handler for each request type: what it needs, its check, its steps and its answer.

Rule of this package: a module that is put here is found by itself. Whoever adds a request writes its handler in one
file, with `@handles(messages.X)`, and changes nothing else in the service.
"""

from importlib import import_module
from pkgutil import iter_modules

from .handler import HANDLERS, Answer, Handler, Resources, WorkerKind

__all__ = ["HANDLERS", "Answer", "Handler", "Resources", "WorkerKind"]

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
