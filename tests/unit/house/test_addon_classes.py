"""Classes of the add-on use only attributes that they have.

Types cannot say so: Blender's classes are unknown to the type checker, so it accepts any attribute of their subclasses.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
BLENDERS = frozenset(
    {"as_keywords", "bl_rna", "bl_idname", "filepath", "is_property_set", "layout", "properties", "report"}
    | {"gizmos", "is_highlight", "is_modal"}
)
"""What Blender's own classes give to their subclasses, as far as the add-on uses it."""


@dataclass(frozen=True)
class Definition:
    """A class: its file, bases, the names that it defines, and those that it reads off `self` or `cls`, with lines."""

    file: str
    bases: tuple[str, ...]
    defined: frozenset[str]
    used: tuple[tuple[int, str], ...]


def definitions(paths: Iterable[Path]) -> dict[str, list[Definition]]:
    """Return the classes of source files by their names."""
    result: dict[str, list[Definition]] = {}
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                bases = tuple(ast.unparse(base).partition("[")[0].rpartition(".")[2] for base in node.bases)
                used = tuple(of_self(node, ast.Load))
                definition = Definition(path.name, bases, frozenset(defined_in(node)), used)
                result.setdefault(node.name, []).append(definition)
    return result


def defined_in(node: ast.ClassDef) -> Iterator[str]:
    """Return the names that a class body and its methods define."""
    for part in node.body:
        match part:
            case ast.FunctionDef(name) | ast.ClassDef(name) | ast.AnnAssign(target=ast.Name(name)):
                yield name
            case ast.Assign(targets):
                yield from (target.id for target in targets if isinstance(target, ast.Name))
    yield from (name for _, name in of_self(node, ast.Store))


def of_self(node: ast.ClassDef, use: type[ast.expr_context]) -> Iterator[tuple[int, str]]:
    """Return line and name of each attribute of `self` or `cls` that is read (`ast.Load`) or set (`ast.Store`)."""
    for part in ast.walk(node):
        match part:
            case ast.Attribute(ast.Name("self" | "cls"), name, context) if isinstance(context, use):
                yield part.lineno, name


def unknown(classes: dict[str, list[Definition]]) -> list[str]:
    """Return the attributes that neither a class nor its bases or subclasses define."""

    def family(name: str) -> set[str]:
        own = classes.get(name, [])
        above = (family(base) for definition in own for base in definition.bases if base != name)
        return set().union(*(definition.defined for definition in own), *above)

    below = {
        name: [other for other, found in classes.items() if any(name in one.bases for one in found)]
        for name in classes
    }
    return [
        f"{definition.file}:{line} {name}.{attribute}"
        for name, found in classes.items()
        for definition in found
        for line, attribute in definition.used
        if not attribute.startswith("__")
        and attribute not in family(name).union(BLENDERS, *(family(other) for other in below[name]))
    ]


def test_no_class_of_the_add_on_uses_what_it_does_not_have() -> None:
    assert unknown(definitions((ROOT / "blender_addon").rglob("*.py"))) == []


def test_a_method_that_was_renamed_in_one_place_would_be_found(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text(
        "class A(bpy.types.Operator):\n    def modal(self):\n        return self._apply()\n    def _use(self): ...\n",
        encoding="utf-8",
    )
    assert unknown(definitions([file])) == ["a.py:3 A._apply"]
