# SPDX-License-Identifier: GPL-3.0-or-later
"""Words for people: translated, and wrapped to a width. No bpy here."""
