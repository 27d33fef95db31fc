# SPDX-License-Identifier: GPL-3.0-or-later
"""Final renders show baked frames."""
