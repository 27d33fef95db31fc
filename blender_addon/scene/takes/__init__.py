# SPDX-License-Identifier: GPL-3.0-or-later
"""Where takes lie on disk, and how a character bakes into them."""
