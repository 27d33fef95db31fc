"""Send a server many authenticated messages that are damaged, absurd or out of order, and see that it works on.

    python -m tests.server.fuzz --messages 100000 --seed 20

It starts `edtalk serve --fake`, sends, asks for a bake in between, and ends with a record: what the server answered,
whether it works on, and its memory before and after.
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
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import numpy as np

from blender_addon.core.server.client import Client
from blender_addon.core.server.events import weights_of
from shared_protocol import codec, connection, messages
from shared_protocol.messages import Blob, SetEmotion, SpokenLine
from tests import asking

from .conftest import RawPeer

ROOT = Path(__file__).resolve().parents[2]
CHANNELS = 36
LOOK_EVERY_S = 5.0
"""Seconds between two bakes of an honest client."""
NUMBERS = (0, 1, -1, 2, 25, 255, 65_536, 2**31 - 1, 2**31, -(2**31), 2**53, 2**63 - 1, -(2**63))
REALS = (0.0, -0.0, 1.0, -1.0, 1e-300, 1e30, -1e30, 1.7e308, 0.1)
WORDS = (
    "",
    "x",
    "%04d.png",
    "%099d.png",
    "../up",
    "a" * 300,
    "\0",
    "é",
    "face",
    "full",
    "png",
    "exr",
    "nonsense",
)

ODD: tuple[Any, ...] = (None, True, -1, 2**63, 1e308, "", "x" * 3000, [], [[]] * 9, {}, {"a": {}}, b"\x00")
"""Values of fields that no message has."""

_BARRIER = 10_000_000
"""From here on a `Ping` is our own: its answer says that all before it has been read."""


def honest(chance: random.Random, source: str, folder: str) -> messages.Message:
    """A message that could be meant seriously, with any values."""
    job, number, real, word = (
        f"j{chance.randrange(50)}",
        chance.choice(NUMBERS),
        chance.choice(REALS),
        chance.choice(WORDS),
    )
    known = chance.choice([source, "d" * 64, word])
    rows = Blob(np.zeros(CHANNELS * chance.choice((0, 1, 2, 3)), "<f4").tobytes())
    data = Blob(chance.randbytes(chance.choice((0, 1, 50, 5000))))
    frames = tuple(chance.choice(NUMBERS) for _ in range(chance.choice((0, 1, 2, 40))))
    line = SpokenLine(word * chance.choice((1, 30)), real, chance.choice(REALS))
    return chance.choice(
        [
            lambda: messages.Hello(client=word or "fuzz", pid=number, protocol_max=number),
            lambda: messages.Ping(number),
            lambda: messages.HaveBlobs((known, word)),
            lambda: messages.PutBlob(known, data),
            lambda: messages.PutPart(known, number, chance.choice(NUMBERS), data),
            lambda: messages.Inspect(job, known),
            lambda: messages.Prepare(job, known, messages.Crop(real, real, chance.choice(REALS), real)),
            lambda: messages.Predict(
                job,
                known,
                word,
                word,
                number,
                number,
                chance.choice((0, 5, number)),
                real,
                lines=(line,),
                seed=number,
            ),
            lambda: messages.Predict(
                job, source, "", word, frames=3, emotion=SetEmotion(word, real), lines=(line,)
            ),
            lambda: messages.Capture(job, source, known, number, number, number, real, word, real),
            lambda: messages.Preview(job, known, rows, word, number),
            lambda: messages.Render(job, known, frames, word, number, rows, word, size=number),
            lambda: messages.Render(job, source, (1, 2), "png", number, rows, "face"),
            lambda: messages.Movie(
                job, folder, word, number, chance.choice(NUMBERS), number, number, word, real, folder
            ),
            lambda: messages.ImportBundle(job, f"{folder}/none", word),
            lambda: messages.ListBundles(job),
            lambda: messages.Credit(job, number),
            lambda: messages.Cancel(job),
            lambda: messages.Release(),
            lambda: messages.Done(job),
            lambda: messages.Welcome(),
        ]
    )()


def damaged(chance: random.Random, message: messages.Message) -> list[bytes]:
    """The frames of a message, in half of the cases after an accident."""
    frames = [bytes(frame) for frame in codec.encode(message, replace_unsendable=True)]
    return after_accident(chance, frames) if chance.random() < 0.5 else frames


def after_accident(chance: random.Random, frames: list[bytes]) -> list[bytes]:
    """The frames of a message of which something was lost, changed, added or shuffled."""
    match chance.randrange(8):
        case 0:
            header = bytearray(frames[0])
            for _ in range(chance.randint(1, 5)):
                header[chance.randrange(len(header))] = chance.randrange(256)
            frames[0] = bytes(header)
        case 1:
            frames[0] = frames[0][: chance.randrange(len(frames[0]))]
        case 2:
            frames[0] = chance.randbytes(chance.randrange(200))
        case 3:
            chance.shuffle(frames)
        case 4:
            frames += [chance.randbytes(chance.randrange(50)) for _ in range(chance.randrange(13))]
        case 5:
            frames = frames[:1]
        case 6:
            frames = [frame[: chance.randrange(len(frame) + 1)] for frame in frames]
        case _:
            fields = msgpack.unpackb(frames[0])
            fields[chance.choice(list(fields))] = chance.choice(ODD)
            frames[0] = msgpack.packb(fields)
    return frames


def fuzz(peer: RawPeer, count: int, seed: int, source: str, folder: str) -> Iterator[Counter[str]]:
    """Send `count` messages; yield what has been answered so far after each hundred, when all have been read."""
    chance, answers = random.Random(seed), Counter[str]()
    for sent in range(1, count + 1):
        peer.send_frames(damaged(chance, honest(chance, source, folder)))
        if sent % 100 == 0 or sent == count:
            serial = _BARRIER + sent
            peer.send(messages.Ping(serial))
            while not (
                isinstance(message := peer.receive(messages.Message), messages.Pong)
                and message.serial == serial
            ):
                answers[type(message).__name__] += 1
            yield answers


def main() -> int:
    """Fuzz a server of its own; print the record; tell by the status whether it works on."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="edtalk-fuzz-") as name:
        record = _record(Path(name), options.messages, options.seed)
    print(json.dumps(record, indent=1))  # noqa: T201
    return 0 if record["works"] else 1


