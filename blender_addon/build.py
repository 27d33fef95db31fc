# SPDX-License-Identifier: GPL-3.0-or-later
"""Pack the extension: `python blender_addon/build.py --out dist`. Standard library only; needs no Blender.

Blender reads the Python versions an extension supports out of the names of its wheels, and Blender 4.2.0 takes the
wrong wheel where two would do. So there are separate packages:

* flavour `A`: Blender 4.2 to 5.0 (Python 3.11);
* flavour `B`: Blender 5.1 and later (Python 3.13);
* flavour `plain`: no compiled wheels, for Blenders built by a Linux distribution (with its `python3-zmq` and
  `python3-msgpack`).

The server travels in each, too, with a wheel of pip, in the folder `server`: Blender does not unpack it, and *Install
Server* puts it into an environment of its own.

`shared_protocol` travels in each as a pure wheel whose version carries a hash of its content: Blender unpacks a rebuilt
one again, and the same `from shared_protocol import ...` works in Blender and in the server.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import re
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ADDON = Path(__file__).resolve().parent
PROTOCOL = ADDON.parent / "shared_protocol"
REQUIREMENTS = ("pyzmq==27.3.0", "msgpack==1.2.4")
SERVER = ADDON.parent / "edtalk_server"
PIP = "pip==26.3"
NOT_PACKED = {"build.py", "blender_manifest.toml"}
EPOCH = (2020, 1, 1, 0, 0, 0)
"""Every file's time in the packages, so that equal content makes equal bytes."""

PURE = "Wheel-Version: 1.0\nGenerator: edtalk\nRoot-Is-Purelib: true\nTag: py3-none-any\n"

PLATFORMS = {
    "linux-x64": ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"),
    "windows-x64": ("win_amd64",),
    "windows-arm64": ("win_arm64",),
    "macos-arm64": ("macosx_11_0_arm64",),
    "macos-x64": ("macosx_11_0_x86_64",),
}
"""Blender's name of a platform -> the wheel tags that run there."""


@dataclass(frozen=True)
class Flavor:
    """One kind of package: which Python its wheels are for, which Blenders it claims."""

    label: str
    python: str = ""
    version_min: str = "4.2.0"
    version_max: str = ""


FLAVORS = {
    "A": Flavor("blender-4.2-to-5.0", "3.11", version_max="5.1.0"),
    "B": Flavor("blender-5.1-and-later", "3.13", version_min="5.1.0"),
    "plain": Flavor("plain"),
}


def sources(folder: Path) -> Iterator[tuple[str, bytes]]:
    """The files of a package folder, (name inside, content), sorted."""
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if (
            path.is_file()
            and "__pycache__" not in inside.parts
            and inside.parts[0] not in {*NOT_PACKED, "wheels"}
        ):
            yield inside.as_posix(), path.read_bytes()


