"""A sentence as numbers: hashed words and letter groups, and what a lexicon says of its words.

The lexicon belongs to the network's tensors: hashes of words, stems and phrases with their strengths, never the words
themselves.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

BUCKETS = 16_384
"""Rows of the embedding of hashed features."""
MARKS = 12
"""Features of punctuation and grammar."""
SHORTEST_STEM = 3
_TOKEN = re.compile(r"[^\W_]+(?:'[^\W_]+)*|[.!?…,;:]+")
_NEGATION_REACH = 4
_STOPS = frozenset(("but", "because", "though", "although", "however", "only", "just"))

Strengths = Mapping[int, npt.NDArray[np.float32]]
"""Hash of a word ("=word"), a stem ("~stem") or a phrase ("=two words") -> strength for each class."""


def code(text: str) -> int:
    """Return the hash of a feature: CRC-32, the same everywhere."""
    return zlib.crc32(text.encode("utf-8"))


def entry_code(entry: str) -> int:
    """Return the hash of a lexicon entry: "joy*" is a stem, others are whole words or phrases."""
    return code(f"~{entry[:-1]}") if entry.endswith("*") else code(f"={entry}")


def role_codes(negators: Iterable[str], stronger: Iterable[str], weaker: Iterable[str]) -> list[list[int]]:
    """Return the hashes of words that negate, strengthen and weaken others."""
    return [[code(f"={word}") for word in sorted(set(words))] for words in (negators, stronger, weaker)]


@dataclass(frozen=True)
class Lexicon:
    """What words say: strengths of emotions by class, and words that turn or scale them."""

    classes: int
    strengths: Strengths
    negators: frozenset[int]
    stronger: frozenset[int]
    weaker: frozenset[int]

    def of_word(self, word: str) -> npt.NDArray[np.float32] | None:
        """Return the strengths of a word or of its longest known stem."""
        if (exact := self.strengths.get(code(f"={word}"))) is not None:
            return exact
        for length in range(len(word), SHORTEST_STEM - 1, -1):
            if (found := self.strengths.get(code(f"~{word[:length]}"))) is not None:
                return found
        return None


@dataclass(frozen=True)
class TextFeatures:
    """A sentence: `buckets` int64 [n] of the embedding, and `scores` float32 [3 * classes + MARKS]."""

    buckets: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float32]


def score_count(classes: int) -> int:
    """Return the length of `TextFeatures.scores`."""
    return 3 * classes + MARKS


def text_features(text: str, lexicon: Lexicon) -> TextFeatures:
    """Return the features of a sentence. Words after a negation count apart: "not happy" is not "happy"."""
    plain = unicodedata.normalize("NFC", text).replace("’", "'").replace("‘", "'")
    tokens = _TOKEN.findall(plain.lower())
    negated = _negated(tokens, lexicon)
    buckets = [code(feature) % BUCKETS for feature in _features(tokens, negated)]
    scores = np.concatenate([_scores(tokens, negated, lexicon), _marks(plain, tokens, negated, lexicon)])
    return TextFeatures(np.array(buckets or [0], np.int64), scores.astype(np.float32))


def _is_word(token: str) -> bool:
    return token[0].isalnum()


def _negated(tokens: Sequence[str], lexicon: Lexicon) -> list[bool]:
    """Return which tokens stand up to four words after a negation, within their clause."""
    left, found = 0, []
    for token in tokens:
        ends = not _is_word(token) or token in _STOPS
        found.append(left > 0 and not ends)
        left = 0 if ends else max(left - 1, 0)
        if code(f"={token}") in lexicon.negators:
            left = _NEGATION_REACH
    return found


def _features(tokens: Sequence[str], negated: Sequence[bool]) -> Iterator[str]:
    before = "^"
    for token, is_negated in zip(tokens, negated, strict=True):
        yield f"w {'!' if is_negated else ''}{token}"
        yield f"b {before} {token}"
        before = token
        if _is_word(token) and len(token) > 3:
            marked = f"<{token}>"
            for size in (3, 4, 5):
                for at in range(len(marked) - size + 1):
                    yield f"c {marked[at : at + size]}"


def _scores(tokens: Sequence[str], negated: Sequence[bool], lexicon: Lexicon) -> npt.NDArray[np.float32]:
    """Return for each class the sum, the maximum, and the sum of what is negated, [3 * classes]."""
    total, highest, turned = (np.zeros(lexicon.classes, np.float32) for _ in range(3))
    scale = 1.0
    for i, token in enumerate(tokens):
        phrase = _phrase(tokens, i, lexicon)
        found = phrase if phrase is not None else lexicon.of_word(token)
        if found is not None and negated[i] and phrase is None:
            turned += found * scale
        elif found is not None:
            total += found * scale
            highest = np.maximum(highest, found * scale)
        scale = _scale(token, lexicon)
    return np.concatenate([np.tanh(total / 2.0), np.minimum(highest, 1.5), np.tanh(turned / 2.0)])


def _phrase(tokens: Sequence[str], at: int, lexicon: Lexicon) -> npt.NDArray[np.float32] | None:
    """Return the strengths of the longest known phrase that begins here."""
    for size in (5, 4, 3, 2):
        found = lexicon.strengths.get(code("=" + " ".join(tokens[at : at + size])))
        if found is not None and at + size <= len(tokens):
            return found
    return None


def _scale(token: str, lexicon: Lexicon) -> float:
    key = code(f"={token}")
    return 1.5 if key in lexicon.stronger else 0.6 if key in lexicon.weaker else 1.0


def _marks(
    plain: str, tokens: Sequence[str], negated: Sequence[bool], lexicon: Lexicon
) -> npt.NDArray[np.float32]:
    words = [token for token in tokens if _is_word(token)]
    signs = "".join(token for token in tokens if not _is_word(token))
    shouted = sum(len(word) > 1 and word.isupper() for word in plain.split())
    keys = [code(f"={word}") for word in words]
    first = words[0] if words else ""
    return np.array(
        [
            min(signs.count("!"), 3) / 3,
            min(signs.count("?"), 3) / 3,
            float("?!" in signs or "!?" in signs),
            float("..." in plain or "…" in plain),
            min(signs.count(","), 4) / 4,
            min(len(words), 20) / 20,
            float(len(words) < 4),
            shouted / max(len(words), 1),
            float(any(negated)),
            float(any(key in lexicon.stronger for key in keys)),
            float(first in ("what", "where", "who", "how", "when", "why", "which", "did", "is", "are", "do")),
            float(first in ("i", "i'm", "my", "we", "i've", "i'll", "i'd")),
        ],
        np.float32,
    )
