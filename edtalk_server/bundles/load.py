"""Open a bundle folder: check it against its manifest and build its networks."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import safetensors

from edtalk_server.arrays import Floats
from edtalk_server.bundles import foreign_files, kinds
from edtalk_server.bundles.manifest import MANIFEST_FILE, ROLES, BundleManifest, FileEntry, invalid
from shared_protocol import paths
from shared_protocol.banks import Bank, BankLayout

if TYPE_CHECKING:  # a program that reads manifests alone starts without torch
    from torch import Tensor, nn

    from edtalk_server.networks.interface import FaceNetwork

STARTER = "starter"
_WIDENED = 4
"""How many times larger than its file a network may be: files may hold half floats."""
MOST_MANIFEST_BYTES = 4 * 1024**2
"""Bytes of `bundle.json`; the starter's has 15 kB."""


@dataclass(frozen=True)
class Bundle:
    """An opened bundle. Networks are on the CPU, in float32, in evaluation mode; `digest` is its identity."""

    manifest: BundleManifest
    layout: BankLayout
    digest: str
    folder: Path
    face: FaceNetwork
    lip_pose: FaceNetwork | None = None
    audio_to_lip: Any = None
    landmarks: Any = None
    audio_to_pose: Any = None
    semantics: Any = None
    sync: Any = None

    @property
    def pose_map(self) -> Floats | None:
        """Return the change of each pose weight for one unit of each natural movement [pose, 6]; None: not measured."""
        rows = self.manifest.pose_map
        return None if rows is None else np.array(rows, np.float32)


def find(name: str | Path) -> Path:
    """Return the folder of a bundle: a path, the name of the shipped one (`starter`), or the name of an installed
    one."""
    shipped, path = Path(__file__).parent / str(name), Path(name)
    if str(name) == STARTER and (shipped / MANIFEST_FILE).is_file():
        return shipped
    installed = paths.bundles_dir() / path.name
    is_plain = str(name) == path.name and not path.exists()
    return installed if is_plain and (installed / MANIFEST_FILE).is_file() else path


def read_manifest(name: str | Path = STARTER) -> tuple[BundleManifest, str]:
    """Return the manifest and digest of a bundle, without its networks."""
    path = find(name) / MANIFEST_FILE
    try:
        data = foreign_files.read(path, MOST_MANIFEST_BYTES)
    except OSError as error:
        if str(name) == STARTER:
            raise invalid(
                "The starter bundle is missing from this installation.", "Install the server again."
            ) from error
        raise invalid(
            f"There is no bundle at {path.parent} ({MANIFEST_FILE} cannot be read).",
            "Give the path of a folder that holds bundle.json.",
        ) from error
    return BundleManifest.from_json(data), hashlib.sha256(data).hexdigest()


def load(name: str | Path = STARTER) -> Bundle:
    """Open a bundle by path or name. Raises `EDTalkError(BUNDLE_INVALID)` that names the file, field or tensor at
    fault.
    """
    manifest, digest = read_manifest(name)
    folder = find(name)
    networks: dict[str, Any] = {
        role: _network(role, manifest, verified_bytes(folder / part.file, manifest.files[part.file]))
        for role, part in manifest.parts().items()
    }
    _check_face(manifest, networks["face"])
    return Bundle(
        manifest=manifest,
        layout=manifest.layout,
        digest=digest,
        folder=folder,
        face=cast("FaceNetwork", networks["face"]),
        lip_pose=cast("FaceNetwork | None", networks.get("lip_pose")),
        **{role: networks.get(role) for role in ROLES[2:]},
    )


def verified_bytes(path: Path, entry: FileEntry) -> bytes:
    """Return the bytes of a listed file, checked against its size and SHA-256."""
    try:
        foreign_files.check(path)
        if (size := path.stat().st_size) != entry.size:
            raise invalid(f"{path.name} has {size} bytes instead of {entry.size}.")
        data = foreign_files.read(path, entry.size)
    except OSError as error:
        raise invalid(f"The bundle's file {path.name} cannot be read.") from error
    if hashlib.sha256(data).hexdigest() != entry.sha256:
        raise invalid(f"{path.name} was changed: its SHA-256 is not the one in {MANIFEST_FILE}.")
    return data


def _network(role: str, manifest: BundleManifest, data: bytes) -> nn.Module:
    from safetensors.torch import load as parse_safetensors

    part = manifest.parts()[role]
    try:
        tensors = parse_safetensors(data)
    except safetensors.SafetensorError as error:
        raise invalid(f"{part.file} is not a safetensors file: {error}.") from error
    network = kinds.build(role, part, _WIDENED * len(data))
    load_exactly(network, tensors, part.file)
    return network.eval().requires_grad_(False)


def load_exactly(network: nn.Module, tensors: Mapping[str, Tensor], origin: str) -> None:
    """Fill `network` with exactly its tensors, widened to its own types. Raises `EDTalkError(BUNDLE_INVALID)` that
    names a missing, surplus or unsuitable one."""
    import torch

    expected, stored_types = network.state_dict(), (torch.float32, torch.float16, torch.int64)
    for name in expected:
        if name not in tensors:
            raise invalid(f"{origin}: the tensor {name} is missing.")
    for name, tensor in tensors.items():
        if name not in expected:
            raise invalid(f"{origin}: the tensor {name} does not belong to this network.")
        if tensor.shape != expected[name].shape:
            shapes = f"{list(tensor.shape)} instead of {list(expected[name].shape)}"
            raise invalid(f"{origin}: the tensor {name} has the shape {shapes}.")
        if (
            tensor.dtype not in stored_types
            or tensor.is_floating_point() != expected[name].is_floating_point()
        ):
            raise invalid(f"{origin}: the tensor {name} has the type {tensor.dtype}, which is not allowed.")
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise invalid(f"{origin}: the tensor {name} has values that are not finite.")
    network.load_state_dict({name: tensor.to(expected[name].dtype) for name, tensor in tensors.items()})


def _check_face(manifest: BundleManifest, face: Any) -> None:
    sizes = tuple(part.stop - part.start for part in (manifest.layout.slice_of(bank) for bank in Bank))
    if sizes != tuple(face.bank_sizes):
        raise invalid(f"The bundle names {sizes} bases, but its face network has {tuple(face.bank_sizes)}.")
    if face.size != manifest.size:
        raise invalid(f"The bundle's size is {manifest.size}, but its face network makes {face.size} pixels.")
