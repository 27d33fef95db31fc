# SPDX-License-Identifier: GPL-3.0-or-later
"""What a character hears and says: the sequencer, its sound, the transcript, emotion cues."""
