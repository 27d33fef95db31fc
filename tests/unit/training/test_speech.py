"""The synthetic speech that the lips learn from: sounds at their times, lips shut where they must be, noise."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from edtalk_server import bundles
from edtalk_server.cli import main
from edtalk_server.media.audio.mel import SAMPLE_RATE
from edtalk_server.networks.audio2lip import Audio2Lip
from edtalk_server.networks.config import Audio2LipConfig
from edtalk_server.training.datasets.film.cache import FilmCache
from edtalk_server.training.datasets.film.clips import FilmedClips
from edtalk_server.training.speech import augment, espeak, train, voices
from edtalk_server.training.speech.corpus import CorpusConfig, Kind, build
from edtalk_server.training.speech.texts import sentence
from edtalk_server.training.speech.utterance import Segment, Utterance, warp
from edtalk_server.training.speech.visemes import (
    LEAD,
    MOUTH_NAMES,
    SYMBOLS,
    VISEMES,
    aperture,
    mouth_curves,
    visemes_of,
)
from shared_protocol.errors import EDTalkError

ACCENTS = sorted({voice.partition("+")[0] for voice in (*voices.TRAIN_ESPEAK, *voices.HELD_OUT_ESPEAK)})


@pytest.fixture(scope="module")
def synthesiser() -> espeak.Espeak:
    try:
        return espeak.Espeak.shared()
    except EDTalkError as error:
        pytest.skip(f"training needs espeak-ng: {error.cause}")


def _spoken(*sounds: str, each: float = 0.15) -> tuple[tuple[Segment, ...], np.ndarray]:
    """Sounds of equal length, and moments in the middle of each."""
    segments = tuple(Segment(s, 0.5 + i * each, 0.5 + (i + 1) * each) for i, s in enumerate(sounds))
    return segments, np.array([(s.start + s.end) / 2 - LEAD for s in segments])


def _curve(name: str, *sounds: str) -> np.ndarray:
    segments, middles = _spoken(*sounds)
    return mouth_curves(segments, middles, 3.0)[:, MOUTH_NAMES.index(name)]


# --- sounds to shapes ------------------------------------------------------------------------------------------------


def test_the_lips_meet_in_p_b_and_m_even_between_open_vowels() -> None:
    for consonant in "pbm":
        segments, middles = _spoken("ɑː", consonant, "ɑː")
        apart = aperture(mouth_curves(segments, middles, 3.0))
        assert apart[1] < 0.01
        assert min(apart[0], apart[2]) > 0.4


def test_a_short_m_in_fast_speech_still_closes() -> None:
    segments = (Segment("ɑː", 0.5, 0.6), Segment("m", 0.6, 0.65), Segment("ɑː", 0.65, 0.75))
    times = np.arange(0.4, 0.9, 0.005)
    apart = aperture(mouth_curves(segments, times, 2.0))
    assert apart[np.abs(times + LEAD - 0.625).argmin()] < 0.01


def test_sounds_look_as_they_are_spoken() -> None:
    assert _curve("jaw_open", "ɑː", "iː")[0] > 2 * _curve("jaw_open", "ɑː", "iː")[1]
    assert _curve("pucker", "uː", "iː")[0] > 0.6
    assert _curve("stretch", "iː", "uː")[0] > 0.25
    assert _curve("roll_lower", "f", "ɑː")[0] > 0.4
    assert _curve("funnel", "ʃ", "ɛ")[0] > 0.4


def test_the_mouth_rests_before_after_and_in_long_pauses() -> None:
    segments = (Segment("ɑː", 1.0, 1.3), Segment("_", 1.3, 2.3), Segment("ɑː", 2.3, 2.6))
    weights = mouth_curves(segments, np.array([0.2, 1.8, 3.6]), 4.0)
    assert np.abs(weights).max() < 0.02


def test_the_lips_are_ahead_of_the_sound() -> None:
    segments, _ = _spoken("_", "uː", "_")
    times = np.arange(0.3, 1.3, 0.005)
    pucker = mouth_curves(segments, times, 3.0)[:, MOUTH_NAMES.index("pucker")]
    center = (times * pucker).sum() / pucker.sum()
    assert center == pytest.approx(0.725 - LEAD, abs=0.01)


def test_every_shape_stays_within_its_range() -> None:
    rng = np.random.default_rng(0)
    segments, _ = _spoken(*rng.choice(list(SYMBOLS), 200), each=0.06)
    weights = mouth_curves(segments, np.arange(0, 12.5, 0.0125), 13.0)
    assert weights.min() >= 0.0
    assert weights.max() <= 1.0
    assert all(set(viseme.shape) <= set(MOUTH_NAMES) for viseme in VISEMES.values())


def test_marks_of_stress_and_unknown_sounds_do_no_harm() -> None:
    assert visemes_of("ˈɑː") == ("aa",)
    assert visemes_of("aɪ") == ("aa", "ih")
    assert visemes_of("~~") == ("schwa",)


# --- synthesis -------------------------------------------------------------------------------------------------------


def test_espeak_tells_when_each_sound_is(synthesiser: espeak.Espeak) -> None:
    spoken = synthesiser.speak("Mama, papa.", espeak.Manner("en-us", 140))
    labials = [segment for segment in spoken.segments if segment.symbol in "pm"]
    assert len(labials) == 4
    assert all(a.end <= b.start + 1e-9 for a, b in zip(spoken.segments, spoken.segments[1:], strict=False))
    assert spoken.segments[-1].end <= spoken.duration + 1e-3
    loud = [
        np.abs(spoken.samples[int(s.start * SAMPLE_RATE) : int(s.end * SAMPLE_RATE)]).mean()
        for s in spoken.segments
    ]
    by_symbol = dict(zip((s.symbol for s in spoken.segments), loud, strict=True))
    assert max(by_symbol.values()) > 4 * by_symbol["p"], "a p is a silent closure; vowels are loud"


def test_a_plosive_of_espeak_begins_with_its_closure_not_with_its_burst(
    synthesiser: espeak.Espeak,
) -> None:
    for voice in ("en-us+m1", "en-us+f3"):  # the second has an echo: its closures are not quite silent
        spoken = synthesiser.speak("Papa took a copy back to the top.", espeak.Manner(voice, 150))
        level = [
            np.sqrt(np.square(spoken.samples[round(a * SAMPLE_RATE) : round(b * SAMPLE_RATE)]).mean())
            for a, b in ((s.start, (2 * s.start + s.end) / 3) for s in spoken.segments)
        ]
        inside = [
            (one, level[index])
            for index, one in enumerate(spoken.segments)
            if one.symbol in ("p", "t", "k")
            and index
            and not spoken.segments[index - 1].symbol.startswith("_")
        ]
        closed = [quiet < 0.1 * max(level) for _, quiet in inside]
        assert len(closed) >= 6
        assert np.mean(closed) > 0.8


def test_starts_of_sounds_are_moved_to_where_the_mouth_moves() -> None:
    rate = 22050
    raw = np.concatenate([np.full(n, v, np.float32) for n, v in ((6615, 0.3), (1764, 0.0), (8820, 0.3))])
    marks = [(0.0, "a"), (0.38, "p"), (0.42, "a"), (0.5, "m"), (0.58, "aɪ"), (0.7, "s"), (0.75, "iː")]
    starts = espeak.true_starts(marks, raw, rate, 170)
    assert starts[1] == pytest.approx(0.30, abs=0.006), "its closure of 80 ms is part of a p"
    assert starts[4] == pytest.approx(0.58 - 0.012, abs=1e-3), "espeak is late with a vowel behind a nasal"
    assert [starts[i] for i in (0, 2, 3, 5, 6)] == pytest.approx([0.0, 0.42, 0.5, 0.7, 0.75])
    slow = espeak.true_starts(marks, raw, rate, 85)
    assert slow[4] < starts[4]


def test_the_closure_behind_a_pause_does_not_begin_with_the_pause() -> None:
    raw = np.concatenate([np.full(4410, 0.3, np.float32), np.zeros(8820, np.float32), np.full(4410, 0.3)])
    marks = [(0.0, "a"), (0.2, "_"), (0.6, "p"), (0.62, "a")]
    assert espeak.true_starts(marks, raw, 22050, 170) == pytest.approx([0.0, 0.2, 0.54, 0.62], abs=0.006)


def test_accents_look_as_they_sound_not_as_they_are_written(synthesiser: espeak.Espeak) -> None:
    def vowels(voice: str, word: str) -> list[tuple[str, ...]]:
        spoken = synthesiser.speak(f"{word}.", espeak.Manner(voice, 150))
        return [visemes_of(s.symbol) for s in spoken.segments if s.symbol not in ("_", "ɡ", "k", "p")]

    assert vowels("en-us", "go")[0] == ("oh", "oo")
    assert vowels("en-gb-scotland", "go")[0] == ("oh",), "Scots round the lips once, and stay"
    assert vowels("en-us", "cup")[0] == ("uh",)
    assert vowels("en-gb-x-gbclan", "cup")[0] == ("u",), "Lancashire hardly opens its jaw there"


@pytest.mark.parametrize("accent", ACCENTS)
def test_every_sound_of_an_accent_has_a_shape(synthesiser: espeak.Espeak, accent: str) -> None:
    text = "Pure joy, she murmured: the bird over there saw nine more boys hear how a fire cooked our young cats."
    spoken = synthesiser.speak(text, espeak.Manner(accent))
    assert not {s.symbol for s in spoken.segments} - set(SYMBOLS)


def test_espeak_names_an_unknown_voice(synthesiser: espeak.Espeak) -> None:
    with pytest.raises(ValueError, match="klingon-99"):
        synthesiser.speak("hello", espeak.Manner("klingon-99"))


def test_a_missing_library_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_library(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(espeak.ctypes, "CDLL", no_library)
    with pytest.raises(EDTalkError, match="espeak-ng") as caught:
        espeak.Espeak()
    assert "apt install" in caught.value.fix


def test_every_sound_of_espeak_has_a_shape(synthesiser: espeak.Espeak) -> None:
    rng = np.random.default_rng(2)
    spoken = [synthesiser.speak(sentence(rng), espeak.Manner("en-us")) for _ in range(60)]
    unknown = {s.symbol for u in spoken for s in u.segments if s.symbol not in SYMBOLS}
    assert not unknown


def test_sentences_do_not_repeat() -> None:
    rng = np.random.default_rng(0)
    assert len({sentence(rng, written=False) for _ in range(300)}) > 295


# --- augmentation ----------------------------------------------------------------------------------------------------


def test_recordings_differ_but_keep_their_time() -> None:
    click = np.zeros(32_000, np.float32)
    click[16_000:16_400] = 0.5
    for seed in range(20):
        taken = augment.recording(click, np.random.default_rng(seed))
        assert taken.shape == click.shape
        assert np.abs(taken).max() <= 1.0
        envelope = np.convolve(taken.astype(np.float64) ** 2, np.ones(200), "same")
        assert abs(int(envelope.argmax()) - 16_200) < 800


def test_a_warped_voice_carries_its_times_along() -> None:
    slow = Utterance(np.zeros(16_000, np.float32), (Segment("ɑː", 0.25, 0.75),))
    fast = warp(slow, 1.25)
    assert fast.duration == pytest.approx(0.8, abs=1e-3)
    assert fast.segments[0] == Segment("ɑː", 0.2, 0.6)


def test_an_unsteady_voice_is_as_long_and_says_the_same_at_other_loudness() -> None:
    tone = np.sin(np.arange(48_000) / 10).astype(np.float32) * 0.1
    changed = augment.unsteady(tone, np.random.default_rng(0))
    factor = (changed / np.where(np.abs(tone) < 1e-4, 1, tone))[np.abs(tone) > 1e-2]
    assert changed.shape == tone.shape
    assert factor.max() / factor.min() > 1.5
    assert factor.min() > 10 ** (-9.1 / 20)


def test_an_uneven_voice_carries_its_times_along() -> None:
    samples = np.zeros(32_000, np.float32)
    samples[8_000:8_100] = samples[24_000:24_100] = 1.0
    spoken = Utterance(samples, (Segment("p", 0.5, 1.5),))
    changed = voices.uneven(spoken, np.random.default_rng(1))
    (segment,) = changed.segments
    clicks = np.flatnonzero(changed.samples > 0.5) / SAMPLE_RATE
    assert abs(changed.duration - 2.0) > 0.01
    assert segment.start == pytest.approx(clicks[0], abs=2e-3)
    assert segment.end == pytest.approx(clicks[clicks > 1.0][0], abs=2e-3)


def test_a_smaller_throat_has_higher_resonances_and_a_usual_one_changes_nothing() -> None:
    windows = torch.full((3, 1, 80, 16), -4.0)
    windows[:, :, 40] = 4.0
    changed = augment.with_throats(windows, torch.tensor([1.0, 0.9, 1.1]))
    peaks = changed[:, 0, :, 0].argmax(dim=1)
    assert torch.allclose(changed[0], windows[0], atol=1e-3)
    assert peaks[1] > 40 > peaks[2]


def test_neighbours_of_a_pair_have_the_same_throat() -> None:
    sizes = augment.draw_throats(6, pairs=2)
    assert sizes.shape == (8,)
    assert torch.equal(sizes[6:], sizes[:2])
    assert bool(((sizes - 1).abs() < 0.13).all())


def test_a_louder_recording_changes_neighbouring_windows_alike() -> None:
    windows = torch.zeros(6, 2, 80, 16)
    changed = augment.Disturbance.draw(4).followed(2)(windows)
    assert torch.equal(changed[:2], changed[4:])
    assert torch.equal(changed[:, 0], changed[:, 1])
    assert not torch.equal(changed[0], changed[1])


# --- training --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small_corpus(synthesiser: espeak.Espeak, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    build(folder / "corpus", CorpusConfig(4, 2, 2, 4))
    return folder


def test_targets_belong_to_the_windows_they_stand_beside(
    synthesiser: espeak.Espeak, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loud windows have open mouths, though not by much; windows a few frames beside do not. Clips differ much in that,
    and each build draws others (espeak's lengths vary), so there are many of them, without noise."""
    monkeypatch.setattr(augment, "recording", lambda samples, _: samples)
    clips, _ = build(tmp_path / "corpus", CorpusConfig(20, 0, 2, 1))
    rows = np.nonzero(clips.kind == Kind.ESPEAK)[0]
    windows = train.windows_at(clips, rows)
    assert windows.shape[1:] == (1, 80, 16)
    jaw = clips.weights[rows, 0].astype(np.float64)
    loud = windows[:, 0, 5:40, 4:12].mean(dim=(1, 2)).numpy()
    there, early, late = (np.corrcoef(np.roll(loud, shift), jaw)[0, 1] for shift in (0, -14, 14))
    assert there > 0.2
    assert there > max(early, late) + 0.05
    assert clips.rest.any()
    assert np.abs(clips.weights[clips.rest].astype(np.float32)).max() < 0.03