def _record(folder: Path, count: int, seed: int) -> dict[str, Any]:
    file, playground = folder / "run" / "server-fuzz.json", folder / "playground"
    playground.mkdir()
    command = [sys.executable, "-m", "edtalk_server.cli", "serve", "--fake", "--connection-file", str(file)]
    environment = os.environ | {"EDTALK_DATA_DIR": str(folder / "data")}
    with (folder / "log").open("wb") as log:
        options = ["--log-file", str(folder / "server.log"), "--parent-pid", str(os.getpid())]
        process = subprocess.Popen([*command, *options], cwd=ROOT, stdout=log, stderr=log, env=environment)
    while not file.exists() and process.poll() is None:
        time.sleep(0.1)
    client = Client(connection.read(file), "fuzz")
    client.wait_until_ready(300)
    portrait = (ROOT / "edtalk_server" / "samples" / "portrait.png").read_bytes()
    prepared = client.wait(client.start(*asking.prepare(portrait)), 300)[0]
    before, start = _memory(process.pid), time.monotonic()
    looked = start
    peer = RawPeer(connection.read(file))
    answers, works = Counter[str](), True
    for told in fuzz(peer, count, seed, prepared.source, str(playground)):
        answers = told
        client.tick()
        if works and time.monotonic() - looked > LOOK_EVERY_S:
            works, looked = _works(client, prepared), time.monotonic()
    works = works and _works(client, prepared) and process.poll() is None
    after = _memory(process.pid)
    written = sorted(path.name for path in playground.rglob("*"))
    seconds = time.monotonic() - start
    peer.close()
    client.shutdown()
    client.tick()
    client.close()
    return {
        "messages": count,
        "seed": seed,
        "works": works,
        "status": process.wait(60),
        "seconds": round(seconds, 1),
        "memory_before": before,
        "memory_after": after,
        "files_written": written,
        "answers": dict(answers.most_common()),
    }


def _works(client: Client, prepared: Any) -> bool:
    """Does an honest client get its frames?"""
    rows = np.repeat(weights_of(prepared), 3, axis=0)
    told = client.wait(client.start(*asking.render(prepared.source, range(3), rows)), 300)
    if isinstance(told[-1], messages.Failed) and told[-1].code == "unknown_source":
        return True  # its portrait has made room for others; it would prepare it again
    return isinstance(told[-1], messages.Done)


def _memory(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    sys.exit(main())
