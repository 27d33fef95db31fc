# SPDX-License-Identifier: GPL-3.0-or-later
"""Poses: values of some bases by their identifiers, as text that goes through the clipboard and into assets. No bpy.

Identifiers are stable between versions of a bundle, so a pose fits every character whose bundle knows its names.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

from shared_protocol.errors import EDTalkError, ErrorCode

KIND = "edtalk_pose"
VERSION = 1
_FIX = "Copy a pose from an EDTalk character first."


def to_text(pose: Mapping[str, float]) -> str:
    """A pose as text."""
    weights = {name: round(float(value), 6) for name, value in pose.items()}
    return json.dumps({KIND: VERSION, "weights": weights})


def from_text(text: str) -> dict[str, float]:
    """The pose in a text of `to_text`. Raises `EDTalkError` when it holds none."""
    try:
        content = json.loads(text)
        version, weights = content[KIND], content["weights"]
        pose = {str(name): float(value) for name, value in weights.items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise EDTalkError(ErrorCode.UNSUPPORTED, "The clipboard holds no pose.", _FIX) from error
    if version != VERSION or not all(math.isfinite(value) for value in pose.values()):
        raise EDTalkError(
            ErrorCode.UNSUPPORTED, "The clipboard holds a pose that this version cannot read.", _FIX
        )
    return pose
