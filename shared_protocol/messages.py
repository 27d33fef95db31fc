"""Every message on the wire: one frozen dataclass each. `docs/protocol.md` is the normative page.

A message is a msgpack header (the dataclass's fields) and raw buffers. Fields annotated `Blob` are not in the
header: each is one further frame of the multipart message, in field order. New fields have defaults, fields
never change their meaning, and readers ignore unknown ones.

Every job (a request with a `job`, a name that is unique among the client's open jobs) ends in exactly one
terminal message: `Done`, `Failed` or `Cancelled`. Results (`Prepared`, `Inspected`, `Performance`, `PreviewFrame`,
`Frame`, `Bundles`) come before it.

Weights are little-endian float32, C order, [frames, channels] in the bundle's bank order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, NewType, TypeVar, get_args, get_origin

PROTOCOL_MIN = 1
PROTOCOL_MAX = 1

Blob = NewType("Blob", bytes)
"""Raw bytes sent as a separate frame. Decoded, it may be any read-only bytes-like object."""


@dataclass(frozen=True)
class Message:
    """Base of all messages."""


# --- session ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Hello(Message):
    """First message of a client on each connection: which protocols it speaks and who it is.

    `client` names the client, the same on all its connections (jobs belong to the client, not to a connection).
    `pid` is its process on the server's machine, 0 for a client elsewhere: a server that was started for a
    process runs until all of these processes have ended.
    """

    protocol_min: int = PROTOCOL_MIN
    protocol_max: int = PROTOCOL_MAX
    client: str = ""
    version: str = ""
    pid: int = 0


@dataclass(frozen=True)
class Welcome(Message):
    """Answer to `Hello`: the protocol to speak, the server, and `bundle`, the bundle's description (JSON text:
    name, version, native size, bases with ranges, presets, licence; see docs/bundles.md)."""

    protocol: int = PROTOCOL_MAX
    server: str = ""
    version: str = ""
    device: str = ""
    bundle: str = "{}"
    capabilities: tuple[str, ...] = ()


@dataclass(frozen=True)
class Refused(Message):
    """Answer to anything that the server cannot accept as a request (wrong version, no hello, unknown type,
    malformed, a blob that does not match its digest). `subject` is the job or digest concerned, if known."""

    code: str = ""
    cause: str = ""
    fix: str = ""
    subject: str = ""


@dataclass(frozen=True)
class Ping(Message):
    """Check whether the server lives. Answered at once, also while jobs run."""

    serial: int = 0


@dataclass(frozen=True)
class Pong(Message):
    """Answer to `Ping`: the server's `state` (`warming`, `ready`, `busy`, `stopping`) and what it is doing.

    Memory is in bytes: `memory` is the process's own, `device_memory` what it holds on the accelerator, and
    `device_capacity` what the accelerator has (0: none). `uptime` is in seconds. With serial 0 the message is
    unsolicited: the state has changed, or the server checks that the client lives. `users` counts the connected
    programs, the receiver included (0: the server does not tell).
    """

    serial: int = 0
    state: str = ""
    activity: str = ""
    jobs: int = 0
    memory: int = 0
    uptime: float = 0.0
    device_memory: int = 0
    device_capacity: int = 0
    users: int = 0
    workers: int = 1


@dataclass(frozen=True)
class Release(Message):
    """Free the accelerator's memory: the model moves to main memory until the next job needs it. Running jobs finish
    first; an unsolicited `Pong` then answers."""


@dataclass(frozen=True)
class Shutdown(Message):
    """End the server: running jobs are cancelled, then the process exits. With `alone`, only if no other program is
    connected; otherwise the answer is `Refused` (`server_in_use`), which names the others. Servers without the
    capability `shutdown.alone` ignore `alone`."""

    alone: bool = False


# --- blobs --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class HaveBlobs(Message):
    """Ask which of these blobs (SHA-256, lower-case hex) the server lacks."""

    digests: tuple[str, ...] = ()


@dataclass(frozen=True)
class BlobsMissing(Message):
    """Answer to `HaveBlobs`: the blobs to send."""

    digests: tuple[str, ...] = ()


@dataclass(frozen=True)
class PutBlob(Message):
    """Store a blob. Answered by `BlobStored`, or by `Refused` when the digest does not match."""

    digest: str = ""
    data: Blob = Blob(b"")


@dataclass(frozen=True)
class PutPart(Message):
    """Store one part of a blob of `size` bytes: the part begins at byte `start`. A connection sends parts in order, and
    finishes one blob before the next. The last part is answered like `PutBlob`. (Capability `parts`.)"""

    digest: str = ""
    start: int = 0
    size: int = 0
    data: Blob = Blob(b"")


@dataclass(frozen=True)
class BlobStored(Message):
    """Answer to `PutBlob`: the server holds the blob, and requests can name it by its digest."""

    digest: str = ""


# --- jobs: answers ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class JobReply(Message):
    """Base of all messages of a server about a job."""

    job: str = ""


@dataclass(frozen=True)
class Crop:
    """The square cut out of a portrait: centre and side in pixels of the original, roll in radians (positive
    turns the crop's x axis towards the picture's y axis). A zero `side` means: find the face."""

    center_x: float = 0.0
    center_y: float = 0.0
    side: float = 0.0
    roll: float = 0.0


@dataclass(frozen=True)
class Progress(JobReply):
    """Progress of a job: `done` of `total` units, `rate` in units a second, `eta` in seconds (-1: unknown), and the
    current `stage`."""

    done: int = 0
    total: int = 0
    rate: float = 0.0
    eta: float = -1.0
    stage: str = ""


@dataclass(frozen=True)
class Prepared(JobReply):
    """A prepared source: its key (a content hash), the crop used, the size of its frames in pixels, notes on the
    portrait (short sentences, empty when all is well), the portrait's own weights [1, channels], the size of frames
    with the framing `full`, and the verdict as in `Inspected`. `sizes` are all sides that frames with the framing
    `face` can have, rising; the first is `width` (empty: the server knows no other). `landmarks` are the 68 points of
    the portrait's face (iBUG order), x and y in turn, in fractions of the crop from its left top (empty: unknown).
    `also` says what each further picture gives, in words with spaces between: `mouth`, `right_eye`, `left_eye`.
    `cut_out`: the portrait is transparent in parts."""

    source: str = ""
    crop: Crop = Crop()
    width: int = 0
    height: int = 0
    notes: tuple[str, ...] = ()
    weights: Blob = Blob(b"")
    full_width: int = 0
    full_height: int = 0
    verdict: str = "good"
    sizes: tuple[int, ...] = ()
    landmarks: tuple[float, ...] = ()
    also: tuple[str, ...] = ()
    cut_out: bool = False


@dataclass(frozen=True)
class Inspected(JobReply):
    """Findings on a portrait: its size in pixels; all faces, the largest first; the crop that `Prepare` would use (or
    the one asked about); and a verdict on that crop: `good`, `no_face`, `several_faces`, `too_small`, `turned` or
    `cut_off`. `advice` says what to do, empty when all is well. `turned` is roughly how many degrees the head looks
    sideways."""

    width: int = 0
    height: int = 0
    verdict: str = "good"
    advice: str = ""
    crop: Crop = Crop()
    faces: tuple[Crop, ...] = ()
    turned: float = 0.0


@dataclass(frozen=True)
class BundleEntry:
    """A bundle that is installed or can be downloaded: folder name, title, version, size in bytes, licence, native size
    in pixels, and a description of one sentence; `path` is what `--bundle` takes."""

    name: str = ""
    title: str = ""
    version: str = ""
    bytes: int = 0
    licence: str = ""
    size: int = 0
    description: str = ""
    path: str = ""
    installed: bool = True
    running: bool = False


@dataclass(frozen=True)
class Bundles(JobReply):
    """The bundles that are installed and those that can be downloaded."""

    bundles: tuple[BundleEntry, ...] = ()


@dataclass(frozen=True)
class Sentence:
    """A sentence of the transcript: its words (the `first` of `Performance.words`, and how many), its `start` and `end`
    in seconds of the voice, the strongest of its emotions with its intensity (0 to 1; no name: none), and how it was
    timed: `recognized` (in the voice), `line` (within its line, whose time the transcript gives) or `guessed`."""

    first: int = 0
    words: int = 0
    start: float = 0.0
    end: float = 0.0
    emotion: str = ""
    intensity: float = 0.0
    timed: str = "guessed"


@dataclass(frozen=True)
class Performance(JobReply):
    """The predicted or captured weights, [frames, channels]; notes for people, empty when all is well.

    A prediction with emotions has their intensities, [frames, 8] in the order of `emotions.EMOTIONS`, which are not in
    the weights; empty: none were asked for. `words` and `sentences` are the transcript's;
    `word_times` [words, 2] are their starts and ends in seconds of the voice. `visemes` [n, 3], where they were asked
    for: number in `visemes.VISEMES`, start and end.
    """

    frames: int = 0
    channels: int = 0
    weights: Blob = Blob(b"")
    notes: tuple[str, ...] = ()
    emotions: Blob = Blob(b"")
    words: tuple[str, ...] = ()
    word_times: Blob = Blob(b"")
    sentences: tuple[Sentence, ...] = ()
    visemes: Blob = Blob(b"")


@dataclass(frozen=True)
class PreviewFrame(JobReply):
    """One picture, raw RGBA, 4 bytes a pixel, rows bottom-up as Blender's images have them."""

    width: int = 0
    height: int = 0
    pixels: Blob = Blob(b"")


