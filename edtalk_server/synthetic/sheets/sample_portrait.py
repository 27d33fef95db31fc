"""Draw sample portraits like the one that ships with the project: rendered people without a likeness (CC0).

The shipped one was drawn with seed 58 by the first renderer; today's draws somebody else for that seed.

`python -m edtalk_server.synthetic.sheets.sample_portrait --facekit PATH --seed 58 --out portrait.png`
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import cv2
import numpy as np

from edtalk_server.synthetic.controls import weights_of
from edtalk_server.synthetic.renderer.camera import Camera
from edtalk_server.synthetic.renderer.frame import ByteArray, Renderer
from edtalk_server.synthetic.renderer.scene import studio_background, studio_light
from edtalk_server.synthetic.renderer.shading import SUPERSAMPLING

log = logging.getLogger(__name__)

_WIDER = 0.74
"""The head's size against the official crop: a photo that still has to be cropped."""
_LIFT = 0.02


def draw_portrait(renderer: Renderer, seed: int, size: int = 512) -> ByteArray:
    """Draw the person of this seed [size, size, 3], calm, with closed lips, in studio light."""
    person = renderer.identity(seed)
    fitted = renderer.camera(person, distance=120.0)
    crop = fitted.crop.jittered(scale=_WIDER, turn=0.0, shift=np.array([0.0, _LIFT]))
    calm = weights_of(smile=0.08)
    camera = Camera(fitted.distance, crop, crop)  # measured against its own crop: the pose is 0
    background = studio_background(size * SUPERSAMPLING)
    return renderer.render(person, calm, studio_light(), background, camera, size).image


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--facekit", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=58)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    image = draw_portrait(Renderer(options.facekit), options.seed)
    cv2.imwrite(str(options.out), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    log.info("Wrote %s", options.out)


if __name__ == "__main__":
    main()
