"""What the add-on says to people: read out of the source, without running it.

English sentences are the keys of the catalogues (`blender_addon.languages`). They stand in known places: as `text=` of
a layout, in `iface_("…")` and its like, in `refuse(cls, "…")`, as a task's `title` or `stage`, and as the cause and fix
of an error, which may be the server's. f-strings of errors become templates with numbered places: "{0} is an empty
file.". Labels and tooltips of classes and properties are known to Blender: tests/blender reads them there.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
ADDON, SERVER, PROTOCOL = (ROOT / room for room in ("blender_addon", "edtalk_server", "shared_protocol"))
ENGLISH_ONLY = {"build.py", "batch.py"}
"""Not for the window: the packing, and the command line."""

TRANSLATORS = ("iface_", "tip_", "rpt_", "n_")
DRAWN = ("text", "heading")
"""What a layout draws, by the keyword."""
ERRORS = {"EDTalkError": (1, 2), "_error": (0, 1), "_failed": (0, 1), "_failure": (0,), "_missing": (0,)}
ERRORS |= {"NotMediaError": (0,), "PermissionError": (0,)}
ERRORS |= {"_unreachable": (0,), "lose": (0,), "_bad_weights": (0,), "Finding": (1,), "GoneError": (1, 2)}
ERRORS |= {"_bad": (0, 1), "UnfitError": (0,), "SetupError": (0, 1)}
"""Where causes and fixes are handed in, also to helpers that make an error of them."""
FILES = {"existing_file": 1, "read_file": 1, "read": 1}
"""Where the word for a kind of file is handed in."""
SERVER_ROOMS = ("media", "engine", "motion", "workers", "service")
"""The rooms of the server whose words an animator meets. Those about damaged bundles and checkpoints stay English."""
INSTALLER = ("environments", "from_addon", "server", "steps")
"""Files of the installer whose errors the add-on shows."""
REASONS = {"_too_large", "_what_it_is", "gave_up"}
"""Functions that return what is wrong with a file, or with the server."""
NOTING = {"listed", "find_track", "_notes", "_gaps", "new_source"}
"""Functions of the server that add to the notes about a portrait or a video."""
WORDS = ("server", "add-on", "mouth", "pose", "expression", "The portrait", "The voice")
"""What stands in a place of a sentence, and is translated too."""
FEWEST_LETTERS = 6
"""A template with fewer of its own would be recognised in anything."""


class UnreadableError(AssertionError):
    """A sentence that cannot be translated as it stands."""


@dataclass(frozen=True)
class Source:
    """A file of Python; each node knows its parent."""

    path: Path
    tree: ast.Module

    @classmethod
    def of(cls, path: Path) -> Source:
        """A file."""
        return cls.read(path, path.read_text("utf-8"))

    @classmethod
    def read(cls, path: Path, text: str) -> Source:
        """The text of a file."""
        tree: Any = ast.parse(text)
        for parent in ast.walk(tree):
            for child in ast.iter_child_nodes(parent):
                child.parent = parent  # type: ignore[attr-defined]
        return cls(path, tree)

    def where(self, node: Any) -> str:
        """`file:line`."""
        return f"{self.path.relative_to(ROOT)}:{node.lineno}"

    def calls(self, names: Iterable[str]) -> Iterator[ast.Call]:
        """The calls of functions or methods of these names."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call) and _name(node) in names:
                yield node

    def texts(self, node: ast.expr) -> Iterator[str]:
        """What an expression may say: constants, f-strings as templates, the branches of a choice, and what is assigned
        to a name. Nothing for what is only known while running."""
        match node:
            case ast.Constant(value=str(text)):
                yield text
            case ast.JoinedStr() | ast.BinOp(op=ast.Add()):
                yield template(node)
            case ast.IfExp():
                yield from self.texts(node.body)
                yield from self.texts(node.orelse)
            case ast.BoolOp():
                for value in node.values:
                    yield from self.texts(value)
            case ast.Call() if _name(node) in TRANSLATORS:
                yield from self.texts(node.args[0])
            case ast.Name():
                for value in self._assigned(node):
                    yield from self.texts(value)

    def _assigned(self, name: ast.Name) -> list[ast.expr]:
        """What a name is set to in its function, or else in the file."""
        scope: Any = name
        while not isinstance(scope, ast.FunctionDef | ast.Module):
            scope = scope.parent
        for place in (scope, self.tree):
            assignments = [node for node in ast.walk(place) if isinstance(node, ast.Assign)]
            pairs = [
                pair for one in assignments for target in one.targets for pair in _pairs(target, one.value)
            ]
            if found := [value for target, value in pairs if name.id == ast.unparse(target)]:
                return found
        return []


