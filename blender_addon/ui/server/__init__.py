# SPDX-License-Identifier: GPL-3.0-or-later
"""The server and its model bundles."""
