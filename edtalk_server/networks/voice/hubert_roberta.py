"""The paper's reading of feelings: HuBERT hears, RoBERTa reads, three small networks join them (section 3.3, Eq. 7).

The two encoders are `transformers` models (extra `semantics`) in a local folder; nothing is fetched here. The networks
between are the part of a bundle. They predict the mean expression weights W^e of an utterance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from edtalk_server.networks.voice.semantics import CLASSES, SOUND_MASK, TEXT_MASK

SHORTEST = 400
"""Samples that HuBERT's convolutions need."""


@dataclass(frozen=True)
class HubertRobertaConfig:
    """`folder` holds `hubert/` and `roberta/`, each with config.json and model.safetensors, and RoBERTa's tokenizer;
    `sound` and `text` are the widths of their features, `outputs` the expression weights."""

    folder: str = ""
    sound: int = 1024
    text: int = 768
    outputs: int = 10
    languages: tuple[str, ...] = ("en",)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> HubertRobertaConfig:
        """Read a bundle's config; raises `ValueError` that names a wrong field."""
        if unknown := sorted(set(values) - set(cls.__dataclass_fields__)):
            raise ValueError(f"{unknown[0]} is not a known field")
        config = cls(**values)
        for name in ("sound", "text", "outputs"):
            if type(getattr(config, name)) is not int or not 1 <= getattr(config, name) <= 8192:
                raise ValueError(f"{name} must be a whole number from 1 to 8192")
        return cls(config.folder, config.sound, config.text, config.outputs, tuple(config.languages))

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object that `from_dict` reads."""
        return {**asdict(self), "languages": list(self.languages)}


class HubertRoberta(nn.Module):
    """Words and sound -> expression weights [B, outputs]. Use it in evaluation mode.

    Each feature goes 512 -> ReLU -> batch norm -> 512 -> ReLU -> 256; both together 512 -> ReLU -> outputs. A masked
    modality's 256 numbers are zero. The encoders belong to no checkpoint of this network: they are read from their
    folder when they are first needed.
    """

    hears = "samples"
    presets: Tensor

    def __init__(self, config: HubertRobertaConfig | None = None) -> None:
        super().__init__()
        self.config = config or HubertRobertaConfig()
        self.sound = _branch(self.config.sound)
        self.text = _branch(self.config.text)
        self.joined = nn.Sequential(nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, self.config.outputs))
        self.register_buffer("presets", torch.zeros(len(CLASSES), self.config.outputs))
        self._encoders: tuple[Any, Any, Any] | None = None

    @classmethod
    def from_config(cls, values: Mapping[str, Any]) -> HubertRoberta:
        """Return the untrained network of a bundle's config; raises `ValueError` that names a wrong field."""
        return cls(HubertRobertaConfig.from_dict(values))

    def forward(self, sound: Tensor, text: Tensor, has_sound: Tensor, has_text: Tensor) -> Tensor:
        """Features [B, sound] and [B, text], and which of them count, [B] of 0 or 1 -> weights [B, outputs]."""
        heard = self.sound(sound) * has_sound[:, None]
        read = self.text(text) * has_text[:, None]
        return self.joined(torch.cat([heard, read], dim=1))  # type: ignore[no-any-return]

    # --- the encoders ---

    def use(self, hubert: Any, roberta: Any, tokenizer: Any) -> None:
        """Take encoders that are open already."""
        self._encoders = (hubert.eval(), roberta.eval(), tokenizer)

    def _open(self) -> tuple[Any, Any, Any]:
        """Open the encoders; raises `OSError` where the folder lacks them, `ImportError` without `transformers`."""
        if self._encoders is None:
            from transformers import AutoTokenizer, HubertModel, RobertaModel

            ears, eyes = Path(self.config.folder) / "hubert", Path(self.config.folder) / "roberta"
            local: dict[str, Any] = {"local_files_only": True, "use_safetensors": True}
            self.use(
                HubertModel.from_pretrained(ears, **local),
                RobertaModel.from_pretrained(eyes, **local),
                AutoTokenizer.from_pretrained(eyes, local_files_only=True),
            )
        assert self._encoders is not None  # noqa: S101
        return self._encoders

    @torch.inference_mode()
    def sound_feature(self, samples: npt.NDArray[np.float32]) -> Tensor:
        """Return HuBERT's mean feature [sound] of a voice [n] at 16 kHz, which is normalised as in its training."""
        hubert, _, _ = self._open()
        padded = np.pad(samples, (0, max(SHORTEST - len(samples), 0)))
        scaled = (padded - padded.mean()) / np.sqrt(padded.var() + 1e-7)
        return hubert(torch.from_numpy(scaled.astype(np.float32))[None]).last_hidden_state[0].mean(dim=0)  # type: ignore[no-any-return]

    @torch.inference_mode()
    def text_feature(self, text: str) -> Tensor:
        """Return RoBERTa's pooled first token [text]: a linear layer and tanh."""
        _, roberta, tokenizer = self._open()
        tokens = tokenizer(text, return_tensors="pt", truncation=True, max_length=512)
        return roberta(**tokens).pooler_output[0]  # type: ignore[no-any-return]

    @torch.inference_mode()
    def weights(self, texts: Sequence[str], voices: Sequence[npt.NDArray[np.float32]]) -> Tensor:
        """Return expression weights [B, outputs]; "" is no text, [0] no voice."""
        sound = [self.sound_feature(v) if len(v) else torch.zeros(self.config.sound) for v in voices]
        text = [self.text_feature(t) if t else torch.zeros(self.config.text) for t in texts]
        has = [torch.tensor([float(len(item) > 0) for item in items]) for items in (voices, texts)]
        return self(torch.stack(sound), torch.stack(text), *has)  # type: ignore[no-any-return]

    def feel(
        self, texts: Sequence[str], voices: Sequence[npt.NDArray[np.float32]]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Return shares [B, 8] and intensities [B]: the presets, none negative, whose sum comes nearest to the weights.
        What no preset shows is lost, so that the result can be edited as emotions."""
        wanted = self.weights(texts, voices).numpy().astype(np.float64)
        levels = np.stack([nearest_presets(row, self.presets.numpy().astype(np.float64)) for row in wanted])
        total = levels.sum(axis=1)
        neutral = np.eye(len(CLASSES))[CLASSES.index("neutral")]
        shares = np.where(total[:, None] > 1e-6, levels / np.maximum(total, 1e-6)[:, None], neutral)
        return shares.astype(np.float32), np.minimum(total, 1.0).astype(np.float32)


def _branch(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(width, 512),
        nn.ReLU(),
        nn.BatchNorm1d(512),
        nn.Linear(512, 512),
        nn.ReLU(),
        nn.Linear(512, 256),
    )


def nearest_presets(
    wanted: npt.NDArray[np.float64], presets: npt.NDArray[np.float64], steps: int = 300
) -> npt.NDArray[np.float64]:
    """Return levels [8] >= 0 whose sum of presets [8, n] comes nearest to weights [n], by projected gradients."""
    gram, target = presets @ presets.T, presets @ wanted
    size = max(float(np.linalg.eigvalsh(gram)[-1]), 1e-9)
    levels = np.zeros(len(presets))
    for _ in range(steps):
        levels = np.maximum(levels - (gram @ levels - target) / size, 0.0)
    return levels


def expression_loss(
    network: HubertRoberta, sound: Tensor, text: Tensor, wanted: Tensor, draws: Tensor
) -> Tensor:
    """Return L_exp: L1 against the mean W^e [B, outputs] of each utterance (from the frozen expression network), with
    text masked where a draw [B] is below .25, and sound from there to .5 (Eq. 7)."""
    has_text = (draws >= TEXT_MASK).float()
    has_sound = ((draws < TEXT_MASK) | (draws >= SOUND_MASK)).float()
    return (network(sound, text, has_sound, has_text) - wanted).abs().mean()
