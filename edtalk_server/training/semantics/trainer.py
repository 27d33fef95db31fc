"""Training of the starter's `ProsodyText`: cross-entropy on the emotion, .5 L1 on the weights q * intensity.

Texts are own sentences and a grammar's; sound is synthetic emotional speech (`emotional`). Words and sound are masked
at random (Eq. 7), and with both masked the answer is neutral.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from edtalk_server.networks.voice.semantics import (
    CLASSES,
    Batch,
    Felt,
    ProsodyText,
    ProsodyTextConfig,
    collate,
    masked,
)
from edtalk_server.networks.voice.text_features import (
    BUCKETS,
    TextFeatures,
    entry_code,
    role_codes,
    text_features,
)
from edtalk_server.training.loop import checkpoint
from edtalk_server.training.semantics import lexicon as words
from edtalk_server.training.semantics.sentences import Labelled, drawn, is_held_out, written

log = logging.getLogger(__name__)

COLUMNS = tuple(CLASSES.index(name) for name in words.CLASSES)
"""The network's class of each of the seven."""
NEUTRAL = CLASSES.index("neutral")


class Clip(NamedTuple):
    """A spoken sentence: normalised prosody [frames, 8], its text, the number of its emotion among the seven, and how
    strong it sounds, 0 to 1."""

    prosody: npt.NDArray[np.float32]
    text: str
    label: int
    intensity: float


@dataclass(frozen=True)
class SemanticsConfig:
    """Recipe of a run.

    `word_rate`: rate of the hashed words against the others'; `grammar`: share of texts from the grammar, of which
    `grammar_size` are drawn; `dropped`: share of a text's features that training hides; `lexicon_hidden`: how often
    what the lexicon says of a text is hidden; `smoothing` of the labels.
    """

    steps: int = 1500
    batch: int = 64
    rate: float = 2e-3
    word_rate: float = 0.15
    decay: float = 3e-2
    grammar: float = 0.35
    grammar_size: int = 4000
    dropped: float = 0.4
    lexicon_hidden: float = 0.08
    smoothing: float = 0.1
    seed: int = 11


def new_network() -> ProsodyText:
    """Return an untrained network that holds the lexicon."""
    entries = words.entries()
    codes = sorted({entry_code(word) for word, _, _ in entries})
    roles = role_codes(words.NEGATORS, words.INTENSIFIERS, words.DIMINISHERS)
    network = ProsodyText(ProsodyTextConfig(48, 64, len(codes), len(roles[0]), len(roles[1]), len(roles[2])))
    place = {key: i for i, key in enumerate(codes)}
    network.entry_codes.copy_(torch.tensor(codes))
    for word, number, strength in entries:
        network.entry_strengths[place[entry_code(word)], COLUMNS[number]] = strength
    for name, keys in zip(("negators", "stronger", "weaker"), roles, strict=True):
        getattr(network, name).copy_(torch.tensor(keys))
    return network


def intensity_of(text: str, label: int) -> float:
    """Return how strongly a written sentence is felt: exclamations and intensifiers make it stronger."""
    if words.CLASSES[label] == "neutral":
        return 0.0
    plain = f" {text.lower()} "
    stronger = any(
        f" {word} " in plain for word in ("so", "very", "never", "absolutely", "completely", "such")
    )
    weaker = any(
        f" {word} " in plain for word in ("a bit", "rather", "quite", "slightly", "somewhat", "a little")
    )
    return 0.7 + 0.2 * ("!" in text) + 0.1 * stronger - 0.3 * weaker


