"""Run jobs that need each other in a few lanes, so that no core idles while work waits."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from enum import Enum


class Status(Enum):
    """How a job ended."""

    PASSED = "passed"
    FAILED = "FAILED"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Outcome:
    """What a job reports. `begun` (since the first job) and `seconds` (how long it ran) are filled in by `run`."""

    status: Status
    note: str = ""
    begun: float = 0.0
    seconds: float = 0.0


@dataclass(frozen=True)
class Job:
    """A piece of work for one lane.

    `seconds` is how long it probably takes; `needs` names the jobs that have to pass first; of the jobs that name the
    same `resource` only one runs at a time.
    """

    name: str
    work: Callable[[], Outcome]
    seconds: float = 0.0
    needs: frozenset[str] = frozenset()
    resource: str = ""


def run(jobs: Sequence[Job], lanes: int) -> dict[str, Outcome]:
    """Run all jobs, at most `lanes` at a time, and return their outcomes in the order of `jobs`.

    A job whose needs did not pass is not run: it is skipped where they were skipped, and fails where one failed. An
    exception in a job is raised here once the jobs beside it have ended.
    """
    check(jobs)
    waiting, running = list(jobs), dict[Future[Outcome], Job]()
    outcomes: dict[str, Outcome] = {}
    start = time.monotonic()
    with ThreadPoolExecutor(lanes) as pool:
        while waiting or running:
            outcomes |= _drop_blocked(waiting, outcomes)
            while len(running) < lanes and (job := choose(waiting, outcomes, running.values())):
                waiting.remove(job)
                running[pool.submit(_timed, job, start)] = job
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                outcomes[running.pop(future).name] = future.result()
    return {job.name: outcomes[job.name] for job in jobs}


def choose(waiting: Sequence[Job], outcomes: Mapping[str, Outcome], running: Collection[Job]) -> Job | None:
    """Return the most urgent job that can start now; None when none can."""
    passed = {name for name, outcome in outcomes.items() if outcome.status is Status.PASSED}
    taken = {job.resource for job in running} - {""}
    ready = [job for job in waiting if job.needs <= passed and job.resource not in taken]
    return max(ready, key=lambda job: urgency(job, waiting), default=None)


def urgency(job: Job, waiting: Iterable[Job]) -> float:
    """Return the least seconds from this job's start to the end of all that has to come after it."""
    others = [other for other in waiting if other is not job]
    followers = [urgency(other, others) for other in others if job.name in other.needs]
    queued = [other.seconds for other in others if job.resource and other.resource == job.resource]
    return job.seconds + max([sum(queued), *followers])


def estimate(jobs: Sequence[Job], lanes: int) -> float:
    """Return the seconds that `run` would take if each job took as long as expected."""
    check(jobs)
    waiting, ends, outcomes, now = list(jobs), dict[str, float](), dict[str, Outcome](), 0.0
    running: dict[str, Job] = {}
    while waiting or running:
        while len(running) < lanes and (job := choose(waiting, outcomes, running.values())):
            waiting.remove(job)
            running[job.name], ends[job.name] = job, now + job.seconds
        first = min(running, key=ends.__getitem__)
        now = ends[first]
        outcomes[first] = Outcome(Status.PASSED)
        del running[first]
    return now


def check(jobs: Sequence[Job]) -> None:
    """Raise `ValueError` unless each job's needs stand before it: then nothing waits for itself."""
    known: set[str] = set()
    for job in jobs:
        if job.name in known or not job.needs <= known:
            raise ValueError(f"{job.name} stands twice, or before what it needs")
        known.add(job.name)


def _timed(job: Job, start: float) -> Outcome:
    begun = time.monotonic()
    outcome = job.work()
    return replace(outcome, begun=begun - start, seconds=time.monotonic() - begun)


def _drop_blocked(waiting: list[Job], outcomes: Mapping[str, Outcome]) -> dict[str, Outcome]:
    """Take the jobs that can no longer run out of `waiting`, and return their outcomes."""
    dropped: dict[str, Outcome] = {}
    for job in tuple(waiting):  # in order: what needs a dropped job is dropped too
        ended = {**outcomes, **dropped}
        missed = [
            name for name in sorted(job.needs & ended.keys()) if ended[name].status is not Status.PASSED
        ]
        if missed:
            fails = any(ended[name].status is Status.FAILED for name in missed)
            status = Status.FAILED if fails else Status.SKIPPED
            dropped[job.name] = Outcome(status, f"not run, because of: {', '.join(missed)}")
            waiting.remove(job)
    return dropped
