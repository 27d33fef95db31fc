# SPDX-License-Identifier: GPL-3.0-or-later
"""Basis weights: layouts, curves, mixing, poses, emotions. No bpy here."""
