"""Write the files with the exact versions and hashes of what `install.py` installs.

    .venv/bin/python .ci/lock_packages.py

Versions are those of the environment that runs it, so lock what was tested; what other systems and Pythons need beside
it gets its newest version. Each version lists the SHA-256 of all its files on PyPI, for every system. PyTorch is not
among them: its builds differ by index, and their hashes stand in the index.
"""

from __future__ import annotations

import importlib.metadata
import itertools
import json
import tomllib
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_sdist_filename, parse_wheel_filename
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "edtalk_server" / "installer"
INDEX = "https://pypi.org/simple"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
SYSTEMS = (("linux", "Linux", "x86_64"), ("win32", "Windows", "AMD64"), ("darwin", "Darwin", "arm64"))
ENVIRONMENTS = list(itertools.product(PYTHONS, SYSTEMS))
UNLOCKED = {"torch"}
TOOLS = ("pip", "setuptools", "wheel")
HEAD = (
    "# Versions and hashes of what install.py installs. Written by .ci/lock_packages.py; do not edit.\n"
    "# All files of a version on PyPI are listed, so that the same lines serve every system.\n"
)


def main() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    groups = {"locked": [*project["dependencies"], *project["optional-dependencies"]["align"], *TOOLS]}
    groups["locked-train"] = project["optional-dependencies"]["train"]
    done: set[str] = set()
    for name, wanted in groups.items():
        needed = {package: where for package, where in closure(wanted).items() if package not in done}
        done |= set(needed)
        lines = [entry(package, where) for package, where in sorted(needed.items())]
        (FOLDER / f"{name}.txt").write_text(HEAD + "".join(lines), "utf-8")


def closure(wanted: Iterable[str]) -> dict[str, set[int]]:
    """Return the packages that these need, each with the numbers of the environments in which it is needed."""
    found: dict[str, set[int]] = {}
    for number, environment in enumerate(ENVIRONMENTS):
        queue = [Requirement(text) for text in wanted]
        while queue:
            requirement = queue.pop()
            name = canonicalize_name(requirement.name)
            if not applies(requirement, environment) or number in found.get(name, ()):
                continue
            found.setdefault(name, set()).add(number)
            queue += [Requirement(text) for text in dependencies(name)]
    return {name: where for name, where in found.items() if name not in UNLOCKED}


def applies(requirement: Requirement, environment: tuple[str, tuple[str, str, str]]) -> bool:
    python, (platform, system, machine) = environment
    values = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": platform,
        "platform_system": system,
        "platform_machine": machine,
        "os_name": "nt" if platform == "win32" else "posix",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "extra": "",
    }
    is_cuda = requirement.name.startswith(("nvidia", "cuda", "triton"))
    return not is_cuda and (requirement.marker is None or requirement.marker.evaluate(values))


def dependencies(name: str) -> list[str]:
    try:
        return importlib.metadata.requires(name) or []
    except importlib.metadata.PackageNotFoundError:
        return released(name)[2]


def entry(name: str, where: set[int]) -> str:
    try:
        version = "" if name in TOOLS else importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        version = ""
    version, hashes, _ = released(name, version)
    condition = marker(where)
    return (
        f"{name}=={version}{condition}" + "".join(f" \\\n    --hash=sha256:{each}" for each in hashes) + "\n"
    )


def marker(where: set[int]) -> str:
    """Return the condition for some environments; none for all, and for those that no simple condition names."""
    for python in PYTHONS[1:]:
        if where == {i for i, (each, _) in enumerate(ENVIRONMENTS) if int(each[2:]) >= int(python[2:])}:
            return f' ; python_version >= "{python}"'
    for system in SYSTEMS:
        if where == {i for i, (_, each) in enumerate(ENVIRONMENTS) if each == system}:
            return f' ; sys_platform == "{system[0]}"'
    return ""


_seen: dict[tuple[str, str], tuple[str, list[str], list[str]]] = {}


def released(name: str, version: str = "") -> tuple[str, list[str], list[str]]:
    """Return a version (the newest by default), the hashes of its files, and what it needs."""
    if (name, version) not in _seen:
        listed = [(found, file) for file in files_of(name) if (found := version_of(file["filename"]))]
        whole = {each for each, _ in listed if not each.is_prerelease}
        chosen = Version(version) if version else max(whole)
        files = [file for each, file in listed if each == chosen and not file["yanked"]]
        if not files:
            raise SystemExit(f"{name} {chosen} has no files on the index")
        hashes = sorted(file["hashes"]["sha256"] for file in files)
        _seen[name, version] = str(chosen), hashes, [] if version else needs(name)
    return _seen[name, version]


def version_of(file: str) -> Version | None:
    """Return the version in the name of a wheel or source archive; None for other files."""
    try:
        return parse_wheel_filename(file)[1] if file.endswith(".whl") else parse_sdist_filename(file)[1]
    except ValueError:
        return None


def needs(name: str) -> list[str]:
    """Return what the newest version of a package needs."""
    address = f"{INDEX.removesuffix('simple')}pypi/{name}/json"
    with urllib.request.urlopen(address, timeout=60) as answer:  # noqa: S310 (https only)
        found: list[str] = json.load(answer)["info"]["requires_dist"] or []
    return found


def files_of(name: str) -> list[dict[str, Any]]:
    kind = {"Accept": "application/vnd.pypi.simple.v1+json"}
    request = urllib.request.Request(f"{INDEX}/{name}/", headers=kind)  # noqa: S310 (https only)
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        found: list[dict[str, Any]] = json.load(answer)["files"]
    return found


if __name__ == "__main__":
    main()
