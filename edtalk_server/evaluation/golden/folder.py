"""Which golden set does a folder hold? Its name makes all weights and inputs, so it is found and verified."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edtalk_server.evaluation.golden import rule
from shared_protocol.errors import EDTalkError, ErrorCode

Arrays = dict[str, npt.NDArray[np.generic]]

_ASSIGNED = re.compile(
    r"""["'`]?\bset(?:[ _-]?name)?\b["'`]?\s*[:=]\s*["'`]([^"'`\n]{1,64})["'`]""", re.IGNORECASE
)
_NAME = re.compile(r"\b[A-Z][A-Z0-9]*(?:-[A-Z0-9]+)+\b")
_TEXTS = ("*.md", "*.json", "*.txt", "*.toml", "*.yaml", "*.yml")
_BIGGEST_TEXT = 1 << 20


def vector_files(folder: Path) -> list[Path]:
    """The vector files of a folder, sorted; `EDTalkError` where there are none."""
    files = sorted(folder.glob("*.npz"))
    if not files:
        raise EDTalkError(
            ErrorCode.INTERNAL,
            f"There are no vector files (*.npz) in {folder}.",
            "Give the folder of a golden set.",
        )
    return files


def read(file: Path) -> Arrays:
    """All arrays of a vector file. Nothing is unpickled."""
    with np.load(file, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def find_set_name(folder: Path, files: list[Path]) -> str:
    """The first candidate whose generated inputs equal stored ones; `EDTalkError` where none does.

    Candidates: what a text of the folder assigns (`SET = "..."`), strings inside the vector files, names that stand
    anywhere in the texts, and names built from the files' prefix.
    """
    evidence = _evidence(files)
    tried: list[str] = []
    for name in _candidates(folder, files):
        if name in tried:
            continue
        if evidence is None or _agrees(name, evidence):
            return name
        tried.append(name)
    raise EDTalkError(
        ErrorCode.INTERNAL,
        f"The set name of {folder} was not found (tried: {', '.join(tried) or 'nothing'}).",
        "Give it with --set NAME.",
    )


def verify(name: str, files: list[Path]) -> bool:
    """Whether a set name makes the inputs that the files store; True where they store none."""
    evidence = _evidence(files)
    return evidence is None or _agrees(name, evidence)


def _candidates(folder: Path, files: list[Path]) -> Iterator[str]:
    places = [path for pattern in _TEXTS for path in sorted(folder.glob(pattern))]
    texts = [_text(path) for path in (*places, *sorted(folder.resolve().parent.glob("README*")))]
    for text in texts:
        yield from _ASSIGNED.findall(text)
    for file in files:
        yield from _strings(read(file))
    for text in texts:
        yield from _NAME.findall(text)
    for prefix in sorted({file.name.partition("_")[0].upper() for file in files}):
        yield from (f"EDTALK-{prefix}-{number}" for number in range(10))
        yield f"EDTALK-{prefix}"


def _text(path: Path) -> str:
    if not path.is_file() or path.stat().st_size > _BIGGEST_TEXT:
        return ""
    return path.read_text(encoding="utf-8", errors="replace")


def _strings(arrays: Mapping[str, npt.NDArray[np.generic]]) -> Iterator[str]:
    for array in arrays.values():
        if array.dtype.kind == "U" and array.size:
            yield from (str(text) for text in array.ravel())
        elif array.dtype.kind == "S" and array.size:
            yield from (bytes(text).decode("utf-8", "replace") for text in array.ravel())


def _evidence(files: list[Path]) -> tuple[str, npt.NDArray[np.generic]] | None:
    """A stored input by which a name can be verified: the first source picture, thinned, or the voice."""
    for kind, key in (("image", "in_source_s8"), ("voice", "wave")):
        for file in files:
            with np.load(file, allow_pickle=False) as archive:
                if key in archive.files:
                    return kind, archive[key]
    return None


def _agrees(name: str, evidence: tuple[str, npt.NDArray[np.generic]]) -> bool:
    kind, stored = evidence
    if kind == "voice":
        return bool(np.allclose(rule.voice(name, len(stored)), stored, atol=1e-5))
    made = rule.images(name, "source", 1)[:, :, ::8, ::8]
    return bool(made.shape[1:] == stored.shape[1:] and np.allclose(made, stored[:1], atol=1e-5))
