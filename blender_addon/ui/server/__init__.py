# SPDX-License-Identifier: GPL-3.0-or-later
"""The server and its model bundles."""

from __future__ import annotations

from ..room import Room
from . import bundle_operators, install_operator, server_operators, server_panel

ROOM = Room(
    classes=(
        *server_operators.CLASSES,
        *bundle_operators.CLASSES,
        *install_operator.CLASSES,
        *server_panel.CLASSES,
    ),
    modules=(bundle_operators, install_operator),
)
