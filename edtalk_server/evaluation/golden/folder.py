"""The golden set of a folder: its name generates all weights and inputs, so it is looked up and verified."""

from __future__ import annotations

import logging
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edtalk_server.evaluation.golden import rule
from shared_protocol.errors import EDTalkError, ErrorCode

logger = logging.getLogger(__name__)

Arrays = dict[str, npt.NDArray[np.generic]]
Evidence = tuple[str, npt.NDArray[np.generic]]

_ASSIGNED = re.compile(
    r"""["'`]?\bset(?:[ _-]?name)?\b["'`]?\s*[:=]\s*["'`]([^"'`\n]{1,64})["'`]""", re.IGNORECASE
)
_NAME = re.compile(r"\b[A-Z][A-Z0-9]*(?:-[A-Z0-9]+)+\b")
_TEXTS = ("*.md", "*.json", "*.txt", "*.toml", "*.yaml", "*.yml")
_BIGGEST_TEXT = 1 << 20


def vector_files(folder: Path) -> list[Path]:
    """Return the vector files of a folder, sorted. Raises `EDTalkError` where there are none."""
    files = sorted(folder.glob("*.npz"))
    if not files:
        raise EDTalkError(
            ErrorCode.INTERNAL,
            f"There are no vector files (*.npz) in {folder}.",
            "Give the folder of a golden set.",
        )
    return files


def read(file: Path) -> Arrays:
    """Return all arrays of a vector file; nothing is unpickled. Raises `EDTalkError` where it cannot be read."""
    try:
        # Opened here, because NumPy leaves a file open that turns out to be damaged.
        with file.open("rb") as data, np.load(data, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise EDTalkError(
            ErrorCode.INTERNAL, f"{file.name} cannot be read ({error}).", "Copy the golden set again."
        ) from error


def find_set_name(folder: Path, files: list[Path]) -> str:
    """Return the first candidate whose generated inputs equal stored ones. Raises `EDTalkError` where none does.

    Candidates: names assigned in a text of the folder (`SET = "..."`), strings inside the vector files, names
    anywhere in the texts, and names built from the files' prefix. Where no input is stored, only an assigned name is
    taken.
    """
    evidence = _evidence(files)
    texts = _texts(folder)
    tried: list[str] = []
    for name in _assigned(texts, files) if evidence is None else _candidates(texts, files):
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
    """Return whether a set name generates the inputs that the files store; True where they store none."""
    evidence = _evidence(files)
    return evidence is None or _agrees(name, evidence)


def _texts(folder: Path) -> list[str]:
    places = [path for pattern in _TEXTS for path in sorted(folder.glob(pattern))]
    return [_text(path) for path in (*places, *sorted(folder.resolve().parent.glob("README*")))]


def _assigned(texts: list[str], files: list[Path]) -> Iterator[str]:
    for text in texts:
        yield from _ASSIGNED.findall(text)
    for arrays in _readable(files):
        yield from _strings(arrays)


def _candidates(texts: list[str], files: list[Path]) -> Iterator[str]:
    yield from _assigned(texts, files)
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
            yield from (text.decode("utf-8", "replace") for text in array.ravel().tolist())


def _evidence(files: list[Path]) -> Evidence | None:
    """Return a stored input that can verify a name."""
    for key in _AGREEMENTS:
        for arrays in _readable(files):
            if key in arrays and arrays[key].ndim and arrays[key].size:
                return key, arrays[key]
    return None


def _readable(files: list[Path]) -> Iterator[Arrays]:
    """Yield the readable files: a damaged one is reported in its turn and must not hide the others."""
    for file in files:
        try:
            yield read(file)
        except EDTalkError as error:
            logger.info("%s", error.cause)


def _agrees(name: str, evidence: Evidence) -> bool:
    key, stored = evidence
    computed = _AGREEMENTS[key](name, stored.shape)
    return bool(computed.shape == stored.shape and np.allclose(computed, stored, atol=1e-5))


def _source_picture(name: str, shape: tuple[int, ...]) -> npt.NDArray[np.generic]:
    return rule.images(name, "source", shape[0])[:, :, ::8, ::8]


# The stored quantities that the set's name alone generates, and how.
_AGREEMENTS: dict[str, Callable[[str, tuple[int, ...]], npt.NDArray[np.generic]]] = {
    "in_source_s8": _source_picture,
    "wave": lambda name, shape: rule.voice(name, shape[0]),
    "formula_windows": lambda name, shape: rule.mel_windows(name, shape[0]),
}
