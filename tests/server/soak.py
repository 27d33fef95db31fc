"""Use one server for an hour as one animator does, and watch its memory, descriptors and threads.

    python -m tests.server.soak --minutes 60 --video clip.mp4 --record soak.json

A round scrubs, bakes, predicts, captures from a video, asks for a movie, and cancels some of it. Every half minute a
sample is taken. The record tells the commit of the code, every sample and the growth from the second sixth of the time
(buffers and caches have filled up by then) to the last. Exit status 1: memory grew by more than `MOST_GROWTH`, or a
request failed that should not.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from blender_addon.core.server.client import Client
from blender_addon.core.server.events import weights_of
from shared_protocol import connection, messages
from tests import asking

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "edtalk_server" / "samples"
SAMPLE_EVERY_S = 30.0
MOST_GROWTH = 0.05
"""Share by which the memory of the last sixth may exceed that of the second."""
SHARES = 6


@dataclass(frozen=True)
class Sample:
    """What the server used at a second: bytes of memory, open descriptors, threads."""

    second: float
    memory: int
    descriptors: int
    threads: int


class Animator:
    """One client that works at a modest rate. `seed` decides what it does; `done` counts it."""

    def __init__(self, client: Client, folder: Path, video: bytes | None, seed: int, pause: float) -> None:
        self._client, self._folder, self._video = client, folder, video
        self._chance, self._pause = random.Random(seed), pause
        self._voice = (SAMPLES / "voice.flac").read_bytes()
        self._portrait = (SAMPLES / "portrait.png").read_bytes()
        self.done: Counter[str] = Counter()

    def work(self) -> None:
        """Do one round."""
        prepared = self._ask("prepare", asking.prepare(self._portrait))
        own = weights_of(prepared)[0]
        self._scrub(prepared.source, own)
        self._bake(prepared.source, own)
        self._cancelled("predict", asking.predict(prepared.source, self._voice, frames=2000))
        self._ask("predict", asking.predict(prepared.source, self._voice, blinks=15.0, head=1.0, pose="flow"))
        if self._video is not None:
            self._cancelled("capture", asking.capture(prepared.source, self._video))
            self._ask("capture", asking.capture(prepared.source, self._video, frames=25))
        self._ask("list", asking.list_bundles())

    def _scrub(self, source: str, own: Any) -> None:
        for _ in range(20):
            row = own + self._chance.uniform(-0.2, 0.2)
            self._ask("preview", asking.preview(source, row))
            time.sleep(self._pause)

    def _bake(self, source: str, own: Any) -> None:
        frames = range(1, 25)
        rows = own + np.linspace(0, 0.3, len(frames), dtype=np.float32)[:, None]
        told = self._wait("bake", asking.render(source, frames, rows))
        for event in told:
            if isinstance(event, messages.Frame):
                (self._folder / f"{event.frame:04d}.png").write_bytes(event.data)
        self._cancelled("bake", asking.render(source, range(500), np.repeat(rows[:1], 500, axis=0)))
        self._wait("movie", asking.movie(self._folder, frames, self._folder / "film.mp4"))

    def _ask(self, kind: str, asked: Any) -> Any:
        return self._wait(kind, asked)[0]

    def _wait(self, kind: str, asked: Any) -> list[Any]:
        told = self._client.wait(self._client.start(*asked), 600)
        if not isinstance(told[-1], messages.Done):
            raise RuntimeError(f"{kind} ended as {told[-1]}")
        self.done[kind] += 1
        return told

    def _cancelled(self, kind: str, asked: Any) -> None:
        job = self._client.start(*asked)
        end = time.monotonic() + self._chance.uniform(0.0, 0.5)
        while time.monotonic() < end:
            self._client.tick()
            time.sleep(0.01)
        self._client.cancel(job)
        self._client.wait(job, 600)
        self.done[f"cancelled {kind}"] += 1


def look(pid: int, second: float) -> Sample:
    """Return what a process uses (Linux)."""
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    )
    descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return Sample(
        round(second, 1), int(status["VmRSS"].split()[0]) * 1024, descriptors, int(status["Threads"])
    )


def growth(samples: list[Sample]) -> float:
    """Return by which share the median memory of the last sixth exceeds that of the second one."""
    sixth = max(1, len(samples) // SHARES)
    before = median(sample.memory for sample in samples[sixth : 2 * sixth] or samples[:1])
    after = median(sample.memory for sample in samples[-sixth:])
    return after / before - 1.0


def soak(options: argparse.Namespace) -> dict[str, Any]:
    """Run the server and its user for the time; return the record."""
    with tempfile.TemporaryDirectory(prefix="edtalk-soak-") as name:
        folder = Path(name)
        process, client = _start(folder, options.serve)
        try:
            return _watch(process.pid, client, folder, options)
        finally:
            client.shutdown()
            client.tick()
            client.close()
            process.wait(60)


def _watch(pid: int, client: Client, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    video = options.video.read_bytes() if options.video else None
    animator = Animator(client, folder, video, options.seed, options.pause)
    samples: list[Sample] = []
    start = last = time.monotonic()
    failure = ""
    while time.monotonic() - start < options.minutes * 60 and not failure:
        try:
            animator.work()
        except RuntimeError as error:
            failure = str(error)
        if time.monotonic() - last >= SAMPLE_EVERY_S or not samples:
            last = time.monotonic()
            samples.append(look(pid, last - start))
            print(json.dumps(asdict(samples[-1]) | {"done": animator.done}), flush=True)  # noqa: T201
    samples.append(look(pid, time.monotonic() - start))
    return {
        "commit": _commit(),
        "serve": options.serve,
        "seed": options.seed,
        "minutes": round((time.monotonic() - start) / 60, 1),
        "done": dict(animator.done),
        "failure": failure,
        "growth": round(growth(samples), 4),
        "samples": [asdict(sample) for sample in samples],
    }


def _start(folder: Path, serve: list[str]) -> tuple[subprocess.Popen[bytes], Client]:
    file = folder / "run" / "server-soak.json"
    command = [sys.executable, "-m", "edtalk_server.cli", "serve", "--parent-pid", str(os.getpid())]
    command += ["--connection-file", str(file), "--log-file", str(folder / "log"), *serve]
    with (folder / "errors").open("wb") as errors:
        process = subprocess.Popen(command, cwd=ROOT, stdout=errors, stderr=errors)
    while not file.exists():
        if process.poll() is not None:
            raise RuntimeError((folder / "errors").read_text("utf-8", "replace")[-2000:])
        time.sleep(0.1)
    client = Client(connection.read(file), "soak")
    client.wait_until_ready(300)
    return process, client


def _commit() -> str:
    answer = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return answer.stdout.strip()


def main() -> int:
    """Soak as asked; write the record; tell by the status whether memory stayed flat and nothing failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--video", type=Path, help="a clip to capture from")
    parser.add_argument("--record", type=Path, help="where to write the record, as JSON")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pause", type=float, default=0.2, help="seconds between two previews")
    parser.add_argument("serve", nargs="*", help="options for `edtalk serve`, after --")
    options = parser.parse_args()
    record = soak(options)
    if options.record:
        options.record.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(f"{record['minutes']} minutes, growth {record['growth']:.1%} {record['failure']}")  # noqa: T201
    return 1 if record["failure"] or record["growth"] > MOST_GROWTH else 0


if __name__ == "__main__":
    sys.exit(main())
