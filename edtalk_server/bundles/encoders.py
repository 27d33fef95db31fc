"""The encoders of the paper's reading of feelings, fetched when somebody asks for them: HuBERT and EmoBERTa.

Nobody publishes their hashes, so a catalogue cannot have them: the first fetch is trusted. It tells the hashes and
keeps them in `encoders.json`; from then on nothing else is taken, here or wherever that file is laid beside. Weights
come as pickles; they are opened without running any code in them, and kept as safetensors.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edtalk_server.bundles.catalogue import checked_address
from edtalk_server.bundles.download import digest_of, receive, size_of
from edtalk_server.bundles.manifest import FileEntry, invalid
from edtalk_server.media.steps import Step, Steps
from edtalk_server.media.video.sequence import make_folder
from shared_protocol import atomic_write
from shared_protocol.errors import EDTalkError, ErrorCode

if TYPE_CHECKING:  # the command line says what it can do before torch is loaded
    from torch import Tensor

RECORD = "encoders.json"
"""The file of hashes in the folder of the encoders."""
SITE = "https://huggingface.co"
_PICKLE, _WEIGHTS = "pytorch_model.bin", "model.safetensors"
_ANEW = "Fetch into an empty folder if you trust the new files."


@dataclass(frozen=True)
class Encoder:
    """An encoder in a folder of this `name`: its `title`, `licence`, the place of its files on the site, and these."""

    name: str
    title: str
    licence: str
    place: str
    files: tuple[str, ...]


ENCODERS = (
    Encoder(
        "hubert",
        "HuBERT large (facebook/hubert-large-ll60k)",
        "Apache-2.0",
        "facebook/hubert-large-ll60k/resolve/ff022d095678a2995f3c49bab18a96a9e553f782",
        ("config.json", _PICKLE),
    ),
    Encoder(
        "roberta",
        "EmoBERTa base (tae898/emoberta-base)",
        "MIT",
        "tae898/emoberta-base/resolve/main",
        ("config.json", "vocab.json", "merges.txt", _PICKLE),
    ),
)


def fetch_encoders(folder: Path, mirror: str = "") -> Steps[dict[str, FileEntry]]:
    """Fetch what is missing of both encoders into `folder`, and return the record: each file's hash and size by its
    path. `mirror` replaces the site's address.

    Raises `EDTalkError`: DOWNLOAD_FAILED, DISK, and BUNDLE_INVALID where a file is not that of the record.
    """
    site = checked_address(mirror) if mirror else SITE
    known = record(folder)
    for encoder in ENCODERS:
        make_folder(folder / encoder.name)
        for file in encoder.files:
            yield from _have(folder, f"{encoder.name}/{file}", f"{site}/{encoder.place}/{file}", known)
    check(folder)
    return known


def record(folder: Path) -> dict[str, FileEntry]:
    """Return the hashes that a folder keeps to; none before its first fetch. Raises `EDTalkError(BUNDLE_INVALID)`."""
    path = folder / RECORD
    if not path.is_file():
        return {}
    try:
        values = json.loads(path.read_text("utf-8"))
        return {str(name): FileEntry(str(one["sha256"]), int(one["size"])) for name, one in values.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise invalid(f"{path} cannot be read ({error}).", _ANEW) from error


def check(folder: Path) -> None:
    """Raise `EDTalkError(BUNDLE_INVALID)` where a file is not that of the folder's record; a folder without one, which
    somebody filled by hand, is taken as it is."""
    for name, entry in record(folder).items():
        path = folder / name
        if path.name == _PICKLE:  # was turned into safetensors, which has a hash of its own
            continue
        if not path.is_file():
            raise invalid(f"{path} is missing.", "Fetch the encoders again: `edtalk bundle encoders`.")
        found = _entry_of(path)
        if found.sha256 != entry.sha256:
            raise _another(path, found.sha256, entry)


def _have(folder: Path, name: str, url: str, known: dict[str, FileEntry]) -> Steps[None]:
    path = folder / name
    final = path.with_name(_WEIGHTS) if path.name == _PICKLE else path
    if name in known and final.is_file():
        return
    size = known[name].size if name in known else size_of(url)
    partial = path.with_name(f"{path.name}.part")
    yield from receive(url, partial, size, 0, size)
    digest = yield from digest_of(partial, 0, size)
    if name in known and digest != known[name].sha256:
        partial.unlink()
        raise _another(path, digest, known[name])
    known[name] = FileEntry(digest, size)
    partial.replace(path)
    if final != path:
        yield Step(0, 0, f"writing {final.name}")
        _write_weights(path, final)
        known[f"{name.rpartition('/')[0]}/{final.name}"] = _entry_of(final)
    _write(folder, known)


def _write_weights(pickled: Path, path: Path) -> None:
    from safetensors.torch import save_file

    from edtalk_server.bundles.official import tensors_of

    with atomic_write.replacing(path) as partial:
        save_file(with_pooler(tensors_of(pickled)), partial, {"format": "pt"})
    pickled.unlink()


def with_pooler(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of a RoBERTa that tells classes with the layer on its first token as its pooler: both are 768
    numbers and a tanh, and without one that was trained `transformers` would draw another by lot each time."""
    if any(".pooler." in f".{name}" for name in tensors):
        return tensors
    layer = {
        name.replace("classifier.", "roberta.pooler."): value
        for name, value in tensors.items()
        if name.startswith("classifier.dense.")
    }
    return tensors | {name: value.clone() for name, value in layer.items()}


def _entry_of(path: Path) -> FileEntry:
    with path.open("rb") as file:
        return FileEntry(hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size)


def _write(folder: Path, known: Mapping[str, FileEntry]) -> None:
    values = {name: asdict(entry) for name, entry in sorted(known.items())}
    atomic_write.write(folder / RECORD, (json.dumps(values, indent=1) + "\n").encode())


def _another(path: Path, digest: str, entry: FileEntry) -> EDTalkError:
    return EDTalkError(
        ErrorCode.BUNDLE_INVALID,
        f"{path} is another file than at the first fetch: its SHA-256 is {digest}, not {entry.sha256}.",
        _ANEW,
    )
