# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: `blender -b shot.blend --command edtalk bake --character NAME --frames 1-120`.

The same operators as the panel's buttons, so the same frames. Progress goes to standard output, what went wrong to
standard error, and the exit code says which of `Exit` it was. Blender registers the command while the add-on is
enabled (4.2 and later).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path

import bpy

from shared_protocol.banks import Bank
from shared_protocol.emotions import EMOTIONS
from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.messages import MOST_GAIN, MOST_TEMPERATURE

from ..core import takes
from ..core.server.process import ServerState
from ..core.takes.staleness import State, state_of
from ..core.tasks import Task, run_to_end
from ..core.text.translate import in_english
from ..scene import character, paths
from ..scene.keys.signature import Signature
from .bake.bake import bakeable
from .runtime import runtime, task_operator

NAME = "edtalk"
EVERY_SECONDS = 1.0
"""Seconds between two lines of progress."""
LAST_FRAME = 1_048_574
"""Blender has none after it."""


class Exit(IntEnum):
    """Exit codes of the process."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NO_CHARACTER = 3
    NO_SERVER = 4
    STOPPED = 5


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    command = argparse.ArgumentParser(
        prog=f"blender -b FILE.blend --command {NAME}", description=__doc__.split("\n")[0]
    )
    actions = command.add_subparsers(dest="action", required=True)
    for action, text in (
        ("bake", "render every frame that changed"),
        ("predict", "let the character speak its voice (saves the file)"),
        ("export", "write the baked frames and the voice as a movie"),
    ):
        sub = actions.add_parser(action, help=text, description=text)
        sub.add_argument(
            "--character", help="object name (default: every character; predict and export: the only one)"
        )
        sub.add_argument(
            "--json", action="store_true", help="end with one line of JSON; progress goes to standard error"
        )
        sub.add_argument("--scene", help="scene name (default: the file's current one)")
        if action != "export":
            sub.add_argument("--frames", type=frames, help="A-B or A (default: the scene's range)")
    actions.choices["bake"].add_argument(
        "--save",
        action="store_true",
        help="save the file, so that it shows the take: needed after a first bake",
    )
    actions.choices["bake"].add_argument(
        "--dry-run", action="store_true", help="say how many frames would be rendered, and do nothing"
    )
    actions.choices["predict"].add_argument(
        "-o", "--output", type=Path, help="save here instead of over the file"
    )
    _add_word_options(actions.choices["predict"])
    actions.choices["export"].add_argument(
        "-o", "--output", type=Path, required=True, help="the movie, an .mp4"
    )
    for action in ("predict", "export"):
        actions.choices[action].add_argument(
            "--overwrite", action="store_true", help="replace the file of --output (default: refuse)"
        )
    return command


def _add_word_options(sub: argparse.ArgumentParser) -> None:
    """Add what a prediction may be told; the character keeps it as its settings, but for the emotion and the banks."""
    sub.add_argument(
        "--transcript", type=Path, metavar="FILE", help="what is said: a .txt, .srt or .vtt file"
    )
    sub.add_argument(
        "--emotion", default="", metavar="NAME[:X]", help=f"one for all, X from 0 to 1: {', '.join(EMOTIONS)}"
    )
    sub.add_argument(
        "--emotion-gain",
        type=_number_up_to(MOST_GAIN),
        metavar="N",
        help="how strongly emotions of voice and words show; 0: not at all",
    )
    sub.add_argument(
        "--banks", type=banks, help="what to predict, such as mouth,pose (default: all); other keys stay"
    )
    sub.add_argument(
        "--temperature", type=_number_up_to(MOST_TEMPERATURE), metavar="N", help="how freely the head moves"
    )


def _number_up_to(most: float) -> Callable[[str], float]:
    def number(text: str) -> float:
        value = float(text)
        if not 0 <= value <= most:
            raise argparse.ArgumentTypeError(f"{text} is not between 0 and {most:g}")
        return value

    return number


def banks(text: str) -> set[str]:
    """`mouth,pose` as the operator names them; `ArgumentTypeError` for anything else."""
    try:
        return {Bank(name).name for name in text.split(",")}
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}: choose of {','.join(Bank)}") from error


def frames(text: str) -> tuple[int, int]:
    """`12-80` or `12`; `ArgumentTypeError` for anything else."""
    match = re.fullmatch(r"([0-9]{1,7})(?:-([0-9]{1,7}))?", text)
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, -1)
    if not first <= last <= LAST_FRAME:
        raise argparse.ArgumentTypeError(f"{text!r} is no range of frames such as 1-120")
    return first, last


def run(argv: Sequence[str]) -> int:
    """Blender calls this with all that follows the command's name; the exit code."""
    try:
        arguments = parser().parse_args(list(argv))
    except SystemExit as stop:  # argparse ends the process, which is Blender's to end
        return int(stop.code or 0)
    OUTCOME.begin(arguments.json)
    try:
        with in_english(), _stoppable():  # scripts and farms read it, and end it
            _check_opened(sys.argv)
            code = _ACTIONS[arguments.action](arguments)
    except EDTalkError as error:
        _complain(f"{error.cause} {error.fix}")
        code = Exit.FAILED
    OUTCOME.end(code)
    return code


