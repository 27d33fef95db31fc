"""Every message on the wire: one frozen dataclass each. `docs/protocol.md` is the normative page.

A message is a msgpack header (the dataclass's fields) and raw buffers. Fields annotated `Blob` never enter
the header: each is one further frame of the multipart message, in the order of the fields. Fields are added
with defaults and never change their meaning; unknown fields are ignored by the reader.

Every job (a request with a `job`, chosen by the client, unique in its connection) ends in exactly one
terminal message: `Done`, `Failed` or `Cancelled`. Results (`Prepared`, `Performance`, `PreviewFrame`,
`Frame`) come before it.

Weights are little-endian float32, C order, [frames, channels] in the bundle's bank order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NewType

PROTOCOL_MIN = 1
PROTOCOL_MAX = 1

Blob = NewType("Blob", bytes)
"""Raw bytes that travel as a frame of their own. Decoded, it may be any read-only bytes-like object."""


@dataclass(frozen=True)
class Message:
    """Base of all messages."""


# --- session ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Hello(Message):
    """First message of a client on each connection: which protocols it speaks, who it is.

    `client` names the client, the same on all its connections (jobs belong to it, not to a connection). `pid`
    is its process on the server's own machine, 0 for a client elsewhere: a server that was started for a
    process stays as long as one of these lives.
    """

    protocol_min: int = PROTOCOL_MIN
    protocol_max: int = PROTOCOL_MAX
    client: str = ""
    version: str = ""
    pid: int = 0


@dataclass(frozen=True)
class Welcome(Message):
    """Answer to `Hello`: the protocol to speak, the server, and `bundle`, the shipped description (JSON text:
    name, version, native size, bases with ranges, presets, licence; see docs/bundles.md)."""

    protocol: int = PROTOCOL_MAX
    server: str = ""
    version: str = ""
    device: str = ""
    bundle: str = "{}"
    capabilities: tuple[str, ...] = ()


@dataclass(frozen=True)
class Refused(Message):
    """Answer to anything the server cannot take as a request (wrong version, no hello, unknown type,
    malformed, a blob that does not fit its name). `subject` is the job or digest it was about, if known."""

    code: str = ""
    cause: str = ""
    fix: str = ""
    subject: str = ""


@dataclass(frozen=True)
class Ping(Message):
    """Is anybody there? Answered at once, also while jobs run."""

    serial: int = 0


@dataclass(frozen=True)
class Pong(Message):
    """Answer to `Ping`: the state (`warming`, `ready`, `busy`, `stopping`), what it is doing, memory in
    bytes. With serial 0 it is unasked: the state has changed, or the server looks whether the client lives.
    """

    serial: int = 0
    state: str = ""
    activity: str = ""
    jobs: int = 0
    memory: int = 0
    uptime: float = 0.0


@dataclass(frozen=True)
class Shutdown(Message):
    """End the server: running jobs are cancelled, then the process exits."""


# --- blobs --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class HaveBlobs(Message):
    """Which of these blobs (SHA-256, lower-case hex) does the server hold?"""

    digests: tuple[str, ...] = ()


@dataclass(frozen=True)
class BlobsMissing(Message):
    """Answer to `HaveBlobs`: those to be sent."""

    digests: tuple[str, ...] = ()


@dataclass(frozen=True)
class PutBlob(Message):
    """Store a blob. Answered by `BlobStored`, or by `Refused` when the digest does not match."""

    digest: str = ""
    data: Blob = Blob(b"")


@dataclass(frozen=True)
class BlobStored(Message):
    """The blob is held and can be named by its digest."""

    digest: str = ""


# --- jobs: requests -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Crop:
    """The square cut out of a portrait: centre and side in pixels of the original, roll in radians (positive
    turns the crop's x axis towards the picture's y axis). A zero `side` means: find the face."""

    center_x: float = 0.0
    center_y: float = 0.0
    side: float = 0.0
    roll: float = 0.0


@dataclass(frozen=True)
class Prepare(Message):
    """Job: encode a portrait (an image file as a blob) once. Results: `Prepared`."""

    job: str = ""
    portrait: str = ""
    crop: Crop = Crop()


@dataclass(frozen=True)
class Predict(Message):
    """Job: a voice (an audio file as a blob) to weights. Results: one `Performance`.

    `frames` rows are made; row i is the voice at second `offset + i * fps_denominator / fps_numerator`;
    outside the voice is silence. `frames` = 0 means: to the end of the voice. Other banks rest at the
    source's own weights.
    """

    job: str = ""
    source: str = ""
    voice: str = ""
    transcript: str = ""
    fps_numerator: int = 25
    fps_denominator: int = 1
    frames: int = 0
    offset: float = 0.0
    seed: int = 0


@dataclass(frozen=True)
class Preview(Message):
    """Job: one frame, newest wins: an older preview of the same connection that has not started is cancelled
    with reason `superseded`. Results: `PreviewFrame`."""

    job: str = ""
    source: str = ""
    weights: Blob = Blob(b"")


@dataclass(frozen=True)
class Render(Message):
    """Job: frames for keeping. `weights` has one row for each entry of `frames` (the client's frame numbers).
    Results: `Frame`s in that order, `encoding` `png` (8-bit RGB file) or `rgba` (raw, bottom-up, 4 bytes a
    pixel).

    The server sends at most `credit` frames; each `Credit` allows more. `Progress` comes in between.
    """

    job: str = ""
    source: str = ""
    frames: tuple[int, ...] = ()
    encoding: str = "png"
    credit: int = 8
    weights: Blob = Blob(b"")


@dataclass(frozen=True)
class Credit(Message):
    """Allow `frames` more frames of a render job."""

    job: str = ""
    frames: int = 1


@dataclass(frozen=True)
class Cancel(Message):
    """End a job of this client, whichever connection started it. The job answers `Cancelled` (or had just
    ended)."""

    job: str = ""


# --- jobs: answers ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Progress(Message):
    """How far a job is: `done` of `total` units, units a second, seconds to go (-1: unknown), what it does
    now."""

    job: str = ""
    done: int = 0
    total: int = 0
    rate: float = 0.0
    eta: float = -1.0
    stage: str = ""


@dataclass(frozen=True)
class Prepared(Message):
    """A source is ready: its key (content hash), the crop that was used, size of the frames, notes on the
    portrait (short sentences, empty when all is well), and the portrait's own weights ([1, channels])."""

    job: str = ""
    source: str = ""
    crop: Crop = Crop()
    width: int = 0
    height: int = 0
    notes: tuple[str, ...] = ()
    weights: Blob = Blob(b"")


@dataclass(frozen=True)
class Performance(Message):
    """The predicted weights, [frames, channels]."""

    job: str = ""
    frames: int = 0
    channels: int = 0
    weights: Blob = Blob(b"")


@dataclass(frozen=True)
class PreviewFrame(Message):
    """One picture, raw RGBA, 4 bytes a pixel, rows bottom-up as Blender's images have them."""

    job: str = ""
    width: int = 0
    height: int = 0
    pixels: Blob = Blob(b"")


@dataclass(frozen=True)
class Frame(Message):
    """One picture of a render job, encoded as asked."""

    job: str = ""
    frame: int = 0
    width: int = 0
    height: int = 0
    data: Blob = Blob(b"")


@dataclass(frozen=True)
class Done(Message):
    """Terminal: the job finished."""

    job: str = ""


@dataclass(frozen=True)
class Failed(Message):
    """Terminal: the job could not be done; `code` is one of `errors.ErrorCode`."""

    job: str = ""
    code: str = ""
    cause: str = ""
    fix: str = ""


@dataclass(frozen=True)
class Cancelled(Message):
    """Terminal: the job was cancelled (`reason`: `asked`, `superseded`, `stopping`)."""

    job: str = ""
    reason: str = "asked"
