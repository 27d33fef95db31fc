"""Graphics memory: given back, taken again, and done without where there is none. The card here is pretended: torch's
`meta` device, on which a network without pictures answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from edtalk_server.engine import Engine
from edtalk_server.engine.device_manager import MAX_ENCODED_FACES, ON_CPU
from edtalk_server.networks.config import EDTalkConfig
from edtalk_server.networks.edtalk import EDTalk
from edtalk_server.networks.fast import FastEDTalk
from shared_protocol.banks import numbered_layout
from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.messages import Crop

WHOLE = Crop(4.0, 4.0, 8.0)
CARD = torch.device("meta")
TINY = EDTalkConfig(size=16, style_dim=40, width_base=128, width_max=4, enhancement_hidden=4)


@dataclass
class PretendFace:
    """Tells where it was asked; runs out of memory for more than `room` frames on the card."""

    room: int = 1000
    size: int = 8
    bank_sizes: tuple[int, int, int] = (20, 6, 10)
    asked: list[tuple[str, str, int]] = field(default_factory=list)

    def _ask(self, what: str, tensor: torch.Tensor) -> None:
        if tensor.device == CARD and len(tensor) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.asked.append((what, tensor.device.type, len(tensor)))

    def prepare(self, images: torch.Tensor) -> Any:
        self._ask("prepare", images)
        return SimpleNamespace(weights=torch.zeros(1, 36))

    def weights_of(self, images: torch.Tensor) -> torch.Tensor:
        self._ask("read", images)
        return torch.zeros(len(images), 36)

    def decode(self, prepared: Any, weights: torch.Tensor) -> torch.Tensor:
        self._ask("decode", weights)
        return torch.zeros(len(weights), 3, 8, 8)


def engine_on_card(face: PretendFace) -> Engine:
    manifest = SimpleNamespace(size=face.size, sizes=(face.size,))
    bundle = SimpleNamespace(
        manifest=manifest, face=face, layout=numbered_layout(), landmarks=None, digest="pretended"
    )
    return Engine(bundle, CARD)  # type: ignore[arg-type]


def portrait(tone: int = 100) -> np.ndarray:
    return np.full((8, 8, 3), tone, np.uint8)


def rows(count: int) -> np.ndarray:
    return np.zeros((count, 36), np.float32)


def test_after_a_release_the_next_frame_encodes_the_portrait_again() -> None:
    face = PretendFace()
    engine = engine_on_card(face)
    source = engine.prepare(portrait(), WHOLE)
    engine.render(source, rows(3))
    engine.release()
    assert source.encoded.state is None, "nothing of it stays on the card"
    face.asked.clear()
    assert len(engine.render(source, rows(3))) == 3
    assert [(what, place) for what, place, _ in face.asked] == [("prepare", "meta"), ("decode", "meta")]


def test_where_few_frames_fit_fewer_are_drawn_at_a_time_and_people_are_told() -> None:
    face = PretendFace(room=3)
    engine = engine_on_card(face)
    assert engine.notice == ""
    assert len(engine.render(engine.prepare(portrait(), WHOLE), rows(20))) == 20
    assert {place for _, place, _ in face.asked} == {"meta"}
    assert "2 at a time" in engine.notice
    engine.release()
    assert engine.notice == "", "a release tries the card anew"


def test_where_nothing_fits_all_goes_on_on_the_cpu_and_people_are_told() -> None:
    face = PretendFace()
    engine = engine_on_card(face)
    source = engine.prepare(portrait(), WHOLE)
    face.room = 0
    assert len(engine.render(source, rows(5))) == 5
    assert engine.notice == ON_CPU
    assert engine.batch == 1
    assert engine.estimate(portrait()[None]).shape == (1, 36)
    assert face.asked[-1] == ("read", "cpu", 1)
    assert engine.prepare(portrait(9), WHOLE).weights.shape == (36,)
    face.room = 1000
    engine.release()
    engine.render(source, rows(2))
    assert face.asked[-1] == ("decode", "meta", 2), "after a release the card is tried again"


def test_a_portrait_is_prepared_on_the_cpu_where_the_card_is_full() -> None:
    face = PretendFace(room=0)
    engine = engine_on_card(face)
    assert engine.prepare(portrait(), WHOLE).weights.shape == (36,)
    assert engine.notice == ON_CPU


def test_a_network_that_does_not_fit_on_the_card_is_opened_on_the_cpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    face = FastEDTalk(EDTalk(TINY))
    moved: list[torch.device] = []

    def to(device: torch.device) -> FastEDTalk:
        moved.append(device)
        if device == CARD:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return face

    monkeypatch.setattr(face, "to", to)
    engine = engine_on_card(face)  # type: ignore[arg-type]
    assert engine.notice == ON_CPU
    assert moved == [CARD, torch.device("cpu")]


def test_when_even_the_cpu_has_no_memory_the_error_says_so() -> None:
    class NoRoom(PretendFace):
        def decode(self, prepared: Any, weights: torch.Tensor) -> torch.Tensor:
            raise torch.OutOfMemoryError("out of memory")

    engine = engine_on_card(NoRoom())
    with pytest.raises(EDTalkError) as caught:
        engine.render(engine.prepare(portrait(), WHOLE), rows(4))
    assert caught.value.code is ErrorCode.OUT_OF_MEMORY


def test_only_the_portraits_used_last_stay_encoded() -> None:
    face = PretendFace()
    engine = engine_on_card(face)
    sources = [engine.prepare(portrait(tone), WHOLE) for tone in range(MAX_ENCODED_FACES + 3)]
    assert sum(source.encoded.state is not None for source in sources) == MAX_ENCODED_FACES
    face.asked.clear()
    engine.render(sources[0], rows(1))
    engine.render(sources[-1], rows(1))
    assert [what for what, _, _ in face.asked] == ["prepare", "decode", "decode"]


def test_a_network_that_moves_leaves_none_of_its_folded_constants_behind() -> None:
    face = FastEDTalk(EDTalk(TINY)).eval()
    with torch.inference_mode():
        face.constants()
    face.to("cpu")
    assert face._constants is None


def test_on_the_cpu_a_release_changes_nothing() -> None:
    face = PretendFace()
    engine = Engine(engine_on_card(face).bundle, torch.device("cpu"))
    source = engine.prepare(portrait(), WHOLE)
    engine.release()
    face.asked.clear()
    engine.render(source, rows(2))
    assert [what for what, _, _ in face.asked] == ["decode", "decode"], "it is still encoded"
    assert engine.device_memory() == (0, 0)
