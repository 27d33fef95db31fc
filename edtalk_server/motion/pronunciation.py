"""English words as they are spoken: numbers and signs in words, and sounds for words that no dictionary has."""

from __future__ import annotations

import re
import unicodedata

_ONES = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = ("", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SCALES = ((10**9, "billion"), (10**6, "million"), (1000, "thousand"), (100, "hundred"))
_ORDINALS = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth",
    "twelve": "twelfth",
}  # fmt: skip
_SHORT = {
    "mr": "mister", "mrs": "missus", "dr": "doctor", "st": "saint", "vs": "versus", "prof": "professor", "ok": "okay",
    "&": "and", "%": "percent", "+": "plus", "@": "at", "=": "equals",
}  # fmt: skip
_CURRENCY = {"$": "dollars", "€": "euros", "£": "pounds"}
_PIECE = re.compile(r"[$€£]?\d[\d,]*(?:\.\d+)?(?:st|nd|rd|th|s)?|[^\W\d_]+(?:['’][^\W\d_]+)*['’]?|[&%+@=]")


def spoken_forms(word: str) -> list[str]:
    """Return the lower-case dictionary words in which a written word is spoken: "12%" is twelve, percent."""
    forms: list[str] = []
    for piece in _PIECE.findall(word):
        plain = _plain(piece)
        if plain[:1].isdigit() or plain[:1] in _CURRENCY:
            forms += _number(plain)
        else:
            forms.append(_SHORT.get(plain, plain))
    return forms


def _plain(piece: str) -> str:
    """Return a piece in lower case, without accents, with a straight apostrophe."""
    letters = unicodedata.normalize("NFD", piece.lower().replace("’", "'"))
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def _number(text: str) -> list[str]:
    currency = [_CURRENCY[text[0]]] if text[0] in _CURRENCY else []
    digits = text.lstrip("$€£").replace(",", "")
    match = re.fullmatch(r"(\d+)(?:\.(\d+))?(st|nd|rd|th|s)?", digits)
    if match is None:
        return []
    whole, fraction, ending = match.groups()
    words = _year(int(whole)) if _is_year(whole, fraction, currency) else cardinal(int(whole[:12]))
    if fraction:
        words += ["point", *(_ONES[int(digit)] for digit in fraction)]
    if ending and ending != "s":
        words[-1] = _ordinal(words[-1])
    elif ending:
        words[-1] = words[-1].removesuffix("y") + ("ies" if words[-1].endswith("y") else "s")
    return words + currency


def _is_year(whole: str, fraction: str | None, currency: list[str]) -> bool:
    return len(whole) == 4 and not fraction and not currency and 1100 <= int(whole) < 2000


