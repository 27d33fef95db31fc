"""What the lips show when: the visemes of words in time, so that somebody can retime lips by eye.

Sounds that the recogniser heard keep their times. Those of other words come from their spelling, by English letter
rules or, in other languages, letter by letter, and share the word's time: vowels last twice as long as consonants.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edtalk_server.motion.align import Word
from edtalk_server.motion.pronunciation import sounds_of, spoken_forms
from shared_protocol.visemes import VISEMES

SILENCE_S = 0.12
"""Least gap between two words in which the lips close or rest."""
_VOWELS = frozenset({"aa", "E", "ih", "oh", "ou"})
_OF_SOUNDS = {
    sound: tuple(visemes.split())
    for visemes, sounds in {
        "PP": "P B M", "FF": "F V", "TH": "TH DH", "DD": "T D", "kk": "K G NG", "CH": "CH JH SH ZH", "SS": "S Z",
        "nn": "N L", "RR": "R ER", "aa": "AA AE AH", "E": "EH", "ih": "IH IY Y", "oh": "AO OW", "ou": "UH UW W",
        "aa ih": "AY", "aa ou": "AW", "E ih": "EY", "oh ih": "OY", "": "HH",
    }.items()
    for sound in sounds.split()
}  # fmt: skip
"""Visemes of ARPABET; h takes the shape of what follows."""
_LETTERS = (
    ("t?sch|sh|ch(?=[eiy])", "CH"), ("ch|ck|[kgqcx]", "kk"), ("th|[td]", "DD"), ("ph|[fvw]", "FF"), ("[pbm]+", "PP"),
    ("[szß]+", "SS"), ("[nl]+", "nn"), ("r+", "RR"), ("a[iy]", "aa ih"), ("au", "aa ou"), ("ei|ey", "aa ih"),
    ("eu|äu|oi|oy", "oh ih"), ("ou|ü|u+", "ou"), ("ie|[iyj]", "ih"), ("[aä]+", "aa"), ("e+", "E"), ("[oö]+", "oh"),
)  # fmt: skip
"""What letters of the Latin alphabet show in most languages of Europe; the first that fits counts."""
_OF_LETTERS = tuple((re.compile(letters), visemes) for letters, visemes in _LETTERS)


@dataclass(frozen=True)
class Viseme:
    """A viseme (one of `VISEMES`) from `start` to `end`, in seconds of the voice."""

    name: str
    start: float
    end: float


def visemes(words: Sequence[Word], language: str = "") -> tuple[Viseme, ...]:
    """Return the visemes of words in time, silences between and after them included; `language` is a BCP 47 tag."""
    spells_english = language.lower()[:2] in ("", "en")
    shown: list[Viseme] = []
    for word in words:
        if shown and word.start - shown[-1].end >= SILENCE_S:
            shown.append(Viseme(VISEMES[0], shown[-1].end, word.start))
        heard = [
            one for sound in word.sounds for one in _shared(_of_sound(sound.name), sound.start, sound.end)
        ]
        shown += _joined(heard or _shared(_spelled(word.text, spells_english), word.start, word.end))
    return (*shown, Viseme(VISEMES[0], shown[-1].end, shown[-1].end)) if shown else ()


def _of_sound(name: str) -> tuple[str, ...]:
    return _OF_SOUNDS.get(name.rstrip("012"), ())


def _spelled(text: str, is_english: bool) -> tuple[str, ...]:
    if is_english:
        return tuple(
            v for form in spoken_forms(text) for sound in sounds_of(form).split() for v in _of_sound(sound)
        )
    return tuple(
        _of_letters("".join(_plain(letter) for letter in unicodedata.normalize("NFC", text.lower())))
    )


def _plain(letter: str) -> str:
    """Return a letter without its accents, which say little about lips, but for the umlauts."""
    return letter if letter in "äöü" else unicodedata.normalize("NFD", letter)[:1]


def _of_letters(text: str) -> Iterator[str]:
    at = 0
    while at < len(text):
        found = ((match, names) for pattern, names in _OF_LETTERS if (match := pattern.match(text, at)))
        match, names = next(found, (None, ""))
        yield from names.split()
        at = match.end() if match else at + 1


def _shared(names: Sequence[str], start: float, end: float) -> list[Viseme]:
    """Return visemes that share a time; none where the time is empty."""
    units = [2.0 if name in _VOWELS else 1.0 for name in names]
    shown, at = [], start
    for name, unit in zip(names, units, strict=True):
        until = at + unit / sum(units) * (end - start)
        shown.append(Viseme(name, at, until))
        at = until
    return shown


def _joined(shown: Sequence[Viseme]) -> list[Viseme]:
    """Return visemes with equal neighbours made one."""
    joined: list[Viseme] = []
    for one in shown:
        if joined and joined[-1].name == one.name:
            joined[-1] = Viseme(one.name, joined[-1].start, one.end)
        else:
            joined.append(one)
    return joined
