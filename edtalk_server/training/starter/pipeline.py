"""The starter bundle's whole training: rendering, stages, speech, export.

It works until a given moment and then stops with everything saved; called again with the same folder it continues. So
one run serves several evenings of a laptop as well as a graphics card that is lent for nine minutes at a time.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edtalk_server import bundles
from edtalk_server.media.video.sequence import make_folder, write_whole
from edtalk_server.training.starter import export
from edtalk_server.training.starter.run import Part, trainers
from edtalk_server.training.starter.trainer import CompactTrainer, Paths
from shared_protocol.errors import EDTalkError, ErrorCode

Helpers = Sequence[subprocess.Popen[bytes]]

log = logging.getLogger(__name__)

_SPEECH = "edtalk_server.training.speech.train"
SPEECH_PROGRAMS = ("flite", "espeak-ng")


@dataclass(frozen=True)
class Scale:
    """How large a run is. `workers` are processes that render (on a card: that make people for it); `speech_clips` is
    the amount of speech (1 is three hours); `emotional` people show the emotions; `motion`, `generator` and `fit` are
    fields of the stages' plans."""

    people: int
    frames: int
    workers: int
    speech_minutes: float
    motion: Mapping[str, Any]
    generator: Mapping[str, Any]
    fit: Mapping[str, Any]
    speech_clips: float = 1.0
    emotional: int = 16
    device: str = "cpu"
    first_frames: int = 2000
    """Training begins when this many frames are rendered; the others join as they come."""


_WIDE = {
    "encoder_channels": [192, 192, 128, 64],
    "decoder_channels": [192, 128, 80],
    "thin_channels": 48,
    "detail_channels": 64,
    "motion_channels": [32, 64, 128, 192, 256],
}
SCALES: Mapping[str, Scale] = {
    "tiny": Scale(
        2,
        32,
        1,
        0.05,
        {"minutes": 0.05, "batch": 8, "every_seconds": 5.0},
        {"minutes": 0.1, "trunk_batch": 4, "picture_batch": 2, "every_seconds": 5.0},
        {"minutes": 0.05, "batch": 2, "every_seconds": 5.0},
        speech_clips=0.01,
        emotional=1,
        first_frames=32,
    ),
    "cpu": Scale(40, 60_000, 2, 28.0, {"minutes": 80.0}, {"minutes": 240.0}, {"minutes": 20.0}),
    "gpu": Scale(
        40,
        200_000,
        12,
        0.0,
        {"minutes": 5.0, "batch": 256, "threads": 3, "network": _WIDE},
        {
            "minutes": 17.0,
            "trunk_batch": 256,
            "picture_batch": 128,
            "trunk_rate": 2e-3,
            "picture_rate": 1.5e-3,
            "trunk_share": 0.15,
            "threads": 4,
            "network": _WIDE,
        },
        {"minutes": 1.5, "batch": 128, "threads": 3, "network": _WIDE},
        first_frames=8000,
        device="cuda",
    ),
}
"""`tiny` is for tests; `cpu` for two cores and some evenings; `gpu` for one large card and half an hour. The wider
network of `gpu` still draws more than eight frames a second on two cores."""


@dataclass
class Folders:
    """The folders of a run."""

    out: Path
    data: Path = field(init=False)
    holdout: Path = field(init=False)
    audio: Path = field(init=False)
    bundle: Path = field(init=False)

    def __post_init__(self) -> None:
        self.data, self.holdout = self.out / "data", self.out / "holdout"
        self.audio, self.bundle = self.out / "audio", self.out / "bundle"


def begun(scale: Scale, face: Path) -> Scale:
    """Return the scale of a run that starts from a bundle's tensors, where sizes fit: coarse motion is known
    already."""
    start = {"start": str(face)}
    generator = {**scale.generator, **start, "trunk_share": 0.0}
    return replace(scale, motion={**scale.motion, **start}, generator=generator)


def train(facekit: Path, folders: Folders, scale: Scale, until: float) -> bool:
    """Render and train until this moment of `time.monotonic`; return whether everything is trained.

    Frames are rendered and speech is trained in processes of their own, which end with this call. Called again, all of
    them continue. Raises `EDTalkError(INTERNAL)` when one of those processes fails.
    """
    with _helpers(facekit, folders, scale) as helpers, one_thread():
        if not _wait_for_data(folders, scale, until, helpers):
            return False
        for trainer in _trainers(folders, scale):
            if not trainer.train(until):
                return False
        return _wait_for_speech(folders, scale, until, helpers)


def _trainers(folders: Folders, scale: Scale) -> Iterator[CompactTrainer]:
    config = {"motion": scale.motion, "generator": scale.generator, "fit": scale.fit}
    return trainers(Paths(folders.out, folders.data, folders.holdout), 0.0, Part.ALL, config)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread: on two shared cores, threads of one process would wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


# --- processes beside the training -----------------------------------------------------------------------------------


