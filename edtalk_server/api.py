"""The server's packages as a Python library: from a portrait and a voice to a movie, whole or step by step.

Rule of this module: it joins the rooms below it and computes nothing itself. `edtalk render`, `predict` and `capture`
are thin callers. docs/python.md has examples.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from edtalk_server.arrays import Picture, Rendered, Weights
from edtalk_server.bundles import STARTER, Bundle
from edtalk_server.engine import Engine, Source
from edtalk_server.media.audio.voice import Waveform, load_voice
from edtalk_server.media.faces.portrait import load_portrait
from edtalk_server.media.output_spec import DEFAULT_SIZE, FACE, FULL, OutputSpec
from edtalk_server.media.pictures.load import load_picture
from edtalk_server.media.steps import Step, run_to_end
from edtalk_server.media.video.reader import Clip
from edtalk_server.media.video.sequence import (
    SequenceWriter,
    check_output,
    is_deep,
    is_pattern,
    refuse_existing,
)
from edtalk_server.media.video.writer import MovieWriter
from edtalk_server.motion import (
    Captured,
    CaptureSettings,
    ChosenEmotion,
    IdleMotion,
    Predicted,
    PredictOptions,
)
from edtalk_server.motion import capture as captured_steps
from edtalk_server.motion import perform as perform_options
from edtalk_server.motion.capture import DEFAULT_SETTINGS
from shared_protocol import emotions, transcripts, weights_file
from shared_protocol.banks import HEAD, LIDS, Bank, BankLayout
from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.messages import MOST_GAIN, MOST_TEMPERATURE, NATURAL_TEMPERATURE, Crop
from shared_protocol.timebase import MODEL_FPS, TimeBase, frame_rate
from shared_protocol.transcripts import Transcript

__all__ = [
    "Animation",
    "CaptureSettings",
    "Captured",
    "Crop",
    "EDTalkError",
    "Engine",
    "Predicted",
    "Source",
    "Transcript",
    "animate",
    "capture",
    "load_picture",
    "load_portrait",
    "load_transcript",
    "load_voice",
    "load_weights",
    "mix",
    "perform",
    "predict",
    "prepare",
    "render",
    "write",
]

File = Path | str
Rate = Fraction | float | str
OnProgress = Callable[[Step], None]
OnNote = Callable[[str], None]


_LONG = 24
"""Frames from which on helpers are worth their start."""


def _ignore(_: object) -> None:
    """Serve as the callback of callers that want none."""


@dataclass(frozen=True)
class Animation:
    """A finished movie or image sequence: its path or pattern, how many frames it has, their width and height in
    pixels, and the exact frame rate."""

    out: Path
    frames: int
    size: tuple[int, int]
    fps: Fraction


def animate(
    portrait: File | bytes | Picture,
    voice: File | None,
    out: File,
    *,
    bundle: Bundle | File = STARTER,
    device: str = "auto",
    engine: Engine | None = None,
    weights: File | None = None,
    crop: Crop | None = None,
    also: Iterable[File | bytes | Picture] = (),
    frames: tuple[int, int] | None = None,
    overwrite: bool = True,
    fps: Rate | None = None,
    blinks: float = 15.0,
    head: float = 1.0,
    seed: int = 0,
    transcript: File | Transcript | None = None,
    language: str = "",
    emotion: str = "",
    emotion_gain: float | None = None,
    banks: Iterable[Bank | str] = tuple(Bank),
    temperature: float = NATURAL_TEMPERATURE,
    full: bool = False,
    alpha: bool = False,
    size: int = DEFAULT_SIZE,
    workers: int = 1,
    on_note: OnNote = _ignore,
    on_progress: OnProgress = _ignore,
) -> Animation:
    """Make a portrait speak: write a movie with sound, or a numbered image sequence.

    `portrait` is a file, its bytes, or RGB or RGBA uint8 [H, W, 3 or 4]; `voice` a file with sound (None: words alone).
    `out` ends in .mp4, .mov or .mkv, or is a pattern such as frames/%04d.png or, for half floats in linear light,
    frames/%04d.exr. `engine` reuses an opened engine in place of `bundle` and `device`. `full` shows the face in the
    whole portrait, and in a sequence one that is transparent in parts stays so; `alpha` adds the face's matte
    (sequences only). `size` is the largest side of a face picture in pixels: frames have the largest size up to it that
    the bundle draws and the portrait holds (starter: 256, 512, 768, 1024). With `weights`, a file of `edtalk predict`
    or `capture`, nothing is predicted: that performance is drawn, at its own rate where `fps` is None (else 25); the
    voice is only heard. `crop` is the square around the face in the portrait's pixels (None: found), `also` are further
    pictures of the person (`prepare`). `frames` are the first and the last frame to write, counted from 1: a sequence
    keeps these numbers, a movie has that part of the sound. Without `overwrite` files that are there are an error.
    On the CPU long shots are drawn by `workers` processes, the same to the byte. `perform` explains the other options.
    Frames are written as they come, so memory does not grow with the voice. `on_note` receives sentences about the
    portrait and the bundle, `on_progress` the frames that are done.

    Raises `EDTalkError`: UNSUPPORTED (no such device or kind of output), BUNDLE_INVALID, AUDIO_UNREADABLE,
    AUDIO_EMPTY, IMAGE_UNREADABLE, NO_FACE, TOO_LARGE, OUT_OF_MEMORY, BAD_WEIGHTS, EMPTY_RANGE (none of the `frames`
    exists), DISK; and `ValueError` for a frame rate outside 1 to 1000.
    """
    target = Path(out)
    stored = None if weights is None else weights_file.read(Path(weights))
    rate = frame_rate(fps if fps is not None else stored.fps if stored is not None else MODEL_FPS)
    spec = _output_spec(target, full, alpha, size)
    if not overwrite:
        refuse_existing(target)
    sound = None if voice is None or stored is not None else load_voice(voice)
    picture = _picture(portrait)
    engine = engine or Engine.open(bundle, device)
    source = prepare(engine, picture, crop, also)
    notes = list(source.notes) if stored else [*source.notes, *idle_notes(engine.bundle.layout, blinks, head)]
    for note in notes if full else [*notes, *size_notes(engine, source, size)]:
        on_note(note)
    if stored is not None:
        predicted = _stored(engine, source, stored.at_rate(rate), emotion, emotion_gain)
    else:
        predicted = perform(
            engine,
            source,
            sound,
            fps=rate,
            blinks=blinks,
            head=head,
            seed=seed,
            transcript=transcript,
            language=language,
            emotion=emotion,
            emotion_gain=emotion_gain,
            banks=banks,
            temperature=temperature,
        )
    for note in predicted.notes:
        on_note(note)
    mixed = mix(engine, source, predicted)
    chosen = _chosen_frames(frames, len(mixed))
    mixed = mixed[chosen.start - 1 : chosen.stop - 1]
    pictures = _counted(_frames(engine, source, mixed, spec), len(mixed), engine, on_progress)
    with _helped(engine, workers if len(mixed) >= _LONG else 1):
        count = write(target, pictures, fps=rate, voice=voice, first=chosen.start)
    side = source.side(size)
    return Animation(target, count, source.full_size if full else (side, side), rate)


def prepare(
    engine: Engine,
    portrait: File | bytes | Picture,
    crop: Crop | None = None,
    also: Iterable[File | bytes | Picture] = (),
) -> Source:
    """Encode a portrait once for all its frames. Without `crop` the face is found. `also`: up to four further pictures
    of the same person (laughing, with an open mouth), which give what the portrait does not show.

    Raises `EDTalkError`: IMAGE_UNREADABLE, TOO_LARGE, NO_FACE, OUT_OF_MEMORY, UNSUPPORTED.
    """
    return engine.prepare(_picture(portrait), crop, [_picture(picture) for picture in also])


def predict(
    engine: Engine,
    source: Source | Weights,
    voice: File | bytes | Waveform,
    *,
    fps: Rate = 25,
    blinks: float = 0.0,
    head: float = 0.0,
    seed: int = 0,
) -> Weights:
    """Predict weights [frames, channels] from a voice: `perform` without words and emotions."""
    return perform(engine, source, voice, fps=fps, blinks=blinks, head=head, seed=seed).weights


def perform(
    engine: Engine,
    source: Source | Weights,
    voice: File | bytes | Waveform | None = None,
    *,
    fps: Rate = 25,
    frames: int = 0,
    blinks: float = 0.0,
    head: float = 0.0,
    seed: int = 0,
    transcript: File | Transcript | None = None,
    language: str = "",
    emotion: str = "",
    emotion_gain: float | None = None,
    banks: Iterable[Bank | str] = tuple(Bank),
    temperature: float = NATURAL_TEMPERATURE,
) -> Predicted:
    """Predict a performance from a voice, a transcript, or both: the mouth follows the voice, the rest holds the
    portrait's own.

    `source` is a prepared portrait, or the weights [channels] to start from. `frames` 0 goes to the end of the voice,
    or of the words where there is no voice. `blinks` a minute and the `head`'s movement (1: as people talk; the higher
    the `temperature`, 0 to 2, the freer) are added, dealt out by `seed`. `transcript` is a .txt, .srt or .vtt file in
    `language` (a BCP 47 tag); "[happy 0.7]" in it is a direction. The emotions of voice and words, times `emotion_gain`
    (0 to 3; default: 1 with a transcript, else 0), or one `emotion` such as "happy" or "sad:0.5" are curves of their
    own, which `mix` adds. Only `banks` (mouth, pose, expression) are computed. Raises `EDTalkError`: AUDIO_UNREADABLE,
    AUDIO_EMPTY, UNSUPPORTED (the bundle has no audio part, no such emotion or transcript), EMPTY_RANGE (neither voice
    nor words), BAD_WEIGHTS; and `ValueError` for a frame rate outside 1 to 1000, an unknown bank, or a number out of
    range.
    """
    sound = voice if isinstance(voice, Waveform | None) else load_voice(voice)
    words = transcript if isinstance(transcript, Transcript | None) else load_transcript(transcript)
    if emotion_gain is None:
        emotion_gain = 0.0 if words is None else 1.0
    if not 0 <= emotion_gain <= MOST_GAIN or not 0 <= temperature <= MOST_TEMPERATURE:
        raise ValueError(f"emotion_gain is 0 to {MOST_GAIN:g}, temperature 0 to {MOST_TEMPERATURE:g}")
    options = PredictOptions(
        IdleMotion(blinks, head, seed),
        words or Transcript(),
        language,
        frozenset(map(Bank, banks)),
        _chosen_emotion(emotion),
        emotion_gain,
        "flow",
        temperature,
        visemes=words is not None,
    )
    return perform_options(
        engine.bundle, _own(source), sound, TimeBase(frame_rate(fps)), frames, options=options
    )


def mix(engine: Engine, source: Source | Weights, predicted: Predicted) -> Weights:
    """Return the weights to render, [frames, channels]: the predicted ones with the bundle's expressions mixed over
    them as the emotions' curves say, as in Blender."""
    if predicted.emotions is None:
        return predicted.weights
    presets = engine.bundle.manifest.presets
    mixer = emotions.make_mixer(engine.bundle.layout, _own(source).reshape(-1), presets)
    return mixer.mix(predicted.weights, emotions.FULL_GAINS, predicted.emotions)