@dataclass(frozen=True)
class Frame(JobReply):
    """One picture of a render job, encoded as asked."""

    frame: int = 0
    width: int = 0
    height: int = 0
    data: Blob = Blob(b"")


@dataclass(frozen=True)
class Done(JobReply):
    """Terminal: the job finished."""


@dataclass(frozen=True)
class Failed(JobReply):
    """Terminal: the job could not be done; `code` is one of `errors.ErrorCode`."""

    code: str = ""
    cause: str = ""
    fix: str = ""


@dataclass(frozen=True)
class Cancelled(JobReply):
    """Terminal: the job was cancelled (`reason`: `asked`, `superseded`, `stopping`)."""

    reason: str = "asked"


# --- jobs: requests -----------------------------------------------------------------------------------------


Answer = TypeVar("Answer", bound=JobReply)


@dataclass(frozen=True)
class Request(Message, Generic[Answer]):
    """Base of all jobs; `Answer` is the class of a job's results (`Done` if it has none).

    `job` is its name, chosen by the client and unique among the client's open jobs.
    """

    capability = ""
    """Entry in `Welcome.capabilities` of servers that know this request; empty: every server does."""
    is_interactive = False
    """Whether a person waits for it: it then uses the connection on which no request waits behind a bake."""

    job: str = ""

    @classmethod
    def answer_type(cls) -> type[Answer]:
        """Return the class of the results."""
        (base,) = (base for base in cls.__orig_bases__ if get_origin(base) is Request)  # type: ignore[attr-defined]
        answer: type[Answer] = get_args(base)[0]
        return answer


