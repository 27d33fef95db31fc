# SPDX-License-Identifier: GPL-3.0-or-later
"""The weights: sliders, keys, emotions, and where keys go."""
