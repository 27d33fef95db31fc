# SPDX-License-Identifier: GPL-3.0-or-later
"""Words: what is said, how it is translated, how it is wrapped. No bpy here."""
