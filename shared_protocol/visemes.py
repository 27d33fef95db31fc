"""The fifteen visemes: classes of speech sounds that look alike on the lips, under the names in common use."""

from __future__ import annotations

VISEMES = ("sil", "PP", "FF", "TH", "DD", "kk", "CH", "SS", "nn", "RR", "aa", "E", "ih", "oh", "ou")
"""Names by number, as `Performance.visemes` counts them: silence; p b m; f v; th; t d; k g ng; ch j sh zh; s z; n l; r;
then the vowels of father, bed, bit, bone and boot. A diphthong is two."""
CLOSED = "PP"
"""The one in which the lips meet."""
