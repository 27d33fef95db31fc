"""Words and emotions: curves that can be edited, sentences that can be fixed, banks that can be predicted alone."""

from __future__ import annotations

import dataclasses
from importlib import import_module
from pathlib import Path
from typing import Any

import bpy
import pytest

pytestmark = pytest.mark.versions

EMOTIONS = ("happy", "sad", "angry", "surprised", "fear", "disgusted", "contempt", "neutral")
WORDS = ("So", "glad", "to", "see", "you.", "Go", "away!")


@pytest.fixture
def feeling(addon: Any, talking: bpy.types.Object, monkeypatch: pytest.MonkeyPatch) -> bpy.types.Object:
    """A character whose running bundle has expressions."""
    presets = {name: {"mouth_01": 0.1} for name in EMOTIONS}
    session = addon.session
    monkeypatch.setattr(session, "bundle", dataclasses.replace(session.bundle, presets=presets))
    return talking


@pytest.fixture
def asked(addon: Any, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The predictions that were asked for."""
    client, requests = addon("core.server.client").Client, []
    start = client.start

    def noted(self: Any, request: Any, *rest: Any) -> str:
        if type(request).__name__ == "Predict":
            requests.append(request)
        return start(self, request, *rest)

    monkeypatch.setattr(client, "start", noted)
    return requests


def felt(ob: bpy.types.Object, name: str, frame: int = 6) -> float:
    bpy.context.scene.frame_set(frame)
    graph = bpy.context.evaluated_depsgraph_get()
    return getattr(ob.evaluated_get(graph).edtalk.emotion, name)


def generated(addon: Any, ob: bpy.types.Object, role: str, path: str) -> Any:
    return addon("scene.keys.layers").find_sheet(ob, role).find(f"edtalk.{path}")


@pytest.fixture
def spoken(addon: Any, talking: bpy.types.Object) -> bpy.types.Object:
    """A character that has said two sentences over ten frames."""
    sentence = import_module("shared_protocol.messages").Sentence
    times = [(i / 25, (i + 1) / 25) for i in range(len(WORDS))]
    said = (
        sentence(0, 5, 0.0, 0.2, "happy", 0.7, "recognized"),
        sentence(5, 2, 0.2, 0.28, "angry", 0.5, "guessed"),
    )
    addon("scene.speech.spoken").keep(talking, WORDS, times, said, lambda second: 2 + 25 * second)
    return talking


# --- curves ----------------------------------------------------------------------------------------------------------


def test_an_emotion_becomes_eight_curves_that_can_be_edited(addon: Any, talking: bpy.types.Object) -> None:
    weights = [tuple(key.co) for key in generated(addon, talking, "performance", "mouth_01").keyframe_points]
    bpy.ops.edtalk.predict(emotion="happy 0.6")
    assert felt(talking, "happy") == pytest.approx(0.6) and felt(talking, "sad") == 0
    for name in EMOTIONS:
        assert generated(addon, talking, "emotions", f"emotion.{name}") is not None
    keys = generated(addon, talking, "performance", "mouth_01").keyframe_points
    assert [tuple(key.co) for key in keys] == weights, "nothing of it is in the weights"


def test_edited_curves_are_saved_before_they_are_predicted_again(
    addon: Any, talking: bpy.types.Object
) -> None:
    bpy.ops.edtalk.predict(emotion="happy 0.6")
    curve = generated(addon, talking, "emotions", "emotion.happy")
    curve.keyframe_points[3].co.y = 0.9
    curve.update()
    bpy.ops.edtalk.predict(emotion="sad 0.5")
    assert felt(talking, "sad") == pytest.approx(0.5) and felt(talking, "happy") == 0
    (kept,) = [action for action in bpy.data.actions if "before predicting" in action.name]
    assert kept.use_fake_user
    bpy.ops.edtalk.predict(emotion="sad 0.5")
    assert len([action for action in bpy.data.actions if "before predicting" in action.name]) == 1


def test_keys_of_the_artists_own_emotions_stay(talking: bpy.types.Object) -> None:
    talking.edtalk.emotion.happy = 0.3
    assert talking.keyframe_insert("edtalk.emotion.happy", frame=6)
    own = talking.animation_data.action
    bpy.ops.edtalk.predict(emotion="sad")
    assert talking.animation_data.action == own and len(own.name)
    assert felt(talking, "sad") == pytest.approx(1.0)


def test_markers_keep_driving_the_emotions(addon: Any, feeling: bpy.types.Object, asked: list[Any]) -> None:
    bpy.ops.edtalk.predict()
    assert asked[-1].emotion_gain == 1.0
    addon("scene.character").set_presets(feeling, {"angry": {"mouth_01": 0.1}})
    bpy.context.scene.timeline_markers.new("angry", frame=1)
    bpy.ops.edtalk.emotions_from_markers()
    feeling.edtalk.emotion.blend = 0.0
    before = felt(feeling, "angry", 12)
    bpy.ops.edtalk.predict()
    assert asked[-1].emotion_gain == 0.0 and felt(feeling, "angry", 12) == before > 0


def test_emotions_can_be_switched_off(feeling: bpy.types.Object, asked: list[Any]) -> None:
    feeling.edtalk.speech.feel = False
    bpy.ops.edtalk.predict()
    assert asked[-1].emotion_gain == 0.0
    feeling.edtalk.speech.feel, feeling.edtalk.speech.emotion_gain = True, 1.5
    feeling.edtalk.speech.temperature = 0.25
    bpy.ops.edtalk.predict()
    assert (asked[-1].emotion_gain, asked[-1].temperature, asked[-1].pose) == (1.5, 0.25, "flow")


# --- banks, words ----------------------------------------------------------------------------------------------------


def test_one_bank_alone_is_predicted_and_the_keys_of_others_stay(
    addon: Any, talking: bpy.types.Object, asked: list[Any]
) -> None:
    for path in ("mouth_01", "pose_01"):
        curve = generated(addon, talking, "performance", path)
        curve.keyframe_points[4].co.y = 7.0
        curve.update()
    bpy.ops.edtalk.predict(banks={"MOUTH"}, emotion="happy")
    assert asked[-1].banks == ("mouth",)
    assert generated(addon, talking, "performance", "pose_01").evaluate(5) == pytest.approx(7.0)
    assert generated(addon, talking, "performance", "mouth_01").evaluate(5) != pytest.approx(7.0)
    assert addon("scene.keys.layers").find_sheet(talking, "emotions") is None


def test_subtitles_are_sent_with_their_times(
    talking: bpy.types.Object, asked: list[Any], tmp_path: Path
) -> None:
    group = talking.edtalk
    file = tmp_path / "words.srt"
    file.write_text("1\n00:00:00,200 --> 00:00:00,400\n[sad] Hello there\n", "utf-8")
    group.speech.transcript_from, group.transcript, group.speech.language = "FILE", str(file), " en "
    group.voice_start = 3.0
    bpy.ops.edtalk.predict()
    (line,) = asked[-1].lines
    assert (line.text, line.start, line.end) == ("[sad] Hello there", pytest.approx(0.2), pytest.approx(0.4))
    assert asked[-1].language == "en" and asked[-1].transcript == ""


def test_words_need_no_voice(addon: Any, talking: bpy.types.Object, asked: list[Any]) -> None:
    group = talking.edtalk
    group.voice, group.speech.text = "", bpy.data.texts.new("Words")
    group.speech.text.write("Good morning.")
    with pytest.raises(RuntimeError):
        bpy.ops.edtalk.predict()
    group.speech.transcript_from = "TEXT"
    bpy.ops.edtalk.predict()
    assert asked[-1].voice == "" and asked[-1].lines[0].text == "Good morning."


def test_an_older_server_gets_the_words_that_it_knows(
    addon: Any, talking: bpy.types.Object, asked: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    group, session = talking.edtalk, addon.session
    group.speech.transcript_from, group.speech.text = "TEXT", bpy.data.texts.new("Words")
    group.speech.text.write("(happy 0.5) Good morning.")
    can = session.can
    monkeypatch.setattr(session, "can", lambda what: what != "predict.semantics" and can(what))
    bpy.ops.edtalk.predict()
    assert asked[-1].transcript == "Good morning." and asked[-1].lines == ()
    with pytest.raises(RuntimeError, match="older than the add-on"):
        bpy.ops.edtalk.predict(emotion="happy")


# --- sentences -------------------------------------------------------------------------------------------------------


def test_a_click_on_a_sentence_goes_to_its_beginning(spoken: bpy.types.Object) -> None:
    speech = spoken.edtalk.speech
    assert [(item.name, item.emotion, item.timed) for item in speech.sentences] == [
        ("So glad to see you.", "happy", "recognized"),
        ("Go away!", "angry", "guessed"),
    ]
    speech.sentence = 1
    assert bpy.context.scene.frame_current == 7


def test_a_fix_is_written_into_the_text_and_changes_this_sentence_alone(spoken: bpy.types.Object) -> None:
    speech = spoken.edtalk.speech
    speech.transcript_from, speech.text = "TEXT", bpy.data.texts.new("Words")
    speech.text.write("So glad to\nsee you. Go away!")
    speech.sentence = 0
    bpy.ops.edtalk.fix_emotion(emotion="sad")
    assert speech.text.as_string() == "[sad] So glad to\nsee you. [angry 0.5] Go away!"
    speech.sentence = 1
    bpy.ops.edtalk.fix_emotion(emotion="none")
    assert speech.text.as_string() == "[sad] So glad to\nsee you. [none] Go away!"


def test_a_fix_leaves_the_artists_file_alone(spoken: bpy.types.Object, tmp_path: Path) -> None:
    file = tmp_path / "words.srt"
    subtitles = "1\n00:00:00,100 --> 00:00:00,400\nSo glad <i>to</i> see you.\nGo away!\n"
    file.write_text(subtitles, "utf-8")
    speech = spoken.edtalk.speech
    speech.transcript_from, spoken.edtalk.transcript = "FILE", str(file)
    speech.sentence = 1
    bpy.ops.edtalk.fix_emotion(emotion="fear")
    assert file.read_text("utf-8") == subtitles
    assert speech.transcript_from == "TEXT"
    assert speech.text.as_string() == subtitles.replace("Go away!", "[fear] Go away!")


def test_words_that_are_not_there_any_more_cannot_be_fixed(spoken: bpy.types.Object) -> None:
    speech = spoken.edtalk.speech
    speech.transcript_from, speech.text = "TEXT", bpy.data.texts.new("Words")
    speech.text.write("Something else")
    speech.sentence = 0
    with pytest.raises(RuntimeError, match="does not hold this sentence"):
        bpy.ops.edtalk.fix_emotion(emotion="sad")
    assert speech.text.as_string() == "Something else"


def test_word_marks_come_and_go_and_are_no_emotions(addon: Any, spoken: bpy.types.Object) -> None:
    scene = bpy.context.scene
    scene.timeline_markers.new("my own", frame=3)
    bpy.ops.edtalk.mark_words()
    bpy.ops.edtalk.mark_words()
    marks = [(marker.name, marker.frame) for marker in scene.timeline_markers if marker.name != "my own"]
    assert marks == [(f"· {word}", 2 + i) for i, word in enumerate(WORDS)]
    scene.timeline_markers[-1].name = "· happy"
    cues = addon("scene.speech.cues")
    assert cues.from_markers(scene, spoken) == [] and cues.doubts(scene, spoken) == []
    bpy.ops.edtalk.clear_word_marks()
    assert [marker.name for marker in scene.timeline_markers] == ["my own"]


def test_visemes_can_be_marked_instead(addon: Any, spoken: bpy.types.Object) -> None:
    scene, words = bpy.context.scene, addon("scene.speech.spoken")
    shown = [words.SpokenWord("PP", 0.1, 0.2), words.SpokenWord("aa", 0.2, 0.3)]
    words.keep(spoken, ["Ma"], [(0.1, 0.3)], [], lambda second: 2 + 25 * second, shown)
    bpy.ops.edtalk.mark_words()
    bpy.ops.edtalk.mark_words(what="VISEMES")
    assert [(marker.name, marker.frame) for marker in scene.timeline_markers] == [("· PP", 4), ("· aa", 7)]
    words.move(spoken, lambda frame: frame + 10)
    assert [round(one.start) for one in words.visemes_of(spoken)] == [14, 17]
    bpy.ops.edtalk.clear_word_marks()
    assert not len(scene.timeline_markers)


def test_an_older_server_is_asked_for_no_visemes(
    addon: Any, feeling: bpy.types.Object, asked: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    feeling.edtalk.speech.transcript_from = "TEXT"
    feeling.edtalk.speech.text = bpy.data.texts.new("Words")
    feeling.edtalk.speech.text.write("Ma ma")
    bpy.ops.edtalk.predict()
    assert asked[-1].visemes
    names = [one.text for one in addon("scene.speech.spoken").visemes_of(feeling)]
    assert names[:2] == ["PP", "aa"]
    can = addon.session.can
    monkeypatch.setattr(addon.session, "can", lambda what: what != "predict.visemes" and can(what))
    bpy.ops.edtalk.predict()
    assert not asked[-1].visemes and not feeling.edtalk.speech.visemes


# --- without a window ------------------------------------------------------------------------------------------------


def test_the_command_takes_words_and_an_emotion(
    addon: Any, talking: bpy.types.Object, asked: list[Any], tmp_path: Path
) -> None:
    words = tmp_path / "words.txt"
    words.write_text("Hello there", "utf-8")
    batch, copy = addon("ui.batch"), tmp_path / "copy.blend"
    options = ["--transcript", str(words), "--emotion", "sad:0.5", "--banks", "expression"]
    assert batch.run(["predict", *options, "--temperature", "0.1", "-o", str(copy)]) == 0
    assert [line.text for line in asked[-1].lines] == ["Hello there"]
    assert asked[-1].banks == ("expression",) and asked[-1].temperature == pytest.approx(0.1)
    assert felt(talking, "sad") == pytest.approx(0.5)
    assert batch.run(["predict", "--banks", "nose"]) == batch.Exit.USAGE


def test_a_fix_is_undone_in_one_step(spoken: bpy.types.Object) -> None:
    speech = spoken.edtalk.speech
    speech.transcript_from, speech.text = "TEXT", bpy.data.texts.new("Words")
    speech.text.write("So glad to see you. Go away!")
    speech.sentence = 0
    bpy.ops.ed.undo_push(message="before")
    bpy.ops.edtalk.fix_emotion(emotion="sad")
    bpy.ops.ed.undo_push(message="fixed")
    assert bpy.data.texts["Words"].as_string().startswith("[sad]")
    bpy.ops.ed.undo()
    assert bpy.data.texts["Words"].as_string() == "So glad to see you. Go away!"


def test_directions_become_curves_and_sentences(feeling: bpy.types.Object) -> None:
    speech = feeling.edtalk.speech
    speech.transcript_from, speech.text = "TEXT", bpy.data.texts.new("Words")
    speech.text.write("[happy 0.8] Oh! [none] No.")
    bpy.ops.edtalk.predict()
    assert felt(feeling, "happy", 2) > 0.15 > felt(feeling, "happy", 12)
    assert [item.name for item in speech.sentences] == ["Oh!", "No."]
    assert speech.sentences[0].emotion == "happy" and speech.sentences[0].timed == "guessed"
