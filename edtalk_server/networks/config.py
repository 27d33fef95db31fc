"""The sizes of the networks: one frozen dataclass each, JSON in and out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self


@dataclass(frozen=True)
class _Config:
    """Shared by all configs: plain JSON objects, no unknown fields."""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build from a JSON object; `ValueError` names an unknown field or a wrong value."""
        unknown = sorted(set(values) - {field.name for field in fields(cls)})
        if unknown:
            raise ValueError(f"unknown field {unknown[0]!r} in the config")
        return cls(**{name: _tupled(value) for name, value in values.items()})

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object that `from_dict` reads."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _require_positive_integers(**values: Any) -> None:
    for name, value in values.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{name} must be a positive integer, not {value!r}")


@dataclass(frozen=True)
class EDTalkConfig(_Config):
    """Sizes of encoder, banks and generator; the defaults are the official release (256 px, full width).

    `width_base` and `width_max` give the channels of a level of n pixels: `min(width_max, width_base // n)`.
    `expression` = 0 is the release's lip-pose model: no expression head, bank or enhancement. `signs` are 1 or -1 for
    each direction, or nothing for LAPACK's own (see `banks`): what the tensor of directions cannot say.
    """

    size: int = 256
    style_dim: int = 512
    mouth: int = 20
    pose: int = 6
    expression: int = 10
    width_base: int = 16384
    width_max: int = 512
    enhancement_hidden: int = 128
    signs: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        _require_positive_integers(
            size=self.size,
            style_dim=self.style_dim,
            mouth=self.mouth,
            pose=self.pose,
            width_base=self.width_base,
            width_max=self.width_max,
            enhancement_hidden=self.enhancement_hidden,
        )
        if self.size < 16 or self.size & (self.size - 1):
            raise ValueError(f"size must be a power of two of at least 16, not {self.size}")
        if self.expression != 0:
            _require_positive_integers(expression=self.expression)
        if self.channels > self.style_dim:
            raise ValueError(
                f"{self.channels} orthonormal directions do not fit in {self.style_dim} dimensions"
            )
        if self.signs and (len(self.signs) != self.channels or not {*self.signs} <= {1, -1}):
            raise ValueError(f"signs must be 1 or -1 for each of {self.channels} directions")
        if self.width(self.size) < 1:
            raise ValueError(f"width_base {self.width_base} leaves no channels at {self.size} px")

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object; without `signs` where there are none, as older programs expect."""
        values = super().to_dict()
        return values if self.signs else {name: value for name, value in values.items() if name != "signs"}

    @property
    def bank_sizes(self) -> tuple[int, int, int]:
        """Return the number of directions in the mouth, pose and expression bank."""
        return self.mouth, self.pose, self.expression

    @property
    def channels(self) -> int:
        """Return the length of a row of weights."""
        return self.mouth + self.pose + self.expression

    @property
    def levels(self) -> tuple[int, ...]:
        """Return the sizes in pixels of the generator's levels and of the features that it takes: 8, 16, ..., size."""
        return tuple(8 << i for i in range(self.size.bit_length() - 3))

    def width(self, size: int) -> int:
        """Return the channels of the feature maps of `size` pixels."""
        return min(self.width_max, self.width_base // size)


@dataclass(frozen=True)
class Audio2LipConfig(_Config):
    """Sizes of the audio encoder; the defaults are the official release.

    `widths` are the channels of its five stages, `outputs` the size of the mouth bank. The input is always
    80 mel bands by 16 mel frames.
    """

    widths: tuple[int, ...] = (32, 64, 128, 256, 512)
    outputs: int = 20

    def __post_init__(self) -> None:
        if not isinstance(self.widths, tuple) or len(self.widths) != 5:
            raise ValueError(f"widths must be five numbers, not {self.widths!r}")
        _require_positive_integers(
            outputs=self.outputs, **{f"widths[{i}]": w for i, w in enumerate(self.widths)}
        )


@dataclass(frozen=True)
class SyncConfig(_Config):
    """Sizes of the sync expert: the channels of the five stages of its encoders of lips (`widths`) and of sound
    (`sound_widths`, as in `Audio2LipConfig`), and the length of what they give (512 in the paper and in SyncNet)."""

    widths: tuple[int, ...] = (24, 48, 96, 128, 192)
    sound_widths: tuple[int, ...] = (16, 32, 64, 128, 256)
    embedding: int = 512

    def __post_init__(self) -> None:
        for name in ("widths", "sound_widths"):
            widths = getattr(self, name)
            if not isinstance(widths, tuple) or len(widths) != 5:
                raise ValueError(f"{name} must be five numbers, not {widths!r}")
            _require_positive_integers(**{f"{name}[{i}]": w for i, w in enumerate(widths)})
        _require_positive_integers(embedding=self.embedding)