def _name(call: ast.Call) -> str:
    return ast.unparse(call.func).rpartition(".")[2]


def template(node: ast.expr) -> str:
    """A string with numbered places for its values; equal values have the same place."""
    places: dict[str, int] = {}

    def written(part: ast.expr) -> str:
        match part:
            case ast.Constant(value=str(text)):
                return text
            case ast.JoinedStr():
                return "".join(map(written, part.values))
            case ast.BinOp(op=ast.Add()):
                return written(part.left) + written(part.right)
            case _:
                return f"{{{places.setdefault(ast.unparse(part), len(places))}}}"

    return written(node)


def letters(text: str) -> int:
    """How many letters a text has, without the names of its places."""
    return sum(letter.isalpha() for part in text.split("{") for letter in part.rpartition("}")[2])


Said = Iterator[tuple[ast.AST, str]]


def _of(source: Source, node: ast.AST, *expressions: ast.expr) -> Said:
    for expression in expressions:
        for text in source.texts(expression):
            yield node, text


# --- the add-on ------------------------------------------------------------------------------------------------------


def said_by_addon() -> dict[str, str]:
    """All that stands in the add-on's source, and where. Raises `UnreadableError` for an f-string that is handed to a
    translator."""
    found: dict[str, str] = {}
    for path in (*sorted(ADDON.rglob("*.py")), PROTOCOL / "transcripts.py", PROTOCOL / "weights_file.py"):
        if path.name not in ENGLISH_ONLY and path.parent.name != "languages":
            source = Source.of(path)
            for node, text in said_in(source):
                if letters(text) > 1 and (letters(text) >= FEWEST_LETTERS or "{0}" not in text):
                    found.setdefault(text, source.where(node))
    return found


def said_in(source: Source) -> Said:
    """What a file of the add-on says. Raises `UnreadableError`."""
    yield from _translated(source)
    yield from _drawn(source)
    yield from _told(source)
    yield from _stages_set(source)
    yield from _states(source)
    yield from _reasons(source)
    yield from _errors(source)


def _translated(source: Source) -> Said:
    for call in source.calls(TRANSLATORS):
        if call.args and isinstance(call.args[0], ast.JoinedStr):
            raise UnreadableError(f"{source.where(call)}: give a template, and its values by name")
        yield from _of(source, call, *call.args[:1])


def _drawn(source: Source) -> Said:
    for call in ast.walk(source.tree):
        for keyword in call.keywords if isinstance(call, ast.Call) else ():
            if keyword.arg in DRAWN and not isinstance(keyword.value, ast.JoinedStr):
                yield from _of(source, call, keyword.value)


def _told(source: Source) -> Said:
    for call in source.calls({"refuse"}):
        if len(call.args) > 1 and isinstance(call.args[1], ast.JoinedStr):
            raise UnreadableError(f"{source.where(call)}: give a template, and its values by name")
        yield from _of(source, call, *call.args[1:2])
    for call in source.calls({"ask"}):
        yield from _of(source, call, *call.args[1:], *(keyword.value for keyword in call.keywords))
    for call in source.calls(FILES):
        yield from _of(source, call, *call.args[FILES[_name(call)] : FILES[_name(call)] + 1])


def _stages_set(source: Source) -> Said:
    for call in source.calls({"begin"}):
        yield from _of(source, call, *call.args[:1])
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Assign):
            for target, value in _pairs(node.targets[0], node.value):
                if ast.unparse(target) == "title" or ast.unparse(target).endswith("progress.stage"):
                    yield from _of(source, node, value)


