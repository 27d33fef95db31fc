"""The server in the panel: its settings, its memory, what a bug report copies, and the model bundles."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import bpy
import pytest


@pytest.fixture
def own_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No logs and no bundles but those of the test."""
    monkeypatch.setenv("EDTALK_LOG_DIR", str(tmp_path / "logs"))
    monkeypatch.setenv("EDTALK_DATA_DIR", str(tmp_path / "data"))


@pytest.fixture
def choices(addon: Any) -> Any:
    """The add-on's preferences, put back afterwards."""
    chosen = addon("ui.runtime.preferences").preferences()
    yield chosen
    for name in ("device", "bundle", "start_with_blender"):
        chosen.property_unset(name)


def refused(operator: Callable[..., Any], **options: Any) -> str:
    with pytest.raises(RuntimeError) as caught:
        operator(**options)
    return str(caught.value)


def test_the_server_runs_with_the_chosen_device_once_restarted(
    addon: Any, own_folders: None, own_server: Any, choices: Any
) -> None:
    bpy.ops.edtalk.start_server()
    server, first = addon("ui.server.server_operators"), addon.session.server.connection.pid
    assert not server.needs_restart()
    choices.device = "cpu"
    assert server.needs_restart()
    bpy.ops.edtalk.restart_server()
    assert addon.session.is_ready and addon.session.server.connection.pid != first
    assert addon.session.server.options == ("--device", "cpu") and not server.needs_restart()


