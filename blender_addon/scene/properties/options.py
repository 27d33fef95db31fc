# SPDX-License-Identifier: GPL-3.0-or-later
"""What the declarations of all properties share."""

from __future__ import annotations

OVERRIDABLE = {"LIBRARY_OVERRIDABLE"}
"""A property that a library override may change."""