@dataclass(frozen=True)
class Inspect(Request[Inspected]):
    """Job: inspect a portrait before rendering. Without a crop (side 0) the server finds all faces and chooses the
    largest; with one, it judges that crop. Results: `Inspected`."""

    capability = "inspect"
    is_interactive = True

    portrait: str = ""
    crop: Crop = Crop()


MOST_ALSO = 4
"""Most further pictures of a person."""
PREPARE_ALSO = "prepare.also"
CUT_OUT = "cut_out"
"""Capability of servers that read `Prepare.also`; others ignore it."""


@dataclass(frozen=True)
class Prepare(Request[Prepared]):
    """Job: encode a portrait (an image file as a blob) once. Results: `Prepared`. `also`: further pictures of the same
    person (blobs, at most `MOST_ALSO`), which give what the portrait does not show. (Capability `PREPARE_ALSO`.)"""

    is_interactive = True

    portrait: str = ""
    crop: Crop = Crop()
    also: tuple[str, ...] = ()


MOST_BLINKS = 40
"""Most blinks a minute that a prediction may have: with more, they would overlap."""
MOST_HEAD = 5
"""Largest value of `Predict.head`; 1 is natural movement."""
MOST_GAIN = 3.0
"""Largest value of `Predict.emotion_gain`; 1 shows emotions as they were found."""
MOST_TEMPERATURE = 2.0
"""Largest value of `Predict.temperature`."""
NATURAL_TEMPERATURE = 0.8
"""How freely the head moves unless somebody asks for more or less."""
MOST_LINES = 3000
"""Most lines of a transcript."""
SEMANTICS = "predict.semantics"
"""Capability of servers that read `Predict.lines` and the fields after it, and predict without a voice."""
PREDICT_PROGRESS = "predict.progress"
"""Capability of servers that report the progress of a prediction."""
VISEMES = "predict.visemes"
"""Capability of servers that read `Predict.visemes`."""


