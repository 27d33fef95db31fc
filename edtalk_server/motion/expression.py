"""Emotions over time, from words, voice, both or neither: eight curves in the order of `EMOTIONS` (paper section 3.3).

Each sentence has one feeling, which begins a little before its first word and fades in pauses. Loudness modulates it
slowly. Directions in brackets override from their place on. Curves are computed on a fixed grid of 25 a second, so a
part of a scene gives the same numbers as the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edtalk_server.arrays import Doubles, Floats
from edtalk_server.media.audio import prosody as voice_prosody
from edtalk_server.media.audio.mel import SAMPLE_RATE
from edtalk_server.media.audio.prosody import Prosody, prosody
from edtalk_server.media.audio.voice import Waveform
from edtalk_server.media.steps import Checkpoint, unwatched
from edtalk_server.motion import voiced
from edtalk_server.motion.align import Alignment, Timing
from edtalk_server.motion.script_words import Boundary
from shared_protocol.emotions import EMOTIONS, NEUTRAL, Cue

LEAD_S, ATTACK_S, RELEASE_S = 0.25, 0.4, 0.8
"""A feeling begins this long before the first word, takes this long to rise, and this long to fall."""
LONG_PAUSE_S, RESTING = 1.2, 0.3
"""In longer pauses a feeling falls to this share of itself."""
FASTEST = 2.5
"""Most change of an intensity in a second."""
MODULATION = 0.25
"""By how much of itself loudness raises or lowers a feeling."""
_RATE = 25
_AROUND_S = 0.1
"""Seconds around words that are listened to as well."""
_MODULATION_DB = 8.0
_SPOKEN_DB = 25.0
"""Quieter moments than this below the voice say nothing of its force."""
_MODULATION_SD_S = 0.22
"""Deviation of the smoothing of loudness: it passes what is below 1 Hz."""
_LEAST_SHARE = 0.12
"""Smaller shares of an emotion are noise of the network, and would be curves to delete."""
_PARTS_AT_ONCE = 4
"""Sentences that are read and heard together: about a tenth of a second of work."""
_CONTEXT = (0.25, 0.12)
"""How much the one and the two sentences before count."""
_FEWEST_WORDS = 3
"""Words of a clause with a feeling of its own."""
_SURE = 0.55
"""Share of its strongest emotion from which on a clause may part from its sentence."""
_BREATH_S, _LONGEST_PHRASE_S = 0.5, 8.0
"""Without words: shorter pauses part no phrases, and phrases are no longer than this."""


Heard = Callable[[float, float], Floats]
"""What a network hears from a start to an end, in seconds."""


class SemanticsNetwork(Protocol):
    """A network that reads feelings (`networks.voice.semantics.ProsodyText`)."""

    def feel(
        self, texts: Sequence[str], voices: Sequence[npt.NDArray[np.float32]]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Return shares [B, 8] and intensities [B] of texts ("": none) and prosody [frames, 8] ([0, 8]: none)."""
        ...


@dataclass(frozen=True, eq=False)
class Feeling:
    """A sentence, a part of one, or a phrase without known words: `start` and `end` in seconds of the voice, `shares`
    [8] of the emotions, which add up to 1, and the `intensity`, 0 to 1. Its words are `first` to `last` - 1; `timing`
    tells how they were placed (None: no words)."""

    start: float
    end: float
    shares: Floats
    intensity: float
    text: str = ""
    first: int = 0
    last: int = 0
    timing: Timing | None = None

    @property
    def emotion(self) -> str:
        """The strongest emotion."""
        return EMOTIONS[int(self.shares.argmax())]

    def levels(self) -> Doubles:
        """Return the intensity of each emotion [8]: share times intensity. Neutral adds nothing: its slider would take
        the portrait's own expression away."""
        kept = np.where(self.shares >= _LEAST_SHARE, self.shares, 0.0).astype(np.float64)
        kept[EMOTIONS.index(NEUTRAL)] = 0.0
        return kept * self.intensity


@dataclass(frozen=True, eq=False)
class Expression:
    """`curves` float32 [frames, 8], 0 to 1, and the feelings of the sentences that they come from."""

    curves: Floats
    feelings: tuple[Feeling, ...]


