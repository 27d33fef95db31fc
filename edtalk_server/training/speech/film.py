"""Rendered people who speak: clips with picture and sound in a film cache, as `edtalk train video-data` writes them.

The mouth follows the sounds of synthetic speech (`visemes`), head and expression move by themselves. Rendering can be
stopped at any time and continues with the same arguments; a clip of five seconds takes about five of one core at 128
pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edtalk_server.media.audio.soundtrack import write_flac
from edtalk_server.synthetic.controls import EXPRESSION, MOUTH, POSE, FloatArray
from edtalk_server.synthetic.data import sampling
from edtalk_server.synthetic.data.clips import as_shown, identity_seed, jittered_camera
from edtalk_server.synthetic.data.generate import HOLDOUT_SEED
from edtalk_server.synthetic.renderer.frame import ByteArray, Renderer
from edtalk_server.synthetic.renderer.scene import make_background, make_light
from edtalk_server.training.datasets import tracks
from edtalk_server.training.datasets.film.cache import ClipRecord, ClipWriter, FilmCache
from edtalk_server.training.datasets.interface import FRAME_RATE
from edtalk_server.training.speech import augment, voices
from edtalk_server.training.speech.utterance import SAMPLE_RATE, Utterance
from edtalk_server.training.speech.visemes import MOUTH_NAMES, mouth_curves

_AT_ONCE = 25
"""Frames that are written together."""
_ORIGIN = "rendered speech"
"""Stands in the cache for the bundle that estimates the landmarks of films: here they are known."""


@dataclass(frozen=True)
class SpokenFilm:
    """What to render. Clips of different seeds (1 to 19; held out: other people, voices and sentences) differ."""

    clips: int = 160
    seconds: float = 5.0
    """The longest clip."""
    size: int = 128
    seed: int = 1
    held_out: bool = False


def render_all(
    facekit: Path, out: Path, film: SpokenFilm, progress: Callable[[int], None] = lambda _done: None
) -> None:
    """Write every clip that is not in the cache yet."""
    cache = FilmCache(out)
    cache.begin(film.size, _ORIGIN)
    renderer = Renderer(facekit)
    for number in range(film.clips):
        name = f"{'held_out' if film.held_out else 'spoken'}/{film.seed}_{number:05}"
        if not cache.known_stamp(name):
            _write(cache, name, renderer, film, number)
        progress(number + 1)


def _write(cache: FilmCache, name: str, renderer: Renderer, film: SpokenFilm, number: int) -> None:
    seed = film.seed + HOLDOUT_SEED * film.held_out
    rng = np.random.default_rng([seed, number])
    spoken = voices.spoken_clip(voices.any_speaker(rng, film.held_out), rng, 2, written=not film.held_out)
    count = int(min(film.seconds, spoken.duration) * FRAME_RATE)
    with ClipWriter(cache, name) as writer:
        landmarks = []
        for pictures, points in _frames(
            renderer, rng, identity_seed(seed, 0, 2 * number), spoken, count, film.size
        ):
            writer.add(pictures)
            landmarks += points
        sound = augment.recording(spoken.samples, rng)[: count * SAMPLE_RATE // FRAME_RATE]
        write_flac(writer.folder / "voice.flac", sound)
        record = ClipRecord(
            name=name,
            person=name,
            emotion="",
            level=0,
            frames=count,
            runs=((0, count, 0),),
            has_sound=True,
            notes=(),
            stamp=_ORIGIN,
        )
        writer.finish(record, np.stack(landmarks))


def _frames(
    renderer: Renderer, rng: np.random.Generator, person_seed: int, spoken: Utterance, count: int, size: int
) -> Iterator[tuple[list[ByteArray], list[FloatArray]]]:
    """Yield pictures and landmarks of the clip's frames, some at a time."""
    person = renderer.identity(person_seed)
    light, background = make_light(rng), make_background(rng, size * 2)
    first = sampling.sample_first(rng)
    camera = jittered_camera(rng, renderer, person, first)
    rows = performance(rng, as_shown(camera, first), spoken, count)
    for start in range(0, count, _AT_ONCE):
        renders = [
            renderer.render(person, row, light, background, camera, size)
            for row in rows[start : start + _AT_ONCE]
        ]
        yield [render.image for render in renders], [render.landmarks for render in renders]


def performance(rng: np.random.Generator, first: FloatArray, spoken: Utterance, count: int) -> FloatArray:
    """Return weights [count, 36] at 25 frames a second: the mouth of the speech with a speaker's own habits, a head
    that sways around that of `first` [36], and a quiet expression."""
    rows = tracks.track(rng, first, count)
    calm = rng.uniform(0.05, 0.35)
    rows[:, POSE] = first[POSE] + calm * (rows[:, POSE] - first[POSE])
    rows[:, EXPRESSION] *= np.where(_is_lid(), 1.0, rng.uniform(0.1, 0.6))
    mouth = mouth_curves(spoken.segments, np.arange(count) / FRAME_RATE, spoken.duration)
    rows[:, MOUTH] = np.clip(mouth * _habit(rng), 0.0, 1.1)
    return rows


def _habit(rng: np.random.Generator) -> FloatArray:
    """Return how strongly a speaker uses each mouth weight [20]. The lips still meet: they move with the jaw."""
    habit = np.exp(rng.normal(0.0, 0.2, len(MOUTH_NAMES))) * rng.uniform(0.7, 1.15)
    habit[MOUTH_NAMES.index("lips_together")] = habit[MOUTH_NAMES.index("jaw_open")]
    return np.asarray(habit, np.float32)


def _is_lid() -> np.ndarray:
    lids = np.zeros(EXPRESSION.stop, bool)
    lids[sampling.BLINKS] = True
    return lids[EXPRESSION]
