# SPDX-License-Identifier: GPL-3.0-or-later
"""Baked image sequences and what is stale in them. No bpy here."""