def write_zip(target: Path, files: list[tuple[str, bytes]]) -> Path:
    """A zip with fixed times and modes, moved into place when it is whole."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".part")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files:
            info = zipfile.ZipInfo(name, EPOCH)
            is_packed = name.endswith(".whl")
            info.compress_type = zipfile.ZIP_STORED if is_packed else zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            archive.writestr(info, data)
    return partial.replace(target)


def protocol_wheel(folder: Path) -> Path:
    """Write `shared_protocol` as a wheel into `folder`."""
    files = [(f"shared_protocol/{name}", data) for name, data in sources(PROTOCOL)]
    digest = hashlib.sha256(b"".join(name.encode() + data for name, data in files)).hexdigest()[:12]
    version = f"{addon_version()}+h{digest}"
    info = f"edtalk_shared_protocol-{version}.dist-info"
    metadata = (
        f"Metadata-Version: 2.1\nName: edtalk-shared-protocol\nVersion: {version}\nLicense: Apache-2.0\n"
    )
    files.append((f"{info}/METADATA", metadata.encode()))
    files.append((f"{info}/LICENSE", (ADDON.parent / "LICENSE").read_bytes()))
    files.append((f"{info}/WHEEL", PURE.encode()))
    return write_wheel(folder / f"edtalk_shared_protocol-{version}-py3-none-any.whl", info, files)


def server_wheel(folder: Path) -> Path:
    """Write the server, with `shared_protocol` and the bundle that ships, as a wheel into `folder`."""
    project = tomllib.loads((ADDON.parent / "pyproject.toml").read_text("utf-8"))["project"]
    files = [(f"shared_protocol/{name}", data) for name, data in sources(PROTOCOL)]
    files += [(f"edtalk_server/{name}", data) for name, data in sources(SERVER)]
    info = f"edtalk_blender-{addon_version()}.dist-info"
    needs = [f"Requires-Dist: {text}\n" for text in project["dependencies"]]
    metadata = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {addon_version()}\n"
    metadata += f"Requires-Python: {project['requires-python']}\n{''.join(needs)}"
    scripts = "".join(f"{name} = {target}\n" for name, target in project["scripts"].items())
    files += [
        (f"{info}/METADATA", metadata.encode()),
        (f"{info}/LICENSE", (ADDON.parent / "LICENSE").read_bytes()),
        (f"{info}/WHEEL", PURE.encode()),
        (f"{info}/entry_points.txt", f"[console_scripts]\n{scripts}".encode()),
    ]
    return write_wheel(folder / f"edtalk_blender-{addon_version()}-py3-none-any.whl", info, files)


def write_wheel(target: Path, info: str, files: list[tuple[str, bytes]]) -> Path:
    """A zip with the list of its files."""
    record = "".join(f"{name},{_record_hash(data)},{len(data)}\n" for name, data in files)
    return write_zip(target, [*files, (f"{info}/RECORD", f"{record}{info}/RECORD,,\n".encode())])


def _record_hash(data: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def addon_version() -> str:
    """Return the project's version, which stands in `shared_protocol` alone."""
    line = re.search(r'^__version__ = "(.+)"$', (PROTOCOL / "__init__.py").read_text("utf-8"), re.MULTILINE)
    if line is None:
        raise SystemExit(f"{PROTOCOL / '__init__.py'} names no version.")
    return line[1]


def compiled_wheels(folder: Path, python: str, platform: str, offline: Path | None) -> list[Path]:
    """Fetch pyzmq and msgpack for one platform into `folder` with pip, or take them from the folder `offline`.

    Raises `SystemExit` with pip's own words when a wheel is not to be had.
    """
    where = ["--python-version", python, "--implementation", "cp"]
    for tag in PLATFORMS[platform]:
        where += ["--platform", tag]
    what = f"The wheels {', '.join(REQUIREMENTS)} for {platform}, Python {python}"
    return fetched(folder, what, offline, *where, *REQUIREMENTS)


def pip_wheel(folder: Path, offline: Path | None) -> Path:
    """Fetch pip itself into `folder`: not every Python can put it into an environment. Raises `SystemExit`."""
    return fetched(folder / "pip", f"The wheel {PIP}", offline, PIP)[0]


