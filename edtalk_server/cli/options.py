"""Options and progress lines that several commands share. It imports nothing heavy, so that `--help` is quick."""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, TextIO

from shared_protocol import emotions
from shared_protocol.banks import Bank
from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.messages import (
    MOST_BLINKS,
    MOST_GAIN,
    MOST_HEAD,
    MOST_TEMPERATURE,
    NATURAL_TEMPERATURE,
    Crop,
)
from shared_protocol.timebase import frame_rate

if TYPE_CHECKING:
    from edtalk_server.media.steps import Step

MOST_WORKERS = 256
"""Worker processes that one program starts."""
DEVICES = ("auto", "cpu", "cuda", "mps")


def exact_rate(text: str) -> Fraction:
    """Return an exact frame rate (`timebase.frame_rate`). Raises `argparse.ArgumentTypeError`."""
    try:
        return frame_rate(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def whole_number(text: str) -> int:
    """Return a number above 0. Raises `argparse.ArgumentTypeError`."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def worker_count(text: str) -> int:
    """Return a number of workers; 0 for `auto`. Raises `argparse.ArgumentTypeError`."""
    if text == "auto":
        return 0
    if not text.isdecimal() or not 1 <= int(text) <= MOST_WORKERS:
        raise argparse.ArgumentTypeError(f"{text!r} is neither auto nor a number from 1 to {MOST_WORKERS}")
    return int(text)


def movie_or_sequence(text: str) -> Path:
    """Return the path of a movie or the pattern of a sequence. Raises `argparse.ArgumentTypeError` for others."""
    from edtalk_server.media.video import sequence

    try:
        sequence.check_output(Path(text))
    except EDTalkError as error:
        raise argparse.ArgumentTypeError(f"{error.cause} {error.fix}") from error
    return Path(text)


def frame_range(text: str) -> tuple[int, int]:
    """Return the first and the last frame of `12-80` or `12`. Raises `argparse.ArgumentTypeError`."""
    first, dash, last = text.partition("-")
    if not (first.isdecimal() and (last.isdecimal() or not dash)):
        raise argparse.ArgumentTypeError(f"{text!r} is no range of frames such as 1-120")
    span = int(first), int(last or first)
    if not 1 <= span[0] <= span[1]:
        raise argparse.ArgumentTypeError(f"{text!r}: frames count from 1, the last not before the first")
    return span


def crop_square(text: str) -> Crop:
    """Return the square `X,Y,SIDE` or `X,Y,SIDE,ROLL` (pixels, degrees). Raises `argparse.ArgumentTypeError`."""
    try:
        x, y, side, *roll = (float(number) for number in text.split(","))
        degrees = roll.pop() if roll else 0.0
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no square such as 320,240,300") from None
    if roll or not side > 0 or not all(map(math.isfinite, (x, y, side, degrees))):
        raise argparse.ArgumentTypeError(f"{text!r} is no square such as 320,240,300")
    return Crop(x, y, side, math.radians(degrees))


def add_overwrite_option(parser: argparse.ArgumentParser) -> None:
    """Add `--overwrite`."""
    parser.add_argument(
        "--overwrite", action="store_true", help="replace files that are there (default: refuse)"
    )


def add_json_option(parser: argparse.ArgumentParser) -> None:
    """Add `--json`."""
    parser.add_argument("--json", action="store_true", help="print one JSON object, for programs")


def print_json(values: Mapping[str, Any]) -> None:
    """Print what a command found, for programs."""
    print(json.dumps(values, ensure_ascii=False, indent=1))


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add `--bundle` and `--device`."""
    parser.add_argument(
        "--bundle", default="starter", help="model bundle: a folder or a shipped name (default: starter)"
    )
    parser.add_argument("--device", choices=DEVICES, default="auto", help="where to compute (default: auto)")


def add_voice_option(parser: argparse.ArgumentParser, *, with_fps: bool = True) -> None:
    """Add `--voice` and `--fps`."""
    parser.add_argument(
        "--voice",
        type=Path,
        help="any file with speech in it; without one, the transcript's words are timed by syllables",
    )
    if with_fps:
        add_fps_option(parser)


def add_word_options(parser: argparse.ArgumentParser) -> None:
    """Add the options about words, emotions and banks."""
    parser.add_argument(
        "--transcript",
        type=Path,
        metavar="FILE",
        help='what is said: a .txt, .srt or .vtt file; "[happy 0.7]" in it is a direction',
    )
    parser.add_argument("--language", default="", metavar="TAG", help="of the transcript, such as en or de")
    parser.add_argument(
        "--emotion",
        type=_emotion,
        metavar="NAME[:X]",
        help=f"one emotion for all, X from 0 to 1: {', '.join(emotions.EMOTIONS)}",
    )
    parser.add_argument(
        "--emotion-gain",
        type=_number_up_to(MOST_GAIN),
        metavar="N",
        help="how strongly emotions of voice and words show; 0: not at all (default: 1 with a transcript, else 0)",
    )
    parser.add_argument(
        "--banks",
        type=_banks,
        default=tuple(Bank),
        metavar="LIST",
        help="what to predict, such as mouth,pose; the rest stays the portrait's own (default: mouth,pose,expression)",
    )
    parser.add_argument(
        "--temperature",
        type=_number_up_to(MOST_TEMPERATURE),
        default=NATURAL_TEMPERATURE,
        metavar="N",
        help=f"how freely the head moves; 0: the most likely way (default: {NATURAL_TEMPERATURE})",
    )


def performance_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what `api.perform` and `api.animate` take of the arguments. Misuse ends the program."""
    weights = getattr(arguments, "weights", None)
    if weights is not None and arguments.transcript is not None:
        raise EDTalkError(
            ErrorCode.UNSUPPORTED,
            "With --weights nothing is predicted, so a transcript changes nothing.",
            "Leave --transcript or --weights out.",
        )
    if weights is None and arguments.voice is None and arguments.transcript is None:
        raise EDTalkError(
            ErrorCode.EMPTY_RANGE,
            "There is neither a voice nor a transcript.",
            "Name one with --voice or --transcript.",
        )
    names = ("fps", "blinks", "head", "seed", "transcript", "language", "emotion_gain")
    options = {name: getattr(arguments, name) for name in (*names, "banks", "temperature")}
    return options | {"emotion": arguments.emotion or ""}


def _emotion(text: str) -> str:
    felt = emotions.parse(text)
    if felt is None or len(felt) != 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not one of {', '.join(emotions.EMOTIONS)}")
    return text


def _banks(text: str) -> tuple[Bank, ...]:
    try:
        return tuple(map(Bank, text.split(",")))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}: choose of {','.join(Bank)}") from error


def add_idle_options(parser: argparse.ArgumentParser) -> None:
    """Add `--blinks`, `--head` and `--seed`."""
    parser.add_argument(
        "--blinks",
        type=_number_up_to(MOST_BLINKS),
        default=15.0,
        metavar="N",
        help="blinks a minute; 0: none (default: 15)",
    )
    parser.add_argument(
        "--head",
        type=_number_up_to(MOST_HEAD),
        default=1.0,
        metavar="N",
        help="how much the head moves; 0: not at all (default: 1)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="another number gives other blinks and movements (default: 0)"
    )


def _number_up_to(most: float) -> Callable[[str], float]:
    def number(text: str) -> float:
        value = float(text)
        if not 0 <= value <= most:
            raise argparse.ArgumentTypeError(f"{text} is not between 0 and {most}")
        return value

    return number


def add_fps_option(parser: argparse.ArgumentParser) -> None:
    """Add `--fps`."""
    parser.add_argument(
        "--fps",
        type=exact_rate,
        default=Fraction(25),
        help="frames a second; 23.976 and 30000/1001 are taken exactly (default: 25)",
    )


@contextlib.contextmanager
def clean_termination() -> Iterator[None]:
    """Let SIGTERM unwind the work in this block as Ctrl-C does, so that no half-written file is left."""

    def leave(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class ProgressLine:
    """The progress of a long command on standard error: one line that rewrites itself, or in a log file one every five
    seconds."""

    def __init__(self, total: int, what: str, stream: TextIO | None = None, unit: str = "frames") -> None:
        self._total, self._what, self._stream, self._unit = total, what, stream or sys.stderr, unit
        self._live = self._stream.isatty()
        self._began = self._shown = time.monotonic()

    def show(self, done: int) -> None:
        """Report `done` of the total."""
        now = time.monotonic()
        finished = done >= self._total
        if not finished and now - self._shown < (0.2 if self._live else 5.0):
            return
        self._shown = now
        rate = done / max(now - self._began, 1e-6)
        left = (self._total - done) / rate if rate > 0 else 0.0
        text = f"{self._what}: {done}/{self._total} {self._unit}, {rate:.1f}/s, {left:.0f} s left"
        end = "\n" if finished or not self._live else ""
        print(f"\r\033[K{text}" if self._live else text, end=end, file=self._stream, flush=True)


class StepLine:
    """A progress line for work that reports `Step`s; each stage starts a line of its own."""

    def __init__(self) -> None:
        self._line: ProgressLine | None = None
        self._stage = ""

    def show(self, step: Step) -> None:
        """Report a step."""
        if self._line is None or step.stage != self._stage:
            self._line, self._stage = ProgressLine(step.total, step.stage), step.stage
        self._line.show(step.done)
