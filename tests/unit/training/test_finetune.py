"""Fine-tuning to one person: the person is drawn better, nobody else worse, and weights keep their meaning."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import films
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from edtalk_server import bundles
from edtalk_server.bundles import BundleManifest, NetworkPart
from edtalk_server.bundles.load import read_manifest
from edtalk_server.cli import main
from edtalk_server.engine.tensors import to_tensor
from edtalk_server.evaluation.measures.model_under_test import ModelUnderTest
from edtalk_server.evaluation.metrics.image_distance import psnr
from edtalk_server.media.video.reader import Picture
from edtalk_server.networks.config import EDTalkConfig
from edtalk_server.networks.edtalk import EDTalk
from edtalk_server.training.datasets.film.cache import FilmCache, StoredClip
from edtalk_server.training.datasets.interface import ClipBatch
from edtalk_server.training.finetune.data import FilmPairs
from edtalk_server.training.finetune.export import NOTE_FILE
from edtalk_server.training.finetune.model import TunableEDTalk
from edtalk_server.training.finetune.trainer import STATE_FILE, FineTuner
from edtalk_server.training.loop.trainer import Outcome
from edtalk_server.training.paper.config import Judging
from shared_protocol.banks import numbered_layout

FRAMES = 56
STEPS = 40
GAIN, HARM = 0.1, 0.3
"""Decibels that the person gains at least, and that others may lose at most."""


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@dataclass(frozen=True)
class People:
    """A person who is filmed, [T, 256, 256, 3], and two who are not: pairs of moments, [N, 2, 256, 256, 3] each."""

    filmed: Picture
    others: tuple[Picture, ...]


@pytest.fixture(scope="module")
def people(shared: Path) -> People:
    pytest.importorskip("numba", reason="the renderer needs the 'train' extra")
    from edtalk_server.training.datasets.rendered import RenderedClips

    def clips(seed: int, count: int, frames: int) -> ClipBatch:
        data = RenderedClips(shared / "data" / "ict_facekit.npz", 256, seed, people=1)
        return data.clips(np.random.default_rng(100), count, frames)

    def moments(seed: int) -> Picture:
        batch = clips(seed, 4, 1)
        return pictures(torch.stack([batch.source, batch.frames[:, 0]], dim=1))

    return People(pictures(clips(21, 1, FRAMES).frames[0]), (moments(22), moments(23)))


def pictures(tensors: torch.Tensor) -> Picture:
    """[..., 3, S, S] in [-1, 1] -> uint8 [..., S, S, 3]."""
    return np.asarray(((tensors + 1) * 127.5).round().to(torch.uint8).movedim(-3, -1).numpy())


@pytest.fixture(scope="module")
def tuned(people: People, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The starter, fine-tuned to the filmed person by the command; its run folder is beside."""
    folder = tmp_path_factory.mktemp("tuned")
    clip = films.write(folder / "talk.mp4", people.filmed)
    arguments = ["starter", str(clip), "-o", str(folder / "mine"), "--steps", str(STEPS), "--batch", "4"]
    assert main(["train", "finetune", *arguments, "--device", "cpu"]) == 0
    return folder / "mine"


def drawn_psnr(bundle: str | Path, pairs: Iterable[Picture]) -> float:
    """Of the second picture of each pair, drawn from the first by the weights that the bundle reads off it."""
    model = ModelUnderTest(bundles.load(bundle).face)
    drawn = [(model.draw(model.prepare(one), model.estimate(other[None]))[0], other) for one, other in pairs]
    return float(np.mean([psnr(made, true) for made, true in drawn]))


def tensors(bundle: str | Path) -> dict[str, torch.Tensor]:
    loaded = bundles.load(bundle)
    return load_file(loaded.folder / loaded.manifest.face.file)


def test_the_person_is_drawn_better_in_moments_that_were_not_learned(tuned: Path) -> None:
    (clip,) = FilmCache(tuned.with_name("mine.run") / "clips").records()
    stored = StoredClip(clip)
    held_out = [stored.pictures([0, i]) for i in range(int(0.85 * FRAMES) + 1, FRAMES)]
    assert drawn_psnr(tuned, held_out) > drawn_psnr("starter", held_out) + GAIN


def test_other_people_are_drawn_as_well_as_before(people: People, tuned: Path) -> None:
    for other in people.others:
        assert drawn_psnr(tuned, other) > drawn_psnr("starter", other) - HARM


def test_the_picture_at_rest_is_still_the_photo(people: People, tuned: Path) -> None:
    model = ModelUnderTest(bundles.load(tuned).face)
    source = people.others[0][0, :1]
    assert psnr(model.draw(model.prepare(source[0]), model.estimate(source))[0], source[0]) > 40


