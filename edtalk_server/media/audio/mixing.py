"""From several channels to one voice, without losing it.

Channels are averaged. Those that are silent beside the others do not count: a recorder with ten tracks of which one
speaks gives that one. Where channels cancel each other out (one is the other's negative, as from a wrongly wired
microphone), the loudest is taken alone.
"""

from __future__ import annotations

import numpy as np

from edtalk_server.arrays import Doubles, Floats

_SILENT = 1e-4
"""Energy of a silent channel, at most, in energies of the loudest: 40 dB below it."""
_CANCELLED = 0.25
"""Energy of a mix that has lost its voice, in energies that channels without any relation would have together."""


class Mixer:
    """Averages blocks of channels, and learns on the way whether that was right."""

    def __init__(self, channels: int) -> None:
        self._energies: Doubles = np.zeros(channels)
        self._mixed = 0.0

    def add(self, block: Floats) -> Floats:
        """Return a block [n, channels] averaged, [n]."""
        mixed: Floats = block.mean(axis=1, dtype=np.float32)
        self._energies += np.einsum("nc,nc->c", block, block, dtype=np.float64)
        self._mixed += float(np.dot(mixed.astype(np.float64), mixed))
        return mixed

    def again(self, block: Floats) -> Floats:
        """Return a block [n, channels] mixed by what is known now, [n]."""
        if self.loudest is not None:
            return block[:, self.loudest]
        mixed: Floats = block.mean(axis=1, dtype=np.float32)
        return mixed * np.float32(self.gain)

    @property
    def gain(self) -> float:
        """By what the average must be multiplied, because silent channels do not count."""
        return len(self._energies) / max(1, self._sounding)

    @property
    def loudest(self) -> int | None:
        """The channel to take alone; None where the average holds the voice."""
        expected = float(self._energies.sum()) / max(1, self._sounding) ** 2
        is_lost = self._mixed * self.gain**2 < _CANCELLED * expected
        return int(self._energies.argmax()) if is_lost else None

    @property
    def _sounding(self) -> int:
        return int((self._energies > _SILENT * self._energies.max()).sum())
