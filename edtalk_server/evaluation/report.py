"""What an evaluation found, for programs (`to_dict`) and for people (`lines`), with the meaning of every number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

DEFINITIONS: Mapping[str, str] = {
    "self_psnr": "self-reenactment: the first frame of a clip driven by the weights read from each other frame, "
    "against that frame; dB over all pixels of 8-bit RGB, at most 60",
    "unmoved_psnr": "the first frame as it is against each other frame: what doing nothing would score",
    "true_psnr": "self-reenactment driven by the renderer's own weights instead of read ones",
    "face_self_psnr": "self_psnr within the box of the frame's true landmarks, where people look",
    "face_unmoved_psnr": "unmoved_psnr within that box",
    "face_true_psnr": "true_psnr within that box",
    "rest_psnr": "the first frame under its own weights against itself",
    "cross_psnr": "cross-identity: a person's first frame driven by another's clip (own weights as read plus the "
    "change read from the driver's first frame to each other one, kept within the sliders' ranges), against "
    "the true render: the same person, light and camera under its own true weights plus the "
    "driver's true change, kept within the same ranges",
    "cross_unmoved_psnr": "the first frame as it is against that true render",
    "disentanglement_max": "the largest share off the diagonal of the matrix: move one weight of one bank by 0.6 of "
    "its limit, read all weights off the drawn picture, take away what is read at rest, divide by each weight's "
    "standard deviation, sign by the direction, average over people, root mean square over the weights of each "
    "bank; share = change of another bank / change of the moved bank",
    "disentanglement_mean": "the mean of the six shares",
    "disentanglement_reader_max": "disentanglement_max of true renders of the same moves: the reader's own confusion",
    "disentanglement_reader_mean": "the mean of those six shares",
    "disentanglement_ratio": "disentanglement_mean / disentanglement_reader_mean: 1 is no worse than true renders",
    "mouth_psnr": "single mouth weights moved, against their true renders",
    "pose_psnr": "single pose weights moved, against their true renders",
    "expression_psnr": "single expression weights moved, against their true renders",
    "landmark_px": "distance of the 68 landmarks read from a true frame to their true places, in pixels",
    "made_landmark_px": "the same for landmarks read from the self-reenacted frame: errors of reading and drawing",
    "m_lmd": "mouth landmark distance of the paper: 20 mouth points of made and true frame, found by the same reader "
    "(the network's own), the centre of each set taken out, mean distance in pixels",
    "f_lmd": "face landmark distance of the paper: the same over all 68 points",
    "ssim": "structural similarity of self-reenacted and true frames (Gaussian window of 11, sigma 1.5)",
    "features": "distance of self-reenacted and true frames in the features of a fixed random network (not LPIPS)",
    "features_frechet": "Fréchet distance of their distributions in the last of those features (not FID)",
    "lpips": "LPIPS with the VGG-16 weights that were given",
    "fid": "Fréchet inception distance with the weights that were given (2048 features)",
    "flicker": "second difference in time, in grey levels of 255, of drawn pixels that stand still in truth, while the "
    "face moves",
    "flicker_true": "the same of the true frames",
    "leakage": "mean difference in grey levels between a person driven by another's frames and by its own true frames "
    "of the same movement: what changes when only the driver's identity does",
    "leakage_movement": "for scale: the mean difference in grey levels that the movement makes",
    "fps": "full pictures a second, drawn one at a time on this machine; see threads",
}


@dataclass(frozen=True)
class Report:
    """`about` says what was judged, and on what; `values` are named as in `DEFINITIONS`."""

    about: Mapping[str, Any]
    values: Mapping[str, float]
    matrices: Mapping[str, Mapping[str, Mapping[str, float]]] = field(default_factory=dict)
    effects: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """For JSON: the numbers at the top, rounded; then the matrices, effects and definitions."""
        numbers = {name: round(value, 4) for name, value in self.ordered().items()}
        return {
            **self.about,
            **numbers,
            "disentanglement": _rounded(self.matrices),
            "effects": self.effects,
            "definitions": {name: DEFINITIONS[name] for name in numbers},
        }

    def ordered(self) -> dict[str, float]:
        """The numbers in the order of their definitions."""
        return {name: self.values[name] for name in DEFINITIONS if name in self.values}

    def lines(self) -> list[str]:
        """Definitions first, then the numbers."""
        numbers = self.ordered()
        rows = [f"{name:28} {DEFINITIONS[name]}" for name in numbers]
        rows += ["", ", ".join(f"{name} {value}" for name, value in self.about.items())]
        rows += [f"{name:28} {value:9.3f}" for name, value in numbers.items()]
        for kind, matrix in self.matrices.items():
            rows += ["", *_table(f"moved ({kind} pictures)", matrix)]
        rows += [""] * bool(self.effects)
        return rows + [
            f"{name:28} {row['measure_change']:+9.2f} px (more than a pixel in {row['visible_share']:.0%} of people)"
            for name, row in self.effects.items()
        ]


def _rounded(matrices: Mapping[str, Mapping[str, Mapping[str, float]]]) -> dict[str, Any]:
    return {
        kind: {moved: {bank: round(v, 4) for bank, v in row.items()} for moved, row in matrix.items()}
        for kind, matrix in matrices.items()
    }


def _table(title: str, matrix: Mapping[str, Mapping[str, float]]) -> list[str]:
    banks = list(next(iter(matrix.values()), {}))
    head = f"{title:28} " + " ".join(f"{bank:>12}" for bank in banks)
    body = [
        f"{moved:28} " + " ".join(f"{row[bank]:12.3f}" for bank in banks) for moved, row in matrix.items()
    ]
    return [head, *body]
