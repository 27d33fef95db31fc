# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a character from a portrait, and look after the portrait."""
