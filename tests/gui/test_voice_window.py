"""Voice, transcript and video in a real Blender window."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

FRAMES = 30
MODEL = True
"""Emotions need a bundle that has expressions."""


@pytest.fixture(scope="module")
def seen(source: Path, drive: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """What happened in the window, with a film in which the portrait moves to and fro."""
    face = cv2.imread(str(source / "portrait.png"))
    height, width = face.shape[:2]
    film = cv2.VideoWriter(str(source / "driver.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 25, (width, height))
    for i in range(FRAMES):
        shift = np.float32([[1, 0, 10 * np.sin(i / 4)], [0, 1, 0]])
        film.write(cv2.warpAffine(face, shift, (width, height), borderMode=cv2.BORDER_REPLICATE))
    film.release()
    return drive(
        "drive_voice", frames=FRAMES, said=(r".*The file couldn't be written with any installed writer\.",)
    )


def test_mixing_is_told_of(seen: dict[str, Any]) -> None:
    assert any(stage.startswith("Mixing audio") for stage in seen["stages"])
    assert seen["emotions"] == ["FINISHED"]


def test_a_muted_strip_speaks(seen: dict[str, Any]) -> None:
    if not seen["can mix"]:
        pytest.skip("this Blender cannot write sound")
    assert seen["curves"] >= 36 and seen["trouble"] is None


def test_a_blender_that_cannot_mix_says_so(seen: dict[str, Any]) -> None:
    if seen["can mix"]:
        pytest.skip("this Blender can write sound")
    cause, fix = seen["trouble"]
    assert "could not mix down" in cause and "Choose a voice file" in fix


def test_the_words_drive_emotions_and_can_be_fixed(seen: dict[str, Any]) -> None:
    first, second = seen["sentences"]
    assert first[:2] == ["Good morning to you all.", "happy"] and second[1] == "sad"
    assert seen["felt"] == 8
    frame, begins = seen["jumped to"]
    assert frame == begins
    assert seen["marks"] > 0 and seen["marks left"] == 0
    assert seen["fixed"].endswith("all. [angry] And then a rather sad ending.")
    assert "[angry]" not in seen["undone"], "one step back"


def test_a_video_from_the_file_browser_is_captured(seen: dict[str, Any]) -> None:
    assert seen["capturing"], "it runs beside the window after the file was chosen"
    assert seen["performance"] == [1, FRAMES]
