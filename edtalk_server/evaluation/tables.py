"""The paper's Table 1 with a row of ours, as Markdown.

The paper (EDTalk, ECCV 2024) drives people of HDTF and MEAD by sound (A) or by video (V). Our row is self-reenactment
from pictures, the protocol of V. Data and landmark detector differ: the notes below the table say so.
"""

from __future__ import annotations

from collections.abc import Mapping

_COLUMNS = ("PSNR", "SSIM", "M-LMD", "F-LMD", "FID", "Sync", "Acc_emo")
_OURS = ("self_psnr", "ssim", "m_lmd", "f_lmd", "fid")
_PAPER = (
    ("EDTalk (A), paper", "MEAD", (21.628, 0.722, 1.537, 1.290, 17.698, 8.115, 67.32)),
    ("EDTalk (V), paper", "MEAD", (22.771, 0.769, 1.102, 1.060, 15.548, 6.889, 68.85)),
    ("EDTalk (A), paper", "HDTF", (25.156, 0.811, 1.676, 1.315, 13.785, 7.642, None)),
    ("EDTalk (V), paper", "HDTF", (26.504, 0.845, 1.197, 1.111, 13.172, 6.732, None)),
)
_NOTES = """
Self-reenactment: the first frame of each clip is driven by the weights estimated from the others. PSNR and SSIM are
means over frames at 256 pixels; M-LMD and F-LMD are pixels at that size between centred sets of landmarks.

**The rows are not a ranking.** The paper's numbers are of real videos (HDTF, MEAD) and come from its Table 1; F-LMD and
Sync of V on MEAD, and SSIM to Sync of A on HDTF, could not be compared with a second source. Our row
is of the data that it names. The paper detects landmarks with dlib, this project with the bundle's own detector. V is
driven by video, as our row is; A by sound alone, which is harder. A dash means not measured: FID needs Inception
weights (`--fid-weights`) and more than 2,048 frames; synchronisation and emotion accuracy need networks that are not
part of this project.
"""


def markdown(name: str, data: str, values: Mapping[str, float]) -> str:
    """Return the table with one row of ours; `data` names what it was measured on."""
    ours = tuple(values.get(key) for key in _OURS) + (None,) * (len(_COLUMNS) - len(_OURS))
    rows = [*_PAPER, (f"{name}, self-reenactment", data, ours)]
    lines = [f"| method | data | {' | '.join(_COLUMNS)} |", "|---|---|" + "---|" * len(_COLUMNS)]
    lines += [
        f"| {method} | {where} | {' | '.join(map(_cell, zip(_COLUMNS, row, strict=True)))} |"
        for method, where, row in rows
    ]
    return "\n".join(lines) + "\n" + _NOTES


def _cell(entry: tuple[str, float | None]) -> str:
    column, value = entry
    digits = 2 if column in ("PSNR", "FID", "Acc_emo") else 3
    return "–" if value is None else f"{value:.{digits}f}"
