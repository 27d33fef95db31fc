# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes: baked image sequences that know what each of their frames was made from. No bpy here."""

from .bake_order import in_order
from .take import MANIFEST, Take
from .take_folders import TakeUsage, choose_to_delete, folder_name, new_folder, run_to_show, runs, takes_in
from .take_format import NEW_SIZE, OLD_SIZE, TakeFormat, frame_hash

__all__ = [
    "MANIFEST",
    "NEW_SIZE",
    "OLD_SIZE",
    "Take",
    "TakeFormat",
    "TakeUsage",
    "choose_to_delete",
    "folder_name",
    "frame_hash",
    "in_order",
    "new_folder",
    "run_to_show",
    "runs",
    "takes_in",
]
