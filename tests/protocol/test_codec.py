"""What is sent arrives as it was; what is no message is refused in words, and nothing worse."""

from __future__ import annotations

import math
import random
from dataclasses import fields, is_dataclass
from typing import Any, get_args, get_type_hints

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared_protocol import codec, messages
from shared_protocol.errors import ErrorCode
from shared_protocol.messages import Blob, Message

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
WHOLE = st.integers(-(2**63), 2**63 - 1)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)


def _values_of(hint: Any) -> st.SearchStrategy[Any]:
    simple = {str: TEXT, int: WHOLE, float: NUMBER, bool: st.booleans(), Blob: st.binary(max_size=300)}
    if hint in simple:
        return simple[hint]
    if is_dataclass(hint):
        return _any_of(hint)
    return st.lists(_values_of(get_args(hint)[0]), max_size=20).map(tuple)


def _any_of(kind: Any) -> st.SearchStrategy[Any]:
    return st.builds(kind, **{name: _values_of(hint) for name, hint in get_type_hints(kind).items()})


def _any_message() -> st.SearchStrategy[Message]:
    return st.one_of(*(_any_of(kind) for kind in codec.message_types().values()))


@settings(max_examples=1500, deadline=None)
@given(_any_message())
def test_every_message_arrives_as_it_was_sent(message: Message) -> None:
    frames = codec.encode(message)
    assert codec.decode([bytes(frame) for frame in frames]) == message
    assert codec.decode(frames) == message, "views work as well as bytes"


def test_every_message_of_the_vocabulary_can_be_sent_with_its_defaults() -> None:
    kinds = codec.message_types()
    assert len(kinds) >= 20
    for name, kind in kinds.items():
        assert codec.decode(codec.encode(kind())) == kind(), name


def test_pictures_never_enter_the_header_and_are_not_copied() -> None:
    picture = bytearray(256 * 256 * 4)
    header, blob = codec.encode(messages.PreviewFrame("j", 256, 256, Blob(picture)))  # type: ignore[arg-type]
    assert len(header) < 200
    picture[5] = 99
    assert blob[5] == 99, "the frame is a view of the picture itself"
    received = codec.decode([header, picture])
    assert isinstance(received, messages.PreviewFrame)
    picture[6] = 77
    assert received.pixels[6] == 77


def test_a_newer_sender_is_understood() -> None:
    """Unknown fields and surplus frames are ignored; fields it left out take their defaults."""
    header = msgpack.packb({"type": "Frame", "job": "a", "colour_space": "sRGB", "more": [1, {"x": 2}]})
    message = codec.decode([header, b"data", b"a second blob of a later version"])
    assert message == messages.Frame(job="a", data=Blob(b"data"))


def test_an_unknown_request_is_told_apart_from_rubbish() -> None:
    with pytest.raises(codec.UnsupportedMessageError) as caught:
        codec.decode([msgpack.packb({"type": "Teleport", "job": "a"})])
    assert caught.value.code is ErrorCode.UNSUPPORTED
    assert "Teleport" in caught.value.cause


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"\xc1",
        b"not msgpack at all",
        msgpack.packb(None),
        msgpack.packb([1, 2]),
        msgpack.packb({}),
        msgpack.packb({"type": 7}),
        msgpack.packb({"type": "Ping", "serial": "1"}),
        msgpack.packb({"type": "Ping", "serial": True}),
        msgpack.packb({"type": "Ping", "serial": 1.0}),
        msgpack.packb({"type": "Ping", "serial": 2**63}),
        msgpack.packb({"type": "Ping", "serial": None}),
        msgpack.packb({"type": "Predict", "offset": math.nan}),
        msgpack.packb({"type": "Predict", "offset": math.inf}),
        msgpack.packb({"type": "Prepare", "crop": [1.0, 2.0]}),
        msgpack.packb({"type": "Prepare", "crop": {"side": "wide"}}),
        msgpack.packb({"type": "Prepare", "job": b"bytes"}),
        msgpack.packb({"type": "HaveBlobs", "digests": "abc"}),
        msgpack.packb({"type": "HaveBlobs", "digests": [1]}),
        msgpack.packb({"type": "Render", "frames": {"1": 2}}),
        msgpack.packb({"type": "Done", "job": "\ud800"}, unicode_errors="surrogatepass"),
        msgpack.packb({"type": "Ping"}) + b"tail",
        b"\x91" * 100_000,
        b"\xdd\xff\xff\xff\xff",
    ],
)
def test_what_is_no_message_is_refused_in_words(header: bytes) -> None:
    with pytest.raises(codec.MalformedMessageError) as caught:
        codec.decode([header])
    assert caught.value.cause.endswith(".")
    assert caught.value.fix


