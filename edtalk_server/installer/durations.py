"""Read what pytest recorded of each test (JUnit files): how long it took, and whether it failed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

REASON_LENGTH = 300
"""Letters of a failure's message that are shown."""


@dataclass(frozen=True)
class Record:
    """One test in one suite; `seconds` counts its fixtures too. `reason`: why it failed, in a line; else empty."""

    suite: str
    name: str
    seconds: float
    reason: str = ""


def read(folder: Path) -> list[Record]:
    """Return the records of all files in a folder; a file's name without its ending names the suite.

    A file that its process did not finish is left out: the check that wrote it has failed anyway.
    """
    return [record for file in sorted(folder.glob("*.xml")) for record in _records(file)]


def _records(file: Path) -> Iterator[Record]:
    try:
        root = ElementTree.parse(file).getroot()  # noqa: S314  (our own tests wrote it)
    except ElementTree.ParseError:
        return
    for case in root.iter("testcase"):
        name = f"{case.get('classname', '')}::{case.get('name', '')}"
        yield Record(file.stem, name, float(case.get("time", 0)), _reason(case))


def _reason(case: ElementTree.Element) -> str:
    """Return why a test failed, in a line; empty when it passed."""
    for kind in ("failure", "error"):
        if (trouble := case.find(kind)) is not None:
            words = " ".join((trouble.get("message") or kind).split())
            return words if len(words) <= REASON_LENGTH else f"{words[:REASON_LENGTH]}..."
    return ""


def slowest(records: list[Record], count: int) -> list[str]:
    """Return a line for each of the `count` slowest tests, the slowest first."""
    ordered = sorted(records, key=lambda record: -record.seconds)[:count]
    return [f"{record.seconds:7.1f} s  {record.suite}  {record.name}" for record in ordered]


def failures(records: list[Record]) -> list[str]:
    """Return a line for each test that failed, with the reason."""
    return [f"{record.suite}  {record.name}  {record.reason}" for record in records if record.reason]
