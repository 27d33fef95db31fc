"""The crew: who draws frames on the CPU. A thread of this process, and helpers, which are processes of their own.

Two threads that share a frame of a small network wait for each other at every layer, and two threads with a frame each
wait for Python's lock. Processes share nothing. Everybody draws with one thread of torch, so a frame's bytes depend
neither on who drew it nor on the number of cores.

Somebody who moves a slider waits for one picture (`draw_first`): it goes before the next frame of a bake, and while
such pictures come, this process draws nothing else as long as there are helpers.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import math
import subprocess
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import torch

from edtalk_server import child_process
from edtalk_server.arrays import Rendered, Weights
from edtalk_server.engine import helper
from edtalk_server.engine.device_manager import MAX_ENCODED_FACES, DeviceManager, EncodedFace
from edtalk_server.engine.drawing import Decode, draw, prepare

logger = logging.getLogger(__name__)

Result = TypeVar("Result")
Finish = Callable[[Rendered], Result]
"""What becomes of a frame, right after it was drawn and beside the others."""

_PATIENCE_S = 5.0
"""Seconds that a helper has to end."""
RECENT_S = 1.0
"""Seconds after a picture for which more of its kind are expected."""


class Recently:
    """Whether something was noted within the last `RECENT_S`. Any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._last = clock, -math.inf

    def note(self) -> None:
        """It has happened now."""
        self._last = self._clock()

    def __bool__(self) -> bool:
        return self._clock() - self._last < RECENT_S


def unchanged(frame: Any) -> Any:
    """Return the frame itself, as `Finish`."""
    return frame


def _use_one_thread() -> None:
    """Give this thread one thread of torch. Torch sets a thread up when it is first asked something: ask first."""
    torch.get_num_threads()
    torch.set_num_threads(1)


def _without_gradients(work: Callable[[], Result]) -> Result:
    with torch.inference_mode():
        return work()


_AHEAD = 2
"""Frames that a helper is asked for before it has answered: it never waits for the next request."""


class _Rows:
    """The rows that wait to be drawn, for several takers."""

    def __init__(self, count: int) -> None:
        self._waiting = deque(range(count))
        self._lock = threading.Lock()

    def take(self, leave: int = 0) -> int | None:
        """Return the next row's number; None where only `leave` are left, or none."""
        with self._lock:
            return self._waiting.popleft() if len(self._waiting) > leave else None

    def give_back(self, numbers: Sequence[int]) -> None:
        """Let others draw these."""
        with self._lock:
            self._waiting.extendleft(reversed(numbers))


