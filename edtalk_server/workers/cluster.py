"""Workers on a running Ray cluster (extra `cluster`): one actor for each, spread over the nodes.

Whoever reaches the ports of a Ray cluster can run code on all its machines: see docs/security.md.
"""

from __future__ import annotations

import importlib
import time
from dataclasses import asdict
from typing import Any

from shared_protocol.errors import EDTalkError, ErrorCode

from .worker import WorkerLostError, WorkerSettings

MOST_TRIES = 8
"""Workers that may be lost over one task: several, while a cluster notices that a node is gone."""
_LITTLE = 0.001
"""What a worker needs that takes the place of a lost one: the nodes that are left may all be in use."""
_PAUSE_S, _LONGEST_PAUSE_S = 4.0, 20.0
"""Seconds to wait for each loss in a row before another start: a cluster needs some to notice that a node is gone."""
_TASK_S = 600.0
"""Seconds that one task may take, with the worker's start; then its worker counts as lost."""


class RayWorker:
    """An actor that answers the messages of `wire`. Started when first asked, and again, elsewhere, after it was
    lost."""

    def __init__(self, ray: Any, settings: WorkerSettings, needs: dict[str, float]) -> None:
        self._ray, self._settings, self._needs = ray, settings, needs
        self._actor: Any = None
        self._is_closed = False
        self._losses = 0

    def ask(self, request: bytes) -> bytes:
        """See `Worker`."""
        if self._is_closed:
            raise WorkerLostError("it was ended")
        if self._actor is None:
            time.sleep(min(self._losses * _PAUSE_S, _LONGEST_PAUSE_S))
            self._actor = _actor_class(self._ray, self._needs).remote(asdict(self._settings))
            self._needs = dict.fromkeys(self._needs, _LITTLE)
        try:
            answer: bytes = self._ray.get(self._actor.answer.remote(request), timeout=_TASK_S)
        except self._ray.exceptions.RayError as error:
            self._drop()
            self._losses += 1
            raise WorkerLostError(f"{type(error).__name__}: {_first_line(error)}") from error
        self._losses = 0
        return answer

    def memory(self) -> int:
        """Return 0: it uses other machines' memory."""
        return 0

    def close(self) -> None:
        """See `Worker`."""
        self._is_closed = True
        self._drop()

    def _drop(self) -> None:
        if self._actor is not None and self._ray.is_initialized():
            self._ray.kill(self._actor)
        self._actor = None


class _Answering:
    """What runs on a node: nothing but our own bytes go in and come out."""

    def __init__(self, settings: dict[str, Any]) -> None:
        from edtalk_server.workers.drawer import Drawer

        self._drawer = Drawer(WorkerSettings(**settings))

    def answer(self, request: bytes) -> bytes:
        """Answer a message of `wire`."""
        return self._drawer.answer(request)


def _actor_class(ray: Any, needs: dict[str, float]) -> Any:
    return ray.remote(scheduling_strategy="SPREAD", max_restarts=0, **needs)(_Answering)


def workers(settings: WorkerSettings, count: int, address: str) -> list[RayWorker]:
    """Return `count` workers of the cluster at an address (`auto`: this machine's); 0: one for each of its graphics
    cards, or without any for each core. Raises `EDTalkError(SERVER_UNREACHABLE)`."""
    ray = importlib.import_module("ray")
    try:
        ray.init(address=address, ignore_reinit_error=True, logging_level="ERROR", log_to_driver=False)
        has = ray.cluster_resources()
    except (ConnectionError, ValueError, RuntimeError, OSError) as error:
        cause = f"There is no Ray cluster at {address} ({_first_line(error)})."
        fix = "Start one (ray start --head), or give the address of a running one."
        raise EDTalkError(ErrorCode.SERVER_UNREACHABLE, cause, fix) from error
    on_cards = settings.device != "cpu" and settings.bundle is not None and has.get("GPU", 0) >= 1
    needs = {"num_cpus": 1.0} | ({"num_gpus": 1.0} if on_cards else {})
    return [RayWorker(ray, settings, needs) for _ in range(count or int(has["GPU" if on_cards else "CPU"]))]


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]
