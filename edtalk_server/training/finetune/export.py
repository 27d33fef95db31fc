"""Writes the new bundle: the old one with another drawing part, and a note on its origin."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from edtalk_server import bundles
from edtalk_server.bundles import Bundle
from edtalk_server.bundles.manifest import MANIFEST_FILE, BundleManifest
from shared_protocol.errors import EDTalkError, ErrorCode

NOTE_FILE = "FINE_TUNED.md"
_OWN_TERMS = "LicenseRef-filmed-person"


@dataclass(frozen=True)
class Origin:
    """How a fine-tuned bundle was made. `before` and `after` are dB (PSNR) of pictures that were not learned from."""

    clips: tuple[str, ...]
    seconds: float
    steps: int
    minutes: float
    before: float
    after: float


def check_output(bundle: Bundle, folder: Path) -> None:
    """Raise `EDTalkError(DISK)` when the new bundle would replace the one that it is made of."""
    if folder.resolve() == bundle.folder.resolve():
        raise EDTalkError(
            ErrorCode.DISK, "A fine-tuned bundle cannot replace its original.", "Name another folder with -o."
        )


def write(bundle: Bundle, folder: Path, name: str, origin: Origin) -> BundleManifest:
    """Save `bundle`, whose face network has been trained, as a new bundle. All other tensors keep their bytes."""
    networks = {role: getattr(bundle, role) for role in bundle.manifest.parts()}
    for network in networks.values():
        if isinstance(network, nn.Module):
            network.cpu()
    beside = {**_beside(bundle), NOTE_FILE: _note(bundle, origin).encode()}
    return bundles.save(folder, _manifest(bundle.manifest, name, origin), networks, _is_half(bundle), beside)


def plain_name(text: str) -> str:
    """Return a bundle's name from a folder's."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-")[:64] or "fine-tuned"


def _manifest(old: BundleManifest, name: str, origin: Origin) -> BundleManifest:
    clips = ", ".join(origin.clips)
    terms = old.licence if _OWN_TERMS in old.licence else f"{old.licence} AND {_OWN_TERMS}"
    origin_text = (
        f"Fine-tuned on {clips} ({origin.seconds:.0f} s) from {old.name} {old.version}; see {NOTE_FILE}."
    )
    return replace(
        old,
        name=plain_name(name),
        title=f"{old.title}, fine-tuned on {Path(origin.clips[0]).stem}",
        licence=terms,
        description=f"{origin_text} {old.description}".strip(),
        # what is drawn has changed and was not measured again; estimates have not changed
        statistics={key: replace(statistic, drawn=None) for key, statistic in old.statistics.items()},
        files={},
    )


def _note(bundle: Bundle, origin: Origin) -> str:
    old = bundle.manifest
    clips = "\n".join(f"* {clip}" for clip in origin.clips)
    return f"""# Fine-tuned

Made of the bundle {old.name} {old.version} ("{old.title}", {bundle.digest}) by {origin.steps} steps in
{origin.minutes:.1f} minutes on {origin.seconds:.1f} seconds of film:

{clips}

Only the part that draws was trained. Motion encoder, banks and audio network are the original's, byte for byte, so
weights mean what they meant. Pictures of the film that it did not learn from, drawn from another of its pictures:
{origin.after:.2f} dB (PSNR), {origin.before:.2f} dB before.

## Licence

The tensors keep the terms of the original ({old.licence}). They also carry the likeness of a filmed person
({_OWN_TERMS}): share and use them only as that person and whoever owns the film allow.
"""


def _beside(bundle: Bundle) -> Mapping[str, bytes]:
    """Return the files of the old folder that its manifest does not list: licence, model card, pictures."""
    own = {MANIFEST_FILE, NOTE_FILE, *bundle.manifest.files}
    paths = (path for path in bundle.folder.iterdir() if path.is_file() and path.name not in own)
    return {path.name: path.read_bytes() for path in paths if not path.name.startswith(".")}


def _is_half(bundle: Bundle) -> bool:
    """Return whether all its numbers are stored in 16 bits, so that storing them in 16 bits again loses nothing."""
    kinds = {kind for part in bundle.manifest.parts().values() for kind in _kinds(bundle.folder / part.file)}
    return kinds <= {"F16", "I64"}


def _kinds(path: Path) -> set[str]:
    """Return the types of a safetensors file's tensors, from its header."""
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return {about["dtype"] for name, about in header.items() if name != "__metadata__"}
