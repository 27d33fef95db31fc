# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of the running server, for people: its state, its memory, its model. No bpy here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from shared_protocol.banks import BankLayout
from shared_protocol.emotions import Presets
from shared_protocol.messages import Pong

from ..tasks import format_duration, translate_parts
from ..text.translate import iface_
from ..weights import layouts, mixing
from .process import ServerState

ENDED = (ServerState.STOPPED, ServerState.FAILED, ServerState.NOT_INSTALLED)
"""States in which there is no server."""
_WAITING = (ServerState.STARTING, ServerState.WARMING_UP, ServerState.STOPPING)
_ICONS = {
    ServerState.READY: "CHECKMARK",
    ServerState.BUSY: "SORTTIME",
    ServerState.STARTING: "TIME",
    ServerState.WARMING_UP: "TIME",
    ServerState.STOPPING: "TIME",
    ServerState.FAILED: "ERROR",
    ServerState.NOT_INSTALLED: "ERROR",
}
_GIGABYTE = 10**9
_PREVIEW = "preview"
"""What the server calls drawing one picture."""


@dataclass(frozen=True)
class Bundle:
    """The model that the server runs. `identity` changes with its content; `sizes` are those of its face pictures in
    pixels, rising."""

    title: str
    identity: str
    layout: BankLayout
    presets: Presets = field(default_factory=dict)
    parts: frozenset[str] = frozenset()
    """Its networks beside the face's, such as `semantics`, as far as the server tells."""
    sizes: tuple[int, ...] = ()

    @classmethod
    def from_description(cls, description: dict[str, Any]) -> Bundle:
        """Read the server's description of its model. Raises `EDTalkError` when it cannot be read."""
        name, version = str(description.get("name", "")), str(description.get("version", ""))
        layout = layouts.layout_from_rows(description.get("bases", ()))
        title = f"{description.get('title') or name} {version}".strip()
        identity = str(description.get("digest") or f"{name} {version}")
        presets = mixing.presets_from_rows(description.get("presets"))
        sizes = description.get("sizes") or (description.get("size") or 0,)
        return cls(title, identity, layout, presets, _parts(description), tuple(int(size) for size in sizes))


def _parts(description: dict[str, Any]) -> frozenset[str]:
    parts = description.get("parts", ())
    return frozenset(map(str, parts)) if isinstance(parts, list) else frozenset()


@dataclass(frozen=True)
class Memory:
    """Bytes: of the server's process, what it holds of the accelerator's, what the accelerator has (0: none)."""

    process: int
    device: int
    capacity: int

    @classmethod
    def of(cls, health: Pong) -> Memory:
        """Return what the server reported last."""
        return cls(health.memory, health.device_memory, health.device_capacity)

    @property
    def text(self) -> str:
        """One line for people, in steps that do not flicker; empty while nothing is known."""
        if self.process == 0:
            return ""
        process = iface_("Memory: {size:.1f} GB", size=self.process / _GIGABYTE)
        if self.capacity == 0:
            return process
        device, capacity = self.device / _GIGABYTE, self.capacity / _GIGABYTE
        return process + iface_(", graphics {size:.1f} of {all:.1f} GB", size=device, all=capacity)


@dataclass(frozen=True)
class ServerStatus:
    """The server for the panel: one line, Blender's name of an icon, whether it can be stopped, its memory in words."""

    line: str
    icon: str
    can_stop: bool
    memory: str = ""

    @classmethod
    def of(cls, state: ServerState, age_s: float, health: Pong) -> ServerStatus:
        """Describe a server that has been in `state` for `age_s` seconds. One that draws a preview counts as ready: the
        line would flicker while a slider is dragged, and each time draw the whole sidebar again."""
        is_there = state not in ENDED
        doing, _, notice = health.activity.partition(", ")
        if doing == _PREVIEW and state is ServerState.BUSY:
            state, doing = ServerState.READY, ""
        told = [translate_parts(part) for part in (doing, notice) if part and is_there]
        activity = "".join(f", {part}" for part in told)
        # (how long it has been ready is nobody's question, and a line that changes each second redraws the window)
        since = f" ({format_duration(age_s)})" if state in _WAITING else ""
        line = iface_("Server: {state}", state=iface_(state.value)) + activity + since
        return cls(line, _ICONS.get(state, "RADIOBUT_OFF"), is_there, Memory.of(health).text)
