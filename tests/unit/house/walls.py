"""The walls of docs/architecture.md as data, and the reading of source files that holds them."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

BLENDER = frozenset({"bpy", "bpy_extras", "bmesh", "mathutils", "gpu", "aud", "bl_ui", "addon_utils"})
HEAVY = frozenset({"torch", "cv2", "scipy", "librosa", "numba"})
ARRAYS = "edtalk_server.arrays"
BELOW_ENGINE = (
    "edtalk_server.bundles",
    "edtalk_server.networks",
    "edtalk_server.media",
    ARRAYS,
    "edtalk_server.allocator",
    "edtalk_server.child_process",
    "shared_protocol",
)
BELOW_SERVICE = ("edtalk_server.engine", "edtalk_server.motion", *BELOW_ENGINE)
BELOW_TRAINING = ("edtalk_server.synthetic", "edtalk_server.workers", *BELOW_SERVICE)
BELOW_EVALUATION = ("edtalk_server.training", *BELOW_TRAINING)


@dataclass(frozen=True)
class Room:
    """What the modules of one package may import: other rooms of ours, and packages of others.

    `only` is the whole list of foreign packages; None allows any that is not in `never`. `starts` are programs of ours
    that it may also run as a process of its own (`python -m`), though it must not import them.
    """

    ours: tuple[str, ...] = ()
    only: frozenset[str] | None = None
    never: frozenset[str] = BLENDER
    starts: tuple[str, ...] = ()


ROOMS = {
    "shared_protocol": Room(only=frozenset({"msgpack", "numpy"})),
    "blender_addon": Room(
        ("blender_addon.ui", "blender_addon.scene", "blender_addon.core", "shared_protocol"), never=HEAVY
    ),
    "blender_addon.languages": Room(only=frozenset()),
    "blender_addon.build": Room(only=frozenset()),
    "blender_addon.core": Room(("shared_protocol",), never=BLENDER | HEAVY, starts=("edtalk_server.cli",)),
    "blender_addon.scene": Room(("blender_addon.core", "shared_protocol"), never=HEAVY),
    "blender_addon.ui": Room(
        ("blender_addon.scene", "blender_addon.core", "blender_addon.languages", "shared_protocol"),
        never=HEAVY,
    ),
    "edtalk_server": Room(("edtalk_server.api", "shared_protocol"), only=frozenset()),
    "edtalk_server.api": Room(BELOW_SERVICE, only=frozenset()),
    "edtalk_server.installer": Room(("shared_protocol",), only=frozenset()),
    "edtalk_server.samples": Room(only=frozenset()),
    "edtalk_server.arrays": Room(only=frozenset({"numpy"})),
    "edtalk_server.allocator": Room(only=frozenset()),
    "edtalk_server.child_process": Room(
        ("edtalk_server.allocator", "shared_protocol"), only=frozenset({"msgpack", "numpy"})
    ),
    "edtalk_server.networks": Room((ARRAYS,), only=frozenset({"torch", "numpy", "transformers"})),
    "edtalk_server.media": Room((ARRAYS, "shared_protocol"), never=BLENDER | {"torch"}),
    "edtalk_server.bundles": Room(
        ("edtalk_server.networks", "edtalk_server.media", ARRAYS, "shared_protocol")
    ),
    "edtalk_server.engine": Room(BELOW_ENGINE),
    "edtalk_server.motion": Room(("edtalk_server.engine", *BELOW_ENGINE)),
    "edtalk_server.workers": Room(("edtalk_server.engine", *BELOW_ENGINE)),
    "edtalk_server.service": Room(("edtalk_server.workers", *BELOW_SERVICE)),
    "edtalk_server.synthetic": Room(BELOW_SERVICE),
    "edtalk_server.training": Room(BELOW_TRAINING),
    "edtalk_server.evaluation": Room(BELOW_EVALUATION),
    "edtalk_server.cli": Room(
        ("edtalk_server.api", "edtalk_server.evaluation", "edtalk_server.service", *BELOW_EVALUATION)
    ),
}
OURS = ("shared_protocol", "blender_addon", "edtalk_server", "tests", "install")


@dataclass(frozen=True)
class Breach:
    """One import that goes through a wall."""

    importer: str
    imported: str

    def __str__(self) -> str:
        return f"{self.importer} imports {self.imported}"


def breaches(root: Path) -> list[Breach]:
    """Every forbidden import below `root`, also those inside functions and for type checking only."""
    found = []
    for path in python_files(root):
        module = module_name(path, root)
        found += [Breach(module, name) for name in imports_of(path, root) if not allowed(module, name)]
    return found


def python_files(root: Path) -> Iterator[Path]:
    """The source files of the three packages."""
    for package in ("shared_protocol", "blender_addon", "edtalk_server"):
        yield from sorted((root / package).rglob("*.py"))


def allowed(module: str, name: str) -> bool:
    """May this module of ours import that?"""
    home = room_of(module)
    rule = ROOMS[home]
    top = name.partition(".")[0]
    if top in OURS:
        return name in rule.starts or room_of(name) in (home, *rule.ours)
    if top in sys.stdlib_module_names:
        return True
    return top not in rule.never and (rule.only is None or top in rule.only)


def room_of(module: str) -> str:
    """The longest room name that the module's name begins with; the name itself when it is in none."""
    parts = module.split(".")
    names = (".".join(parts[:size]) for size in range(len(parts), 0, -1))
    return next((name for name in names if name in ROOMS), module)