def fetched(folder: Path, what: str, offline: Path | None, *arguments: str) -> list[Path]:
    """Return wheels that pip fetched into `folder`. Raises `SystemExit` with pip's own words."""
    command = [*pip_command(), "download", "--quiet", "--disable-pip-version-check"]
    command += ["--only-binary=:all:", "--no-deps"]
    if offline is not None:
        command += ["--no-index", "--find-links", str(offline)]
    done = subprocess.run(
        [*command, "--dest", str(folder), *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        where = f"in {offline}" if offline else "from the package index"
        raise SystemExit(
            f"{what} could not be had {where}.\n"
            f"{done.stderr.strip()}\nConnect to the network, or give a folder that holds them with --wheels."
        )
    return sorted(folder.glob("*.whl"))


def pip_command() -> list[str]:
    """Return how to call pip: this Python's, else that of the server's environment beside this folder.

    A system's own Python often has none. Raises `SystemExit` where there is no pip at all.
    """
    beside = ADDON.parent / ".venv" / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    for python in (sys.executable, str(beside)):
        try:
            answer = subprocess.run([python, "-m", "pip", "--version"], capture_output=True, check=False)
        except OSError:
            continue
        if answer.returncode == 0:
            return [python, "-m", "pip"]
    raise SystemExit(
        f"{sys.executable} has no pip, which fetches the wheels. Run `install.py` first: it builds the packages too."
    )


def manifest(flavor: Flavor, platform: str, wheels: list[Path]) -> bytes:
    """The manifest of one package: the shared one and what is special about this package, before the first table."""
    text = (ADDON / "blender_manifest.toml").read_text("utf-8")
    text = text.replace('version = "0.0.0"', f'version = "{addon_version()}"')
    text = text.replace('blender_version_min = "4.2.0"', f'blender_version_min = "{flavor.version_min}"')
    lines = ["wheels = [", *(f'  "./wheels/{wheel.name}",' for wheel in wheels), "]"]
    if flavor.version_max:
        lines.insert(0, f'blender_version_max = "{flavor.version_max}"')
    if flavor.python:
        lines.insert(0, f'platforms = ["{platform}"]')
    head, table, tail = text.partition("[permissions]")
    return (head + "\n".join(lines) + "\n\n" + table + tail).encode()


def build(name: str, platform: str, out: Path, offline: Path | None = None) -> Path:
    """Make one package (`name`: a key of `FLAVORS`; `platform`: of `PLATFORMS`, without meaning for `plain`)."""
    flavor = FLAVORS[name]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        wheels = compiled_wheels(folder, flavor.python, platform, offline) if flavor.python else []
        wheels.append(protocol_wheel(folder))
        files = [("blender_manifest.toml", manifest(flavor, platform, wheels)), *sources(ADDON)]
        files += [(f"wheels/{wheel.name}", wheel.read_bytes()) for wheel in wheels]
        for wheel in (server_wheel(folder), pip_wheel(folder, offline)):
            files.append((f"server/{wheel.name}", wheel.read_bytes()))
    ending = f"-{platform.replace('-', '_')}" if flavor.python else ""
    return write_zip(out / f"edtalk-{addon_version()}-{flavor.label}{ending}.zip", files)


def this_platform() -> str:
    """Blender's name of the machine this runs on."""
    import platform

    system = {"Linux": "linux", "Windows": "windows", "Darwin": "macos"}.get(platform.system(), "linux")
    machine = "arm64" if platform.machine().lower() in {"arm64", "aarch64"} else "x64"
    return f"{system}-{machine}"


def main(arguments: list[str] | None = None) -> int:
    """Parse, build, print one path a line."""
    parser = argparse.ArgumentParser(prog="build.py", description="Pack the EDTalk extension for Blender.")
    parser.add_argument("--out", type=Path, default=Path("dist"), help="folder for the packages (dist)")
    parser.add_argument(
        "--wheels", type=Path, help="take pyzmq and msgpack wheels from this folder, without network"
    )
    parser.add_argument(
        "--platform", choices=[*PLATFORMS, "this", "all"], default="this", help="default: this machine's"
    )
    parser.add_argument("--flavor", choices=[*FLAVORS, "all"], default="all", help="default: all three")
    options = parser.parse_args(arguments)
    platforms = {"all": list(PLATFORMS), "this": [this_platform()]}.get(options.platform, [options.platform])
    for name in FLAVORS if options.flavor == "all" else [options.flavor]:
        for platform in platforms if FLAVORS[name].python else platforms[:1]:
            sys.stdout.write(f"{build(name, platform, options.out, options.wheels)}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