def test_the_loss_wants_shut_lips_and_rest() -> None:
    config = train.TrainConfig(pairs=1)

    class Flat:
        weights = np.zeros((4, 20), np.float16)

    loss = train.SpeechLoss(config, Flat())  # type: ignore[arg-type]
    target, none = torch.zeros(4, 20), torch.zeros(4)
    open_jaw = torch.zeros(4, 20)
    open_jaw[:, MOUTH_NAMES.index("jaw_open")] = 0.3
    plain = loss(open_jaw, target, none, none)
    assert loss(open_jaw, target, torch.ones(4), none) > plain
    assert loss(open_jaw, target, none, torch.ones(4)) > plain
    assert loss(target, target, torch.ones(4), torch.ones(4)) == 0


def test_an_interrupted_run_goes_on_and_ends_with_a_network_for_a_bundle(small_corpus: Path) -> None:
    corpus, config = CorpusConfig(4, 2, 2, 4), train.TrainConfig(batch=16, pairs=4)
    torch.set_num_threads(1)
    first = train.SpeechTrainer(small_corpus, replace(config, minutes=0.02), corpus)
    assert first.train()
    longer = replace(config, minutes=first.state.seconds / 60 + 0.01)
    second = train.SpeechTrainer(small_corpus, longer, corpus)
    assert second.state.step == first.state.step > 0
    assert second.train()
    second.finish()
    assert second.state.step > first.state.step
    part = json.loads((small_corpus / "audio_to_lip.json").read_text())
    assert part["kind"] == "audio2lip"
    network = Audio2Lip(Audio2LipConfig.from_dict(part["config"]))
    from safetensors.torch import load_file

    tensors = load_file(small_corpus / part["file"])
    assert all(t.dtype in (torch.float16, torch.int64) for t in tensors.values())
    network.load_state_dict({name: t.to(network.state_dict()[name].dtype) for name, t in tensors.items()})
    entries = [json.loads(line) for line in (small_corpus / "audio_to_lip.jsonl").read_text().splitlines()]
    assert {"espeak", "rest"} <= {name.partition("/")[0] for name in entries[-1]["holdout"]}
    assert entries[0]["train"]["total"] > 0