class _Outcome:
    """What a program is told at the end: the exit code, what came of each character, and the errors."""

    def __init__(self) -> None:
        self.begin(False)

    def begin(self, wanted: bool) -> None:
        """Forget the last command. `wanted`: print one line of JSON at the end."""
        self.wanted = wanted
        self.characters: list[dict[str, object]] = []
        self.errors: list[str] = []

    def end(self, code: int) -> None:
        """Print it, where it is wanted."""
        if self.wanted:
            values = {"exit": int(code), "characters": self.characters, "errors": self.errors}
            print(json.dumps(values, ensure_ascii=False), flush=True)  # noqa: T201 (a command line's answer)


OUTCOME = _Outcome()


def _check_opened(argv: Sequence[str]) -> None:
    """Raise `EDTalkError` where Blender was told to open a file and did not: it goes on with its startup file."""
    before = argv[: next((i for i, word in enumerate(argv) if word in ("-c", "--command")), 0)]
    wanted = next((word for word in reversed(before) if word.lower().endswith(".blend")), "")
    if wanted and not bpy.data.filepath:
        what = "could not be opened" if Path(wanted).exists() else "is not there"
        raise EDTalkError(
            ErrorCode.DISK, f"{wanted} {what}.", "Check the name, and that this Blender reads the file."
        )


_WITHOUT_SERVER = (ServerState.FAILED, ServerState.NOT_INSTALLED)
"""It was looked for in vain. (What goes wrong before anybody needs a server is no fault of the server's.)"""


@contextmanager
def _stoppable() -> Iterator[None]:
    """Ctrl C, or a farm that asks the process to end, cancels what runs: what is finished is kept, and Blender ends
    with the exit code for it. Where nothing runs, the process ends as it would anyhow."""

    def stop(number: int, _frame: object) -> None:
        if (task := runtime.session().task) is not None:
            task.cancel()
        else:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)  # (one that is not Python's cannot be put back)


def _complain(text: str) -> None:
    OUTCOME.errors.append(text)
    print(f"edtalk: {text}", file=sys.stderr, flush=True)  # noqa: T201 (a command line's answer)


def _say(text: str) -> None:
    stream = sys.stderr if OUTCOME.wanted else sys.stdout
    print(f"edtalk: {text}", file=stream, flush=True)


class _Lines:
    """Print progress as lines, at most one per second; waiting for one thing is one line, however long it takes."""

    tells = True

    def __init__(self) -> None:
        self._due = 0.0
        self._last = ""
        self.message = ""
        self.result: dict[str, object] = {}

    def __call__(self, task: Task) -> None:
        self.message, self.result = task.message, task.progress.result
        text = task.progress.text
        what = text if task.progress.total else re.sub(r"[0-9.,]+", "", text)
        if text and what != self._last and time.monotonic() >= self._due:
            self._due, self._last = time.monotonic() + EVERY_SECONDS, what
            _say(text)


