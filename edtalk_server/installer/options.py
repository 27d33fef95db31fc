"""The options of the command line."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

TORCH_INDEX = "https://download.pytorch.org/whl"
"""PyTorch's own index, with a folder for each build (`cpu`, and one for each CUDA)."""

CHECKOUT = Path(__file__).resolve().parents[2]


class Thoroughness(Enum):
    """How much `install.py test` runs."""

    QUICK = "quick"
    PLAIN = "plain"
    ALL = "all"


@dataclass(frozen=True)
class Options:
    """One run of `install.py`; `root` is the checkout that it sets up."""

    command: str = "server"
    root: Path = CHECKOUT
    dry_run: bool = False
    wheels: Path | None = None
    torch: str = "auto"
    torch_index: str = TORCH_INDEX
    blender: Path | None = None
    thoroughness: Thoroughness = Thoroughness.PLAIN
    train: bool = False

    @property
    def extras(self) -> tuple[str, ...]:
        """The groups of packages beside the server's own: the timing of words, and what `--train` asks for."""
        return ("align", "train") if self.train else ("align",)

    @property
    def venv(self) -> Path:
        """The server's environment."""
        return self.root / ".venv"
