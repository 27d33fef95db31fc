"""Give a bundle the painters that were trained for its face network.

`python -m edtalk_server.training.detail.export --bundle starter --run runs/detail -o my_bundle`
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from edtalk_server import bundles
from edtalk_server.bundles import Bundle, BundleManifest
from edtalk_server.bundles.load import load_exactly
from edtalk_server.networks.compact import CompactNetwork
from edtalk_server.networks.detail.network import DetailNetwork
from edtalk_server.training.detail.stage import CHECKPOINT, new_network
from edtalk_server.training.loop import checkpoint
from shared_protocol.errors import EDTalkError, ErrorCode


def trained(run: Path) -> DetailNetwork:
    """Return the averaged painters of a run's folder. `EDTalkError(NOT_READY)` where there are none."""
    path = run / CHECKPOINT
    if not path.is_file():
        raise EDTalkError(
            ErrorCode.NOT_READY,
            f"There is no checkpoint {path}.",
            "Train the painters first: `python -m edtalk_server.training.detail.stage`.",
        )
    network = new_network()
    load_exactly(network, checkpoint.load(path)["average"], str(path))
    return network.eval().requires_grad_(requires_grad=False)


def mouth_only(detail: DetailNetwork) -> DetailNetwork:
    """Return the same painters without the one for eyes."""
    less = new_network(replace(detail.config, eye_channels=None))
    less.load_state_dict(
        {name: value for name, value in detail.state_dict().items() if not name.startswith("eye.")}
    )
    return less.eval().requires_grad_(requires_grad=False)


def with_detail(face: CompactNetwork, detail: DetailNetwork) -> CompactNetwork:
    """Return the same face network with these painters (in the place of others, if it has any)."""
    whole = CompactNetwork(replace(face.config, detail=detail.config))
    tensors = {name: value for name, value in face.state_dict().items() if not name.startswith("detail.")}
    tensors |= {f"detail.{name}": value for name, value in detail.state_dict().items()}
    load_exactly(whole, tensors, "the painters")
    return whole.eval().requires_grad_(requires_grad=False)


def export(bundle: Bundle, detail: DetailNetwork, folder: Path, version: str = "") -> BundleManifest:
    """Write `bundle` with the painters to `folder`; all other tensors keep their values.

    Raises `EDTalkError`: UNSUPPORTED (its face network is not compact), DISK.
    """
    if not isinstance(bundle.face, CompactNetwork):
        raise EDTalkError(
            ErrorCode.UNSUPPORTED,
            f"Face networks of the kind {bundle.manifest.face.kind!r} have no painters.",
            "Use the starter bundle or one that was fine-tuned from it.",
        )
    face = with_detail(bundle.face, detail)
    part = replace(bundle.manifest.face, config=face.config.to_dict())
    manifest = replace(bundle.manifest, face=part, version=version or bundle.manifest.version, files={})
    networks = {role: getattr(bundle, role) for role in bundle.manifest.parts()} | {"face": face}
    return bundles.save(folder, manifest, networks, half=True, extra_files=_beside(bundle))


def _beside(bundle: Bundle) -> Mapping[str, bytes]:
    """Return the files of a bundle's folder that its manifest does not list: licence, model card, pictures."""
    own = {"bundle.json", *bundle.manifest.files}
    return {path.name: path.read_bytes() for path in bundle.folder.iterdir() if path.name not in own}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", default="starter", help="folder or shipped name (default: starter)")
    parser.add_argument("--run", type=Path, required=True, help="folder of the painters' training")
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder of the new bundle")
    parser.add_argument("--version", default="", help="of the new bundle (default: as it was)")
    parser.add_argument("--mouth-only", action="store_true", help="leave the painter of eyes out")
    options = parser.parse_args(arguments)
    detail = mouth_only(trained(options.run)) if options.mouth_only else trained(options.run)
    export(bundles.load(options.bundle), detail, options.out, options.version)


if __name__ == "__main__":
    main()
