"""How well feelings are read and words are placed: on sentences, voices and texts that training never saw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edtalk_server.media.audio.voice import Waveform
from edtalk_server.motion.align import align
from edtalk_server.networks.voice.semantics import ProsodyText
from edtalk_server.training.semantics.emotional import GROUPS, HELD_OUT_VOICES, HIGH_AROUSAL
from edtalk_server.training.semantics.lexicon import CLASSES as SEVEN
from edtalk_server.training.semantics.sentences import Labelled, further, is_held_out, negated, written
from edtalk_server.training.semantics.trainer import COLUMNS, Clip
from edtalk_server.training.speech import espeak
from shared_protocol.transcripts import parse

_SILENT = np.zeros((0, 8), np.float32)
LONG_TEXT = (
    "The meeting begins at half past nine in the large room on the second floor. Mr. Weaver has asked that everybody"
    " bring the figures from last year, because the mayor wants to see them. After lunch we shall look at the bridge,"
    " then at the new school, and if there is time, at the harbour. If anyone asks about the money, say that we do not"
    " know yet, and change the subject as quickly as you can."
)
ALIGNED_TEXTS = (
    "I never thought I would see you again, not after what happened in Berlin. You look tired. Sit down, please, and"
    " tell me everything.",
    "Listen to me. When the door opens, run! Don't look back, don't stop, and whatever you hear behind you, keep going"
    " until you reach the river.",
    LONG_TEXT,
)


@dataclass(frozen=True)
class Shares:
    """Share of right answers of seven classes; in sound also of high against low arousal and of four groups."""

    seven: float
    arousal: float
    groups: float
    count: int

    def __str__(self) -> str:
        return f"seven {self.seven:.1%}, arousal {self.arousal:.1%}, four groups {self.groups:.1%} of {self.count}"


def shares_of(found: npt.NDArray[np.int64], truth: Sequence[int]) -> Shares:
    """Return the shares of answers (numbers among `SEVEN`) that are right."""
    names = [SEVEN[i] for i in found], [SEVEN[i] for i in truth]
    pairs = list(zip(*names, strict=True))
    return Shares(
        float(np.mean([a == b for a, b in pairs])),
        float(np.mean([(a in HIGH_AROUSAL) == (b in HIGH_AROUSAL) for a, b in pairs])),
        float(np.mean([GROUPS[a] == GROUPS[b] for a, b in pairs])),
        len(pairs),
    )


def read_text(network: ProsodyText, sentences: Sequence[Labelled]) -> Shares:
    """Return how well words alone are read."""
    found = _answers(network, [one.text for one in sentences], [_SILENT] * len(sentences))
    return shares_of(found, [one.label for one in sentences])


def read_sound(network: ProsodyText, clips: Sequence[Clip]) -> Shares:
    """Return how well sound alone is heard."""
    found = _answers(network, [""] * len(clips), [clip.prosody for clip in clips])
    return shares_of(found, [clip.label for clip in clips])


def read_both(
    network: ProsodyText, sentences: Sequence[Labelled], clips: Sequence[Clip]
) -> tuple[Shares, Shares]:
    """Return how well the same sentences are read with words alone, and with sound of the same emotion beside."""
    pairs = []
    for number, name in enumerate(SEVEN):
        said = [one for one in sentences if one.label == number]
        heard = [clip for clip in clips if clip.label == number]
        if not heard:
            raise ValueError(f"no clip of {name} to measure with")
        pairs += [(one, heard[i % len(heard)]) for i, one in enumerate(said)]
    texts, labels = [one.text for one, _ in pairs], [one.label for one, _ in pairs]
    alone = _answers(network, texts, [_SILENT] * len(pairs))
    both = _answers(network, texts, [clip.prosody for _, clip in pairs])
    return shares_of(alone, labels), shares_of(both, labels)


def _answers(
    network: ProsodyText, texts: Sequence[str], voices: Sequence[npt.NDArray[np.float32]]
) -> npt.NDArray[np.int64]:
    """Return the strongest of the seven classes; contempt, which nothing teaches, is no answer."""
    shares, _ = network.feel(texts, voices)
    return np.asarray(shares[:, list(COLUMNS)].argmax(axis=1))


def words_placed(use_recognizer: bool, voices: Sequence[str] = HELD_OUT_VOICES) -> tuple[float, float, int]:
    """Return the median and the 90th percentile of the error of a word's start in milliseconds, and the number of
    words, in synthetic speech whose word times espeak tells."""
    errors: list[float] = []
    for text in ALIGNED_TEXTS:
        for voice in voices:
            spoken = espeak.Espeak.shared().speak(text, espeak.Manner(voice, 165))
            placed = align(parse(text), Waveform(spoken.samples), "en", use_recognizer).words
            errors += _errors(
                [(word.text, word.start) for word in placed], [(w.symbol, w.start) for w in spoken.words]
            )
    found = np.array(errors) * 1000
    return float(np.median(found)), float(np.quantile(found, 0.9)), len(found)


def _errors(placed: Sequence[tuple[str, float]], truth: Sequence[tuple[str, float]]) -> list[float]:
    """Return the errors of words that both lists have in the same order: espeak joins some."""
    errors, at = [], 0
    for word, start in truth:
        near = [i for i in range(at, min(at + 3, len(placed))) if placed[i][0].startswith(word)]
        if near:
            errors.append(abs(placed[near[0]][1] - start))
            at = near[0] + 1
    return errors


def report(network: ProsodyText, clips: Sequence[Clip]) -> list[str]:
    """Return all measures as rows for people; `clips` are of held-out voices."""
    held_out = [one for one in written() if is_held_out(one.text)]
    alone, both = read_both(network, held_out, clips)
    rows = [
        f"words, held-out sentences: {read_text(network, held_out)}",
        f"words, further sentences:  {read_text(network, further())}",
        f"words, negations:          {read_text(network, negated())}",
        f"sound, held-out voices:    {read_sound(network, clips)}",
        f"both together:             {both} (words alone: {alone.seven:.1%})",
    ]
    for name, use in (("recognizer", True), ("guess", False)):
        median, late, count = words_placed(use)
        rows.append(f"word starts, {name}: median {median:.0f} ms, 90 % within {late:.0f} ms, {count} words")
    return rows


def classes_of(network: ProsodyText, sentences: Sequence[Labelled]) -> list[tuple[str, str, str]]:
    """Return (wanted, found, text) of each sentence, to look at."""
    found = _answers(network, [one.text for one in sentences], [_SILENT] * len(sentences))
    return [(SEVEN[one.label], SEVEN[i], one.text) for one, i in zip(sentences, found, strict=True)]