def _year(number: int) -> list[str]:
    rest = number % 100
    ending = ["hundred"] if not rest else ["oh", _ONES[rest]] if rest < 10 else cardinal(rest)
    return cardinal(number // 100) + ending


def cardinal(number: int) -> list[str]:
    """Return the words of a whole number from 0 on."""
    if number < 20:
        return [_ONES[number]]
    if number < 100:
        return [_TENS[number // 10], *([_ONES[number % 10]] if number % 10 else [])]
    for scale, name in _SCALES:
        if number >= scale:
            rest = number % scale
            return [*cardinal(number // scale), name, *(cardinal(rest) if rest else [])]
    raise AssertionError(number)


def _ordinal(word: str) -> str:
    if word in _ORDINALS:
        return _ORDINALS[word]
    return f"{word.removesuffix('y')}ieth" if word.endswith("y") else f"{word}th"


# --- letters to sounds -----------------------------------------------------------------------------------------------

_RULES: tuple[tuple[str, str], ...] = (
    # (letters as a regular expression at this place, ARPABET); the first that fits counts
    (r"tion", "SH AH N"), (r"sion", "ZH AH N"), (r"cious|tious", "SH AH S"), (r"ough", "AO"), (r"augh", "AO"),
    (r"igh", "AY"), (r"eigh", "EY"), (r"tch", "CH"), (r"dge", "JH"), (r"sch", "SH"), (r"ture\b", "CH ER"),
    (r"(?<=\b)kn", "N"), (r"(?<=\b)wr", "R"), (r"(?<=\b)ps", "S"), (r"(?<=\b)x", "Z"), (r"mb\b", "M"),
    (r"qu", "K W"), (r"ch", "CH"), (r"sh", "SH"), (r"ph", "F"), (r"th", "TH"), (r"wh", "W"), (r"ck", "K"),
    (r"ng\b", "NG"), (r"nk", "NG K"), (r"gh(?=[^aeiouy]|\b)", ""), (r"gh", "G"),
    (r"ee|ea|ie(?=[^rt])", "IY"), (r"oo", "UW"), (r"ou|ow(?=[^n]|$)", "AW"), (r"ow", "OW"), (r"oi|oy", "OY"),
    (r"ai|ay|ei|ey(?!\b)", "EY"), (r"ey\b", "IY"), (r"au|aw", "AO"), (r"oa|oe", "OW"), (r"ew|eu", "UW"),
    (r"ar(?![aeiouy])", "AA R"), (r"or(?![aeiouy])", "AO R"), (r"(?:er|ir|ur)(?![aeiouy])", "ER"),
    (r"a(?=[^aeiouywrx]e\b)|a(?=[^aeiouywrx]i)", "EY"), (r"i(?=[^aeiouyx]e\b)", "AY"),
    (r"o(?=[^aeiouywx]e\b)|o\b", "OW"), (r"u(?=[^aeiouyx]e\b)", "UW"), (r"e(?=[^aeiouywx]e\b)", "IY"),
    (r"(?<=[aeiouy][^aeiouy])e\b|(?<=[aeiouy][^aeiouy][^aeiouy])e\b", ""), (r"(?<=[^aeiouy])le\b", "AH L"),
    (r"a\b", "AH"), (r"i\b", "IY"), (r"u\b", "UW"), (r"e\b", "IY"), (r"y\b", "IY"), (r"(?<=\b)y", "Y"), (r"y", "IH"),
    (r"a", "AE"), (r"e", "EH"), (r"i", "IH"), (r"o", "AA"), (r"u", "AH"),
    (r"c(?=[eiy])", "S"), (r"c", "K"), (r"g(?=[eiy])", "JH"), (r"x", "K S"), (r"j", "JH"), (r"q", "K"),
    (r"(?<=[aeiou])s(?=[aeiou])", "Z"), (r"(?<=[bdgvmnlr])s\b", "Z"),
    (r"bb?", "B"), (r"dd?", "D"), (r"ff?", "F"), (r"gg?", "G"), (r"h", "HH"), (r"kk?", "K"), (r"ll?", "L"),
    (r"mm?", "M"), (r"nn?", "N"), (r"pp?", "P"), (r"rr?", "R"), (r"ss?", "S"), (r"tt?", "T"), (r"vv?", "V"),
    (r"ww?", "W"), (r"zz?", "Z"),
)  # fmt: skip
_COMPILED = tuple((re.compile(letters), sounds) for letters, sounds in _RULES)


def sounds_of(word: str) -> str:
    """Return a plausible English pronunciation in ARPABET ("zorblax" -> "Z AO R B L AE K S"); a hum where no letter is
    known. Letter rules are often wrong in a vowel, which hardly moves where a word begins."""
    plain = "".join(letter for letter in _plain(word) if "a" <= letter <= "z")
    sounds: list[str] = []
    at = 0
    while at < len(plain):
        for pattern, phones in _COMPILED:
            match = pattern.match(plain, at)
            if match is not None and match.end() > at:
                sounds += phones.split()
                at = match.end()
                break
        else:
            at += 1
    return " ".join(sounds) or "HH AH M"