def test_timid_lips_are_made_to_move_as_much_as_the_truth(small_corpus: Path) -> None:
    clips, _ = build(small_corpus / "corpus", CorpusConfig(4, 2, 2, 4))
    torch.manual_seed(0)
    network = Audio2Lip(Audio2LipConfig((4, 8, 8, 16, 16), 20)).eval()
    rows = np.nonzero(~clips.rest)[0][::5]
    with torch.no_grad():
        network.mapping.bias.zero_()
        before = network(train.windows_at(clips, rows)).numpy()
        jaw = clips.weights[rows, 0].astype(np.float32)
        network.mapping.weight[0] *= float(jaw.std() / before[:, 0].std()) / 1.2
        train.enliven(network, clips, np.random.default_rng(0))
        after = network(train.windows_at(clips, rows)).numpy()
    assert after[:, 0].std() == pytest.approx(jaw.std(), rel=0.1)
    assert np.abs(after[:, 1]).max() == pytest.approx(np.abs(before[:, 1]).max()), (
        "what never moves is left alone"
    )


def test_it_is_measured_whether_lips_meet_and_whether_loudness_opens_them(small_corpus: Path) -> None:
    _, held_out = build(small_corpus / "corpus", CorpusConfig(4, 2, 2, 4))
    by_loudness = Answering(lambda windows: 0.05 * windows.mean(dim=(1, 2, 3)) + 0.5)
    closed = Answering(lambda windows: torch.zeros(len(windows)))
    values = train.evaluate(by_loudness, held_out)
    assert values["loudness/predicted"] > 0.6
    assert values["loudness/opens"] > 0.3
    assert values["closure/recall"] < 0.5
    assert train.closure_recall(closed, held_out) == 1.0


