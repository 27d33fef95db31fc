"""What is felt in an utterance, from its words, its sound, both or neither (paper section 3.3, Eq. 7).

`ProsodyText` is the starter's own small network. `HubertRoberta` is the paper's: a speech and a text transformer, whose
features are masked at random in training, so that it works with one of them alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from edtalk_server.networks.voice.text_features import (
    BUCKETS,
    Lexicon,
    TextFeatures,
    score_count,
    text_features,
)

CLASSES = ("happy", "sad", "angry", "surprised", "fear", "disgusted", "contempt", "neutral")
"""The eight emotions, in the order of the network's logits and of all curves."""
PROSODY = 8
"""Columns of prosody (`media.audio.prosody`), 25 rows a second."""
TEXT_MASK, SOUND_MASK = 0.25, 0.5
"""How often words and sound are masked in training (Eq. 7: text below .25, audio below .5)."""


@dataclass(frozen=True)
class ProsodyTextConfig:
    """Sizes of a `ProsodyText`: width of embedding and of features, entries of the lexicon, words that negate,
    strengthen and weaken."""

    embedding: int = 48
    width: int = 64
    entries: int = 0
    negators: int = 0
    stronger: int = 0
    weaker: int = 0
    languages: tuple[str, ...] = ("en",)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ProsodyTextConfig:
        """Read a bundle's config; raises `ValueError` that names a wrong field."""
        config = cls(**_known(cls, values))
        sizes = {name: value for name, value in asdict(config).items() if name != "languages"}
        for name, size in sizes.items():
            least = 1 if name in ("embedding", "width") else 0
            if type(size) is not int or not least <= size <= 65_536:
                raise ValueError(f"{name} must be a whole number from {least} to 65536")
        languages = tuple(config.languages)
        if not all(isinstance(language, str) for language in languages):
            raise ValueError("languages must be a list of codes")
        return cls(**sizes, languages=languages)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object that `from_dict` reads."""
        return {**asdict(self), "languages": list(self.languages)}


def _known(cls: type, values: Mapping[str, Any]) -> dict[str, Any]:
    if unknown := sorted(set(values) - set(cls.__dataclass_fields__)):  # type: ignore[attr-defined]
        raise ValueError(f"{unknown[0]} is not a known field")
    return dict(values)


class Batch(NamedTuple):
    """Utterances: `buckets` int64 [N] of all texts end to end, `offsets` int64 [B], `scores` [B, S], `prosody`
    [B, T, 8] with zeros beyond `frames` int64 [B]; `has_text`, `has_sound` float [B], 1 where there is one."""

    buckets: Tensor
    offsets: Tensor
    scores: Tensor
    prosody: Tensor
    frames: Tensor
    has_text: Tensor
    has_sound: Tensor


class Felt(NamedTuple):
    """`logits` [B, 8] of the emotions, and `intensity` [B], 0 to 1."""

    logits: Tensor
    intensity: Tensor


class SoundBranch(nn.Module):
    """Prosody [B, T, 8] -> [B, width]: four dilated convolutions, then a mean weighted by attention."""

    def __init__(self, width: int) -> None:
        super().__init__()
        sizes = (PROSODY, width, width, width, width)
        self.convs = nn.ModuleList(
            nn.Conv1d(sizes[i], sizes[i + 1], 5, padding=2 * 2**i, dilation=2**i) for i in range(4)
        )
        self.attention = nn.Conv1d(width, 1, 1)
        self.out = nn.Linear(2 * width, width)

    def forward(self, prosody: Tensor, frames: Tensor) -> Tensor:
        inside = torch.arange(prosody.shape[1], device=prosody.device)[None] < frames[:, None]
        x = prosody.transpose(1, 2)
        for i, conv in enumerate(self.convs):
            y = torch.relu(conv(x)) * inside[:, None]
            x = x + y if i else y
        scores = self.attention(x).masked_fill(~inside[:, None], -1e4)
        pooled = (x * torch.softmax(scores, dim=2)).sum(dim=2)
        mean = x.sum(dim=2) / frames.clamp(min=1)[:, None]
        return torch.relu(self.out(torch.cat([pooled, mean], dim=1)))


class ProsodyText(nn.Module):
    """Words and prosody -> eight emotions and their intensity. Use it in evaluation mode.

    Each branch gives `width` features, which are zero where the words or the sound are missing (Eq. 7); with neither
    the answer is neutral.
    """

    entry_codes: Tensor
    entry_strengths: Tensor

    def __init__(self, config: ProsodyTextConfig | None = None) -> None:
        super().__init__()
        self.config = config or ProsodyTextConfig()
        width, classes = self.config.width, len(CLASSES)
        self.embedding = nn.EmbeddingBag(BUCKETS, self.config.embedding, mode="mean")
        nn.init.normal_(self.embedding.weight, std=0.05)
        words = self.config.embedding + score_count(classes)
        self.text = nn.Linear(words, width)
        self.said = nn.Linear(words, classes, bias=False)
        self.sound = SoundBranch(width)
        self.hidden = nn.Linear(2 * width, width)
        self.logits = nn.Linear(width, classes)
        self.intensity = nn.Linear(width, 1)
        self.dropout = nn.Dropout(0.3)
        self._add_lexicon_buffers()
        self._lexicon: Lexicon | None = None

    def _add_lexicon_buffers(self) -> None:
        config = self.config
        self.register_buffer("entry_codes", torch.zeros(config.entries, dtype=torch.int64))
        self.register_buffer("entry_strengths", torch.zeros(config.entries, len(CLASSES)))
        for name in ("negators", "stronger", "weaker"):
            self.register_buffer(name, torch.zeros(getattr(config, name), dtype=torch.int64))

    @classmethod
    def from_config(cls, values: Mapping[str, Any]) -> ProsodyText:
        """Return the untrained network of a bundle's config; raises `ValueError` that names a wrong field."""
        return cls(ProsodyTextConfig.from_dict(values))

    @property
    def lexicon(self) -> Lexicon:
        """The lexicon in the tensors."""
        if self._lexicon is None:
            codes, strengths = self.entry_codes.tolist(), self.entry_strengths.numpy()
            roles = (frozenset(getattr(self, name).tolist()) for name in ("negators", "stronger", "weaker"))
            self._lexicon = Lexicon(len(CLASSES), dict(zip(codes, strengths, strict=True)), *roles)
        return self._lexicon

    def forward(self, batch: Batch) -> Felt:
        words = torch.cat([self.embedding(batch.buckets, batch.offsets), batch.scores], dim=1)
        text = torch.relu(self.text(words)) * batch.has_text[:, None]
        sound = self.sound(batch.prosody, batch.frames) * batch.has_sound[:, None]
        x = self.dropout(torch.cat([text, sound], dim=1))
        x = torch.relu(self.hidden(x))
        said = self.said(words) * batch.has_text[:, None]  # straight: few sentences teach few detours
        return Felt(self.logits(x) + said, torch.sigmoid(self.intensity(x)[:, 0]))

    @torch.inference_mode()
    def feel(
        self, texts: Sequence[str], voices: Sequence[npt.NDArray[np.float32]]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Return shares of the emotions [B, 8], which add up to 1, and intensities [B].

        `texts`: "" where there are no words. `voices`: prosody [frames, 8] less the recording's median
        (`normalized`), [0, 8] where there is no sound.
        """
        batch = collate(
            [text_features(text, self.lexicon) for text in texts], voices, [bool(t) for t in texts]
        )
        felt = self(batch)
        shares = torch.softmax(felt.logits, dim=1).numpy()
        intensity = felt.intensity.numpy().copy()
        blank = (batch.has_text + batch.has_sound).numpy() == 0
        shares[blank] = np.eye(len(CLASSES), dtype=np.float32)[CLASSES.index("neutral")]
        intensity[blank] = 0.0
        return shares.astype(np.float32), intensity.astype(np.float32)


def normalized(prosody: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return prosody [frames, 8] less the median level and tilt of what is loud in the recording: microphones and
    voices differ, emotions are changes."""
    rows = prosody.copy()
    spoken = rows[:, 0] > np.quantile(rows[:, 0], 0.5) if len(rows) else np.zeros(0, bool)
    for column in (0, 5):
        if spoken.any():
            rows[:, column] -= np.median(rows[spoken, column])
    rows[:, 0] = np.maximum(rows[:, 0], -2.0)
    rows[:, 2] /= 6.0
    rows[:, 3] /= 3.0
    rows[:, 7] /= 5.0
    return rows


def collate(
    texts: Sequence[TextFeatures], voices: Sequence[npt.NDArray[np.float32]], has_text: Sequence[bool]
) -> Batch:
    """Return utterances as one batch."""
    lengths = [len(text.buckets) for text in texts]
    frames = [len(voice) for voice in voices]
    prosody = np.zeros((len(voices), max([1, *frames]), PROSODY), np.float32)
    for row, voice in zip(prosody, voices, strict=True):
        row[: len(voice)] = voice
    return Batch(
        torch.from_numpy(np.concatenate([text.buckets for text in texts])),
        torch.from_numpy(np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64)),
        torch.from_numpy(np.stack([text.scores for text in texts])),
        torch.from_numpy(prosody),
        torch.tensor(frames),
        torch.tensor(has_text, dtype=torch.float32),
        torch.tensor([float(count > 0) for count in frames]),
    )


def masked(batch: Batch, draws: Tensor) -> Batch:
    """Return a batch whose words or sound are masked by draws [B] from 0 to 1: text below .25, audio from there to .5
    (Eq. 7)."""
    no_text = draws < TEXT_MASK
    no_sound = (draws >= TEXT_MASK) & (draws < SOUND_MASK)
    return batch._replace(has_text=batch.has_text * ~no_text, has_sound=batch.has_sound * ~no_sound)
