"""The result of an evaluation, for programs (`to_dict`) and for people (`lines`), with the meaning of every number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared_protocol.emotions import EMOTIONS

_DRIVEN = {
    "read": "under the weights estimated from each picture",
    "captured": "under what capture makes of the clip",
    "unmoved": "unmoved",
}
_MOVEMENTS = {
    "opening": "the opening of the lips",
    "width": "the width of the mouth",
    "yaw": "turns of the head",
    "lids": "the opening of the lids",
    "brow": "the height of the brows",
}
_FILM: Mapping[str, str] = {
    **{
        f"film_{name}_psnr": "film, 97 pictures of each clip: the first, in the crop that a portrait gets, "
        f"{how}, against every fourth; dB over the whole crop"
        for name, how in _DRIVEN.items()
    },
    **{f"film_face_{name}_psnr": f"film_{name}_psnr within the box of the landmarks" for name in _DRIVEN},
    **{f"film_{name}_ssim": f"structural similarity of the pictures of film_{name}_psnr" for name in _DRIVEN},
    **{
        f"film_slope_{name}": f"slope of {what} in captured pictures against the film's, both by the network's own "
        "landmarks, over clips in which it moves enough; 1 is as much as the film"
        for name, what in _MOVEMENTS.items()
    },
}
_EMOTIONS: Mapping[str, str] = {
    f"emotion_{name}": f"how far {name} at 1 moves the ten landmarks that move most, in percent of the distance of "
    "the outer corners of the eyes (mean over the clips' first pictures)"
    for name in EMOTIONS
    if name != "neutral"
}
_DEFINITIONS: Mapping[str, str] = {
    "self_psnr": "self-reenactment: the first frame of a clip driven by the weights estimated from each other frame, "
    "against that frame; dB over all pixels of 8-bit RGB, at most 60",
    "unmoved_psnr": "the no-motion baseline: the unchanged first frame against each other frame",
    "true_psnr": "self-reenactment driven by the renderer's own weights instead of estimates",
    "face_self_psnr": "self_psnr within the bounding box of the frame's true landmarks, where people look",
    "face_unmoved_psnr": "unmoved_psnr within that box",
    "face_true_psnr": "true_psnr within that box",
    "fine_psnr": "self_psnr of pictures in the size that --size gives, of every fourth frame",
    "fine_unmoved_psnr": "unmoved_psnr of these",
    "fine_sharpness": "in that size: the mean difference of luma between neighbouring pixels of self-reenacted frames, "
    "over that of the true frames; 1 is as sharp as the film",
    "rest_psnr": "the first frame under its own weights against itself",
    "cross_psnr": "cross-identity: a person's first frame driven by another's clip (estimated own weights plus the "
    "estimated change from the driver's first frame to each other one, within the sliders' ranges), against "
    "the true render: the same person, light and camera under its own true weights plus the "
    "driver's true change, within the same ranges",
    "cross_unmoved_psnr": "the unchanged first frame against that true render",
    "disentanglement_max": "the largest off-diagonal share of the matrix: move one weight of one bank by 0.6 of its "
    "limit, estimate all weights from the rendered picture, subtract the estimate at rest, divide by each weight's "
    "standard deviation, sign by the direction, average over people, root mean square over the weights of each "
    "bank; share = change of another bank / change of the moved bank",
    "disentanglement_mean": "the mean of the six shares",
    "disentanglement_reader_max": "disentanglement_max of true renders of the same moves: "
    "the motion encoder's own confusion",
    "disentanglement_reader_mean": "the mean of those six shares",
    "disentanglement_ratio": "disentanglement_mean / disentanglement_reader_mean: 1 is no worse than true renders",
    "mouth_psnr": "single mouth weights moved, against their true renders",
    "pose_psnr": "single pose weights moved, against their true renders",
    "expression_psnr": "single expression weights moved, against their true renders",
    "landmark_px": "distance of the 68 landmarks detected in a true frame from the true ones, in pixels",
    "made_landmark_px": "the same for landmarks detected in the self-reenacted frame: detection and rendering",
    "m_lmd": "mouth landmark distance of the paper: 20 mouth points of rendered and true frame, both by the network's "
    "own detector, each set centred, mean distance in pixels",
    "f_lmd": "face landmark distance of the paper: the same over all 68 points",
    "ssim": "structural similarity of self-reenacted and true frames (Gaussian window of 11, sigma 1.5, mean over the "
    "places where the window lies within the picture)",
    "features": "distance of self-reenacted and true frames in the features of a fixed random network (not LPIPS)",
    "features_frechet": "Fréchet distance of their distributions in the last of those features (not FID)",
    "lpips": "LPIPS with the given VGG-16 weights",
    "fid": "Fréchet inception distance with the given weights (2048 features)",
    "flicker": "second difference in time, in grey levels of 255, of rendered pixels that are truly still while the "
    "face moves",
    "flicker_true": "the same of the true frames",
    "leakage": "mean difference in grey levels between a person driven by another's frames and by its own true frames "
    "of the same movement: only the driver's identity differs",
    "leakage_movement": "for scale: the mean difference in grey levels that the movement itself makes",
    "blink_height": "the height in which dark pixels of the iris show at blink 1, over that at rest: 0 is closed",
    "gaze_turn": "how far the middle of the darkness in an eye moves from gaze 0 to gaze 1, as a share of the "
    "distance between the outer corners of the eyes; a filmed look to the side has .05 to .06",
    "mouth_over_cheek": "in a mouth opened by 0.7: the brightest pixels between the lips (95th percentile of luma) "
    "over the lighter cheek; filmed teeth have about 1.2",
    "mouth_gradient": "there: the steepest changes from row to row (95th percentile), luma in 0..1; fog has .03",
    "akd": "average keypoint distance: mean absolute difference of the coordinates of 68 landmarks of rendered and "
    "true frame, both by the network's own detector, nothing aligned, in pixels (the usual AKD has another detector)",
    "aed": "average Euclidean distance of identity vectors of length one of rendered and true frame, by the given "
    "SFace network (the usual AED has another network)",
    "own_emotion_accuracy": "percent of clips whose emotion, named by their data, is the preset that the mean "
    "expression of their frames is nearest to, as the starter's motion encoder estimates it; an own judge, not the "
    "paper's Acc_emo",
    "lse_c": "LSE-C with the given SyncNet weights: the median over offsets of -15 to 15 frames of the mean distance "
    "of lips and sound, minus the least; higher is better",
    "lse_d": "LSE-D with the given SyncNet weights: the least of those mean distances; lower is better",
    "av_offset": "the offset of that least distance: frames by which the sound comes before its lips; 0 is in sync",
    "own_lse_c": "lse_c by the starter's own sync expert, in distances of vectors of length one: not comparable with "
    "SyncNet's",
    "own_lse_d": "lse_d by the starter's own sync expert",
    "own_av_offset": "av_offset by the starter's own sync expert",
    **_FILM,
    **_EMOTIONS,
    "fps": "frames a second, rendered one at a time on this machine; see threads",
    "fine_fps": "the same in the size that --size gives",
}
_BY_SOUND = (
    "driven by sound (the paper's A): the mouth follows the clip's own sound through the bundle's audio part, pose and "
    "expression are estimated from each frame; "
)
_JUDGED = ("own_emotion_accuracy", "lse_c", "lse_d", "av_offset", "own_lse_c", "own_lse_d", "own_av_offset")
_COMPARED = ("ssim", "features", "features_frechet", "lpips", "fid", "m_lmd", "f_lmd", "akd", "aed")


def _with_sound(definitions: Mapping[str, str]) -> Mapping[str, str]:
    """Return the definitions with those of what is driven by sound (`a_…`) and of true frames (`true_…`)."""
    by_sound = {"a_psnr": f"{_BY_SOUND}dB over all pixels of 8-bit RGB, at most 60"}
    by_sound |= {f"a_{name}": _BY_SOUND + definitions[name] for name in (*_COMPARED, *_JUDGED)}
    of_truth = {f"true_{name}": f"of the true frames: {definitions[name]}" for name in _JUDGED}
    return {**definitions, **by_sound, **of_truth}


DEFINITIONS = _with_sound(_DEFINITIONS)
"""What each number means, by its name."""


@dataclass(frozen=True)
class Report:
    """`about` says what was evaluated and on whom; `values` are named as in `DEFINITIONS`; `matrices` are those of
    `disentanglement`, `motion` comes from `motion_magnitude`."""

    about: Mapping[str, Any]
    values: Mapping[str, float]
    matrices: Mapping[str, Mapping[str, Mapping[str, float]]] = field(default_factory=dict)
    motion: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON: the rounded numbers first, then matrices, magnitudes of movements (`effects`) and
        definitions."""
        numbers = {name: round(value, 4) for name, value in self.ordered().items()}
        return {
            **self.about,
            **numbers,
            "disentanglement": _rounded(self.matrices),
            "effects": self.motion,
            "definitions": {name: DEFINITIONS[name] for name in numbers},
        }

    def ordered(self) -> dict[str, float]:
        """Return the numbers in the order of their definitions."""
        return {name: self.values[name] for name in DEFINITIONS if name in self.values}

    def lines(self) -> list[str]:
        """Return lines of text: definitions first, then the numbers."""
        numbers = self.ordered()
        rows = [f"{name:28} {DEFINITIONS[name]}" for name in numbers]
        rows += ["", ", ".join(f"{name} {value}" for name, value in self.about.items())]
        rows += [f"{name:28} {value:9.3f}" for name, value in numbers.items()]
        for kind, matrix in self.matrices.items():
            rows += ["", *_table(f"moved ({kind} pictures)", matrix)]
        rows += [""] * bool(self.motion)
        return rows + [
            f"{name:28} {row['measure_change']:+9.2f} px (more than a pixel in {row['visible_share']:.0%} of people)"
            for name, row in self.motion.items()
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
