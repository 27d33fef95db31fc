"""The light in which a portrait's mouth lies, estimated from its cheeks."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

IVORY = (1.0, 0.98, 0.92)
_FLESH = (0.8, 0.43, 0.42)
"""Colour of gums and tongue beside the brightness of the cheek."""
_DARK = (0.25, 0.12, 0.11)
_LIT = 1.3
"""Light of the middle of a front tooth in no shade beside that of teeth as a whole."""
_MOST = 1.15
_OWN_LIT = 1.06
"""Light of the middle of a front tooth beside what a portrait's plainest teeth have."""
_CAST = 0.45
"""What of the cheek's colour is the light's, and not the skin's."""
_LEAST_SIDE = 0.62
"""Light of the darker side of a mouth beside the lighter one, at least."""
_LUMA = (0.299, 0.587, 0.114)


class MouthLight(NamedTuple):
    """Colours [1, 3, 1, 1] in 0..1 of teeth, of gums and tongue, and of the dark behind them; `sides` [2] is how light
    the picture's left and right are, at most 1."""

    enamel: Tensor
    flesh: Tensor
    dark: Tensor
    sides: Tensor

    def with_teeth(self, colour: Tensor, sure: Tensor) -> MouthLight:
        """Return the same with teeth of a `colour` [1, 3, 1, 1] as far as that is `sure`, 0..1."""
        return self._replace(enamel=self.enamel + sure * (colour * _OWN_LIT - self.enamel))


def teeth_light(photo: Tensor, landmarks: Tensor, over_cheek: float) -> Tensor:
    """Return how bright teeth are on this photo, [1, 3, 1, 1] in 0..1: so many times as bright as the lighter cheek,
    and ivory where the photo has colour."""
    colour, grey = _cheeks(photo, landmarks)
    level = (grey.max() * over_cheek).clamp(0.3, 0.97)
    return (level * _ivory(colour[:, grey.argmax()]))[None, :, None, None]


def mouth_light(photo: Tensor, landmarks: Tensor, over_cheek: float) -> MouthLight:
    """Return the light in the mouth of a photo [1, 3, n, n] in -1..1 with `landmarks` [1, 68, 2]; `over_cheek` as for
    `teeth_light`."""
    colour, grey = _cheeks(photo, landmarks)
    cheek, level = colour[:, grey.argmax()], grey.max().clamp_min(0.2)
    cast = 1 + _CAST * (cheek / grey.max().clamp_min(0.05) - 1).clamp(-0.6, 0.6)
    warmth = _warmth(cheek)

    def tinted(flesh: tuple[float, ...]) -> Tensor:
        own = colour.new_tensor(flesh)
        plain = (own * colour.new_tensor(_LUMA)).sum()
        return (level * (plain + warmth * (own * cast - plain)))[None, :, None, None]

    lit = (grey.max() * over_cheek * _LIT).clamp(0.3, _MOST)
    enamel = (lit * _ivory(cheek) * cast)[None, :, None, None]
    sides = (grey / grey.max().clamp_min(0.05)).clamp_min(_LEAST_SIDE)
    return MouthLight(enamel, tinted(_FLESH), tinted(_DARK), sides)


def lighter_cheek(photo: Tensor, landmarks: Tensor) -> Tensor:
    """Return the colour [3] in 0..1 of the lighter cheek of a photo [1, 3, n, n] with `landmarks` [1, 68, 2]."""
    colour, grey = _cheeks(photo, landmarks)
    return colour[:, grey.argmax()]


def _cheeks(photo: Tensor, landmarks: Tensor) -> tuple[Tensor, Tensor]:
    """Return the colours [3, 2] in 0..1 of the cheeks on the picture's left and right, and their brightness [2]."""
    cheeks = torch.stack(
        [(landmarks[:, 36] + landmarks[:, 48]) / 2, (landmarks[:, 45] + landmarks[:, 54]) / 2], 1
    )
    line = torch.linspace(-0.03, 0.03, 5, device=photo.device)
    around = torch.stack(torch.meshgrid(line, line, indexing="xy"), -1).reshape(1, 1, -1, 2)
    patches = F.grid_sample(
        (photo.float() + 1) / 2,
        (cheeks[:, :, None] + around) * 2 - 1,
        padding_mode="border",
        align_corners=False,
    )
    colour = patches.median(3).values[0]
    return colour, (colour * colour.new_tensor(_LUMA)[:, None]).sum(0)


def _ivory(cheek: Tensor) -> Tensor:
    """Return the colour of teeth [3] in white light: grey in a photo without colour."""
    return 1 + _warmth(cheek) * (cheek.new_tensor(IVORY) - 1)


def _warmth(cheek: Tensor) -> Tensor:
    """Return 0 for a photo without colour and 1 for one of skin, from its cheek [3]."""
    return ((cheek.amax() - cheek.amin()) / cheek.amax().clamp_min(0.05) / 0.3).clamp(0, 1)
