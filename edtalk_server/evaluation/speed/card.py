"""Speed on one device, with batches: the starter and the exact network, beside the release's schedule in one run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from edtalk_server.engine import Engine
from edtalk_server.evaluation.speed.release import as_the_release_resamples, network, pictures, release_frame
from edtalk_server.evaluation.speed.timing import Line, Work, ratio, speeds
from edtalk_server.media.faces.portrait import load_portrait
from edtalk_server.networks.fast import FastEDTalk

_SAMPLES = Path(__file__).parents[2] / "samples"
_BATCHES = (1, 16, 64)


def card_lines(bundle: str, device: str, rounds: int) -> Iterator[Line]:
    """Measure on the device: frames a second of the networks alone in batches, and single frames through the engine."""
    engine = Engine.open(bundle, device)
    source = engine.prepare(load_portrait(_SAMPLES / "portrait.png"))
    place = engine.device
    face, slow = network().to(place), as_the_release_resamples(network().to(place))
    portrait, pose = (picture.to(place) for picture in pictures(face.size))
    with torch.inference_mode():
        fast = FastEDTalk(face)
        exact = fast.prepare(portrait)
        weights = face.weights_of(portrait)
        small = engine.face.prepare(portrait)
    works: dict[str, Work] = {
        "release": _timed(place, 1, lambda: release_frame(slow, portrait, pose, weights)),
        "slider": lambda: float(len(engine.render(source, source.weights[None]))),
    }
    batches = _BATCHES if place.type != "cpu" else _BATCHES[:1]
    for count in batches:
        works[f"exact_{count}"] = _decoding(fast, exact, exact.weights, count, place)
        works[f"{bundle}_{count}"] = _decoding(engine.face, small, small.weights, count, place)
    measured = speeds(works, rounds)
    words = {
        "release": "exact network by the release's schedule, one frame at a time",
        "slider": f"{bundle}: weights to an 8-bit picture through the engine, one at a time",
    }
    lines = {
        key: Line(
            f"card_{key}",
            speed.rate,
            "frames/s",
            f"{words.get(key, key.replace('_', ', model only, batches of '))}, {engine.device_name}",
        )
        for key, speed in measured.items()
    }
    yield from lines.values()
    yield Line("card_slider_ms", 1000.0 / lines["slider"].value, "ms", "slider to pixels in the engine")
    yield ratio(
        "card_exact_to_release", lines[f"exact_{batches[-1]}"], lines["release"], "exact / the release"
    )


def _timed(place: torch.device, count: int, draw: Any) -> Work:
    @torch.inference_mode()
    def work() -> float:
        draw()
        if place.type == "cuda":
            torch.cuda.synchronize()
        return float(count)

    return work


def _decoding(face: Any, prepared: Any, own: Tensor, count: int, place: torch.device) -> Work:
    change = 0.1 * torch.randn(count, own.shape[1], generator=torch.Generator().manual_seed(0)).to(place)
    return _timed(place, count, lambda: face.decode(prepared, own + change))
