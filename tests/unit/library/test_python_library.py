"""The server's packages as a library: the examples of docs/python.md run, and importing it stays light."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import edtalk_server as edtalk
import shared_protocol
from edtalk_server.engine import FakeEngine
from shared_protocol.errors import EDTalkError, ErrorCode

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "python.md"
SAMPLES = ROOT / "edtalk_server" / "samples"


def test_the_examples_of_the_page_run_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "face.png").write_bytes((SAMPLES / "portrait.png").read_bytes())
    sound, rate = soundfile.read(SAMPLES / "voice.flac")
    soundfile.write("speech.wav", sound[: rate * 2 // 5], rate)
    Path("speech.srt").write_text("1\n00:00:00,000 --> 00:00:00,400\n[happy] Hello.\n", "utf-8")
    names: dict[str, Any] = {}
    for number, block in enumerate(
        re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    ):
        if "driver.mp4" in block:
            Path("smiling.mp4").rename("driver.mp4")
        exec(compile(block, f"{PAGE.name}, example {number + 1}", "exec"), names)  # noqa: S102
    assert {"out.mp4", "driver.mp4", "captured"} <= {path.name for path in tmp_path.iterdir()}
    assert (
        len(list(Path("captured").iterdir())) == len(names["captured"].weights) == len(names["weights"]) == 10
    )
    assert "image_unreadable" in capsys.readouterr().out


def test_importing_it_loads_neither_torch_nor_any_room() -> None:
    code = "import sys, edtalk_server; print([name for name in sys.modules if name in ('torch', 'edtalk_server.api')])"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert answer.stdout.strip() == "[]"


def test_its_names_are_all_there_and_others_are_not() -> None:
    assert [name for name in edtalk.__all__ if not hasattr(edtalk, name)] == []
    assert set(edtalk.__all__) == set(dir(edtalk))
    assert edtalk.__version__ == shared_protocol.__version__
    with pytest.raises(AttributeError, match="dance"):
        edtalk.dance  # noqa: B018


@pytest.mark.parametrize("portrait", ["face.png", Path("face.png"), b"bytes", None])
def test_a_path_in_place_of_a_picture_is_named(portrait: Any) -> None:
    with pytest.raises(EDTalkError, match="not a picture") as caught:
        FakeEngine().prepare(portrait)
    assert caught.value.code is ErrorCode.IMAGE_UNREADABLE
    assert "load_portrait" in caught.value.fix


def test_an_output_of_an_unknown_kind_is_refused_before_the_work() -> None:
    for out in ("out.gif", "frame.png", "%04d.mp4"):
        with pytest.raises(EDTalkError) as caught:
            edtalk.animate("no such face.png", "no such voice.wav", out)
        assert caught.value.code is ErrorCode.UNSUPPORTED


def test_no_frames_make_no_movie(tmp_path: Path) -> None:
    with pytest.raises(EDTalkError) as caught:
        edtalk.write(tmp_path / "a.mp4", np.empty((0, 8, 8, 3), np.uint8))
    assert caught.value.code is ErrorCode.EMPTY_RANGE
    assert list(tmp_path.iterdir()) == []
