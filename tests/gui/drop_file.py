"""Drop a file onto a window, as a file manager does by the XDND protocol: drop_file.py PATH X Y (from the screen's left
top). Prints "dropped" once the window has taken it. Xlib by ctypes, because the root of the window has no more."""

from __future__ import annotations

import ctypes
import sys
import time
from ctypes import POINTER, Structure, Union, byref, c_char_p, c_int, c_long, c_ubyte, c_ulong, c_void_p
from typing import ClassVar

VERSION = 5
CLIENT_MESSAGE, SELECTION_REQUEST, SELECTION_NOTIFY = 33, 30, 31
ATOM_TYPE = 4
PATIENCE_S = 20.0


class Client(Structure):
    """XClientMessageEvent."""

    _fields_: ClassVar = [
        ("type", c_int),
        ("serial", c_ulong),
        ("send_event", c_int),
        ("display", c_void_p),
        ("window", c_ulong),
        ("message", c_ulong),
        ("format", c_int),
        ("data", c_long * 5),
    ]


class Request(Structure):
    """XSelectionRequestEvent."""

    _fields_: ClassVar = [
        ("type", c_int),
        ("serial", c_ulong),
        ("send_event", c_int),
        ("display", c_void_p),
        ("owner", c_ulong),
        ("requestor", c_ulong),
        ("selection", c_ulong),
        ("target", c_ulong),
        ("property", c_ulong),
        ("time", c_ulong),
    ]


class Notify(Structure):
    """XSelectionEvent."""

    _fields_: ClassVar = [
        ("type", c_int),
        ("serial", c_ulong),
        ("send_event", c_int),
        ("display", c_void_p),
        ("requestor", c_ulong),
        ("selection", c_ulong),
        ("target", c_ulong),
        ("property", c_ulong),
        ("time", c_ulong),
    ]


class Event(Union):
    """XEvent."""

    _fields_: ClassVar = [
        ("type", c_int),
        ("client", Client),
        ("request", Request),
        ("notify", Notify),
        ("pad", c_long * 24),
    ]


x11 = ctypes.CDLL("libX11.so.6")
x11.XOpenDisplay.restype = c_void_p
x11.XOpenDisplay.argtypes = [c_char_p]
for _name in ("XDefaultRootWindow", "XCreateSimpleWindow", "XInternAtom"):
    getattr(x11, _name).restype = c_ulong
x11.XDefaultRootWindow.argtypes = x11.XFlush.argtypes = x11.XPending.argtypes = [c_void_p]
x11.XInternAtom.argtypes = [c_void_p, c_char_p, c_int]
x11.XCreateSimpleWindow.argtypes = [c_void_p, c_ulong, c_int, c_int, c_int, c_int, c_int, c_ulong, c_ulong]
x11.XSetSelectionOwner.argtypes = [c_void_p, c_ulong, c_ulong, c_ulong]
x11.XTranslateCoordinates.argtypes = [
    *(c_void_p, c_ulong, c_ulong, c_int, c_int),
    *(POINTER(c_int), POINTER(c_int), POINTER(c_ulong)),
]
x11.XSendEvent.argtypes = [c_void_p, c_ulong, c_int, c_long, POINTER(Event)]
x11.XNextEvent.argtypes = [c_void_p, POINTER(Event)]
x11.XChangeProperty.argtypes = [
    *(c_void_p, c_ulong, c_ulong, c_ulong, c_int, c_int, POINTER(c_ubyte), c_int),
]


class Source:
    """What is dragged, and from where."""

    def __init__(self, uri: bytes) -> None:
        self.uri = uri
        self.display = x11.XOpenDisplay(None)
        self.root = x11.XDefaultRootWindow(self.display)
        self.window = x11.XCreateSimpleWindow(self.display, self.root, -10, -10, 1, 1, 0, 0, 0)
        x11.XSetSelectionOwner(self.display, self.atom("XdndSelection"), self.window, 0)

    def atom(self, name: str) -> int:
        return int(x11.XInternAtom(self.display, name.encode(), 0))

    def under(self, x: int, y: int) -> int:
        """The window at a place of the screen."""
        left, top, child = c_int(), c_int(), c_ulong()
        x11.XTranslateCoordinates(
            self.display, self.root, self.root, x, y, byref(left), byref(top), byref(child)
        )
        return child.value

    def tell(self, target: int, name: str, *data: int) -> None:
        event = Event()
        numbers = (c_long * 5)(self.window, *data)
        event.client = Client(CLIENT_MESSAGE, 0, 1, self.display, target, self.atom(name), 32, numbers)
        x11.XSendEvent(self.display, target, 0, 0, byref(event))
        x11.XFlush(self.display)

    def wait_for(self, name: str) -> Client | None:
        """Answer requests for the data until a message of this kind comes; None when it does not."""
        end, wanted, event = time.monotonic() + PATIENCE_S, self.atom(name), Event()
        while time.monotonic() < end:
            if not x11.XPending(self.display):
                time.sleep(0.01)
                continue
            x11.XNextEvent(self.display, byref(event))
            if event.type == SELECTION_REQUEST:
                self.answer(event.request)
            elif event.type == CLIENT_MESSAGE and event.client.message == wanted:
                return Client.from_buffer_copy(event.client)
        return None

    def answer(self, asked: Request) -> None:
        data = (c_ubyte * len(self.uri)).from_buffer_copy(self.uri)
        x11.XChangeProperty(
            self.display, asked.requestor, asked.property, asked.target, 8, 0, data, len(self.uri)
        )
        event = Event()
        event.notify = Notify(
            *(SELECTION_NOTIFY, 0, 1, self.display, asked.requestor, asked.selection, asked.target),
            *(asked.property, asked.time),
        )
        x11.XSendEvent(self.display, asked.requestor, 0, 0, byref(event))
        x11.XFlush(self.display)


def drop(path: str, x: int, y: int) -> str:
    """Drag the file there and let it go; how that went."""
    source = Source(f"file://{path}\r\n".encode())
    target, copy = source.under(x, y), source.atom("XdndActionCopy")
    source.tell(target, "XdndEnter", VERSION << 24, source.atom("text/uri-list"), 0, 0)
    for _ in range(3):  # the window that it goes over finds out what is under it
        source.tell(target, "XdndPosition", 0, x << 16 | y, 0, copy)
        status = source.wait_for("XdndStatus")
        if status is None or not status.data[1] & 1:
            return "refused"
        time.sleep(0.3)
    source.tell(target, "XdndDrop", 0, 0, 0, 0)
    return "dropped" if source.wait_for("XdndFinished") else "not taken"


if __name__ == "__main__":
    sys.stdout.write(drop(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])) + "\n")
