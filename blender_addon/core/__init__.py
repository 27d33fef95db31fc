# SPDX-License-Identifier: GPL-3.0-or-later
"""What needs no Blender: the server's process, the client, takes, layouts, tasks. Never imports bpy."""