def test_weights_mean_what_they_meant_because_all_but_the_drawing_part_keeps_its_bytes(tuned: Path) -> None:
    before, after = tensors("starter"), tensors(tuned)
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all(name.startswith("decoder.") for name in changed)
    assert all(before[name].dtype == after[name].dtype for name in before)
    old, new = read_manifest("starter")[0], read_manifest(tuned)[0]
    assert old.files["audio_to_lip.safetensors"] == new.files["audio_to_lip.safetensors"]
    assert old.layout == new.layout
    assert old.presets == new.presets


def test_the_new_bundle_says_where_it_comes_from_and_whose_face_it_is(tuned: Path) -> None:
    manifest = read_manifest(tuned)[0]
    assert manifest.name == "mine"
    assert manifest.title == "EDTalk starter, fine-tuned on talk"
    assert "talk.mp4" in manifest.description
    assert manifest.licence.startswith("CC0-1.0 AND ")
    note = (tuned / NOTE_FILE).read_text()
    assert "talk.mp4" in note
    assert "filmed person" in note
    assert f"{STEPS} steps" in note
    assert (tuned / "LICENSE").is_file()


def test_a_run_that_is_stopped_goes_on_as_if_it_never_was(
    tuned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = tuned.parent / "talk.mp4"

    def tune(name: str) -> int:
        output = tmp_path / name
        clips = output.with_name(name + ".run") / "clips"
        if not clips.exists():
            shutil.copytree(tuned.with_name("mine.run") / "clips", clips)
        arguments = ["starter", str(clip), "-o", str(output), "--steps", "3", "--batch", "2"]
        return main(["train", "finetune", *arguments, "--device", "cpu"])

    assert tune("whole") == 0
    step, calls = FineTuner.advance, 0

    def stopped(trainer: FineTuner) -> Outcome:
        nonlocal calls
        calls += 1
        if calls == 3:
            os.kill(os.getpid(), signal.SIGINT)
            return Outcome(torch.zeros(()), {})
        return step(trainer)

    monkeypatch.setattr(FineTuner, "advance", stopped)
    assert tune("parts") == 130
    assert not (tmp_path / "parts").exists()
    assert (tmp_path / "parts.run" / STATE_FILE).is_file()
    assert tune("parts") == 0
    assert calls == 4, "two steps before, one after"
    one, other = tensors(tmp_path / "whole"), tensors(tmp_path / "parts")
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_what_cannot_work_is_said_before_any_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    starter = bundles.load().folder
    assert main(["train", "finetune", str(starter), "none.mp4", "-o", str(starter)]) != 0
    assert "cannot replace its original" in capsys.readouterr().err
    dark = films.write(tmp_path / "dark.mp4", np.zeros((9, 64, 64, 3), np.uint8))
    assert main(["train", "finetune", "starter", str(dark), "-o", str(tmp_path / "new")]) != 0
    assert "dark.mp4: No face" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


# --- the paper's networks ---


def tiny_edtalk() -> EDTalk:
    torch.manual_seed(1)
    config = EDTalkConfig(size=64, style_dim=40, width_base=256, width_max=16, enhancement_hidden=8)
    return EDTalk(config)


def test_only_the_generator_of_an_edtalk_network_is_changed(people: People, tmp_path: Path) -> None:
    face = tiny_edtalk()
    manifest = BundleManifest(
        name="tiny",
        title="Tiny",
        version="1",
        licence="Apache-2.0",
        size=face.size,
        face=NetworkPart("edtalk", face.config.to_dict(), "face.safetensors"),
        layout=numbered_layout(),
    )
    bundles.save(tmp_path / "tiny", manifest, {"face": face})
    clip = films.write(tmp_path / "talk.mp4", people.filmed[:32])
    arguments = [str(tmp_path / "tiny"), str(clip), "-o", str(tmp_path / "mine"), "--steps", "2"]
    assert main(["train", "finetune", *arguments, "--device", "cpu"]) == 0
    before, after = tensors(tmp_path / "tiny"), tensors(tmp_path / "mine")
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all(name.startswith("generator.") for name in changed)


def test_an_edtalk_network_learns_pairs_and_is_held_to_what_it_was(people: People) -> None:
    model = TunableEDTalk(tiny_edtalk(), Judging(scales=1))
    one, other = (to_tensor(people.others[0][:, i, ::4, ::4]) for i in (0, 1))
    weights = model.face.weights_of(torch.cat([one, other])).split(len(one))
    pairs = FilmPairs(one, other, torch.zeros(len(one), 68, 2), *weights)
    change = weights[1] - weights[0]
    assert float(model.keep_loss(one, change).detach()) < 1e-4
    optimizer = torch.optim.Adam(model.drawer.parameters(), 5e-3)
    values = []
    for _ in range(40):
        loss = model.film_loss(pairs)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(float(loss.detach()))
    assert values[-1] < 0.9 * values[0]
    assert float(model.keep_loss(one, change).detach()) > 1e-2