def test_limits_hold_in_both_directions() -> None:
    huge = messages.HaveBlobs(("x" * codec.MAX_HEADER_BYTES,))
    with pytest.raises(codec.OversizedMessageError):
        codec.encode(huge)
    with pytest.raises(codec.OversizedMessageError):
        codec.decode([msgpack.packb({"type": "HaveBlobs", "digests": huge.digests})])
    with pytest.raises(codec.OversizedMessageError):
        codec.decode([msgpack.packb({"type": "Ping"}), *[b""] * codec.MAX_FRAMES])
    with pytest.raises(codec.MalformedMessageError):
        codec.decode([])


def test_a_blob_beyond_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "MAX_BLOB_BYTES", 1000)
    with pytest.raises(codec.OversizedMessageError):
        codec.encode(messages.PutBlob("d", Blob(bytes(1001))))
    with pytest.raises(codec.OversizedMessageError):
        codec.decode([msgpack.packb({"type": "PutBlob"}), bytes(1001)])


def test_only_what_the_fields_promise_can_be_sent() -> None:
    for wrong in (
        messages.Ping(serial="1"),  # type: ignore[arg-type]
        messages.Predict(offset=math.nan),
        messages.Done(job="\ud800"),
        messages.PutBlob("d", "text"),  # type: ignore[arg-type]
    ):
        with pytest.raises(codec.MalformedMessageError):
            codec.encode(wrong)


def test_a_hundred_thousand_damaged_messages_never_raise_anything_else() -> None:
    chance = random.Random(7)
    kinds = list(codec.message_types().values())
    for _ in range(100_000):
        header = bytearray(codec.encode(chance.choice(kinds)())[0])
        for _ in range(chance.randint(1, 4)):
            header[chance.randrange(len(header))] = chance.randrange(256)
        try:
            message = codec.decode(
                [bytes(header[: chance.randint(0, len(header))] if chance.random() < 0.3 else header)]
            )
        except codec.CodecError:
            continue
        for field in fields(message):
            assert getattr(message, field.name) is not None


def test_a_prediction_of_an_older_client_asks_for_what_it_got() -> None:
    header = {"type": "Predict", "job": "j", "source": "s", "voice": "v", "transcript": "Hello", "head": 1.0}
    asked = codec.decode([msgpack.packb(header)])
    assert isinstance(asked, messages.Predict)
    assert asked == messages.Predict("j", "s", "v", "Hello", head=1.0)
    assert (asked.emotion_gain, asked.emotion.name, asked.pose) == (0.0, "", "idle")
    assert asked.banks == ("mouth", "pose", "expression") and asked.lines == ()


def test_a_performance_of_an_older_server_has_neither_words_nor_emotions() -> None:
    header = {"type": "Performance", "job": "j", "frames": 1, "channels": 1, "notes": ["dark"]}
    got = codec.decode([msgpack.packb(header), b"\0" * 4])
    assert isinstance(got, messages.Performance)
    assert got == messages.Performance("j", 1, 1, Blob(b"\0" * 4), ("dark",))
    assert not len(got.emotions) and not len(got.word_times) and got.words == got.sentences == ()