def _do(
    operator: Callable[..., set[str]], ob: bpy.types.Object, scene: bpy.types.Scene, **options: object
) -> int:
    """Run an operator on a character, with its progress as lines. Return the exit code."""
    session, lines = runtime.session(), _Lines()
    session.failure = None
    _say(f"{ob.name}: begin")
    task_operator.LISTENERS.append(lines)
    try:
        with bpy.context.temp_override(
            scene=scene, view_layer=_layer(scene, ob), object=ob, active_object=ob
        ):
            answer = operator(**options)
    except RuntimeError as error:  # what an operator refused
        message = str(error).strip()
        return _failed(ob, message.partition(".poll() ")[2] or message)
    finally:
        task_operator.LISTENERS.remove(lines)
    if session.failure is not None:
        return _failed(ob, " ".join(session.failure))
    is_done = "FINISHED" in answer
    OUTCOME.characters.append({"name": ob.name, "done": is_done, **lines.result})
    _say(f"{ob.name}: {'done: ' + lines.message if is_done else 'stopped'}")
    return Exit.DONE if is_done else Exit.STOPPED


def _failed(ob: bpy.types.Object, words: str) -> int:
    _complain(words)
    OUTCOME.characters.append({"name": ob.name, "done": False, "error": words})
    return Exit.NO_SERVER if runtime.session().server.state in _WITHOUT_SERVER else Exit.FAILED


def _layer(scene: bpy.types.Scene, ob: bpy.types.Object) -> bpy.types.ViewLayer:
    return next((layer for layer in scene.view_layers if ob.name in layer.objects), scene.view_layers[0])


def _span(arguments: argparse.Namespace) -> dict[str, int]:
    return dict(zip(("first", "last"), arguments.frames, strict=True)) if arguments.frames else {}


def _scene(arguments: argparse.Namespace) -> bpy.types.Scene:
    name = arguments.scene
    if name and name not in bpy.data.scenes:
        raise EDTalkError(
            ErrorCode.UNSUPPORTED, f"There is no scene {name!r}.", f"There are: {_names(bpy.data.scenes)}."
        )
    return bpy.data.scenes[name] if name else bpy.context.scene


def _names(things: Sequence[bpy.types.ID]) -> str:
    return ", ".join(repr(thing.name) for thing in things) or "none"


def _chosen(arguments: argparse.Namespace) -> list[bpy.types.Object]:
    """The characters to work on; empty, with a word on standard error, when there is none of that name."""
    everybody = character.characters(_scene(arguments))
    if arguments.character is None:  # what is linked from another file is worked on there
        chosen = bakeable(_scene(arguments)) or everybody
    else:
        chosen = [ob for ob in everybody if ob.name == arguments.character]
    if not chosen:
        wanted = "no character" if arguments.character is None else f"no character {arguments.character!r}"
        _complain(f"The scene has {wanted}. It has: {_names(everybody)}.")
    return chosen


def _single(arguments: argparse.Namespace) -> bpy.types.Object | None:
    """The one character; None, with a word, when there is none or a choice."""
    chosen = _chosen(arguments)
    if len(chosen) > 1:
        _complain(f"Say which with --character: {_names(chosen)}.")
    return chosen[0] if len(chosen) == 1 else None


def _bake(arguments: argparse.Namespace) -> int:
    chosen, scene = _chosen(arguments), _scene(arguments)
    if arguments.dry_run:
        return _count_stale(chosen, scene, arguments)
    target = _target(None) if arguments.save else None
    worst: int = Exit.DONE if chosen else Exit.NO_CHARACTER
    for ob in chosen:
        answer = _do(bpy.ops.edtalk.bake, ob, scene, **_span(arguments))
        worst = worst or answer
        if answer in (Exit.NO_SERVER, Exit.STOPPED):  # else the others can be baked all the same
            break
    if worst == Exit.DONE and target is not None:
        _save(target)
    return worst


def _count_stale(
    chosen: list[bpy.types.Object], scene: bpy.types.Scene, arguments: argparse.Namespace
) -> int:
    """Say how many frames a bake would render, as the panel counts them. Needs no server."""
    first, last = arguments.frames or (scene.frame_start, scene.frame_end)
    frames = range(first, last + 1)
    for ob in chosen:
        stale = stale_frames(ob, frames)
        OUTCOME.characters.append({"name": ob.name, "frames": [first, last], "stale": stale})
        _say(f"{ob.name}: {len(stale)} of {len(frames)} frames to bake")
    return Exit.DONE if chosen else Exit.NO_CHARACTER


