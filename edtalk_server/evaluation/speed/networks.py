"""Speed of a bundle's face and audio networks: cold and warm, alone and end to end, with one and two threads."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from edtalk_server.engine import Engine, Source
from edtalk_server.engine.source import Picture, Weights
from edtalk_server.evaluation.speed.timing import Line, Work, ratio, speeds, with_threads
from edtalk_server.media.audio.voice import Waveform, load_voice
from edtalk_server.media.faces.portrait import cut, load_portrait
from edtalk_server.media.image import to_network
from edtalk_server.media.video.sequence import SequenceWriter
from edtalk_server.motion import predict
from shared_protocol.timebase import MODEL_FPS, TimeBase

_SAMPLES = Path(__file__).parents[2] / "samples"
_FRAMES = 5
"""Frames of one round: a fifth of a second of the sample voice."""
_THREADS = {1: "1 thread", 2: "2 threads"}


def network_lines(bundle: str, device: str, rounds: int) -> list[Line]:
    """Measure with the sample portrait and voice. Raises the errors of opening the bundle."""
    begin = time.perf_counter()
    engine = Engine.open(bundle, device)
    opened = time.perf_counter()
    portrait = load_portrait(_SAMPLES / "portrait.png")
    source = engine.prepare(portrait)
    engine.render(source, source.weights[None])
    drawn = time.perf_counter()
    voice = load_voice(_SAMPLES / "voice.flac")
    opening = Line(
        "face_open", opened - begin, "s", f"cold: bundle read and checked, networks built, {_where(engine)}"
    )
    first = Line(
        "face_first", drawn - opened, "s", "cold: portrait read, face found and encoded, first frame"
    )
    warm = _frame_lines(engine, portrait, source, _spoken(engine, source, voice), rounds)
    frame = next(line for line in warm if line.key == "face_engine_1").value
    cold = Line(
        "face_cold_to_warm", (drawn - begin) * frame, "x", "from opening to the first frame / a warm frame"
    )
    return [opening, first, *warm, cold, *_voice_lines(engine, source, voice, rounds)]


def _where(engine: Engine) -> str:
    return f"{engine.bundle.manifest.name}, {engine.size} px, {engine.device_name}"


def _spoken(engine: Engine, source: Source, voice: Waveform) -> Weights:
    """Return weights from the middle of the sample voice; the portrait at rest where the bundle has no audio part."""
    if engine.bundle.audio_to_lip is None:
        return np.repeat(source.weights[None], _FRAMES, axis=0)
    weights = predict(engine.bundle, source.weights, voice, TimeBase(MODEL_FPS))
    return weights[len(weights) // 2 :][:_FRAMES]


def _frame_lines(engine: Engine, portrait: Picture, source: Source, rows: Weights, rounds: int) -> list[Line]:
    kinds: dict[str, tuple[str, Work]] = {
        "model": (
            "face network alone, weights to tensors",
            _decoding(engine, cut(portrait, source.crop, engine.size), rows),
        ),
        "engine": ("engine, weights to 8-bit pictures", lambda: float(len(engine.render(source, rows)))),
        "png": ("end to end, weights to PNG files on the disk", _writing(engine, source, rows)),
    }
    works = {
        f"{kind}_{count}": with_threads(count, work)
        for kind, (_, work) in kinds.items()
        for count in _THREADS
    }
    measured = speeds(works, rounds)
    lines = {
        f"{kind}_{count}": Line.of(
            f"face_{kind}_{count}",
            measured[f"{kind}_{count}"],
            "frames/s",
            f"warm: {what}, {_where(engine)}, {words}",
        )
        for kind, (what, _) in kinds.items()
        for count, words in _THREADS.items()
    }
    return [
        *lines.values(),
        ratio("face_png_to_model", lines["png_1"], lines["model_1"], "end to end / network alone, 1 thread"),
        ratio("face_model_2_to_1", lines["model_2"], lines["model_1"], "network alone, 2 threads / 1"),
        ratio("face_png_2_to_1", lines["png_2"], lines["png_1"], "end to end, 2 threads / 1"),
    ]


def _decoding(engine: Engine, picture: Picture, rows: Weights) -> Work:
    """Return work for the bundle's network alone, on the engine's device."""
    face = engine.face
    with torch.inference_mode():
        encoded = face.prepare(torch.from_numpy(to_network(picture))[None].to(engine.device))
    driving = torch.from_numpy(rows).to(engine.device)

    @torch.inference_mode()
    def decode() -> float:
        for row in driving:
            face.decode(encoded, row[None])
        if engine.device.type == "cuda":
            torch.cuda.synchronize()
        return float(len(driving))

    return decode


def _writing(engine: Engine, source: Source, rows: Weights) -> Work:
    def write() -> float:
        with tempfile.TemporaryDirectory() as folder, SequenceWriter(Path(folder) / "%04d.png") as writer:
            for frames in engine.stream(source, rows):
                for frame in frames:
                    writer.write(frame)
        return float(len(rows))

    return write


def _voice_lines(engine: Engine, source: Source, voice: Waveform, rounds: int) -> list[Line]:
    if engine.bundle.audio_to_lip is None:
        return []

    def work() -> float:
        predict(engine.bundle, source.weights, voice, TimeBase(MODEL_FPS))
        return float(voice.duration)

    measured = speeds({str(count): with_threads(count, work) for count in _THREADS}, rounds)
    what = f"voice to weights at 25 frames/s, {float(voice.duration):.1f} s of speech, CPU"
    one_thread, two_threads = (
        Line.of(f"voice_{count}", measured[str(count)], "x real time", f"warm: {what}, {words}")
        for count, words in _THREADS.items()
    )
    return [
        one_thread,
        two_threads,
        ratio("voice_2_to_1", two_threads, one_thread, "voice to weights, 2 threads / 1"),
    ]
