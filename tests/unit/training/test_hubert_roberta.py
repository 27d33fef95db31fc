"""The paper's reading of feelings, with two-layer encoders of the same classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edtalk_server.networks.voice.hubert_roberta import (
    HubertRoberta,
    HubertRobertaConfig,
    expression_loss,
    nearest_presets,
)

transformers = pytest.importorskip("transformers", reason="the extra semantics is not installed")


class Tokenizer:
    """Reads letters as tokens."""

    def __call__(self, text: str, **options: Any) -> dict[str, torch.Tensor]:
        return {"input_ids": torch.tensor([[0, *(ord(letter) % 90 + 5 for letter in text), 2]])}


@pytest.fixture(scope="module")
def encoders() -> tuple[Any, Any]:
    torch.manual_seed(0)
    hubert = transformers.HubertConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        conv_dim=(16,) * 7, num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2,
    )  # fmt: skip
    roberta = transformers.RobertaConfig(
        vocab_size=100, hidden_size=24, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32
    )
    return transformers.HubertModel(hubert), transformers.RobertaModel(roberta)


@pytest.fixture
def network(encoders: tuple[Any, Any]) -> HubertRoberta:
    torch.manual_seed(1)
    network = HubertRoberta(HubertRobertaConfig(sound=32, text=24)).eval()
    network.use(*encoders, Tokenizer())
    return network


def test_words_and_sound_become_weights_and_each_alone_does(network: HubertRoberta) -> None:
    voice = np.random.default_rng(0).normal(0, 0.1, 8000).astype(np.float32)
    nothing = np.zeros(0, np.float32)
    both = network.weights(["Hello there."], [voice])
    words = network.weights(["Hello there."], [nothing])
    sound = network.weights([""], [voice])
    assert both.shape == (1, 10)
    assert not torch.allclose(both, words) and not torch.allclose(both, sound)


def test_masked_features_change_nothing_and_the_heads_learn(network: HubertRoberta) -> None:
    network.train()
    sound, text, wanted = torch.randn(4, 32), torch.randn(4, 24), torch.randn(4, 10)
    draws = torch.tensor([0.1, 0.3, 0.6, 0.9])
    expression_loss(network, sound, text, wanted, draws).backward()
    assert all(value.grad is not None and value.grad.any() for value in network.parameters())
    network.eval()
    has = torch.tensor([1.0]), torch.tensor([0.0])
    torch.testing.assert_close(network(sound[:1], text[:1], *has), network(sound[:1], text[1:2], *has))


def test_encoders_are_no_part_of_the_checkpoint(network: HubertRoberta) -> None:
    assert not [name for name in network.state_dict() if "hubert" in name or "roberta" in name]


def test_a_missing_folder_is_an_error_and_never_a_download(tmp_path: Path) -> None:
    network = HubertRoberta(HubertRobertaConfig(folder=str(tmp_path)))
    with pytest.raises(OSError, match="hubert"):
        network.sound_feature(np.zeros(1000, np.float32))


def test_the_nearest_presets_are_found_and_none_is_negative() -> None:
    presets = np.random.default_rng(0).normal(size=(8, 10))
    levels = np.array([0.7, 0.0, 0.0, 0.2, 0.0, 0.0, 0.0, 0.0])
    np.testing.assert_allclose(nearest_presets(levels @ presets, presets, 20_000), levels, atol=1e-2)
