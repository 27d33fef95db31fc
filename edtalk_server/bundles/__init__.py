"""Model bundles: a folder with `bundle.json` and safetensors files. The format is in docs/bundles.md.

Rule of this package: only `official` unpickles, with an allow-list; everything that is read is checked against the
manifest, and the fault is named.
"""

from edtalk_server.bundles.load import STARTER, Bundle, load
from edtalk_server.bundles.manifest import BundleManifest, NetworkPart
from edtalk_server.bundles.save import save

__all__ = ["STARTER", "Bundle", "BundleManifest", "NetworkPart", "load", "save"]
