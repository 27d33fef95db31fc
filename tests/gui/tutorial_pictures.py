"""The pictures of docs/tutorial.md from the screenshots of test_tutorial_window.py: `tutorial_pictures.py FOLDER`.

They are JPEGs, because each version of them stays in the repository's history, and a palette discolours faces.
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

IMAGES = Path(__file__).parents[2] / "docs" / "img"
PICTURES = ("install", "character", "predicted", "edit", "emotion", "baked")
QUALITY = 88
BYTES = 900_000
"""What all of them may need together."""


def main(folder: Path) -> None:
    """Write them and say how large they are. Raises `SystemExit` when they are too large."""
    total = 0
    for name in PICTURES:
        target = IMAGES / f"tutorial_{name}.jpg"
        picture = Image.open(folder / f"{name}.png").convert("RGB")
        picture.save(target, quality=QUALITY, subsampling=0, optimize=True)
        total += target.stat().st_size
        sys.stdout.write(f"{target} {picture.width} x {picture.height} {target.stat().st_size} bytes\n")
    if total > BYTES:
        raise SystemExit(f"They need {total} bytes; {BYTES} are enough.")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