def load_weights(
    engine: Engine,
    source: Source | Weights,
    file: File,
    *,
    fps: Rate | None = None,
    emotion: str = "",
    emotion_gain: float | None = None,
) -> Predicted:
    """Read a performance that `edtalk predict` or `capture` wrote, for `mix` and `render`.

    `fps` (None: the file's own) moves its frames to another rate. Weights that it does not name stay the portrait's
    own. One `emotion` takes the place of the file's emotions; these are multiplied by `emotion_gain`.
    Raises `EDTalkError`: BAD_WEIGHTS (the file, or weights of another bundle), UNSUPPORTED (no such emotion).
    """
    stored = weights_file.read(Path(file))
    rate = stored.fps if fps is None else frame_rate(fps)
    return _stored(engine, source, stored.at_rate(rate), emotion, emotion_gain)


def _stored(
    engine: Engine,
    source: Source | Weights,
    stored: weights_file.WeightsFile,
    emotion: str,
    emotion_gain: float | None,
) -> Predicted:
    weights, unknown = stored.fitted(engine.bundle.layout, _own(source).reshape(-1))
    notes = (f"the bundle has no weights {', '.join(unknown)}, which the file has",) if unknown else ()
    chosen = _chosen_emotion(emotion)
    felt = stored.felt(1.0 if emotion_gain is None else emotion_gain)
    if chosen is not None:
        felt = stored.one_emotion(chosen.name, chosen.intensity)
    return Predicted(weights, felt, notes=notes)