def module_name(path: Path, root: Path) -> str:
    """`a/b/c.py` is `a.b.c`, a package's `__init__.py` is the package."""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path, root: Path) -> list[str]:
    """The full names of all modules that a file imports: by statement, by `import_module("...")`, or as a text that
    is a module's whole name, such as the one after `python -m`."""
    package = module_name(path.with_name("__init__.py"), root)
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += _names_from(node, package, root)
        elif isinstance(node, ast.Call) and _callee(node) in ("import_module", "__import__"):
            names += [arg.value for arg in node.args[:1] if isinstance(arg, ast.Constant)]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names += _module_named_by(node.value, root)
    return names


def _module_named_by(text: str, root: Path) -> list[str]:
    """The module of ours that a text names: `a.b`, or `a.b:name`."""
    name = text.partition(":")[0]
    if not re.fullmatch(r"(edtalk_server|blender_addon)(\.\w+)+", name):
        return []
    path = root.joinpath(*name.split("."))
    return [name] if path.is_dir() or path.with_suffix(".py").is_file() else []


def _names_from(node: ast.ImportFrom, package: str, root: Path) -> list[str]:
    """`from a import b` is `a.b` where `b` is a module of ours, and `a` otherwise."""
    parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
    base = ".".join([*parents, *([node.module] if node.module else [])])
    folder = root.joinpath(*base.split("."))
    return [
        f"{base}.{alias.name}"
        if (folder / alias.name).is_dir() or (folder / f"{alias.name}.py").is_file()
        else base
        for alias in node.names
    ]


# --- unsafe calls ----------------------------------------------------------------------------------------------------

PICKLING = frozenset({"pickle", "dill", "cloudpickle", "shelve", "marshal", "joblib"})


def unsafe_lines(path: Path) -> list[str]:
    """What could run foreign code or hand a user's text to a shell: `file:line why`."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if why := _why_unsafe(node):
            found.append(f"{path.name}:{node.lineno} {why}")  # type: ignore[attr-defined]
    return found


def _why_unsafe(node: ast.AST) -> str:
    if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in PICKLING:
        # the name of the error that torch.load raises harms nobody
        return (
            ""
            if [alias.name for alias in node.names] == ["UnpicklingError"]
            else "imports a pickling function"
        )
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in PICKLING:
        return "" if node.attr == "UnpicklingError" else "uses a pickling module"
    return _why_unsafe_call(node) if isinstance(node, ast.Call) else ""


def _why_unsafe_call(call: ast.Call) -> str:
    name = ast.unparse(call.func)
    options = {keyword.arg: keyword.value for keyword in call.keywords}
    if name == "torch.load" and not _is(options.get("weights_only"), True):
        return "torch.load without weights_only=True"
    if _is(options.get("weights_only"), False):
        return "weights_only=False"
    if _is(options.get("allow_pickle"), True):
        return "allow_pickle=True"
    if _is(options.get("shell"), True) or name in ("os.system", "os.popen"):
        return "runs a shell"
    return "evaluates text" if name in ("eval", "exec") else ""


def thread_lines(path: Path) -> list[str]:
    """Where a file starts a thread or a pool: `file:line name`."""
    starters = ("Thread", "Timer", "ThreadPoolExecutor", "ProcessPoolExecutor", "start_new_thread")
    calls = (
        node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)
    )
    return [f"{path.name}:{call.lineno} {_callee(call)}" for call in calls if _callee(call) in starters]


def _callee(call: ast.Call) -> str:
    return ast.unparse(call.func).rpartition(".")[2]


def _is(node: ast.expr | None, value: bool) -> bool:
    return isinstance(node, ast.Constant) and node.value is value
