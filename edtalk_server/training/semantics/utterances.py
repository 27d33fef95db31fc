"""Utterances of people who were filmed, as the paper's reading of feelings learns from them (section 3.3, Eq. 7).

Of each clip of a cache: HuBERT's feature of its sound, RoBERTa's of its transcript where there is one, and the mean
expression weights W^e that the frozen face bundle reads. All three are computed once, and kept.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edtalk_server.arrays import Bools, Floats
from edtalk_server.engine import Engine
from edtalk_server.media.audio.voice import load_voice
from edtalk_server.networks.voice.hubert_roberta import HubertRoberta
from edtalk_server.training.datasets.film.cache import ClipRecord, FilmCache, StoredClip
from shared_protocol import atomic_write, transcripts
from shared_protocol.banks import Bank
from shared_protocol.errors import EDTalkError, ErrorCode

log = logging.getLogger(__name__)

_ENDINGS = (".txt", ".srt", ".vtt")
_READ_EVERY = 5
"""Frames between two that the face is read in: a mean needs no more."""
_BATCH = 64
_TOLD_EVERY = 50


@dataclass(frozen=True)
class Utterances:
    """Features [N, ·] of sound and text, which of them are there [N], and the expression weights [N, outputs]."""

    sound: Floats
    text: Floats
    has_text: Bools
    expression: Floats

    def __len__(self) -> int:
        return len(self.sound)

    def part(self, chosen: slice) -> Utterances:
        """Return some of them."""
        return Utterances(
            self.sound[chosen], self.text[chosen], self.has_text[chosen], self.expression[chosen]
        )


def read(
    cache: Path,
    transcript_folder: Path | None,
    engine: Engine,
    network: HubertRoberta,
    out: Path,
) -> Utterances:
    """Return the utterances of a cache's clips with sound; those that `out` holds already are not computed again.

    A clip's transcript is the file of its name (`M003/video/front/happy/level_3/001.txt`, .srt or .vtt) in
    `transcript_folder`. Raises `EDTalkError(NOT_READY)` where no clip has sound.
    """
    spoken = {path: clip for path, clip in FilmCache(cache).records().items() if clip.has_sound}
    if not spoken:
        raise EDTalkError(
            ErrorCode.NOT_READY,
            f"No clip of {cache} has sound.",
            "Prepare film with sound, or its sound beside it.",
        )
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    for number, (path, record) in enumerate(spoken.items()):
        text = _transcript(record, transcript_folder)
        kept = out / f"{_key(path, text, engine)}.npz"
        if not kept.is_file():
            _keep(kept, _utterance(path, record, text, engine, network))
        with np.load(kept, allow_pickle=False) as data:
            rows.append([data[name] for name in Utterances.__dataclass_fields__])
        if number % _TOLD_EVERY == _TOLD_EVERY - 1:
            log.info("%d of %d clips read", number + 1, len(spoken))
    return Utterances(*(np.stack(column) for column in zip(*rows, strict=True)))


def _key(path: Path, text: str, engine: Engine) -> str:
    stamp = (path / "clip.json").read_bytes() + text.encode() + engine.bundle.digest.encode()
    return f"{path.name}-{hashlib.sha256(stamp).hexdigest()[:12]}"


def _keep(path: Path, values: tuple[Floats, Floats, Bools, Floats]) -> None:
    with atomic_write.replacing(path) as partial, partial.open("wb") as file:
        arrays: dict[str, Any] = dict(zip(Utterances.__dataclass_fields__, values, strict=True))
        np.savez(file, **arrays)


def _utterance(
    path: Path, record: ClipRecord, text: str, engine: Engine, network: HubertRoberta
) -> tuple[Floats, Floats, Bools, Floats]:
    sound = network.sound_feature(load_voice(path / "voice.flac").samples).numpy()
    words = network.text_feature(text).numpy() if text else np.zeros(network.config.text, np.float32)
    return sound, words, np.array(bool(text)), _expression(path, record, engine)


def _expression(path: Path, record: ClipRecord, engine: Engine) -> Floats:
    """Return the mean expression weights [outputs] over a clip."""
    clip = StoredClip(path)
    frames = [number for first, stop, _ in record.runs for number in range(first, stop, _READ_EVERY)]
    read = [engine.estimate(pictures) for pictures in _pictures(clip, frames, engine.size)]
    weights = np.concatenate(read)[:, engine.bundle.layout.slice_of(Bank.EXPRESSION)]
    return np.asarray(weights.mean(axis=0), np.float32)


def _pictures(clip: StoredClip, frames: list[int], side: int) -> Iterator[np.ndarray]:
    for begin in range(0, len(frames), _BATCH):
        pictures = clip.pictures(frames[begin : begin + _BATCH])
        yield np.stack([cv2.resize(one, (side, side), interpolation=cv2.INTER_AREA) for one in pictures])


def _transcript(record: ClipRecord, folder: Path | None) -> str:
    """Return what a clip says; nothing where no file tells."""
    if folder is None:
        return ""
    for ending in _ENDINGS:
        path = (folder / record.name).with_suffix(ending)
        if path.is_file():
            return transcripts.parse(transcripts.decode(path.read_bytes()), path.name).speech
    log.info("%s has no transcript", record.name)
    return ""
