# SPDX-License-Identifier: GPL-3.0-or-later
"""Poses of a character, and poses as assets."""
