"""The rooms of the house: imports make no circle at any level, and no folder is so full that nothing is found in it."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
import walls

ROOT = Path(__file__).resolve().parents[3]
MOST_MODULES = 16
"""In one folder, `__init__.py` not counted."""


def imports(root: Path) -> dict[str, set[str]]:
    """Each module of the three packages, and the modules of ours that it imports."""
    found = {
        walls.module_name(path, root): set(walls.imports_of(path, root)) for path in walls.python_files(root)
    }
    return {module: (names & set(found)) - {module} for module, names in found.items()}


def circle(graph: dict[str, set[str]]) -> list[str]:
    """The names of one circle, in order; none where there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def siblings(graph: dict[str, set[str]], folder: str) -> dict[str, set[str]]:
    """Which of a folder's modules and sub-folders import which others, whatever lies between them inside."""
    inside = f"{folder}."

    def child(module: str) -> str:
        return inside + module.removeprefix(inside).partition(".")[0] if module.startswith(inside) else ""

    result: dict[str, set[str]] = {}
    for module, names in graph.items():
        if here := child(module):
            result.setdefault(here, set()).update({child(name) for name in names} - {"", here})
    return result


def folders(graph: dict[str, set[str]]) -> set[str]:
    """All folders that hold modules or further folders."""
    parts = [module.split(".") for module in graph]
    return {".".join(names[:size]) for names in parts for size in range(1, len(names))}


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circle(imports(ROOT)) == []


def test_no_rooms_import_each_other_in_a_circle() -> None:
    graph = imports(ROOT)
    circles = {folder: circle(siblings(graph, folder)) for folder in sorted(folders(graph))}
    assert {folder: names for folder, names in circles.items() if names} == {}


def test_no_folder_is_too_full() -> None:
    modules = [path.parent for path in walls.python_files(ROOT) if path.name != "__init__.py"]
    counts = {folder.relative_to(ROOT).as_posix(): modules.count(folder) for folder in set(modules)}
    assert {folder: count for folder, count in counts.items() if count > MOST_MODULES} == {}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"core/a.py": "from .b import x", "core/b.py": ""}, False),
        ({"core/a.py": "from .b import x", "core/b.py": "def f():\n    from .a import y"}, True),
        ({"core/one/a.py": "from ..two.c import x", "core/two/c.py": "", "core/two/d.py": ""}, False),
        ({"core/one/a.py": "from ..two.c import x", "core/two/c.py": "", "core/two/d.py": "from ..one.b import y",
          "core/one/b.py": ""}, True),
    ],
)  # fmt: skip
def test_a_circle_would_be_found(tmp_path: Path, files: dict[str, str], expected: bool) -> None:
    for name, text in files.items():
        path = tmp_path / "blender_addon" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    graph = imports(tmp_path)
    circles = [circle(graph), *(circle(siblings(graph, folder)) for folder in folders(graph))]
    assert any(circles) is expected