def stale_frames(ob: bpy.types.Object, frames: range) -> list[int]:
    """Return those of some frames that a take of a character lacks, or has with other curves."""
    folder, signature = paths.file_of(ob, "take"), Signature(ob)
    if folder is None or not folder.is_dir():
        return list(frames)
    take = takes.Take.open(folder)
    finished = run_to_end(take.finished())
    states = {frame: state_of(frame, signature.at(frame), take.signatures, finished) for frame in frames}
    return [frame for frame, state in states.items() if state is not State.FRESH]


def _target(wanted: Path | None, overwrite: bool = True) -> Path:
    """Where to save: known before the work begins. Raises `EDTalkError` where nothing can be saved."""
    if wanted is None and not bpy.data.filepath:
        raise EDTalkError(ErrorCode.UNSUPPORTED, "The file has no name yet.", "Save it once from a window.")
    target = Path(bpy.data.filepath) if wanted is None else wanted.absolute()
    if target.is_dir() or not target.parent.is_dir():
        raise EDTalkError(
            ErrorCode.DISK, f"{target} cannot be written.", "Name a file in a folder that is there."
        )
    if wanted is not None and not overwrite and target.exists():
        raise EDTalkError(
            ErrorCode.DISK, f"{target} is there already.", "Name another file, or allow it with --overwrite."
        )
    return target


def _save(target: Path) -> None:
    try:
        bpy.ops.wm.save_as_mainfile(filepath=str(target))
    except RuntimeError as error:
        raise EDTalkError(
            ErrorCode.DISK,
            f"{target} cannot be written: {str(error).removeprefix('Error: ').strip()}.",
            "Make room, or name a file that you may write.",
        ) from error
    _say(f"saved {target}")


def _predict(arguments: argparse.Namespace) -> int:
    ob = _single(arguments)
    if ob is None:
        return Exit.NO_CHARACTER
    target = _target(arguments.output, arguments.overwrite)
    _take_settings(ob, arguments)
    options = {"emotion": arguments.emotion} if arguments.emotion else {}
    options |= {"banks": arguments.banks} if arguments.banks else {}
    answer = _do(bpy.ops.edtalk.predict, ob, _scene(arguments), **_span(arguments), **options)
    if answer == Exit.DONE:
        _save(target)
    return answer


def _take_settings(ob: bpy.types.Object, arguments: argparse.Namespace) -> None:
    """Set on the character what the command line says of its words and emotions."""
    group = ob.edtalk
    if arguments.transcript is not None:
        group.speech.transcript_from = "FILE"
        group.transcript = paths.to_stored_path(arguments.transcript.absolute())
    if arguments.emotion_gain is not None:
        group.speech.feel, group.speech.emotion_gain = arguments.emotion_gain > 0, arguments.emotion_gain
    if arguments.temperature is not None:
        group.speech.temperature = arguments.temperature


def _export(arguments: argparse.Namespace) -> int:
    ob = _single(arguments)
    if ob is None:
        return Exit.NO_CHARACTER
    target = _target(arguments.output, arguments.overwrite)
    code = _do(bpy.ops.edtalk.export_movie, ob, _scene(arguments), filepath=str(target))
    if code == Exit.DONE:
        OUTCOME.characters[-1]["movie"] = str(target)
    return code


_ACTIONS: dict[str, Callable[[argparse.Namespace], int]] = {
    "bake": _bake,
    "predict": _predict,
    "export": _export,
}

_command: object | None = None


def register() -> None:
    """Make the command known to Blender."""
    global _command
    if hasattr(bpy.utils, "register_cli_command"):
        _command = bpy.utils.register_cli_command(NAME, run)


def unregister() -> None:
    """Remove it."""
    global _command
    if _command is not None:
        bpy.utils.unregister_cli_command(_command)
        _command = None
