"""A contact sheet: rows of people, columns of movements. For the eye, not for training.

`python -m edtalk_server.synthetic.sheets.preview --facekit PATH --out sheet.png`
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import cv2
import numpy as np

from edtalk_server.synthetic.controls import FloatArray, neutral, weights_of
from edtalk_server.synthetic.renderer.frame import ByteArray, Renderer
from edtalk_server.synthetic.renderer.scene import make_background, make_light

log = logging.getLogger(__name__)

MOVEMENTS: dict[str, FloatArray] = {
    "neutral": neutral(),
    "jaw_open": weights_of(jaw_open=0.9),
    "smile": weights_of(smile=1.0),
    "smile + teeth": weights_of(smile=0.9, upper_lip_up=0.6, lower_lip_down=0.5, jaw_open=0.15),
    "funnel": weights_of(funnel=0.8, jaw_open=0.3),
    "pucker": weights_of(pucker=1.0),
    "blink": weights_of(blink_left=1.0, blink_right=1.0),
    "brow_raise": weights_of(brow_raise=1.0, blink_left=-0.8, blink_right=-0.8),
    "furrow + sneer": weights_of(brow_furrow=1.0, sneer=0.7, squint=0.5),
    "gaze": weights_of(gaze_left=0.8, gaze_up=0.4),
    "yaw": weights_of(yaw=1.2),
    "pitch": weights_of(pitch=0.8, yaw=-0.4),
    "roll, shift": weights_of(roll=0.7, shift_x=0.5, scale=-0.7),
}


def contact_sheet(renderer: Renderer, seeds: list[int], size: int = 128) -> ByteArray:
    """Return a sheet [rows * size, columns * size, 3] with a row for each person."""
    rows = []
    for seed in seeds:
        random = np.random.default_rng(seed + 1)
        person, light = renderer.identity(seed), make_light(random)
        background, camera = make_background(random, size * 2), renderer.camera(person)
        cells = [
            renderer.render(person, w, light, background, camera, size).image for w in MOVEMENTS.values()
        ]
        rows.append(np.concatenate(cells, axis=1))
    return np.concatenate(rows)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--facekit", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--size", type=int, default=128)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    seeds = list(range(options.first_seed, options.first_seed + options.rows))
    sheet = contact_sheet(Renderer(options.facekit), seeds, options.size)
    cv2.imwrite(str(options.out), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
    log.info("Wrote %s", options.out)


if __name__ == "__main__":
    main()
