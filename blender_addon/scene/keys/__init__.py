# SPDX-License-Identifier: GPL-3.0-or-later
"""Weights as Blender keeps them: actions, NLA layers, drafts, and their values over time."""