@contextmanager
def _helpers(facekit: Path, folders: Folders, scale: Scale) -> Iterator[Helpers]:
    """Run rendering and speech training as separate processes, ended with the block; all of them can be continued."""
    folders.out.mkdir(parents=True, exist_ok=True)
    helpers = [_start(folders.out, *command) for command in _commands(facekit, folders, scale)]
    try:
        yield helpers
    finally:
        for process in helpers:
            process.terminate()
        for process in helpers:
            process.wait()


def _commands(facekit: Path, folders: Folders, scale: Scale) -> Iterator[tuple[str, ...]]:
    data = ("edtalk_server.synthetic.data.generate", "--facekit", str(facekit))
    if rows(folders.holdout) < _holdout_rows(scale):
        yield (*data, "--out", str(folders.holdout), "--holdout", str(scale.people))
    on_card = ("--device", scale.device, "--painters", str(scale.workers)) if scale.device != "cpu" else ()
    share = scale.frames if on_card else scale.frames // scale.workers
    for worker in range(1 if on_card else scale.workers):
        if rows(folders.data, worker) < share // 8 * 8:
            where = ("--out", str(folders.data), "--worker", str(worker), "--frames", str(share))
            yield (*data, *where, *on_card)
    if _has_speech(scale) and not _speech_done(folders):
        minutes = str(scale.speech_minutes)
        clips = str(scale.speech_clips)
        yield (_SPEECH, "--out", str(folders.audio), "--minutes", minutes, "--clips", clips)


def _start(out: Path, module: str, *arguments: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    with (out / "helpers.log").open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            env=environment,
        )


def rows(folder: Path, worker: int | None = None) -> int:
    """Return the number of finished frames in a folder of shards."""
    pattern = "*_done.npy" if worker is None else f"{worker}_done.npy"
    return sum(int(np.load(path)[0]) for path in folder.glob(pattern))


def _holdout_rows(scale: Scale) -> int:
    from edtalk_server.synthetic.data.clips import CLIPS_PER_IDENTITY
    from edtalk_server.synthetic.data.sampling import CLIP_LENGTH

    return scale.people * CLIPS_PER_IDENTITY * CLIP_LENGTH


def _wait_for_data(folders: Folders, scale: Scale, until: float, helpers: Helpers) -> bool:
    """Wait until enough is rendered to begin; return False when the time is up."""
    wanted = min(scale.first_frames, scale.frames)
    return _wait(
        until,
        lambda: rows(folders.data) >= wanted and rows(folders.holdout) >= _holdout_rows(scale),
        "waiting for rendered frames",
        helpers,
    )


def _wait_for_speech(folders: Folders, scale: Scale, until: float, helpers: Helpers) -> bool:
    if not _has_speech(scale):
        return True
    return _wait(until, lambda: _speech_done(folders), "waiting for the speech training", helpers)


def _wait(until: float, ready: Callable[[], bool], what: str, helpers: Helpers = ()) -> bool:
    """Wait until `ready`; return False when the time is up first. `EDTalkError(INTERNAL)` when a helper has failed."""
    log.info(what)
    while not ready():
        if time.monotonic() >= until:
            return False
        if any(process.poll() for process in helpers):
            raise EDTalkError(
                ErrorCode.INTERNAL,
                f"A process failed that the run depends on ({what}).",
                "Its message is at the end of helpers.log in the run's folder.",
            )
        time.sleep(1.0)
    return True


def _has_speech(scale: Scale) -> bool:
    """Return whether speech is trained: where its synthesisers are installed; elsewhere the bundle has the shipped
    network."""
    return scale.speech_minutes > 0 and all(shutil.which(program) for program in SPEECH_PROGRAMS)


def _speech_done(folders: Folders) -> bool:
    return (folders.audio / "audio_to_lip.safetensors").is_file()


# --- the end ---------------------------------------------------------------------------------------------------------


def export_bundle(folders: Folders) -> bundles.BundleManifest:
    """Write `bundle/`; beside the face, what was not trained here is the shipped bundle's."""
    manifest = export.export(
        export.Inputs(folders.out, (_shipped_parts(folders), folders.audio), folders.data), folders.bundle
    )
    size = sum(entry.size for entry in manifest.files.values())
    log.info("%s: %.1f MiB", folders.bundle, size / 2**20)
    return manifest


def _shipped_parts(folders: Folders) -> Path:
    """Copy the shipped bundle's networks beside its face into a folder like those of trainings; return it."""
    shipped, folder = bundles.load(bundles.STARTER), folders.out / "shipped_parts"
    make_folder(folder)
    for role, part in shipped.manifest.parts().items():
        if role == "face":
            continue
        file = f"{role}.safetensors"
        write_whole(folder / file, (shipped.folder / part.file).read_bytes())
        about = {"kind": part.kind, "config": dict(part.config), "file": file}
        write_whole(folder / f"{role}.json", json.dumps(about).encode())
    return folder
