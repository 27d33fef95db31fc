# SPDX-License-Identifier: GPL-3.0-or-later
"""The server as the add-on sees it: its process, the connection, what is asked of it. No bpy here."""