def load_transcript(file: File) -> Transcript:
    """Read a transcript: a .txt, .srt or .vtt file. Raises `EDTalkError` (UNSUPPORTED), which names the line that
    cannot be understood."""
    path = Path(file)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise EDTalkError(
            ErrorCode.UNSUPPORTED,
            f"The transcript “{path.name}” could not be opened ({error.strerror or error}).",
            "Check that the file exists and that you may read it.",
        ) from error
    return transcripts.parse(transcripts.decode(data), path.name)


def _chosen_emotion(text: str) -> ChosenEmotion | None:
    """Return the emotion in a text such as "happy:0.7"; None for an empty one."""
    if not text:
        return None
    felt = emotions.parse(text)
    if felt is None or len(felt) != 1:
        raise EDTalkError(
            ErrorCode.UNSUPPORTED,
            f"{text!r} is no emotion.",
            f"Write happy or happy:0.7; there are {', '.join(emotions.EMOTIONS)}.",
        )
    return ChosenEmotion(*felt[0])


def capture(
    engine: Engine,
    source: Source | Weights,
    video: File | Clip,
    *,
    fps: Rate = 25,
    settings: CaptureSettings = DEFAULT_SETTINGS,
    on_progress: OnProgress = _ignore,
) -> Captured:
    """Capture a filmed face: return weights [frames, channels] that add its movement to the portrait, and notes.

    `settings` say what counts as the portrait's own face, and how strong each bank follows.
    Raises `EDTalkError`: VIDEO_UNREADABLE, NO_FACE, OUT_OF_MEMORY, BAD_WEIGHTS; and `ValueError` for a frame rate
    outside 1 to 1000.
    """
    clip = video if isinstance(video, Clip) else Clip.open(Path(video))
    base = TimeBase(frame_rate(fps))
    steps = captured_steps(engine, engine.bundle.layout, _own(source), clip, base, settings=settings)
    return run_to_end(steps, on_progress)


