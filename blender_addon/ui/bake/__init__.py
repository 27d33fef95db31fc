# SPDX-License-Identifier: GPL-3.0-or-later
"""Bake frames, and look after takes."""
