"""Whether and how to compile, without torch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

COMPILE_VARIABLE = "EDTALK_COMPILE"
"""Environment variable: 0 never compiles."""
PRECISION_VARIABLE = "EDTALK_PRECISION"
"""Environment variable: float32 (default) or bfloat16."""


class Precision(StrEnum):
    """In which numbers convolutions are computed."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


@dataclass(frozen=True)
class CompileSettings:
    """Whether to compile, and in which precision."""

    is_on: bool = True
    precision: Precision = Precision.FLOAT32

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> CompileSettings:
        """Read the variables; what is not understood counts as not set."""
        word = environ.get(PRECISION_VARIABLE, "")
        precision = Precision(word) if word in tuple(Precision) else Precision.FLOAT32
        return cls(environ.get(COMPILE_VARIABLE) != "0", precision)