@dataclass(frozen=True)
class SpokenLine:
    """A line of a transcript as written, with directions such as "[happy 0.7]", and when it is spoken, in seconds of
    the voice (-1: unknown)."""

    text: str = ""
    start: float = -1.0
    end: float = -1.0


@dataclass(frozen=True)
class SetEmotion:
    """An emotion that somebody chose for the whole performance, with its intensity, 0 to 1. No name: none."""

    name: str = ""
    intensity: float = 1.0


@dataclass(frozen=True)
class Predict(Request[Performance]):
    """Job: predict weights from a voice (an audio file as a blob). Results: one `Performance`.

    The result has `frames` rows (0: up to the end of the voice). Row i is the voice at second
    `offset + i * fps_denominator / fps_numerator`; outside the voice is silence. Other banks rest at the source's own
    weights, except for `blinks` a minute (0 to `MOST_BLINKS`) and movements of the head (`head`: 0 none, 1 natural
    for a person who talks, at most `MOST_HEAD`) where the bundle has named weights for them. `seed` and the shot's
    own clock, on which the voice begins at second `clock`, decide when both happen.

    The fields from `lines` on are for servers with the capability `SEMANTICS`; their defaults ask for what older
    servers do. There, `voice` may be empty: then the words are timed by their syllables from second 0 on. `lines` are
    the transcript (`transcript` alone has no times), `language` a BCP 47 tag (empty: unknown). Only `banks` are
    computed; the others rest at the source's own weights. With `emotion_gain` above 0, the emotions of voice and words
    are predicted and multiplied by it; `emotion` is one for the whole performance instead, which directions in the
    lines override. `pose` is `idle` (movements as above) or `flow` (drawn by the bundle's own network, where it has
    one, as freely as `temperature` says; `head` is their gain).

    With `progress` the server tells how far it is (capability `PREDICT_PROGRESS`; others ignore it). `visemes`
    (capability `VISEMES`) asks for when the lips show what.
    """

    source: str = ""
    voice: str = ""
    transcript: str = ""
    fps_numerator: int = 25
    fps_denominator: int = 1
    frames: int = 0
    offset: float = 0.0
    seed: int = 0
    blinks: float = 0.0
    head: float = 0.0
    clock: float = 0.0
    lines: tuple[SpokenLine, ...] = ()
    language: str = ""
    banks: tuple[str, ...] = ("mouth", "pose", "expression")
    emotion: SetEmotion = SetEmotion()
    emotion_gain: float = 0.0
    temperature: float = NATURAL_TEMPERATURE
    pose: str = "idle"
    progress: bool = False
    visemes: bool = False


CAPTURE_FOLLOW = "capture.follow"
"""Capability of servers that read `Capture.follow`; others ignore it."""


@dataclass(frozen=True)
class Capture(Request[Performance]):
    """Job: capture weights from a driving video (a file as a blob). Results: one `Performance`.

    Row i is the video at second `offset + i * fps_denominator / fps_numerator`, as in `Predict`; the video's first and
    last pictures hold before and after it. One crop follows the face smoothly. The driver's change since the moment
    `zero` is added to the source's own weights: `nearest` (the picture that looks most like the source), `calmest`
    (little movement, near rest) or `second` (second `zero_second` of the video). `absolute` uses the driver's weights
    as they are. `mouth`, `pose` and `expression` are the banks' strengths, 0 to 10: 0 keeps the source's own weights,
    1 is the driver's movement. `follow` corrects what was read by redrawing the driver, where the bundle can: closer
    and several times as long. (Capability `CAPTURE_FOLLOW`.)
    """

    capability = "capture"

    source: str = ""
    video: str = ""
    fps_numerator: int = 25
    fps_denominator: int = 1
    frames: int = 0
    offset: float = 0.0
    zero: str = "nearest"
    zero_second: float = 0.0
    absolute: bool = False
    mouth: float = 1.0
    pose: float = 1.0
    expression: float = 1.0
    follow: bool = False