class Trainer:
    """A run in a folder: its checkpoint is written every few hundred steps, and read when it starts again."""

    def __init__(self, clips: Sequence[Clip], config: SemanticsConfig, folder: Path | None) -> None:
        torch.manual_seed(config.seed)
        self.config = config
        self.network = new_network()
        self.optimizer = torch.optim.AdamW(_groups(self.network, config), weight_decay=config.decay)
        self.step = 0
        self._path = folder / "semantics.pt" if folder else None
        own = [sentence for sentence in written() if not is_held_out(sentence.text)]
        self._by_class = [[one for one in own if one.label == i] for i in range(len(words.CLASSES))]
        self._clips = [[clip for clip in clips if clip.label == i] for i in range(len(words.CLASSES))]
        pool = np.random.default_rng(config.seed)
        self._grammar = [drawn(pool) for _ in range(config.grammar_size)]
        self._features: dict[str, TextFeatures] = {}
        self._resume()

    def _resume(self) -> None:
        if self._path and self._path.is_file():
            state = checkpoint.load(self._path)
            self.network.load_state_dict(state["network"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.step = int(state["progress"])

    def save(self) -> None:
        """Write the state, whole or not at all."""
        if self._path:
            state = {
                "network": self.network.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "progress": self.step,
                "config": asdict(self.config),
            }
            checkpoint.save(self._path, state)

    def train(self, until: float = float("inf")) -> ProsodyText:
        """Train to the end, or until the monotonic clock says `until`; return the network."""
        self.network.train()
        while self.step < self.config.steps and time.monotonic() < until:
            loss = self._one_step()
            self.step += 1
            if self.step % 500 == 0 or self.step == self.config.steps:
                log.info("step %d: loss %.3f", self.step, loss)
                self.save()
        return self.network.eval()

    def _one_step(self) -> float:
        rng = np.random.default_rng((self.config.seed, self.step))
        share = self.step / self.config.steps
        for group in self.optimizer.param_groups:
            group["lr"] = group["rate"] * 0.5 * (1 + math.cos(math.pi * share))
        batch, labels, intensities = self._batch(rng)
        loss = loss_of(self.network(batch), batch, labels, intensities, self.config.smoothing)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        return float(loss.detach())

    def _batch(self, rng: np.random.Generator) -> tuple[Batch, Tensor, Tensor]:
        texts, voices, has_text, labels, intensities = [], [], [], [], []
        for _ in range(self.config.batch):
            sentence = self._sentence(rng)
            clip = self._clip(sentence.label, rng)
            texts.append(self._thinned(sentence.text, rng))
            voices.append(clip.prosody if clip else np.zeros((0, 8), np.float32))
            has_text.append(True)
            labels.append(COLUMNS[sentence.label])
            strength = intensity_of(sentence.text, sentence.label)
            intensities.append((strength + clip.intensity) / 2 if clip else strength)
        batch = collate(texts, voices, has_text)
        draws = torch.from_numpy(rng.random(len(labels)).astype(np.float32))
        return masked(batch, draws), torch.tensor(labels), torch.tensor(intensities, dtype=torch.float32)

    def _sentence(self, rng: np.random.Generator) -> Labelled:
        if rng.random() < self.config.grammar:
            return self._grammar[int(rng.integers(len(self._grammar)))]
        group = self._by_class[int(rng.integers(len(self._by_class)))]
        return group[int(rng.integers(len(group)))]

    def _clip(self, label: int, rng: np.random.Generator) -> Clip | None:
        """Return speech of the same emotion; it says other words, so that the sound is learnt and not the words."""
        group = self._clips[label]
        return group[int(rng.integers(len(group)))] if group and rng.random() < 0.8 else None

    def _thinned(self, text: str, rng: np.random.Generator) -> TextFeatures:
        """Return a text's features, some of them hidden: no single word may decide."""
        whole = self._features.get(text)
        if whole is None:
            whole = self._features[text] = text_features(text, self.network.lexicon)
        kept = whole.buckets[rng.random(len(whole.buckets)) > self.config.dropped]
        scores = whole.scores
        if rng.random() < self.config.lexicon_hidden:
            scores = scores.copy()
            scores[: 3 * len(CLASSES)] = 0.0
        elif rng.random() < self.config.lexicon_hidden:  # words that no list of ours has seen
            kept = rng.integers(0, BUCKETS, len(kept))
        return TextFeatures(kept if len(kept) else whole.buckets[:1], scores)


def _groups(network: ProsodyText, config: SemanticsConfig) -> list[dict[str, Any]]:
    """Return the parameters in two groups: hashed words learn slowly, or they would know the sentences by heart."""
    words = list(network.embedding.parameters())
    others = [value for name, value in network.named_parameters() if not name.startswith("embedding.")]
    rates = (config.rate * config.word_rate, config.rate)
    return [
        {"params": group, "lr": rate, "rate": rate}
        for group, rate in zip((words, others), rates, strict=True)
    ]


def loss_of(felt: Felt, batch: Batch, labels: Tensor, intensities: Tensor, smoothing: float) -> Tensor:
    """Return cross-entropy plus .5 L1 on q * intensity; where words and sound are both masked, neutral is right."""
    blank = (batch.has_text + batch.has_sound) == 0
    labels = torch.where(blank, torch.tensor(NEUTRAL), labels)
    intensities = torch.where(blank, torch.tensor(0.0), intensities)
    entropy = nn.functional.cross_entropy(felt.logits, labels, label_smoothing=smoothing)
    # apart, because together an unsure start teaches an intensity of 0 for ever
    wanted = nn.functional.one_hot(labels, len(CLASSES)) * intensities[:, None]
    shares = torch.softmax(felt.logits, dim=1) * intensities[:, None]
    weights = (shares - wanted).abs().sum(dim=1).mean()
    strength = (felt.intensity - intensities).abs().mean()
    return entropy + 0.5 * weights + strength