def express(
    seconds: npt.ArrayLike,
    semantics: SemanticsNetwork | None,
    alignment: Alignment | None,
    voice: Waveform | None,
    language: str = "",
    gain: float = 1.0,
    base: npt.ArrayLike | None = None,
    checkpoint: Checkpoint = unwatched,
) -> Expression:
    """Return the emotions at rising `seconds` of the voice.

    Without `semantics`, or with neither words nor voice, only directions in brackets show. `gain` scales what is
    predicted; `base` [8], an emotion for the whole performance, takes its place. `language` other than the network's:
    it hears the voice alone. `checkpoint` is called between pieces of work; an exception from it ends the work.
    """
    words = alignment or Alignment()
    found: tuple[Feeling, ...] = ()
    if semantics is not None and base is None and gain > 0:
        found = feelings(semantics, words, voice, language, checkpoint)
    return Expression(curves(seconds, found, words.directions, voice, gain, base, checkpoint), found)


def curves(
    seconds: npt.ArrayLike,
    found: Sequence[Feeling],
    directions: Sequence[Cue] = (),
    voice: Waveform | None = None,
    gain: float = 1.0,
    base: npt.ArrayLike | None = None,
    checkpoint: Checkpoint = unwatched,
) -> Floats:
    """Return the curves [frames, 8] of feelings (`feelings`) and directions at rising `seconds`, as `express` does."""
    times = np.asarray(seconds, np.float64)
    if not len(times):
        return np.zeros((0, len(EMOTIONS)), np.float32)
    first, last = int(np.floor(times[0] * _RATE)), int(np.ceil(times[-1] * _RATE)) + 1
    grid = np.arange(first - _RATE, last + _RATE + 1)
    levels = _levels(grid / _RATE, _changes(found, directions, gain, base))
    if found and base is None and voice is not None and len(voice.samples):
        levels *= 1.0 + MODULATION * _arousal(voice, grid, checkpoint) * _is_predicted(
            grid / _RATE, directions
        )
    slow = _slowed(np.clip(levels, 0.0, 1.0))
    columns = [np.interp(times * _RATE, grid, column) for column in slow.T]
    return np.stack(columns, axis=1).astype(np.float32)


# --- what is felt ----------------------------------------------------------------------------------------------------


def feelings(
    semantics: SemanticsNetwork,
    words: Alignment,
    voice: Waveform | None,
    language: str = "",
    checkpoint: Checkpoint = unwatched,
) -> tuple[Feeling, ...]:
    """Return the feeling of each sentence, parted at commas where it changes; of each phrase where no words are known.

    Up to two sentences before count a little: a mood lasts."""
    parts = _sentences(words) or _phrases(voice)
    if not parts:
        return ()
    reads = not language or language.lower()[:2] in _languages(semantics)
    heard = _heard(semantics, voice, checkpoint)
    whole = _felt(semantics, parts, heard, reads, checkpoint)
    split: list[Feeling] = []
    for done, part in enumerate(whole):
        checkpoint(done, len(whole), "reading the feelings")
        split += _parted(semantics, part, words, heard, reads)
    return tuple(_in_context(split))


def _languages(semantics: Any) -> tuple[str, ...]:
    return tuple(getattr(getattr(semantics, "config", None), "languages", ("en",)))


def _sentences(words: Alignment) -> list[Feeling]:
    blank = np.zeros(len(EMOTIONS), np.float32)
    return [
        Feeling(one.start, one.end, blank, 0.0, one.text, one.first, one.last, one.timing)
        for one in words.sentences
    ]


def _phrases(voice: Waveform | None) -> list[Feeling]:
    """Return phrases of a voice without words: stretches between breaths."""
    blank, found = np.zeros(len(EMOTIONS), np.float32), list[Feeling]()
    for start, end in voiced.stretches(voice) if voice is not None else ():
        before = found[-1] if found else None
        if (
            before
            and start - before.end < _BREATH_S
            and (start - before.end < voiced.SHORTEST_PAUSE or end - before.start < _LONGEST_PHRASE_S)
        ):
            found[-1] = replace(before, end=end)
        else:
            found.append(Feeling(start, end, blank, 0.0))
    return found


def _heard(semantics: Any, voice: Waveform | None, checkpoint: Checkpoint) -> Heard:
    """Return what the network hears: samples where it says so (`hears`), else prosody less the recording's usual
    level; nothing without a voice."""
    from edtalk_server.networks.voice.semantics import normalized

    if voice is None or not len(voice.samples):
        return lambda start, end: np.zeros((0, voice_prosody.COLUMNS), np.float32)
    if getattr(semantics, "hears", "") == "samples":
        return lambda start, end: _cut(voice.samples, start, end, SAMPLE_RATE)
    frames = int(np.ceil(float(voice.duration) * voice_prosody.FRAMES_PER_SECOND))
    rows = normalized(prosody(voice.samples, frames, checkpoint=checkpoint))
    return lambda start, end: _cut(rows, start, end, voice_prosody.FRAMES_PER_SECOND)


