"""The normative page and the code say the same."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from edtalk_server.service import limits
from shared_protocol import codec, connection, emotions, messages, transcripts

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "protocol.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(codec.message_types()))
def test_the_page_lists_each_message_with_its_fields_in_order(name: str) -> None:
    rows = [line for line in PAGE.splitlines() if re.match(rf"\|[^|]*`{name}`[^|]*\|", line)]
    assert len(rows) == 1, f"{name} stands in one row"
    listed = re.findall(r"`(\w+)`", rows[0].split("|")[2])
    assert listed == [field.name for field in fields(codec.message_types()[name])]


def test_the_page_lists_the_fields_of_the_connection_file() -> None:
    for field in fields(connection.Connection):
        assert f"`{field.name}`" in PAGE


def test_the_page_states_the_limits_as_they_are() -> None:
    for text in (
        f"Protocol version: {messages.PROTOCOL_MAX}.",
        f"header {codec.MAX_HEADER_BYTES // 1024} KiB, blob {codec.MAX_BLOB_BYTES // 2**20} MiB",
        f"{codec.MAX_FRAMES} frames.",
        f"{limits.MAX_BLOB_STORE_BYTES // 2**20} MiB together",
        f"never more than {limits.MAX_CREDIT} at a time",
        f"{limits.MAX_JOBS_PER_CLIENT} open jobs",
        f"the {limits.MAX_SOURCES} sources used last",
        f"1 to {limits.MAX_JOB_NAME} characters",
        f"at most {messages.MOST_LINES} lines and {transcripts.MAX_BYTES // 1024} kB",
        f"at most {limits.MAX_LANGUAGE} characters",
        f"(at most {limits.MAX_WORDS})",
        f"`sentences` (at most {limits.MAX_SENTENCES})",
        f"`emotion_gain` (0 to {messages.MOST_GAIN:g};",
        f"`temperature` (0 to {messages.MOST_TEMPERATURE:g})",
        ", ".join(emotions.EMOTIONS[:5]),
    ):
        assert text in PAGE, text
