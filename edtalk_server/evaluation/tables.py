"""The paper's Table 1 with a row of ours, as Markdown.

The paper (EDTalk, ECCV 2024) drives people of HDTF and MEAD by sound (A) or by video (V). Our rows are self-reenactment
from pictures, the protocol of V, and, where clips have sound, with the mouth from it, that of A. Data and landmark
detector differ: the notes below the table say so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edtalk_server.evaluation.report import DEFINITIONS

_COLUMNS = ("PSNR", "SSIM", "M-LMD", "F-LMD", "FID", "Sync", "Acc_emo")
_BY_VIDEO = ("self_psnr", "ssim", "m_lmd", "f_lmd", "fid", "lse_c")
_BY_SOUND = ("a_psnr", "a_ssim", "a_m_lmd", "a_f_lmd", "a_fid", "a_lse_c")
_OWN = {
    "own_lse_c": "own LSE-C",
    "own_lse_d": "own LSE-D",
    "own_av_offset": "own offset, frames",
    "own_emotion_accuracy": "own emotion accuracy, %",
}
_PAPER = (
    ("EDTalk (A), paper", "MEAD", (21.628, 0.722, 1.537, 1.290, 17.698, 8.115, 67.32)),
    ("EDTalk (V), paper", "MEAD", (22.771, 0.769, 1.102, 1.060, 15.548, 6.889, 68.85)),
    ("EDTalk (A), paper", "HDTF", (25.156, 0.811, 1.676, 1.315, 13.785, 7.642, None)),
    ("EDTalk (V), paper", "HDTF", (26.504, 0.845, 1.197, 1.111, 13.172, 6.732, None)),
)
_NOTES = """
Self-reenactment: the first frame of each clip is driven by the weights estimated from the others. PSNR and SSIM are
means over frames at 256 pixels; M-LMD and F-LMD are pixels at that size between centred sets of landmarks; Sync is
LSE-C of SyncNet. `edtalk evaluate` prints the full definition of each number.

**The rows are not a ranking.** The paper's numbers are of real videos (HDTF, MEAD) and come from its Table 1; F-LMD and
Sync of V on MEAD, and SSIM to Sync of A on HDTF, could not be compared with a second source. Our row
is of the data that it names. The paper detects landmarks with dlib, this project with the bundle's own detector. V is
driven by video; A by sound. In our A only the mouth comes from sound, pose and expression from the frames. A dash means
not measured: FID needs Inception weights (`--fid-weights`) and more than 2,048 frames, Sync (LSE-C) SyncNet's
(`--syncnet-weights`); Acc_emo needs the paper's classifier, which is not part of this project.
"""
_OWN_NOTES = """
By judges of this project, which are trained on renders: not comparable with the columns above. *True* is what they say
of the clips themselves.

"""


def markdown(name: str, data: str, values: Mapping[str, float]) -> str:
    """Return the table with one row of ours, or two where clips have sound; `data` names what it was measured on."""
    rows = [*_PAPER, (f"{name} (V), self-reenactment", data, _ours(values, _BY_VIDEO))]
    if "a_psnr" in values:
        rows.append((f"{name} (A), mouth from sound", data, _ours(values, _BY_SOUND)))
    lines = [f"| method | data | {' | '.join(_COLUMNS)} |", "|---|---|" + "---|" * len(_COLUMNS)]
    lines += [
        f"| {method} | {where} | {' | '.join(map(_cell, zip(_COLUMNS, row, strict=True)))} |"
        for method, where, row in rows
    ]
    return "\n".join(lines) + "\n" + _NOTES + _own_table(values)


def _ours(values: Mapping[str, float], keys: Sequence[str]) -> tuple[float | None, ...]:
    return tuple(values.get(key) for key in keys) + (None,) * (len(_COLUMNS) - len(keys))


def _own_table(values: Mapping[str, float]) -> str:
    """Return a table of what own judges say; empty without any."""
    known = {key: title for key, title in _OWN.items() if f"true_{key}" in values}
    if not known:
        return ""
    lines = ["| by own judges | V | A | true |", "|---|---|---|---|"]
    for key, title in known.items():
        cells = [values.get(f"{driven}{key}") for driven in ("", "a_", "true_")]
        lines.append(f"| {title} | {' | '.join('–' if cell is None else f'{cell:.3f}' for cell in cells)} |")
    meanings = [f"* {title}: {DEFINITIONS[key]}." for key, title in known.items()]
    return _OWN_NOTES + "\n".join([*lines, "", *meanings]) + "\n"


def _cell(entry: tuple[str, float | None]) -> str:
    column, value = entry
    digits = 2 if column in ("PSNR", "FID", "Acc_emo") else 3
    return "–" if value is None else f"{value:.{digits}f}"