class _Helper:
    """One helper process. It draws nothing until it is ready, and nothing more after its first trouble."""

    def __init__(self, folder: Path, digest: str, is_fast: bool) -> None:
        self._process = child_process.start(helper.__name__, str(folder), digest, str(int(is_fast)))
        self._sent: OrderedDict[int, None] = OrderedDict()
        self.is_ready = False
        self._starting = threading.Thread(
            target=self._wait_until_ready, name="edtalk-helper-start", daemon=True
        )
        self._starting.start()

    def _wait_until_ready(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self.is_ready = self._received() is not None

    def _received(self) -> dict[str, Any] | None:
        """Wait for the next message; None when the process has ended."""
        message = child_process.receive(self._process.stdout) if self._process.stdout else None
        return None if message is None else child_process.unpack(message)

    @property
    def pid(self) -> int:
        """The number of its process."""
        return self._process.pid

    def ask(self, number: int, encoded: EncodedFace, row: Weights, deep: bool, path: str) -> None:
        """Ask for a frame; with the face, where the helper has it no longer."""
        request: dict[str, Any] = {"of": number, "row": row, "deep": deep, "path": path}
        if number not in self._sent:
            request |= {
                "face": number,
                "picture": encoded.picture,
                "photo": encoded.photo,
                "others": [[other.picture, other.photo] for other in encoded.others],
            }
            self._sent[number] = None
            while len(self._sent) > MAX_ENCODED_FACES:
                self._sent.popitem(last=False)
        if self._process.stdin is None:
            raise OSError("the helper has no input")
        child_process.send(self._process.stdin, child_process.pack(request))

    def answer(self) -> Rendered:
        """Return the next frame. Raises `OSError` when the helper has ended or failed."""
        answer = self._received()
        if answer is None or "frame" not in answer:
            raise OSError("the process has ended" if answer is None else answer.get("error", "no frame"))
        frame: Rendered = answer["frame"]
        return frame

    def end(self) -> None:
        """Close its input, at which it ends. It is killed when it takes too long, or is not ready yet."""
        if not self.is_ready:
            self._process.kill()
        self.is_ready = False
        if self._process.stdin:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        try:
            self._process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._starting.join()
        if self._process.stdout:
            self._process.stdout.close()


class Crew:
    """One thread, and as many helpers as were started. One caller at a time, beside those of `draw_first`."""

    def __init__(self) -> None:
        self._helpers: list[_Helper] = []
        self._own = ThreadPoolExecutor(1, "edtalk-drawing")
        self._all_cores = ThreadPoolExecutor(1, "edtalk-all-cores")
        self._urgent, self._bulk = Recently(), Recently()
        self._others = ThreadPoolExecutor(64, "edtalk-helper")  # threads are made as helpers need them
        self._numbers: WeakKeyDictionary[EncodedFace, int] = WeakKeyDictionary()
        self._counter = itertools.count()
        before = torch.get_num_threads()
        self._own.submit(_use_one_thread).result()
        torch.set_num_threads(before)  # torch also remembers the number for threads to come

    @property
    def count(self) -> int:
        """How many frames are drawn side by side now."""
        ready = len(self.helper_pids)
        return ready if ready and self._urgent else 1 + ready

    @property
    def has_helpers(self) -> bool:
        """Were helpers started, ready or not?"""
        return bool(self._helpers)

    @property
    def at_once(self) -> int:
        """How many frames to draw in one call: two each, so that nobody waits long for the last one."""
        return 2 * self.count if self.helper_pids else 1

    @property
    def helper_pids(self) -> tuple[int, ...]:
        """The processes of the helpers that are ready."""
        return tuple(helper.pid for helper in self._helpers if helper.is_ready)

    def start(self, folder: Path, digest: str, helpers: int, is_fast: bool) -> None:
        """Start helpers for the bundle in a folder. They join in when they are ready, some seconds later.

        Where the system allows no further process there are fewer.
        """
        try:
            for _ in range(helpers):
                self._helpers.append(_Helper(folder, digest, is_fast))
        except OSError as error:
            logger.warning("a helper could not be started: %s", error)

    def end(self) -> None:
        """End the helpers."""
        for one in self._helpers:
            one.end()
        self._helpers.clear()

    def run(self, work: Callable[[], Result]) -> Result:
        """Do `work` in the drawing thread, with one thread of torch and without gradients."""
        return self._own.submit(_without_gradients, work).result()

    def draw_first(
        self,
        manager: DeviceManager,
        encoded: EncodedFace,
        row: Weights,
        deep: bool,
        decode: Decode | None = None,
        shares: bool = False,
    ) -> Rendered:
        """Draw one frame before the rest of what is being drawn; from any thread. `decode` is as in `draw`.

        `shares`: all cores draw it together while nothing else is drawn, which is quicker with large networks. Then it
        may differ from a bake's frame by a rounding.
        """

        def drawn() -> Rendered:
            return draw(manager, encoded, row, deep, decode)

        self._urgent.note()
        try:
            if not shares or self._bulk:
                return self.run(drawn)
            self.run(lambda: prepare(manager, encoded))  # as for every other frame
            return self._all_cores.submit(_without_gradients, drawn).result()
        finally:
            self._urgent.note()

    def draw(
        self,
        manager: DeviceManager,
        encoded: EncodedFace,
        rows: Weights,
        deep: bool,
        finish: Finish[Result],
        path: str = "",
        decode: Decode | None = None,
    ) -> list[Result]:
        """Draw the frames of rows [B, channels] side by side, and return what `finish` makes of each.

        `path` names the way to draw, and `decode` is it; empty and None: as the network itself does.
        Rows of a helper that fails are drawn by the others. Raises what drawing in this process, or `finish`, raises.
        """
        self._bulk.note()
        waiting, results = _Rows(len(rows)), dict[int, Result]()
        helpers = [one for one in self._helpers if one.is_ready] if len(rows) > 1 or self._urgent else []
        drawers = len(helpers) + (not helpers or not self._urgent)
        ahead = drawers if drawers > 1 else int(bool(self._urgent))

        def draw_here(is_free: Callable[[], bool]) -> None:
            """Draw a row at a time, so that `draw_first` waits for one at most."""
            while is_free() and (number := waiting.take()) is not None:
                frame = self.run(partial(draw, manager, encoded, rows[number], deep, decode))
                results[number] = finish(frame)

        def draw_there(one: _Helper) -> None:
            with self._watched(one, waiting) as asked:
                while True:
                    while len(asked) < _AHEAD and (next_row := waiting.take(ahead * len(asked))) is not None:
                        asked.append(next_row)
                        one.ask(self._number_of(encoded), encoded, rows[next_row], deep, path)
                    if not asked:
                        return
                    frame = one.answer()
                    results[asked.popleft()] = finish(frame)

        work: list[Future[None]] = [self._others.submit(draw_there, one) for one in helpers]
        try:
            draw_here(lambda: not (helpers and self._urgent))
        finally:
            wait(work)
        for done in work:
            done.result()
        draw_here(lambda: True)  # what a helper gave back
        self._bulk.note()
        return [results[number] for number in range(len(rows))]

    @contextlib.contextmanager
    def _watched(self, one: _Helper, waiting: _Rows) -> Iterator[deque[int]]:
        """Hold the numbers of the rows that a helper was asked for; give them back when it fails, and let it go.

        It goes too where a frame could not be finished: its next answers would be taken for those of other rows.
        """
        asked = deque[int]()
        try:
            yield asked
        except (OSError, ValueError) as error:
            logger.warning("a helper failed (%s): its frames are drawn by the others", error)
            waiting.give_back(list(asked))
            one.end()
        except BaseException:
            one.end()
            raise

    def _number_of(self, encoded: EncodedFace) -> int:
        if encoded not in self._numbers:
            self._numbers[encoded] = next(self._counter)
        return self._numbers[encoded]
