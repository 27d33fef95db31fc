# SPDX-License-Identifier: GPL-3.0-or-later
"""Performances from a voice, a transcript or a video."""
