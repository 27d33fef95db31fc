"""Write a bundle folder, all or nothing."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edtalk_server.bundles.manifest import FORMAT, MANIFEST_FILE, BundleManifest, FileEntry, invalid
from shared_protocol.errors import EDTalkError, ErrorCode

if TYPE_CHECKING:
    from torch import nn


def save(
    folder: str | Path,
    manifest: BundleManifest,
    networks: Mapping[str, nn.Module],
    half: bool = False,
    extra_files: Mapping[str, bytes] | None = None,
) -> BundleManifest:
    """Write `networks` (by role: `face`, `audio_to_lip`, ...) and the manifest to `folder`, and return the manifest
    with the files' sizes and hashes.

    With `half` the tensors are stored as float16. `extra_files` (model card, licence text) are written beside them.
    The folder appears complete or not at all. An older bundle is replaced, except for files that are not its own; a
    folder that is not a bundle is left alone. Raises `EDTalkError`: DISK, BUNDLE_INVALID.
    """
    target = Path(folder).absolute()
    _refuse_foreign(target)
    contents = {part.file: _packed(networks[role], half) for role, part in manifest.parts().items()}
    entries = {n: FileEntry(hashlib.sha256(data).hexdigest(), len(data)) for n, data in contents.items()}
    complete = BundleManifest.from_dict(replace(manifest, files=entries).to_dict())
    contents[MANIFEST_FILE] = complete.to_json().encode()
    try:
        _write_folder(target, {**(extra_files or {}), **contents})
    except OSError as error:
        raise EDTalkError(
            ErrorCode.DISK, f"The bundle could not be written to {target}: {error}.", "Choose another folder."
        ) from error
    return complete


def _packed(network: nn.Module, half: bool) -> bytes:
    import torch
    from safetensors.torch import save as to_safetensors

    tensors = {}
    for name, tensor in network.state_dict().items():
        stored = tensor.detach().cpu().contiguous()
        if not stored.is_floating_point():
            tensors[name] = stored
            continue
        tensors[name] = stored.to(torch.float16 if half else torch.float32)
        if not bool(torch.isfinite(tensors[name]).all()):
            raise invalid(f"The tensor {name} does not fit in {tensors[name].dtype}.", "Save in float32.")
    return bytes(to_safetensors(tensors))


def _refuse_foreign(target: Path) -> None:
    empty = not target.exists() or (target.is_dir() and not any(target.iterdir()))
    if not empty and not _is_bundle(target):
        raise EDTalkError(
            ErrorCode.DISK, f"{target} exists and is not a bundle.", "Choose a new or an empty folder."
        )


def _is_bundle(folder: Path) -> bool:
    """Return whether a folder's `bundle.json` is ours, of any version (other programs use the name, too)."""
    try:
        values = json.loads((folder / MANIFEST_FILE).read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(values, dict) and values.get("format") == FORMAT


def _write_folder(target: Path, contents: Mapping[str, bytes]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as scratch:
        fresh = Path(scratch) / "new"
        fresh.mkdir()
        for name, data in contents.items():
            (fresh / name).write_bytes(data)
        if not target.exists():
            fresh.rename(target)
            return
        old = target.rename(Path(scratch) / "old")
        try:
            _keep_foreign(old, fresh)
            fresh.rename(target)
        except OSError:
            old.rename(target)
            raise


def _keep_foreign(old: Path, fresh: Path) -> None:
    """Copy files that somebody has put beside a bundle's own into its new folder."""
    if not (old / MANIFEST_FILE).exists():
        return  # it was empty
    own = {MANIFEST_FILE, *json.loads((old / MANIFEST_FILE).read_bytes()).get("files", ())}
    for path in old.iterdir():
        if path.name not in own and not (fresh / path.name).exists():
            copy = shutil.copytree if path.is_dir() else shutil.copy2
            copy(path, fresh / path.name)