@dataclass(frozen=True)
class Preview(Request[PreviewFrame]):
    """Job: render one frame for display. A newer preview cancels an older one of the same connection that has not
    started yet (reason `superseded`). `size`: as in `Render`. Results: `PreviewFrame`."""

    is_interactive = True

    source: str = ""
    weights: Blob = Blob(b"")
    framing: str = "face"
    size: int = 0


@dataclass(frozen=True)
class Render(Request[Frame]):
    """Job: render frames to keep. `weights` has one row for each entry of `frames` (the client's frame numbers).
    Results: `Frame`s in that order. `encoding`: `png` (8-bit file), `exr` (half float file, linear light) or
    `rgba` (raw, bottom-up, 4 bytes a pixel). `framing`: `face` (the crop) or `full` (the face pasted back into the
    whole portrait). `alpha`: the face's soft matte in the alpha channel. `size`: the side of `face` pictures at most,
    in pixels; the largest of `Prepared.sizes` that is not above it is taken, the bundle's own for 0. (Capability
    `size`.) `cut_out`: full frames of a portrait that is transparent in parts (`Prepared.cut_out`) have its alpha; else
    grey shows there. (Capability `CUT_OUT`.)

    The server sends at most `credit` frames; each `Credit` allows more. `Progress` comes in between.
    """

    source: str = ""
    frames: tuple[int, ...] = ()
    encoding: str = "png"
    credit: int = 8
    weights: Blob = Blob(b"")
    framing: str = "face"
    alpha: bool = False
    size: int = 0
    cut_out: bool = False


@dataclass(frozen=True)
class Movie(Request[Done]):
    """Job: encode an image sequence on this machine as a movie file with sound, marked as synthetic.

    `folder` holds files named by `pattern` (such as `%04d.png`), numbered `first` to `last`. `sound` is a file on this
    machine or empty; it starts at second `sound_offset` of the movie. `cut_out`: the frames are transparent in parts,
    and grey shows there. (Capability `CUT_OUT`.) Only for clients on the server's machine.
    Results: none but `Done`; the file is at `output`, written whole or not at all.
    """

    capability = "movie"

    folder: str = ""
    pattern: str = "%04d.png"
    first: int = 1
    last: int = 1
    fps_numerator: int = 25
    fps_denominator: int = 1
    sound: str = ""
    sound_offset: float = 0.0
    output: str = ""
    cut_out: bool = False


@dataclass(frozen=True)
class ListBundles(Request[Bundles]):
    """Job: list the model bundles. Results: `Bundles`."""

    capability = "bundles"


@dataclass(frozen=True)
class ImportBundle(Request[Bundles]):
    """Job: import the official checkpoints in `folder` (a file or folder on this machine) as the bundle `name`.
    Only for clients on the server's machine. Results: `Bundles`, the list with the new one."""

    capability = "bundles"

    folder: str = ""
    name: str = ""


@dataclass(frozen=True)
class DownloadBundle(Request[Bundles]):
    """Job: download a bundle that the server's catalogue offers (`BundleEntry.installed` false). Send it only when the
    user asked for it. `mirror` replaces the start of the catalogue's addresses. Results: `Bundles`."""

    capability = "bundles"

    name: str = ""
    mirror: str = ""


# --- jobs: control -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Credit(Message):
    """Allow `frames` more frames of a render job."""

    job: str = ""
    frames: int = 1


@dataclass(frozen=True)
class Cancel(Message):
    """Cancel a job of this client, whichever connection started it. The job answers `Cancelled`, unless it has already
    ended."""

    job: str = ""
