"""Maps timed speech sounds to the 20 mouth weights: the lips' target for each sound, and how neighbours blend.

The shapes come from articulatory phonetics (which sounds close, round, spread or open the mouth), in the units of the
starter bundle: 0 is at rest, 1 the full movement. Neighbouring sounds blend by dominance (Cohen and Massaro 1993,
"Modeling coarticulation in synthetic visual speech"): every sound pulls with a strength that decays with the distance
in time. Lip closures are then enforced, because people notice first when the lips do not meet in a `p`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from edtalk_server.arrays import Weights
from edtalk_server.synthetic.controls import MOUTH, STARTER_LAYOUT
from edtalk_server.training.speech.utterance import Segment

LEAD = 0.04
"""Seconds by which the lips are ahead of the sound."""

MOUTH_NAMES = tuple(basis.identifier for basis in STARTER_LAYOUT.bases[MOUTH])


@dataclass(frozen=True)
class Viseme:
    """The mouth's target for a class of sounds. `strength` is its pull on the neighbours, `reach` its range in
    seconds."""

    shape: dict[str, float] = field(default_factory=dict)
    strength: float = 1.0
    reach: float = 0.06
    closes: bool = False


def _viseme(strength: float = 1.0, reach: float = 0.06, closes: bool = False, **shape: float) -> Viseme:
    return Viseme(shape, strength, reach, closes)


VISEMES: dict[str, Viseme] = {
    "rest": _viseme(1.2, 0.08),
    # consonants
    "p": _viseme(
        3.0, 0.045, True, jaw_open=0.05, press=0.45, roll_lower=0.15, roll_upper=0.12, cheek_puff=0.05
    ),
    "f": _viseme(3.0, 0.045, jaw_open=0.08, roll_lower=0.6, upper_lip_up=0.3),
    "th": _viseme(0.9, 0.05, jaw_open=0.2, lower_lip_down=0.35, upper_lip_up=0.12),
    "t": _viseme(0.7, 0.05, jaw_open=0.12, lower_lip_down=0.35, upper_lip_up=0.12, stretch=0.1),
    "s": _viseme(1.1, 0.05, jaw_open=0.06, lower_lip_down=0.45, upper_lip_up=0.22, stretch=0.25),
    "l": _viseme(0.7, 0.05, jaw_open=0.24, lower_lip_down=0.3, upper_lip_up=0.12),
    "sh": _viseme(
        1.8, 0.06, jaw_open=0.1, jaw_forward=0.15, funnel=0.65, upper_lip_up=0.2, lower_lip_down=0.25
    ),
    "k": _viseme(0.5, 0.05, jaw_open=0.22, lower_lip_down=0.2),
    "r": _viseme(1.2, 0.06, jaw_open=0.15, funnel=0.35, pucker=0.3),
    "w": _viseme(2.6, 0.06, jaw_open=0.07, pucker=0.9, funnel=0.15),
    "y": _viseme(0.9, 0.05, jaw_open=0.13, stretch=0.4, lower_lip_down=0.2, dimple=0.1),
    "h": _viseme(0.15, 0.04, jaw_open=0.3, lower_lip_down=0.1),
    # vowels
    "ee": _viseme(1.1, 0.06, jaw_open=0.16, stretch=0.5, lower_lip_down=0.3, upper_lip_up=0.12, dimple=0.2),
    "ih": _viseme(1.0, 0.06, jaw_open=0.28, stretch=0.28, lower_lip_down=0.25, upper_lip_up=0.05),
    "eh": _viseme(1.0, 0.06, jaw_open=0.45, stretch=0.28, lower_lip_down=0.3, upper_lip_up=0.08),
    "ae": _viseme(1.1, 0.06, jaw_open=0.6, stretch=0.35, lower_lip_down=0.35, upper_lip_up=0.15),
    "aa": _viseme(1.1, 0.06, jaw_open=0.72, lower_lip_down=0.25, upper_lip_up=0.05),
    "uh": _viseme(1.0, 0.06, jaw_open=0.5, lower_lip_down=0.22),
    "ao": _viseme(1.2, 0.06, jaw_open=0.55, funnel=0.6),
    "oh": _viseme(1.2, 0.06, jaw_open=0.4, funnel=0.5, pucker=0.25),
    "oo": _viseme(1.6, 0.06, jaw_open=0.13, pucker=0.9, funnel=0.2),
    "u": _viseme(1.1, 0.06, jaw_open=0.26, funnel=0.4, pucker=0.4),
    "er": _viseme(1.1, 0.06, jaw_open=0.24, funnel=0.4, pucker=0.25),
    "schwa": _viseme(0.7, 0.05, jaw_open=0.32, lower_lip_down=0.15),
}

_SOUNDS: dict[str, str] = {
    # viseme(s) -> symbols: ARPABET in lower case (flite's), then IPA (espeak-ng's: its mnemonics are shared by accents
    # that say other vowels, such as "go" with a long o in Scotland)
    "rest": "_ pau",
    "p": "p b m",
    "f": "f v",
    "th": "th dh θ ð",
    "t": "t d n dx nx en t̪ d̪ ɾ ʔ ɲ n̩",
    "s": "s z",
    "l": "l el ɫ l̩",
    "sh": "sh zh ch jh ʃ ʒ tʃ dʒ",
    "k": "k g x ng eng ŋ ɡ",
    "r": "r ɹ",
    "w": "w hw wh ʍ",
    "y": "j y ʲ",
    "h": "h hh hv",
    "ee": "i iy iː",
    "ih": "ih ix ɪ ᵻ",
    "eh": "e eh ɛ eː ɛː",
    "ae": "a ae æ aː",
    "aa": "aa ɑ ɑː",
    "uh": "ah ʌ ɐ",
    "ao": "ao o ɒ ɔ ɔː",
    "oh": "oː",
    "oo": "u uw uː ʉ ʉː",
    "u": "uh ʊ",
    "er": "er axr ɜ ɜː ɚ ɝ",
    "schwa": "ax ə",
    "schwa l": "əl",
    "aa ih": "ay aɪ",
    "aa ih schwa": "aɪə aɪɚ",
    "aa u": "aw aʊ",
    "eh ee": "ey eɪ ei",
    "ao ih": "oy ɔɪ oɪ",
    "oh oo": "ow oʊ",
    "ee schwa": "iə ɪə",
    "eh er": "eə ɛə",
    "u er": "ʊə",
    "aa schwa": "ɑə",
    "ae u": "æʊ",
    "uh oo": "ʌʉ ʌʊ",
    "schwa oo": "əʊ əu",
    "schwa ih": "əɪ",
    "aa r": "ɑːɹ ɑɹ",
    "ao r": "ɔːɹ ɔə oə",
    "oh r": "oːɹ",
    "uh r": "ʌɹ",
    "ih r": "ɪɹ",
    "u r": "ʊɹ",
    "oo r": "ʉɹ",
    "eh r": "ɛɹ",
    "schwa r": "əɹ",
}
VOWELS = frozenset("aɑæɐʌɒɔoʊuʉeɛɜɚɝəɪiᵻ")
"""First letters of vowels."""
SYMBOLS: dict[str, tuple[str, ...]] = {
    symbol: tuple(visemes.split()) for visemes, symbols in _SOUNDS.items() for symbol in symbols.split()
}


def visemes_of(symbol: str) -> tuple[str, ...]:
    """Return the visemes of a sound, several for a diphthong. An unknown symbol counts as its longest known
    beginning."""
    plain = symbol.lstrip("ˈˌ")  # marks of stress
    for length in range(len(plain), 0, -1):
        if plain[:length] in SYMBOLS:
            return SYMBOLS[plain[:length]]
    return ("schwa",)


@dataclass(frozen=True)
class _Pull:
    viseme: Viseme
    start: float
    end: float

    @property
    def strength(self) -> float:
        """The pull; weaker for short breaks between words, which do not bring the mouth to rest."""
        is_rest = not self.viseme.shape
        return self.viseme.strength * min(1.0, ((self.end - self.start) / 0.12) ** 2 if is_rest else 1.0)


def _pulls(segments: Sequence[Segment], duration: float) -> list[_Pull]:
    """Return one pull for each viseme; before the first sound and after the last one there is rest."""
    first = segments[0].start if segments else duration
    pulls = [_Pull(VISEMES["rest"], min(first, 0.0) - 1.0, first)]
    for segment in segments:
        names = visemes_of(segment.symbol)
        edges = np.linspace(segment.start, segment.end, len(names) + 1)
        pulls += [
            _Pull(VISEMES[name], float(a), float(b))
            for name, a, b in zip(names, edges, edges[1:], strict=False)
        ]
    last = segments[-1].end if segments else duration
    pulls.append(_Pull(VISEMES["rest"], last, max(duration, last) + 1.0))
    return pulls


_OPENERS = [
    MOUTH_NAMES.index(name) for name in ("funnel", "lower_lip_down", "upper_lip_up", "pucker", "stretch")
]
_JAW, _TOGETHER = MOUTH_NAMES.index("jaw_open"), MOUTH_NAMES.index("lips_together")


def mouth_curves(
    segments: Sequence[Segment], times: npt.NDArray[np.float64], duration: float, lead: float = LEAD
) -> Weights:
    """Return the mouth weights [len(times), 20] of an utterance at `times` in seconds."""
    pulls = _pulls(segments, duration)
    starts, ends = (np.array([getattr(pull, name) for pull in pulls]) for name in ("start", "end"))
    reach = np.array([pull.viseme.reach for pull in pulls])
    strength = np.array([pull.strength for pull in pulls])
    moments = (np.asarray(times) + lead)[:, None]
    # Full strength in the middle half of a sound (of a long one: up to 50 ms from its ends), then exponential decay.
    middle, full = (starts + ends) / 2, np.maximum((ends - starts) / 4, (ends - starts) / 2 - 0.05)
    distance = np.maximum(np.abs(moments - middle) - full, 0.0)
    dominance = strength * np.exp(-distance / reach) + 1e-9
    shapes = np.stack([_shape_of(pull.viseme) for pull in pulls])
    curves = dominance @ shapes / dominance.sum(axis=1, keepdims=True)
    return _close(curves, closure(segments, times, lead))


def _shape_of(viseme: Viseme) -> npt.NDArray[np.float64]:
    return np.array([viseme.shape.get(channel, 0.0) for channel in MOUTH_NAMES])


def closure(
    segments: Sequence[Segment], times: npt.NDArray[np.float64], lead: float = LEAD
) -> npt.NDArray[np.float64]:
    """Return how far the lips must be shut, [len(times)] in 0..1: 1 in the hold of p, b, m, falling within 50 ms."""
    shut = np.zeros(len(times))
    for segment in segments:
        if not all(VISEMES[name].closes for name in visemes_of(segment.symbol)):
            continue
        middle, hold = (segment.start + segment.end) / 2, min(segment.end - segment.start, 0.12) / 4
        distance = np.maximum(np.abs(np.asarray(times) + lead - middle) - hold, 0.0)
        shut = np.maximum(shut, np.clip(1.0 - distance / 0.05, 0.0, 1.0))
    return shut * shut * (3.0 - 2.0 * shut)


def _close(curves: npt.NDArray[np.float64], shut: npt.NDArray[np.float64]) -> Weights:
    """Bring the lips together where they must be shut: `lips_together` undoes as much `jaw_open`."""
    closed = curves.copy()
    closed[:, _OPENERS] *= 1.0 - shut[:, None]
    closed[:, _JAW] *= 1.0 - 0.6 * shut
    closed[:, _TOGETHER] = np.maximum(closed[:, _TOGETHER], shut * closed[:, _JAW])
    return closed.astype(np.float32)


def aperture(weights: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return how far the lips are apart, [frames], from mouth weights [frames, 20]: the measure of closures and
    silence."""
    channel = {name: weights[:, i].astype(np.float64) for i, name in enumerate(MOUTH_NAMES)}
    return (
        channel["jaw_open"]
        - channel["lips_together"]
        + 0.25 * (channel["lower_lip_down"] + channel["upper_lip_up"])
        + 0.15 * channel["funnel"]
        - 0.2 * channel["press"]
    )
