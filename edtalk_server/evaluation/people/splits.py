"""The people and recordings that the paper tests on, as the authors' public program lists them (`lists/test.json`)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum

from edtalk_server.training.datasets.film.layout import Footage
from shared_protocol.errors import EDTalkError, ErrorCode


class Split(StrEnum):
    """Which clips of a data set are measured: all of them, or those that the paper tests on."""

    ALL = "all"
    PAPER = "paper"


MEAD_PEOPLE = frozenset({"M003", "M030", "W009", "W015"})
"""People of MEAD; all their clips of the front view."""

_HDTF = """
    RD_Radio11_001 RD_Radio1_000 RD_Radio27_000 RD_Radio28_000 RD_Radio33_000 RD_Radio34_001 RD_Radio34_002
    RD_Radio34_007 RD_Radio38_000 RD_Radio41_000 RD_Radio45_000 RD_Radio51_000 RD_Radio52_000 RD_Radio57_000
    RD_Radio7_000 WDA_AnnieKuster_000 WDA_BarackObama_001 WDA_BernieSanders_000 WDA_BobCasey1_000
    WDA_BrianSchatz1_000 WDA_ByronDorgan1_000 WDA_CatherineCortezMasto_000 WDA_ChrisVanHollen0_000
    WDA_DebbieStabenow0_000 WDA_DickDurbin_000 WDA_DonnaShalala1_000 WDA_DougJones_000 WDA_EdMarkey0_000
    WDA_EliotEngel_000 WDA_EmanuelCleaver_000 WDA_GerryConnolly_000 WDA_HaleyStevens_000 WDA_HillaryClinton_000
    WDA_JackReed1_000 WDA_JamesClyburn1_000 WDA_JeanneShaheen1_000 WDA_JoeNeguse_000 WDA_JoeNeguse_002
    WDA_JohnSarbanes0_000 WDA_LisaBluntRochester_000 WDA_MikeThompson1_000 WDA_NancyPelosi1_000
    WDA_RichardNeal1_000 WDA_TerriSewell0_000 WDA_TerriSewell_000 WDA_TomPerez_000 WDA_TomUdall_000
    WDA_VeronicaEscobar0_000 WDA_WhipJimClyburn_000 WDA_XavierBecerra_002 WDA_ZoeLofgren_000 WRA_CarlyFiorina0_000
    WRA_CarlyFiorina_000 WRA_CathyMcMorrisRodgers2_000 WRA_DanNewhouse_000 WRA_DaveCamp_000 WRA_DaveCamp_002
    WRA_DavidVitter_000 WRA_DianeBlack0_001 WRA_DianeBlack1_000 WRA_GeoffDavis_000 WRA_GeorgeLeMieux_000
    WRA_GregWalden1_001 WRA_JebHensarling1_001 WRA_JimRisch_000 WRA_JohnBarrasso0_000 WRA_JohnBoehner0_000
    WRA_JohnBoozman_000 WRA_JoniErnst0_000 WRA_KellyAyotte_000 WRA_KristiNoem0_000 WRA_KristiNoem2_001
    WRA_MitchDaniels1_000 WRA_PaulRyan1_001 WRA_PeterRoskam1_000 WRA_RogerWicker1_001
    WRA_ShelleyMooreCapito1_001
"""
HDTF_RECORDINGS = frozenset(_HDTF.split())
"""Recordings of HDTF by the names of its videos; the authors cut them into pieces of five seconds (`NAME#3`)."""

_PIECE = re.compile(r"#\d+$")


def choose(footage: Sequence[Footage], split: Split) -> list[Footage]:
    """Return the clips of a split; `EDTalkError(NOT_READY)` when there is none."""
    if split is Split.ALL:
        return list(footage)
    chosen = [clip for clip in footage if clip.person in MEAD_PEOPLE or _recording(clip) in HDTF_RECORDINGS]
    if not chosen:
        raise EDTalkError(
            ErrorCode.NOT_READY,
            "None of these clips is among those that the paper tests on.",
            "Name HDTF or MEAD with their own file names (--layout hdtf or mead), or leave --split out.",
        )
    return chosen


def _recording(clip: Footage) -> str:
    return _PIECE.sub("", clip.path.stem)