def _cut(rows: Floats, start: float, end: float, rate: int) -> Floats:
    first = max(round(start * rate), 0)
    return rows[first : max(round(end * rate), first + 1)]


def _felt(
    semantics: SemanticsNetwork,
    parts: Sequence[Feeling],
    heard: Heard,
    reads: bool,
    checkpoint: Checkpoint = unwatched,
) -> list[Feeling]:
    """Return parts with what the network says of them, some at a time."""
    found: list[Feeling] = []
    for begin in range(0, len(parts), _PARTS_AT_ONCE):
        checkpoint()
        some = parts[begin : begin + _PARTS_AT_ONCE]
        voices = [heard(part.start - _AROUND_S, part.end + _AROUND_S) for part in some]
        shares, intensities = semantics.feel([part.text if reads else "" for part in some], voices)
        found += [
            replace(part, shares=share, intensity=float(intensity))
            for part, share, intensity in zip(some, shares, intensities, strict=True)
        ]
    return found


def _parted(
    semantics: SemanticsNetwork, whole: Feeling, words: Alignment, heard: Heard, reads: bool
) -> list[Feeling]:
    """Return a sentence, or its clauses where their feelings differ and are sure."""
    clauses = _clauses(whole, words) if whole.last > whole.first else []
    if len(clauses) < 2:
        return [whole]
    felt = _felt(semantics, clauses, heard, reads)
    merged = [felt[0]]
    for clause in felt[1:]:
        goes_on = clause.emotion in (merged[-1].emotion, NEUTRAL)
        if goes_on or clause.shares.max() < _SURE:
            merged[-1] = _joined(merged[-1], clause, words)
        else:
            merged.append(clause)
    sure = len(merged) > 1 and all(part.shares.max() >= _SURE for part in merged)
    return merged if sure else [whole]


def _clauses(whole: Feeling, words: Alignment) -> list[Feeling]:
    edges = [whole.first]
    for i in range(whole.first, whole.last - 1):
        is_long = i + 1 - edges[-1] >= _FEWEST_WORDS and whole.last - i - 1 >= _FEWEST_WORDS
        if words.boundaries[i] is Boundary.CLAUSE and is_long:
            edges.append(i + 1)
    edges.append(whole.last)
    return [_of_words(whole, words, a, b) for a, b in pairwise(edges)]


def _of_words(like: Feeling, words: Alignment, first: int, last: int) -> Feeling:
    part = words.words[first:last]
    text = " ".join(word.text for word in part)
    return replace(like, start=part[0].start, end=part[-1].end, text=text, first=first, last=last)


def _joined(before: Feeling, after: Feeling, words: Alignment) -> Feeling:
    return _of_words(before, words, before.first, after.last)


def _in_context(parts: Sequence[Feeling]) -> list[Feeling]:
    """Return feelings with the sentences before mixed in: sure ones hardly change, unsure ones follow the mood."""
    logs = [np.log(np.maximum(part.shares.astype(np.float64), 1e-4)) for part in parts]
    mixed = []
    for i, part in enumerate(parts):
        total = logs[i].copy()
        for back, weight in enumerate(_CONTEXT, start=1):
            if i >= back:
                total += weight * logs[i - back]
        shares = np.exp(total - total.max())
        mixed.append(replace(part, shares=(shares / shares.sum()).astype(np.float32)))
    return mixed


# --- curves ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Change:
    """From `time` on, the levels move to `target` [8] within `duration` seconds."""

    time: float
    duration: float
    target: Doubles