@pytest.mark.parametrize("wanted", [True, False])
def test_the_server_starts_with_blender_where_that_is_wanted(
    addon: Any,
    own_folders: None,
    own_server: Any,
    choices: Any,
    wanted: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    link = addon("ui.runtime.runtime")
    choices.start_with_blender = wanted
    window = SimpleNamespace(background=False, timers=bpy.app.timers)
    monkeypatch.setattr(link, "bpy", SimpleNamespace(app=window, context=bpy.context))
    link.session().close()
    monkeypatch.setattr(link, "_current", None)  # the rooms keep their hooks in the one that is there
    link.register()
    end = time.monotonic() + 60
    while wanted and not addon.session.is_ready:
        assert time.monotonic() < end, "the server was not started"
        addon.session.pump()
        time.sleep(0.01)
    assert addon.session.is_connected == wanted
    addon.session.close()


OTHER = """
import sys
from blender_addon.core.server.client import Client
from shared_protocol import connection
client = Client(next(connection.find_live()), "blender")
client.wait_until_ready(60)
print("here", flush=True)
sys.stdin.read()
client.close()
"""
"""Another Blender that uses the running server."""


def test_restart_is_grey_while_others_use_the_server_and_says_what_to_do(
    addon: Any, own_folders: None, own_server: Any, choices: Any, server_python: Path
) -> None:
    bpy.ops.edtalk.start_server()
    command, folder = [str(server_python), "-c", OTHER], Path(__file__).resolve().parents[2]
    with subprocess.Popen(command, stdin=-1, stdout=-1, text=True, cwd=folder) as other:
        assert other.stdout.readline() == "here\n"
        end = time.monotonic() + 60
        while addon.session.others == 0:
            assert time.monotonic() < end, "the server tells how many use it"
            addon.session.pump()
            time.sleep(0.01)
        words = refused(bpy.ops.edtalk.restart_server)
        assert "Other programs use this server (1)" in words and "press Stop" in words
        first, choices.device = addon.session.server.connection.pid, "cpu"
        bpy.ops.edtalk.restart_server()
        assert addon.session.is_ready and addon.session.server.connection.pid != first
        os.kill(first, 0)  # the shared one goes on
        other.communicate()
    os.kill(first, signal.SIGTERM)
    while addon.session.server._dying:  # its end is noticed
        addon.session.pump()
        time.sleep(0.01)


def test_a_chosen_bundle_is_kept_and_the_server_runs_anew(
    addon: Any, own_folders: None, own_server: Any, choices: Any, tmp_path: Path
) -> None:
    bpy.ops.edtalk.start_server()
    first = addon.session.server.connection.pid
    bpy.ops.edtalk.use_bundle(path=str(tmp_path / "mine"))
    assert choices.bundle == str(tmp_path / "mine")
    assert addon.session.server.options == ("--bundle", str(tmp_path / "mine"))
    assert addon.session.server.connection.pid != first
    assert "starting" in [change.state.value for change in addon.session.server.history]


@pytest.fixture
def hole(addon: Any, own_server: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A bundle that the real server cannot open (others run without a model)."""
    path = tmp_path / "with a hole"
    path.mkdir()
    install = addon("core.server.discovery").ServerInstall
    command = install.command

    def with_the_hole(self: Any, *arguments: Any) -> list[str]:
        words: list[str] = command(self, *arguments)
        return [word for word in words if word != "--fake"] if str(path) in words else words

    monkeypatch.setattr(install, "command", with_the_hole)
    return str(path)


def test_a_bundle_that_does_not_start_gives_way_to_the_one_of_before(
    addon: Any, own_folders: None, choices: Any, hole: str, tmp_path: Path
) -> None:
    choices.bundle = str(tmp_path / "mine")
    bpy.ops.edtalk.start_server()
    words = refused(bpy.ops.edtalk.use_bundle, path=hole)
    assert "does not start with with a hole" in words and "It said: error: " in words
    assert "No model 1 runs again" in words and "Choose another bundle" in words
    assert choices.bundle == str(tmp_path / "mine")
    assert addon.session.is_ready and addon.session.server.options == ("--bundle", str(tmp_path / "mine"))
    assert addon.session.trouble is not None and "It said" in addon.session.trouble[0], (
        "the panel says it too"
    )


def test_without_a_server_before_none_is_started_after_a_bundle_failed(
    addon: Any, own_folders: None, choices: Any, hole: str
) -> None:
    words = refused(bpy.ops.edtalk.use_bundle, path=hole)
    assert "It said: error: " in words and "runs again" not in words
    assert choices.bundle == "" and not addon.session.is_connected
    bpy.ops.edtalk.start_server()
    assert addon.session.is_ready


def test_when_the_server_of_before_does_not_start_either_both_are_told(
    addon: Any, own_folders: None, choices: Any, hole: str
) -> None:
    bpy.ops.edtalk.start_server()
    choices.bundle = hole  # written there by hand, say, while the server ran
    words = refused(bpy.ops.edtalk.use_bundle, path=hole)
    assert words.count("It said: error: ") == 2 and "Nor does it start with the bundle before" in words
    assert choices.bundle == hole, "what the user had chosen is never lost"


def test_a_choice_that_is_cancelled_while_the_server_starts_is_kept(
    addon: Any, own_folders: None, own_server: Any, choices: Any, tmp_path: Path
) -> None:
    bundles, chosen = addon("ui.server.bundle_operators"), SimpleNamespace(path=str(tmp_path / "mine"))
    steps = bundles.UseBundle.steps(chosen, bpy.context, addon("core.tasks").Progress())
    for _ in range(3):
        addon.session.pump()
        next(steps)
    steps.close()
    assert choices.bundle == str(tmp_path / "mine") and addon.session.is_connected


def test_what_is_copied_tells_versions_and_states_but_no_keys(
    addon: Any, own_folders: None, own_server: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    bpy.ops.edtalk.start_server()
    server = addon.session.server.connection
    (tmp_path / "logs" / "server.log").write_text(f"key {server.client_secret} in {tmp_path}/film\n")
    text = addon("ui.server.server_operators").describe_installation()
    assert bpy.app.version_string in text and "starting" in text and "Device: " in text
    assert server.client_secret not in text and str(tmp_path) not in text
    assert "key *** in ~/film" in text


def test_graphics_memory_is_only_given_back_where_there_is_some(
    addon: Any, own_folders: None, own_server: Any
) -> None:
    assert "not running" in refused(bpy.ops.edtalk.release_memory)
    bpy.ops.edtalk.start_server()
    addon.session.pump()
    assert "on the processor" in refused(bpy.ops.edtalk.release_memory)


def test_there_is_no_log_before_a_server_ran(addon: Any, own_folders: None) -> None:
    assert "no log yet" in refused(bpy.ops.edtalk.show_log)


def test_the_bundles_that_are_here_are_listed_with_size_and_licence(
    addon: Any, own_folders: None, server: Any
) -> None:
    bpy.ops.edtalk.list_bundles()
    for entry in addon("ui.server.bundle_operators").known_bundles():
        assert entry.name and entry.licence and entry.bytes > 0 and entry.installed


def test_a_folder_without_checkpoints_is_not_imported(
    addon: Any, own_folders: None, server: Any, tmp_path: Path
) -> None:
    words = refused(bpy.ops.edtalk.import_bundle, directory=str(tmp_path))
    assert "no checkpoints" in words and "EDTalk.pt" in words


def test_nothing_is_downloaded_while_blender_is_offline(addon: Any, server: Any) -> None:
    bpy.context.preferences.system.use_online_access = False
    assert "online access" in refused(bpy.ops.edtalk.download_bundle, name="anything")


def test_a_download_that_is_not_offered_says_so(addon: Any, own_folders: None, server: Any) -> None:
    bpy.context.preferences.system.use_online_access = True
    try:
        words = refused(bpy.ops.edtalk.download_bundle, name="anything")
    finally:
        bpy.context.preferences.system.use_online_access = False
    assert "anything" in words


def drawn(panel: Any) -> list[str]:
    """The words that a panel shows, and the names of its buttons."""
    layout = mock.MagicMock()
    for name in ("row", "column", "box", "menu_pie"):
        getattr(layout, name).return_value = layout
    panel.draw(SimpleNamespace(layout=layout), bpy.context)
    words = [call.kwargs["text"] for call in layout.label.call_args_list]
    return words + [call.args[0] for call in layout.operator.call_args_list]


def test_the_panel_shows_state_memory_and_buttons(
    addon: Any, server: Any, monkeypatch: pytest.MonkeyPatch, choices: Any
) -> None:
    panels = addon("ui.server.server_panel")
    monkeypatch.setattr(panels, "draw_words", lambda layout, text, _icon="NONE": layout.label(text=text))
    assert "edtalk.start_server" in drawn(panels.ServerPanel)
    bpy.ops.edtalk.list_bundles()
    shown = drawn(panels.ServerPanel)
    assert shown[0].startswith("Server: ") and {"edtalk.stop_server", "edtalk.restart_server"} <= set(shown)
    details = drawn(panels.ServerDetailsPanel)
    assert any(word.startswith("Memory: ") for word in details) and "edtalk.copy_diagnostics" in details
    choices.device = "cpu"
    assert any("restart it" in word for word in drawn(panels.ServerDetailsPanel))
    entry = addon("ui.server.bundle_operators").BundleEntry
    offers = (
        entry("a", "Alpha", "1", 5 * 10**6, "CC0-1.0", 256, path="/a", running=True),
        entry("b", "Beta", "2", 7 * 10**9, "MIT", 512, installed=False),
    )
    monkeypatch.setattr(addon("ui.server.bundle_operators").BUNDLES, "entries", offers)
    shown = drawn(panels.BundlesPanel)
    assert "256 pixels, 5.0 MB, CC0-1.0" in shown and "512 pixels, 7.0 GB, MIT" in shown
    assert "edtalk.download_bundle" in shown and "edtalk.use_bundle" not in shown


def test_what_runs_takes_the_place_of_the_first_button(
    addon: Any, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing below it may jump under the mouse when a task starts."""
    panels, tasks = addon("ui.character.character_panel"), addon("core.tasks")
    layout = mock.MagicMock()
    for name in ("row", "column", "box"):
        getattr(layout, name).return_value = layout
    panels.StartPanel.draw(SimpleNamespace(layout=layout), bpy.context)
    assert [call.args[0] for call in layout.operator.call_args_list] == ["edtalk.new_character"]
    assert layout.scale_y == panels.ROWS_OF_WORK
    layout.reset_mock()
    progress = tasks.Progress("Rendering", 3, 12)
    monkeypatch.setattr(addon.session, "task", tasks.Task("Bake", iter(()), progress))
    panels.StartPanel.draw(SimpleNamespace(layout=layout), bpy.context)
    rows = layout.progress.call_count + layout.label.call_count
    assert rows == panels.ROWS_OF_WORK, "however long its words are"
    assert layout.label.call_args.kwargs["text"] == "Rendering 3 of 12"


def test_the_pie_menu_offers_buttons_that_exist_and_is_off_at_first(addon: Any, choices: Any) -> None:
    assert not choices.pie_menu
    buttons = drawn(addon("ui.pie").PieMenu)
    assert len(buttons) == 8
    for name in buttons:
        assert getattr(bpy.ops.edtalk, name.partition(".")[2]).get_rna_type()


def test_where_no_server_is_installed_the_first_button_installs_it(
    addon: Any, own_folders: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """From nothing: the panel says what is missing, and new characters come after it."""
    addon.session.close()
    monkeypatch.delenv("EDTALK_SERVER_PYTHON", raising=False)
    monkeypatch.setenv("EDTALK_DATA_DIR", str(tmp_path / "nothing"))
    installing = addon("ui.server.install_operator")
    installing.register()
    panels = addon("ui.character.character_panel")
    for module in (panels, installing):
        monkeypatch.setattr(module, "draw_words", lambda layout, text, _icon="NONE": layout.label(text=text))
    shown = drawn(panels.StartPanel)
    assert shown.index("edtalk.install_server") < shown.index("edtalk.new_character")
    assert any("installed once" in word for word in shown)
    assert addon("core.server.installing").Cargo.find(installing.CARGO), "the package carries it"


def test_the_server_is_installed_from_the_package_alone(
    addon: Any, own_folders: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server_python: Path
) -> None:
    """The installer is the one in the package; its downloads are left out here."""
    import sys

    addon.session.close()
    monkeypatch.delenv("EDTALK_SERVER_PYTHON", raising=False)
    data = tmp_path / "data"
    monkeypatch.setenv("EDTALK_DATA_DIR", str(data))
    installing = addon("core.server.installing")
    words = "from edtalk_server.installer import from_addon, server, environments\n"
    words += "server.fill = lambda *_: 'cpu'\nserver.report_device = lambda *_: None\n"
    words += "import sys; sys.exit(from_addon.main(sys.argv[2:]))"
    monkeypatch.setattr(installing, "_RUN", f"import sys; sys.path.insert(0, sys.argv[1])\n{words}")
    ready = [SimpleNamespace(title="Starter")]

    def no_wait(_session: Any, _progress: Any) -> Any:
        yield
        return ready[0]

    monkeypatch.setattr(type(addon.session), "ready", no_wait)
    empty = tmp_path / "wheels"
    empty.mkdir()
    assert bpy.ops.edtalk.install_server(wheels=str(empty), python=sys.executable) == {"FINISHED"}
    found = addon("core.server.discovery").find_install("")
    assert found.python.is_relative_to(data / "server") and found.version
    there = data / "server" / "lib" / f"python3.{sys.version_info[1]}" / "site-packages"
    assert (there / "edtalk_server" / "bundles" / "starter" / "bundle.json").is_file()
    assert "online access" in refused(bpy.ops.edtalk.install_server), "without a folder it needs the network"
