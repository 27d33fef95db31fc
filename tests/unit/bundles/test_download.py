"""Bundles from the network: only what was asked for, resumable, and nothing that is not what the catalogue means.

A real server of the standard library stands in for the web.
"""

from __future__ import annotations

import hashlib
import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from edtalk_server.bundles import catalogue, download, encoders, library
from edtalk_server.bundles.download import download_bundle
from edtalk_server.bundles.load import find
from edtalk_server.cli import main
from edtalk_server.media.steps import Step, run_to_end
from shared_protocol import paths
from shared_protocol.errors import EDTalkError, ErrorCode

STARTER = find("starter")


class Site:
    """Files that are served. `cut_after` drops the connection after so many bytes of each answer."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.cut_after = 0
        self.ranges = True
        self.asked: list[tuple[str, str]] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.answer(self)

            def log_message(self, *_arguments: Any) -> None:
                """Silence."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.address = f"http://127.0.0.1:{self._server.server_port}/bundles"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        wanted = request.headers.get("Range", "")
        self.asked.append((request.path, wanted))
        data = self.files.get(request.path)
        if data is None:
            request.send_error(404)
            return
        first = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.ranges else 0
        request.send_response(206 if wanted and self.ranges else 200)
        if wanted and self.ranges:
            request.send_header("Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}")
        request.send_header("Content-Length", str(len(data) - first))
        request.end_headers()
        body = data[first:]
        request.wfile.write(body[: self.cut_after] if self.cut_after else body)
        request.close_connection = True

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    for name in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    site = Site()
    yield site
    site.close()