def _changes(
    found: Sequence[Feeling], directions: Sequence[Cue], gain: float, base: npt.ArrayLike | None
) -> list[_Change]:
    """Return the changes in order of time: feelings up to the first direction, then directions."""
    changes: list[_Change] = []
    if base is not None:
        changes.append(_Change(-np.inf, ATTACK_S, np.asarray(base, np.float64)))
    for i, feeling in enumerate(found):
        levels = np.minimum(feeling.levels() * gain, 1.0)
        after = found[i + 1].start if i + 1 < len(found) else np.inf
        changes.append(_Change(feeling.start - LEAD_S, ATTACK_S, levels))
        if after - feeling.end > LONG_PAUSE_S:
            rest = levels * RESTING if after < np.inf else np.zeros_like(levels)
            changes.append(_Change(max(feeling.end, feeling.start - LEAD_S), RELEASE_S, rest))
    if directions:
        cut = directions[0].time - LEAD_S
        changes = [change for change in changes if change.time < cut]
    changes += [_Change(cue.time - LEAD_S, ATTACK_S, _vector(cue)) for cue in directions]
    return sorted(changes, key=lambda change: change.time)


def _vector(cue: Cue) -> Doubles:
    values = dict(cue.emotions)
    return np.array([values.get(name, 0.0) for name in EMOTIONS], np.float64)


def _levels(times: Doubles, changes: Sequence[_Change]) -> Doubles:
    """Return the levels [len(times), 8]; a change that interrupts another begins where that one stood."""
    levels = np.zeros((len(times), len(EMOTIONS)))
    start, current = np.zeros(len(EMOTIONS)), None
    for change in changes:
        if current is not None:
            start = _during(np.array([change.time]), current, start)[0]
        current = change
        if np.isinf(change.time):
            start = change.target
        later = times >= change.time
        levels[later] = _during(times[later], change, start)
    return levels


def _during(times: Doubles, change: _Change, start: Doubles) -> Doubles:
    """Return the levels after a change has begun: they ease in and out, and never faster than `FASTEST`."""
    if np.isinf(change.time):
        return np.tile(change.target, (len(times), 1))
    distance = float(np.abs(change.target - start).max())
    duration = max(change.duration, distance * np.pi / 2 / FASTEST)
    share = np.clip((times - change.time) / duration, 0.0, 1.0)
    eased = 0.5 - 0.5 * np.cos(np.pi * share)
    return np.asarray(start + (change.target - start) * eased[:, None])


def _is_predicted(times: Doubles, directions: Sequence[Cue]) -> Doubles:
    """Return 1 before the first direction and 0 after it, [n, 1]: what is written down is not modulated."""
    if not directions:
        return np.ones((len(times), 1))
    return np.clip((directions[0].time - LEAD_S - times) / ATTACK_S, 0.0, 1.0)[:, None]


def _arousal(voice: Waveform, grid: npt.NDArray[np.int64], checkpoint: Checkpoint) -> Doubles:
    """Return how loud the voice is against itself, slowly, -1 to 1, at moments of the grid [n, 1]; 0 in silence."""
    reach = int(np.ceil(3 * _MODULATION_SD_S * _RATE))
    rows = prosody(voice.samples, len(grid) + 2 * reach, int(grid[0]) - reach, checkpoint)
    decibels = rows[:, Prosody.ENERGY].astype(np.float64) * 20.0
    loud = _usual_level(voice)
    heard = decibels > loud - _SPOKEN_DB
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / (_MODULATION_SD_S * _RATE)) ** 2)
    kernel /= kernel.sum()
    excess = np.convolve(np.where(heard, decibels - loud, 0.0), kernel, "valid")
    share = np.convolve(heard.astype(np.float64), kernel, "valid")
    return np.tanh(excess / np.maximum(share, 0.3) / _MODULATION_DB)[:, None]


def _usual_level(voice: Waveform) -> float:
    """Return the median level of the voice where it speaks, in decibels as prosody tells it."""
    size = voiced.HOP * 4
    count = len(voice.samples) // size
    frames = voice.samples[: count * size].reshape(count, size)
    power = np.einsum("ij,ij->i", frames, frames, dtype=np.float64) / size
    levels = 10 * np.log10(2 * power + 1e-12)
    spoken = levels >= np.quantile(levels, 0.97) - _SPOKEN_DB if count else levels
    return float(np.median(levels[spoken])) if count else 0.0


def _slowed(levels: Doubles) -> Doubles:
    """Return levels [n, 8] that change by at most `FASTEST` a second: the highest such curve below them. Only what is
    within .4 seconds counts, because levels are 0 to 1."""
    slow = levels.copy()
    for step in range(1, int(_RATE / FASTEST) + 1):
        rise = step * FASTEST / _RATE
        slow[step:] = np.minimum(slow[step:], levels[:-step] + rise)
        slow[:-step] = np.minimum(slow[:-step], levels[step:] + rise)
    return slow