def _states(source: Source) -> Said:
    """The server's states, whose values are for people."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ClassDef) and node.name == "ServerState":
            for line in node.body:
                if isinstance(line, ast.Assign):
                    yield from _of(source, line, line.value)


def _pairs(target: ast.expr, value: ast.expr) -> list[tuple[ast.expr, ast.expr]]:
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        return list(zip(target.elts, value.elts, strict=True))
    return [(target, value)]


def _errors(source: Source) -> Said:
    for call in source.calls(ERRORS):
        for place in ERRORS[_name(call)]:
            for argument in call.args[place : place + 1]:
                yield from _of(source, call, argument)
                yield from _in_place_of_values(source, call, argument)


def _in_place_of_values(source: Source, call: ast.Call, argument: ast.expr) -> Said:
    """What stands in a sentence where a value is missing: `f"{name or 'The asset'} is no pose."`."""
    for value in ast.walk(argument):
        if isinstance(value, ast.FormattedValue) and isinstance(value.value, ast.BoolOp | ast.IfExp):
            yield from _of(source, call, value.value)


# --- the server ------------------------------------------------------------------------------------------------------


def requests() -> set[str]:
    """What the server says that it is doing: its requests."""
    from shared_protocol.codec import message_types
    from shared_protocol.messages import Request

    return {name.lower() for name, kind in message_types().items() if issubclass(kind, Request)}


def said_by_server() -> dict[str, str]:
    """What an animator may read of the server's words, and where: errors in ordinary use, advice, notes, stages of jobs
    (which the add-on begins with a capital), and what it is doing."""
    found = dict.fromkeys((*WORDS, *requests()), "words")
    for room in (*SERVER_ROOMS, "bundles"):
        for path in sorted((SERVER / room).rglob("*.py")):
            source = Source.of(path)
            spoken = _stages(source) if room == "bundles" else _all_of_server(source)
            for node, text in spoken:
                if letters(text) >= FEWEST_LETTERS:
                    found.setdefault(text, source.where(node))
    return {**said_by_installer(), **found}


def said_by_installer() -> dict[str, str]:
    """The installer's errors as the add-on shows them, and where."""
    found: dict[str, str] = {}
    sources = {name: Source.of(SERVER / "installer" / f"{name}.py") for name in INSTALLER}
    dialog = next(
        ast.literal_eval(node.value)
        for node in sources["from_addon"].tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "DIALOG"
    )
    for source in sources.values():
        for node, text in _errors(source):
            for option, field in {**dialog, "runs/install.log": "{0}"}.items():
                text = text.replace(option, field)
            found.setdefault(text, source.where(node))
    return found


def _all_of_server(source: Source) -> Said:
    yield from _errors(source)
    yield from _reasons(source)
    yield from _notes(source)
    yield from _stages(source)


def _stages(source: Source) -> Said:
    for call in source.calls({"Step", "checkpoint"}):
        for text in (text for stage in call.args[2:3] for text in source.texts(stage)):
            yield call, text[:1].upper() + text[1:]
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).endswith(
            ("notice", "ON_CPU", "_LOADING")
        ):
            yield from _of(source, node, node.value)


def _reasons(source: Source) -> Said:
    for function in ast.walk(source.tree):
        if isinstance(function, ast.FunctionDef) and function.name in REASONS:
            for node in ast.walk(function):
                if isinstance(node, ast.Return) and node.value is not None:
                    yield from _of(source, node, node.value)


def _notes(source: Source) -> Said:
    for function in ast.walk(source.tree):
        if isinstance(function, ast.FunctionDef) and function.name in NOTING:
            for node in ast.walk(function):
                if isinstance(node, ast.JoinedStr | ast.Constant) and _is_whole(node):
                    for text in source.texts(node):
                        if text.endswith("."):
                            yield node, text


def _is_whole(node: Any) -> bool:
    """Is it neither a part of an f-string nor a docstring?"""
    return not isinstance(node.parent, ast.JoinedStr | ast.FormattedValue | ast.Expr)


# --- the bundles -----------------------------------------------------------------------------------------------------


def said_by_bundle() -> dict[str, str]:
    """Names and descriptions of the shipped bundle's weights, its own description and expressions; the numbers that
    weights of the official release have for names."""
    from shared_protocol.banks import numbered_layout

    folder = SERVER / "bundles" / "starter"
    bundle = json.loads((folder / "bundle.json").read_text("utf-8"))
    texts = [bundle["description"], *(name.capitalize() for name in bundle["presets"])]
    for basis in json.loads((ADDON / "core" / "weights" / "starter_layout.json").read_text("utf-8")):
        texts += [basis["name"], basis["description"]]
    texts += [basis.name for basis in numbered_layout().bases]
    return dict.fromkeys(texts, "the bundles")