def render(
    engine: Engine,
    source: Source,
    weights: Weights,
    *,
    full: bool = False,
    alpha: bool = False,
    deep: bool = False,
    size: int = DEFAULT_SIZE,
    cut_out: bool = False,
) -> Iterator[Rendered]:
    """Render one frame after the other under weights [frames, channels], in constant memory.

    A frame is uint8 [H, W, 3] in sRGB; with `alpha`, or with `cut_out` for a full frame of a portrait that is
    transparent in parts, [H, W, 4]; with `deep` float16 in linear light. `size`: as in `animate`.
    Raises `EDTalkError`: BAD_WEIGHTS, OUT_OF_MEMORY.
    """
    spec = OutputSpec(FULL if full else FACE, alpha, deep, size=size, cut_out=cut_out)
    return _frames(engine, source, weights, spec)


def write(
    out: File, frames: Iterable[Rendered], *, fps: Rate = 25, voice: File | None = None, first: int = 1
) -> int:
    """Write frames as they come, as a movie or a sequence (see `animate`), and return how many there were.

    `first` is the number of the first frame: a sequence counts from it, and a movie's sound begins there.
    A movie takes uint8 [H, W, 3] and may have the sound file `voice`; a .png sequence takes uint8 [H, W, 3 or 4], an
    .exr sequence float16. What is written is marked as synthetic.
    Raises `EDTalkError`: UNSUPPORTED (kind of output), EMPTY_RANGE (no frame), DISK.
    """
    target = Path(out)
    check_output(target)
    rest = iter(frames)
    picture = next(rest, None)
    if picture is None:
        raise EDTalkError(ErrorCode.EMPTY_RANGE, "There is no frame to write.", "Give at least one frame.")
    size = picture.shape[1], picture.shape[0]
    count = 0
    with _writer(target, frame_rate(fps), size, None if voice is None else Path(voice), first) as writer:
        for frame in itertools.chain([picture], rest):
            writer.write(frame)
            count += 1
    return count


