"""What several commands share: frame rates as people write them, the bundle and device options, the progress line."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, TextIO

from shared_protocol.banks import HEAD, LIDS, BankLayout
from shared_protocol.messages import MOST_BLINKS, MOST_HEAD

if TYPE_CHECKING:
    from edtalk_server.motion.idle_motion import IdleMotion

_NTSC = Fraction(1000, 1001)
DEVICES = ("auto", "cpu", "cuda", "mps")


def frame_rate(text: str) -> Fraction:
    """An exact frame rate from `25`, `30000/1001` or `23.976` (the broadcast rates are known by their short names).

    Raises `argparse.ArgumentTypeError`.
    """
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError) as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a frame rate, such as 25 or 23.976") from error
    if not 1 <= rate <= 1000:
        raise argparse.ArgumentTypeError(f"{text} frames a second are not between 1 and 1000")
    broadcast = round(rate) * _NTSC
    return broadcast if rate.denominator != 1 and abs(rate - broadcast) < Fraction(1, 100) else rate


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """`--bundle` and `--device`."""
    parser.add_argument(
        "--bundle", default="starter", help="model bundle: a folder or a shipped name (default: starter)"
    )
    parser.add_argument("--device", choices=DEVICES, default="auto", help="where to compute (default: auto)")


def add_voice_option(parser: argparse.ArgumentParser) -> None:
    """`--voice` and `--fps`."""
    parser.add_argument(
        "--voice", type=Path, required=True, help="sound file with speech (WAV, FLAC, OGG, MP3)"
    )
    add_fps_option(parser)


def add_liveliness_options(parser: argparse.ArgumentParser) -> None:
    """`--blinks`, `--head` and `--seed`."""
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


def liveliness(arguments: argparse.Namespace, layout: BankLayout) -> IdleMotion:
    """What these options ask for; says so where the bundle cannot do it."""
    from edtalk_server.motion.idle_motion import IdleMotion

    if arguments.blinks and not layout.has(*LIDS):
        print("note: this bundle has no named weights for the lids, so nobody blinks", file=sys.stderr)
    if arguments.head and not layout.has(*HEAD):
        print("note: this bundle has no named weights for the head, so it does not move", file=sys.stderr)
    return IdleMotion(arguments.blinks, arguments.head, arguments.seed)


def _number_up_to(most: float) -> Callable[[str], float]:
    def number(text: str) -> float:
        value = float(text)
        if not 0 <= value <= most:
            raise argparse.ArgumentTypeError(f"{text} is not between 0 and {most}")
        return value

    return number


def add_fps_option(parser: argparse.ArgumentParser) -> None:
    """`--fps`."""
    parser.add_argument(
        "--fps",
        type=frame_rate,
        default=Fraction(25),
        help="frames a second; 23.976 and 30000/1001 are taken exactly (default: 25)",
    )


@contextlib.contextmanager
def clean_termination() -> Iterator[None]:
    """While this lasts, being asked to terminate unwinds the work like Ctrl-C, so that no half file is left."""

    def leave(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class ProgressLine:
    """How far a long command is, on standard error: one line that rewrites itself, or a line every five seconds in a
    log file."""

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
