# SPDX-License-Identifier: GPL-3.0-or-later
"""What all other rooms of the UI use: the timer, operators that take long, the live picture, preferences."""
