"""Files that never end, or that hold far more than they show, are refused before they are read."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from edtalk_server import bundles
from edtalk_server.bundles import catalogue, foreign_files, official
from edtalk_server.evaluation.metrics import pretrained
from edtalk_server.training.loop import checkpoint
from shared_protocol.errors import EDTalkError, ErrorCode


def bomb(path: Path) -> Path:
    """Write a PyTorch archive of 100 kB that inflates to 100 MB."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(100_000_000))
    return path


def pipe(path: Path) -> Path:
    """Make a pipe that nobody writes to."""
    os.mkfifo(path)
    return path


READERS = (official.read_checkpoint, pretrained.tensors_of, checkpoint.load)


@pytest.mark.timeout(60)
@pytest.mark.skipif(os.name != "posix", reason="pipes are POSIX")
@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("make", [bomb, pipe, lambda _path: Path("/dev/zero")])
def test_a_strange_file_of_weights_is_refused(
    tmp_path: Path, make: Callable[[Path], Path], read: Callable[[Path], object]
) -> None:
    with pytest.raises(EDTalkError, match=r"no plain file|compressed") as error:
        read(make(tmp_path / "weights.pt"))
    assert error.value.code == ErrorCode.BUNDLE_INVALID


@pytest.mark.timeout(60)
@pytest.mark.skipif(os.name != "posix", reason="pipes are POSIX")
def test_a_bundle_of_pipes_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "bundle.json")
    with pytest.raises(EDTalkError, match=r"bundle\.json is no plain file"):
        bundles.load(tmp_path)


def test_an_endless_manifest_or_catalogue_is_refused(tmp_path: Path) -> None:
    for name, read in (
        ("bundle.json", lambda path: bundles.load(path.parent)),
        ("list.json", catalogue.read),
    ):
        file = tmp_path / name
        with file.open("wb") as sparse:
            sparse.truncate(2**33)
        with pytest.raises(EDTalkError, match=f"{name} is larger than"):
            read(file)


def test_a_plain_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    assert foreign_files.read(tmp_path / "file", 7) == b"content"
    with pytest.raises(EDTalkError, match="larger"):
        foreign_files.read(tmp_path / "file", 6)
