"""Transcripts as people and programs write them: what is said, when, and how it feels."""

from __future__ import annotations

import pytest

from shared_protocol.emotions import Cue
from shared_protocol.errors import EDTalkError
from shared_protocol.transcripts import MAX_BYTES, Line, Transcript, decode, parse

SRT = """1
00:00:01,000 --> 00:00:02,500
<i>Hello</i> there,
my friend.

2
00:00:03.25 --> 00:00:05 X1:10 X2:20
{\\an8}[sad] 4 &amp; 5
42
3
00:01:00,000 --> 00:01:01,000
Bye.
"""

VTT = """WEBVTT - a test
Kind: captions

NOTE this is
not said

STYLE
::cue { color: lime }

opening
00:01.000 --> 00:02.000 align:start
<v Roger>Well, <00:01.500><c.loud>hello</c>.

01:00:00.000 --> 01:00:02.000
(happy 0.5) At last
"""


def test_subrip_with_commas_dots_markup_and_a_missing_blank_line() -> None:
    lines = parse(SRT, "voice.srt").lines
    assert lines == (
        Line("Hello there, my friend.", (1.0, 2.5)),
        Line("[sad] 4 & 5 42", (3.25, 5.0)),
        Line("Bye.", (60.0, 61.0)),
    )


def test_webvtt_without_header_notes_styles_names_and_markup() -> None:
    lines = parse(VTT, "voice.vtt").lines
    assert lines == (Line("Well, hello.", (1.0, 2.0)), Line("(happy 0.5) At last", (3600.0, 3602.0)))


@pytest.mark.parametrize("text", [SRT, VTT])
@pytest.mark.parametrize("ending", ["\r\n", "\r"])
def test_line_endings_and_the_file_mark_do_not_matter(text: str, ending: str) -> None:
    expected = parse(text)
    for encoding in ("utf-8-sig", "utf-16"):
        data = text.replace("\n", ending).encode(encoding)
        assert parse(decode(data)) == expected
    assert expected.is_timed


def test_text_of_old_programs_is_read_and_what_is_no_text_is_refused() -> None:
    assert decode("Käse".encode("cp1252")) == decode("Käse".encode()) == "Käse"
    with pytest.raises(EDTalkError, match="no text file"):
        decode(b"RIFF\0\0\0\0WAVE")


@pytest.mark.parametrize(
    ("text", "name", "words"),
    [
        ("1\n00:00:01,000 -> 00:00:02,000\nHi\n2\n00:00:0x --> 3\n", "a.srt", "Line 5"),
        ("1\n00:00:03,000 --> 00:00:02,000\nHi", "a.srt", "Line 2 .* ends before"),
        ("1\n00:00:03,000 --> 00:61:02,000\nHi", "a.srt", "Line 2 .* more than 59"),
        ("Title\n\n1\n00:00:01,000 --> 00:00:02,000\nHi", "a.srt", "Line 1 .* before any time"),
        ("Only words", "a.srt", "no times"),
        ("WEBVTT\n\n00:01.000 --> soon\nHi", "a.vtt", "Line 3"),
        ("x" * (MAX_BYTES + 1), "a.txt", "longer than"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text: str, name: str, words: str) -> None:
    with pytest.raises(EDTalkError, match=words):
        parse(text, name)


def test_a_text_block_shows_by_itself_what_it_is() -> None:
    assert parse(SRT, "Text.001").is_timed and parse(VTT, "Text").is_timed
    plain = parse("Hello there.\nHow are you?", "Text")
    assert not plain.is_timed and plain.words == 5


@pytest.mark.parametrize(("text", "name"), [("", "a.txt"), ("\n \n", "a.srt"), ("WEBVTT\n", "a.vtt")])
def test_nothing_said_is_no_error(text: str, name: str) -> None:
    assert parse(text, name) == Transcript() and parse(text, name).words == 0


def test_emotions_are_taken_out_of_what_is_said_and_other_brackets_stay() -> None:
    text = "[happy 0.7] Well [laughs], that (see above) went (angry: 40% + fear) fine [sad], (Calm) no?"
    transcript = parse(text)
    assert transcript.speech == "Well [laughs], that (see above) went fine, no?"
    felt = [cue.emotions for cue in transcript.feelings((0.0, 1.0))]
    assert felt == [
        (("happy", 0.7),),
        (("angry", 0.4), ("fear", 1.0)),
        (("sad", 1.0),),
        (("neutral", 1.0),),
    ]


def test_in_plain_text_an_emotion_lies_as_far_in_the_voice_as_the_letters_before_it() -> None:
    transcript = parse("[happy]abc de [sad] fghij[none]")
    assert transcript.feelings((10.0, 20.0)) == [
        Cue(10.0, (("happy", 1.0),)),
        Cue(15.0, (("sad", 1.0),)),
        Cue(20.0, ()),
    ]


def test_in_subtitles_an_emotion_lies_in_the_time_of_its_line() -> None:
    times = [cue.time for cue in parse(SRT).feelings((0.0, 99.0))]
    assert times == [3.25]
    assert parse("00:02.000 --> 00:04.000\nab [sad] cd").feelings((0.0, 99.0))[0].time == 3.0
    alone = parse("00:02.000 --> 00:04.000\n[sad]")
    assert alone.feelings((0.0, 9.0))[0].time == 2.0 and alone.speech == ""
