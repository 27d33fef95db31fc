# SPDX-License-Identifier: GPL-3.0-or-later
"""The character's properties as Blender knows them (`ob.edtalk`), which are saved with the .blend."""