class Answering(Audio2Lip):
    """Moves the jaw alone, as the function says."""

    def __init__(self, jaw: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__(Audio2LipConfig((2, 2, 2, 2, 2), 20))
        self._jaw = jaw

    def forward(self, windows: torch.Tensor, record: object = None) -> torch.Tensor:
        weights = torch.zeros(len(windows), 20)
        weights[:, MOUTH_NAMES.index("jaw_open")] = self._jaw(windows)
        return weights


def test_a_run_can_start_from_a_bundles_lips(small_corpus: Path, tmp_path: Path) -> None:
    shutil.copytree(small_corpus / "corpus", tmp_path / "corpus")
    config = train.TrainConfig(batch=16, pairs=4, start="starter")
    started = train.SpeechTrainer(tmp_path, config, CorpusConfig(4, 2, 2, 4)).network.state_dict()
    shipped = bundles.load("starter").audio_to_lip.state_dict()
    assert all(torch.equal(value, shipped[name]) for name, value in started.items())


def test_rendered_people_speak_with_sound_that_fits(
    synthesiser: espeak.Espeak, shared: Path, tmp_path: Path
) -> None:
    pytest.importorskip("numba", reason="the renderer needs the 'train' extra")
    facekit = str(shared / "data" / "ict_facekit.npz")
    options = ["--clips", "1", "--seconds", "1.6", "--size", "64"]
    assert main(["train", "spoken-data", "--facekit", facekit, "--out", str(tmp_path), *options]) == 0
    (record,) = FilmCache(tmp_path).records().values()
    assert (record.frames, record.has_sound) == (40, True)
    batch = FilmedClips(tmp_path, 64).spoken(np.random.default_rng(0), 2, 5, reach=15)
    assert batch.frames.shape == (2, 5, 3, 64, 64)
    assert batch.voice.shape == (2, 35, 80, 16)
    assert batch.reach == 15
    assert bool((batch.landmarks > -0.2).all())
    assert bool((batch.landmarks < 1.2).all())
    with pytest.raises(EDTalkError, match="with sound"):
        FilmedClips(tmp_path, 64).spoken(np.random.default_rng(0), 1, 5, reach=30)