def idle_notes(layout: BankLayout, blinks: float, head: float) -> list[str]:
    """Return sentences about what a bundle cannot do of the blinks and head movement that are asked for."""
    notes = []
    if blinks and not layout.has(*LIDS):
        notes.append("this bundle has no named weights for the lids, so nobody blinks")
    if head and not layout.has(*HEAD):
        notes.append("this bundle has no named weights for the head, so it does not move")
    return notes


def size_notes(engine: Engine, source: Source, size: int) -> list[str]:
    """Return a sentence where face pictures are smaller than the `size` that is asked for."""
    side = source.side(size)
    if side < min(size, engine.sizes[-1]):
        return [f"the portrait shows the face in {source.crop.side:.0f} pixels, so frames have {side}"]
    return [f"this bundle draws {side} pixels at most"] if size > DEFAULT_SIZE and side < size else []


@contextlib.contextmanager
def _helped(engine: Engine, workers: int) -> Iterator[None]:
    """Draw by so many processes, unless the engine has helpers already."""
    starts = workers > 1 and not engine.has_helpers
    if starts:
        engine.start_helpers(workers - 1)
    try:
        yield
    finally:
        if starts:
            engine.end_helpers()


def _picture(portrait: File | bytes | Picture) -> Picture:
    return load_picture(portrait) if isinstance(portrait, Path | str | bytes) else portrait


def _own(source: Source | Weights) -> Weights:
    return source.weights if isinstance(source, Source) else source


def _output_spec(out: Path, full: bool, alpha: bool, size: int) -> OutputSpec:
    check_output(out)
    if alpha and not is_pattern(out):
        raise EDTalkError(
            ErrorCode.UNSUPPORTED,
            "A movie holds no alpha.",
            "Render a sequence, such as frames/%04d.png, or leave alpha out.",
        )
    is_sequence = is_pattern(out)
    deep = is_sequence and is_deep(out)
    return OutputSpec(FULL if full else FACE, alpha, deep, size=size, cut_out=is_sequence)


def _frames(engine: Engine, source: Source, weights: Weights, spec: OutputSpec) -> Iterator[Rendered]:
    return (frame for batch in engine.stream(source, weights, spec) for frame in batch)


def _counted(
    frames: Iterator[Rendered], total: int, engine: Engine, on_progress: OnProgress
) -> Iterator[Rendered]:
    """Pass frames on and report each when it has been taken."""
    for done, frame in enumerate(frames):
        on_progress(Step(done, total, f"rendering on {engine.device_name}"))
        yield frame
    on_progress(Step(total, total, f"rendering on {engine.device_name}"))


def _writer(
    out: Path, fps: Fraction, size: tuple[int, int], voice: Path | None, first: int
) -> MovieWriter | SequenceWriter:
    if is_pattern(out):
        return SequenceWriter(out, first)
    return MovieWriter(out, fps, size, voice, -TimeBase(fps).seconds(first - 1))


def _chosen_frames(frames: tuple[int, int] | None, count: int) -> range:
    """Return the numbers of the frames to write, of `count` that are counted from 1. Raises `EDTalkError`."""
    first, last = frames or (1, count)
    if not 1 <= first <= min(last, count):
        raise EDTalkError(
            ErrorCode.EMPTY_RANGE,
            f"There are no frames {first} to {last}: the performance has frames 1 to {count}.",
            "Choose frames of the performance.",
        )
    return range(first, min(last, count) + 1)