@pytest.fixture
def offered(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """The starter bundle under the name `again`, offered by the user's own catalogue."""
    monkeypatch.setenv("EDTALK_DATA_DIR", str(tmp_path / "Daten é"))
    names = ["bundle.json", *json.loads((STARTER / "bundle.json").read_bytes())["files"]]
    contents = {name: (STARTER / name).read_bytes() for name in names}
    site.files = {f"/bundles/{name}": data for name, data in contents.items()}
    write_catalogue([entry(site.address, contents)])
    return site


def entry(address: str, contents: dict[str, bytes]) -> dict[str, Any]:
    files = {
        name: {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
        for name, data in contents.items()
    }
    words = {"name": "again", "title": "Again", "version": "1", "licence": "CC0-1.0", "size": 256}
    return {**words, "address": address, "files": files}


def write_catalogue(entries: list[Any]) -> None:
    paths.catalogue_file().parent.mkdir(parents=True, exist_ok=True)
    content = {"format": "edtalk-catalogue", "format_version": 1, "bundles": entries}
    paths.catalogue_file().write_text(json.dumps(content), encoding="utf-8")


def left_over() -> list[str]:
    return sorted(path.name for path in paths.bundles_dir().iterdir())


def test_nothing_that_ships_is_fetched_from_an_address_nobody_has_checked() -> None:
    for offer in catalogue.read(catalogue.SHIPPED).values():
        assert offer.address.startswith("https://") and all(one.sha256 for one in offer.files.values())


def test_a_bundle_is_fetched_checked_and_usable_by_its_name(offered: Site) -> None:
    assert [offer.name for offer in library.available()] == ["again"]
    told: list[Step] = []
    folder = run_to_end(download_bundle("again"), told.append)
    assert folder == paths.bundles_dir() / "again" == find("again")
    assert (folder / "face.safetensors").read_bytes() == (STARTER / "face.safetensors").read_bytes()
    assert left_over() == ["again"]
    assert library.available() == []
    assert {one.name for one in library.installed()} == {"starter", "again"}
    assert told[-1].done == told[-1].total == sum(map(len, offered.files.values()))
    assert any("face.safetensors" in step.stage for step in told)


def test_a_cut_connection_is_taken_up_where_it_was_cut(offered: Site) -> None:
    offered.cut_after = 7_000_000  # the face has 13 million bytes
    run_to_end(download_bundle("again"))
    face = [wanted for path, wanted in offered.asked if path.endswith("face.safetensors")]
    assert face == ["", "bytes=7000000-"]


def test_what_has_arrived_is_kept_for_the_next_try(offered: Site) -> None:
    offered.cut_after = 2_000_000  # of three tries each: too few for the face alone
    with pytest.raises(EDTalkError) as caught:
        run_to_end(download_bundle("again"))
    assert caught.value.code is ErrorCode.DOWNLOAD_FAILED and "kept" in caught.value.fix
    offered.cut_after, offered.asked[:] = 0, []
    run_to_end(download_bundle("again"))
    assert ("/bundles/face.safetensors", "bytes=6000000-") in offered.asked


def test_a_download_that_is_stopped_goes_on_later(offered: Site) -> None:
    steps = download_bundle("again")
    while not (step := next(steps)).stage.endswith("face.safetensors") or step.done < 8_000_000:
        pass
    steps.close()
    assert left_over() == [".again.download"]
    assert "again" not in {one.name for one in library.installed()}, "half a bundle is none"
    offered.asked.clear()
    run_to_end(download_bundle("again"))
    assert any(wanted for _, wanted in offered.asked), "it asked only for the rest"
    assert left_over() == ["again"]


def test_a_server_that_cannot_resume_sends_all_again(offered: Site) -> None:
    offered.cut_after, offered.ranges = 1_000_000, False
    with pytest.raises(EDTalkError):
        run_to_end(download_bundle("again"))
    offered.cut_after = 0
    run_to_end(download_bundle("again"))
    assert (find("again") / "face.safetensors").read_bytes() == (STARTER / "face.safetensors").read_bytes()


def test_another_file_than_the_catalogue_means_is_never_installed(offered: Site) -> None:
    data = bytearray(offered.files["/bundles/face.safetensors"])
    data[5000] ^= 1
    offered.files["/bundles/face.safetensors"] = bytes(data)
    with pytest.raises(EDTalkError) as caught:
        run_to_end(download_bundle("again"))
    assert caught.value.code is ErrorCode.DOWNLOAD_FAILED
    assert hashlib.sha256(data).hexdigest() in caught.value.cause, "the hash it got is told"
    assert not (paths.bundles_dir() / "again").exists()


def test_what_is_left_of_another_version_is_replaced(offered: Site) -> None:
    folder = paths.bundles_dir() / ".again.download"
    folder.mkdir(parents=True)
    (folder / "face.safetensors.part").write_bytes(b"of an older version")
    (folder / "audio_to_lip.safetensors").write_bytes(b"this one was whole then")
    run_to_end(download_bundle("again"))
    assert (find("again") / "face.safetensors").read_bytes() == (STARTER / "face.safetensors").read_bytes()


def test_a_mirror_stands_in_for_the_address(offered: Site) -> None:
    contents = {path.rpartition("/")[2]: data for path, data in offered.files.items()}
    write_catalogue([entry("https://nowhere.invalid/x", contents)])
    run_to_end(download_bundle("again", offered.address + "/"))
    assert find("again") == paths.bundles_dir() / "again"


def test_a_mirror_must_be_of_the_web(offered: Site) -> None:
    with pytest.raises(EDTalkError) as caught:
        run_to_end(download_bundle("again", STARTER.as_uri()))
    assert "address" in caught.value.cause and offered.asked == []


def test_a_missing_file_is_told_and_not_asked_for_again(offered: Site) -> None:
    del offered.files["/bundles/face.safetensors"]
    with pytest.raises(EDTalkError) as caught:
        run_to_end(download_bundle("again"))
    assert "face.safetensors" in caught.value.cause and "404" in caught.value.cause + str(
        caught.value.__cause__
    )
    assert [path for path, _ in offered.asked].count("/bundles/face.safetensors") == 1


def test_an_installed_bundle_is_not_fetched_over(offered: Site) -> None:
    run_to_end(download_bundle("again"))
    offered.asked.clear()
    with pytest.raises(EDTalkError) as caught:
        run_to_end(download_bundle("again"))
    assert "already" in caught.value.cause and offered.asked == []


def test_a_catalogue_that_does_not_name_what_its_bundle_needs_is_found_out(offered: Site) -> None:
    contents = {path.rpartition("/")[2]: data for path, data in offered.files.items()}
    del contents["audio_to_lip.safetensors"]
    write_catalogue([entry(offered.address, contents)])
    with pytest.raises(EDTalkError) as caught:
        run_to_end(download_bundle("again"))
    assert "audio_to_lip.safetensors" in caught.value.cause
    assert not (paths.bundles_dir() / "again").exists()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"files": {"bundle.json": {"size": 3}}}, "sha256"),
        ({"files": {"bundle.json": {"sha256": "unknown", "size": 3}}}, "hexadecimal"),
        ({"files": {"../bundle.json": {"sha256": "0" * 64, "size": 3}}}, "plain file name"),
        ({"files": {"face.safetensors": {"sha256": "0" * 64, "size": 3}}}, "bundle.json"),
        ({"address": "file:///etc"}, "address"),
        ({"name": "../up"}, "name"),
        ({"name": ".hidden"}, "name"),
        ({"kind": "script"}, "kind"),
        ({"post_install": "x"}, "post_install"),
        ({"licence": None}, "licence"),
    ],
)
def test_an_offer_that_could_not_be_checked_is_none(
    change: dict[str, Any], word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDTALK_DATA_DIR", str(tmp_path))
    write_catalogue([entry("https://a.test", {"bundle.json": b"{}"}) | change])
    with pytest.raises(EDTalkError) as caught:
        catalogue.read(paths.catalogue_file())
    assert word in caught.value.cause
    assert "again" not in catalogue.offers(), "the other bundles stay usable"


def test_the_command_lists_and_fetches(
    offered: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["bundle", "list"]) == 0
    assert "again" in capsys.readouterr().out
    assert main(["bundle", "download", "again"]) == 0
    assert "--bundle again" in capsys.readouterr().out
    assert main(["bundle", "check", "again"]) == 0
    monkeypatch.setattr(download, "_TRIES", 1)
    assert main(["bundle", "download", "unknown"]) == 1
    assert "unknown" in capsys.readouterr().err


# --- encoders, whose hashes nobody publishes -------------------------------------------------------------------------


def offer_encoders(site: Site, scale: float = 1.0) -> None:
    for encoder in encoders.ENCODERS:
        for file in encoder.files:
            data = f"{encoder.name} {file}".encode()
            if file.endswith(".bin"):
                buffer = io.BytesIO()
                torch.save({"layer.weight": torch.full((2, 3), scale), "layer.bias": torch.zeros(3)}, buffer)
                data = buffer.getvalue()
            site.files[f"/bundles/{encoder.place}/{file}"] = data


def test_encoders_are_fetched_as_safetensors_and_their_hashes_kept(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    offer_encoders(site)
    assert main(["bundle", "encoders", str(tmp_path / "encoders"), "--mirror", site.address]) == 0
    said = capsys.readouterr().out
    assert "licence Apache-2.0" in said and "licence MIT" in said
    config = site.files[f"/bundles/{encoders.ENCODERS[0].place}/config.json"]
    assert f"{hashlib.sha256(config).hexdigest()}  hubert/config.json" in said
    weights = load_file(tmp_path / "encoders" / "roberta" / "model.safetensors")
    assert torch.equal(weights["layer.weight"], torch.ones(2, 3))
    assert not list((tmp_path / "encoders").rglob("*.bin")), "no pickle is left"
    asked = len(site.asked)
    run_to_end(encoders.fetch_encoders(tmp_path / "encoders", site.address))
    assert len(site.asked) == asked, "what is there is not fetched again"


def test_other_encoders_than_the_first_are_refused(site: Site, tmp_path: Path) -> None:
    offer_encoders(site)
    known = run_to_end(encoders.fetch_encoders(tmp_path / "here", site.address))
    assert known == encoders.record(tmp_path / "here")
    there = tmp_path / "there"
    there.mkdir()
    (there / encoders.RECORD).write_bytes((tmp_path / "here" / encoders.RECORD).read_bytes())
    offer_encoders(site, scale=2.0)
    with pytest.raises(EDTalkError, match="another file than at the first fetch") as caught:
        run_to_end(encoders.fetch_encoders(there, site.address))
    assert caught.value.code is ErrorCode.BUNDLE_INVALID
    assert not (there / "hubert" / "model.safetensors").exists()


def test_encoders_that_were_changed_afterwards_are_found(site: Site, tmp_path: Path) -> None:
    offer_encoders(site)
    run_to_end(encoders.fetch_encoders(tmp_path, site.address))
    encoders.check(tmp_path)
    (tmp_path / "roberta" / "vocab.json").write_text("other words")
    with pytest.raises(EDTalkError, match="another file"):
        encoders.check(tmp_path)
    (tmp_path / "roberta" / "vocab.json").unlink()
    with pytest.raises(EDTalkError, match="is missing"):
        encoders.check(tmp_path)


def test_a_pickle_that_holds_more_than_weights_is_not_opened(site: Site, tmp_path: Path) -> None:
    offer_encoders(site)
    buffer = io.BytesIO()
    torch.save({"layer.weight": tmp_path}, buffer)
    site.files[f"/bundles/{encoders.ENCODERS[0].place}/pytorch_model.bin"] = buffer.getvalue()
    with pytest.raises(EDTalkError, match="more than weights"):
        run_to_end(encoders.fetch_encoders(tmp_path / "encoders", site.address))


def test_a_network_for_classes_lends_its_first_layer_as_the_pooler() -> None:
    dense, own = torch.ones(2, 2), torch.zeros(2, 2)
    found = encoders.with_pooler(
        {"roberta.x": own, "classifier.dense.weight": dense, "classifier.out_proj.weight": own}
    )
    assert torch.equal(found["roberta.pooler.dense.weight"], dense)
    assert "roberta.pooler.out_proj.weight" not in found
    trained = {"roberta.pooler.dense.weight": own, "classifier.dense.weight": dense}
    assert encoders.with_pooler(trained) is trained


def test_encoders_that_are_not_offered_are_explained(site: Site, tmp_path: Path) -> None:
    with pytest.raises(EDTalkError) as caught:
        run_to_end(encoders.fetch_encoders(tmp_path, site.address))
    assert caught.value.code is ErrorCode.DOWNLOAD_FAILED
