"""Streaming jobs: work in steps that reports its progress and ends in a result (see `media.steps`).

The steps run on a worker for a moment at a time. Closing them in between leaves no half-made file.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from edtalk_server.media.steps import Step, Steps
from shared_protocol.messages import Message, Progress

from .handler import Answer, Handler, Request, Resources
from .throughput import LONGEST_STEP_S, Throughput


@dataclass(frozen=True)
class StepResult:
    """The last `step` that was taken, whether the job has ended, and its `result` if it has one."""

    step: Step | None = None
    has_ended: bool = False
    result: Message | None = None


def take_steps(steps: Steps[Message | None], is_wanted: Callable[[], bool]) -> StepResult:
    """Take steps for `LONGEST_STEP_S`, or until nobody wants them any more. Raises what the work raises."""
    end = time.monotonic() + LONGEST_STEP_S
    step: Step | None = None
    try:
        while True:
            step = next(steps)
            if time.monotonic() >= end or not is_wanted():
                return StepResult(step)
    except StopIteration as stop:
        return StepResult(step, has_ended=True, result=stop.value)


class StreamingHandler(Handler[Request]):
    """A request whose work is a generator of steps. `tells_progress`: does its client hear of them?"""

    tells_progress: ClassVar[bool] = True

    def __init__(self, request: Request, resources: Resources, now: float) -> None:
        super().__init__(request, resources, now)
        self._throughput = Throughput(1, now)
        self._steps = self.steps()

    @abstractmethod
    def steps(self) -> Steps[Message | None]:
        """Do the work. Nothing may happen before the first step is taken."""

    def next_step(self, is_wanted: Callable[[], bool]) -> Callable[[], StepResult]:
        """Return the work of one turn."""
        return partial(take_steps, self._steps, is_wanted)

    def answer(self, value: StepResult, seconds: float, now: float) -> Answer:
        """Report the progress, and the result at the end."""
        progress = (self._progress(value.step, now),) if self.tells_progress and value.step else ()
        result = () if value.result is None else (value.result,)
        return Answer(progress + result, value.has_ended)

    def _progress(self, step: Step, now: float) -> Progress:
        throughput = self._throughput
        throughput.reach(step, now)
        name: str = self.request.job  # type: ignore[attr-defined]
        return Progress(name, step.done, step.total, throughput.rate, throughput.eta, step.stage)

    def clean_up(self) -> Callable[[], None]:
        """Return the closing of the steps, which removes half-made files."""
        return self._steps.close
