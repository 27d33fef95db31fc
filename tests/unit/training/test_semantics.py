"""Reading feelings: own sentences, features of words, masking, and the network that a bundle holds."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edtalk_server.bundles import kinds
from edtalk_server.bundles.manifest import NetworkPart
from edtalk_server.networks.voice.semantics import (
    CLASSES,
    ProsodyText,
    ProsodyTextConfig,
    collate,
    masked,
    normalized,
)
from edtalk_server.networks.voice.text_features import text_features
from edtalk_server.training.semantics.lexicon import CLASSES as SEVEN
from edtalk_server.training.semantics.lexicon import entries
from edtalk_server.training.semantics.measure import shares_of
from edtalk_server.training.semantics.sentences import drawn, further, is_held_out, negated, written
from edtalk_server.training.semantics.trainer import (
    COLUMNS,
    Clip,
    SemanticsConfig,
    Trainer,
    loss_of,
    new_network,
)
from shared_protocol.emotions import EMOTIONS

NO_SOUND = np.zeros((0, 8), np.float32)


@pytest.fixture(scope="module")
def network() -> ProsodyText:
    torch.manual_seed(0)
    return new_network().eval()


def test_the_columns_are_those_of_the_emotion_track() -> None:
    assert CLASSES == EMOTIONS
    assert [CLASSES[column] for column in COLUMNS] == list(SEVEN)


def test_there_are_enough_sentences_of_each_class_and_none_is_judged_and_taught() -> None:
    own = written()
    for label in range(len(SEVEN)):
        assert sum(one.label == label for one in own) >= 150
    assert len({one.text for one in own}) == len(own)
    taught = {one.text for one in own}
    assert taught.isdisjoint(one.text for one in further())
    assert len(further()) >= 60 and len(negated()) >= 30
    assert 0.1 < np.mean([is_held_out(one.text) for one in own]) < 0.25
    assert len(entries()) > 800


def test_the_grammar_draws_all_classes_and_finished_sentences() -> None:
    rng = np.random.default_rng(1)
    some = [drawn(rng) for _ in range(200)]
    assert {one.label for one in some} == set(range(len(SEVEN)))
    assert not any("{" in one.text for one in some)


def test_negation_takes_a_word_out_of_its_emotion(network: ProsodyText) -> None:
    happy = CLASSES.index("happy")
    plain, turned = (
        text_features(text, network.lexicon).scores for text in ("I am happy.", "I am not happy.")
    )
    assert plain[happy] > 0 and turned[happy] == 0
    assert turned[2 * len(CLASSES) + happy] > 0
    across = text_features("I do not know, I am happy.", network.lexicon).scores
    assert across[happy] > 0, "a negation ends with its clause"


def test_an_intensifier_strengthens_the_word_after_it(network: ProsodyText) -> None:
    happy = CLASSES.index("happy")
    weak, usual, strong = (
        text_features(f"I am {word} glad", network.lexicon).scores[happy]
        for word in ("slightly", "now", "so")
    )
    assert weak < usual < strong


def test_with_neither_words_nor_sound_the_answer_is_neutral(network: ProsodyText) -> None:
    shares, intensity = network.feel([""], [NO_SOUND])
    assert CLASSES[int(shares[0].argmax())] == "neutral" and shares[0].max() == 1.0 and intensity[0] == 0.0


def test_masked_words_and_sound_change_nothing(network: ProsodyText) -> None:
    rng = np.random.default_rng(0)
    voices = [rng.normal(size=(30, 8)).astype(np.float32) for _ in range(3)]
    texts = [text_features(text, network.lexicon) for text in ("Hooray!", "I miss you.", "At nine.")]
    batch = masked(collate(texts, voices, [True] * 3), torch.tensor([0.1, 0.3, 0.7]))
    assert batch.has_text.tolist() == [0.0, 1.0, 1.0] and batch.has_sound.tolist() == [1.0, 0.0, 1.0]
    other = [text_features("Get out!", network.lexicon), *texts[1:]]
    silent = [voices[0], voices[1] * 0 + 5, voices[2]]
    swapped = masked(collate(other, silent, [True] * 3), torch.tensor([0.1, 0.3, 0.7]))
    torch.testing.assert_close(network(batch).logits, network(swapped).logits)


def test_padding_changes_nothing(network: ProsodyText) -> None:
    voice = np.random.default_rng(0).normal(size=(20, 8)).astype(np.float32)
    longer = np.random.default_rng(1).normal(size=(80, 8)).astype(np.float32)
    alone, _ = network.feel([""], [voice])
    beside, _ = network.feel(["", ""], [voice, longer])
    np.testing.assert_allclose(alone[0], beside[0], atol=1e-5)


def test_the_usual_level_of_a_recording_counts_for_nothing() -> None:
    rows = np.random.default_rng(0).normal(-1.0, 0.1, (50, 8)).astype(np.float32)
    louder = rows.copy()
    louder[:, 0] += 0.5
    np.testing.assert_allclose(normalized(rows)[:, 0], normalized(louder)[:, 0], atol=1e-5)


def test_every_part_of_the_network_learns(network: ProsodyText) -> None:
    texts = [text_features(one.text, network.lexicon) for one in written()[::200]]
    voices = [np.random.default_rng(i).normal(size=(30, 8)).astype(np.float32) for i in range(len(texts))]
    batch = collate(texts, voices, [True] * len(texts))
    labels = torch.arange(len(texts)) % 7
    network.zero_grad()
    loss_of(network(batch), batch, labels, torch.full((len(texts),), 0.7), 0.1).backward()
    silent = [
        name for name, value in network.named_parameters() if value.grad is None or not value.grad.any()
    ]
    assert silent == []


def test_a_few_steps_lower_the_loss_and_can_be_continued(tmp_path: object) -> None:
    from pathlib import Path

    folder = Path(str(tmp_path))
    clip = Clip(np.ones((20, 8), np.float32), "x", 0, 0.8)
    config = SemanticsConfig(steps=12, batch=16, grammar_size=40)
    trainer = Trainer([clip], config, folder)
    losses = [trainer._one_step() for _ in range(12)]
    assert np.mean(losses[-4:]) < np.mean(losses[:4])
    trainer.step = 12
    trainer.save()
    again = Trainer([clip], config, folder)
    assert again.step == 12
    torch.testing.assert_close(again.network.said.weight, trainer.network.said.weight)


def test_a_bundle_holds_the_network_with_its_lexicon(network: ProsodyText) -> None:
    part = NetworkPart("prosody_text", network.config.to_dict(), "semantics.safetensors")
    built = kinds.build("semantics", part)
    built.load_state_dict(network.state_dict())
    words = ["I am so happy!"], [NO_SOUND]
    np.testing.assert_array_equal(built.eval().feel(*words)[0], network.feel(*words)[0])  # type: ignore[operator]


@pytest.mark.parametrize("wrong", [{"width": 0}, {"entries": -1}, {"nonsense": 1}, {"embedding": 1.5}])
def test_a_wrong_config_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ProsodyTextConfig.from_dict(wrong)


def test_shares_count_classes_arousal_and_groups() -> None:
    happy, sad, angry, surprised = (SEVEN.index(name) for name in ("happy", "sad", "angry", "surprised"))
    shares = shares_of(np.array([happy, sad, angry, sad]), [surprised, sad, happy, angry])
    assert (shares.seven, shares.arousal, shares.groups) == (0.25, 0.75, 0.5)


def test_an_unsure_network_still_learns_how_strongly_something_is_felt(network: ProsodyText) -> None:
    batch = collate([text_features("Hooray!", network.lexicon)], [NO_SOUND], [True])
    felt = network(batch)
    felt.intensity.retain_grad()
    loss_of(felt, batch, torch.tensor([0]), torch.tensor([0.9]), 0.1).backward()
    assert felt.intensity.grad is not None and felt.intensity.grad[0] < 0, "it must rise"
