"""The process that listens: answers the questions on its standard input, and ends when that does."""

from __future__ import annotations

import sys
from typing import Any

from edtalk_server import child_process
from edtalk_server.motion.recognizer import decoding


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """Answer one question of `recognizer`."""
    if "spell" in question:
        return decoding.spell(question["spell"]).plain()
    heard = decoding.align(question["align"], question["forms"], question["sounds"])
    return {} if heard is None else heard.plain()


def main() -> None:
    """Answer until the input ends."""
    answers = child_process.answers()
    while (question := child_process.receive(sys.stdin.buffer)) is not None:
        child_process.send(answers, child_process.pack(answer(child_process.unpack(question))))


if __name__ == "__main__":
    main()
