# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers: what this add-on writes is on NLA tracks of its own, and the artist's keys are on top.

A character's performance is an action of ours on the track "EDTalk Performance", its emotions from markers or words
another on "EDTalk Emotions". The object's own action, above all tracks, is the artist's: it combines with what lies
below, so a key there is a change to the performance, and predicting again leaves it alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import bpy

from shared_protocol import emotions
from shared_protocol.banks import Bank
from shared_protocol.errors import EDTalkError, ErrorCode

from ...core.tasks import Steps, run_to_end
from ...core.weights.curves import Keys
from .. import character
from . import actions
from .actions import EMOTIONS, PERFORMANCE, Color, Sheet
from .draft import Draft

TRACKS = {PERFORMANCE: "EDTalk Performance", EMOTIONS: "EDTalk Emotions"}
GROUPS = {Bank.MOUTH: "Mouth", Bank.POSE: "Pose", Bank.EXPRESSION: "Expression"}
COLORS: dict[Bank, Color] = {
    Bank.MOUTH: (0.95, 0.40, 0.32),
    Bank.POSE: (0.35, 0.65, 1.0),
    Bank.EXPRESSION: (0.45, 0.85, 0.40),
}
EMOTION_COLOR: Color = (0.95, 0.75, 0.25)
ON_TOP = "COMBINE"
"""How hand work lies on the performance: weights add up, scales multiply, rotations follow each other. Over nothing it
is the action as it is."""
REPLACES = "REPLACE"
LAYERED = ("COMBINE", "ADD", "SUBTRACT", "MULTIPLY")


@dataclass(frozen=True)
class WriteResult:
    """What happened beside the writing: the name of the action that the artist's keys are `kept` in; `hiding`, the name
    of the artist's action whose keys lie over the performance; `covered`, the artist's tracks that it lies over."""

    kept: str = ""
    hiding: str = ""
    covered: tuple[str, ...] = ()


@dataclass(frozen=True)
class CurveStyle:
    """Group and colour of a property's curve."""

    group: str
    color: Color


@dataclass(frozen=True)
class LayerState:
    """How a character is layered, for panels: is there a performance, the action of the strip that is being edited
    itself, do new keys lie on top, and the action whose keys hide the performance."""

    performance: bool = False
    tweaked: str = ""
    on_top: bool = False
    hiding: str = ""


def weight_paths(ob: bpy.types.Object) -> dict[str, CurveStyle]:
    """The F-Curve path of each weight in order, with its looks: the bank's colour, paler from one to the next."""
    styles = {}
    for bank, bases in character.banks_of(ob).items():
        for i, (channel, _name) in enumerate(bases):
            pale = 0.5 * i / max(len(bases) - 1, 1)
            red, green, blue = (part + (1.0 - part) * pale for part in COLORS[bank])
            styles[character.data_path(channel)] = CurveStyle(GROUPS[bank], (red, green, blue))
    return styles


# --- reading ---------------------------------------------------------------------------------------------------------


def find_strip(ob: bpy.types.Object, role: str) -> bpy.types.NlaStrip | None:
    """Return the strip that plays what we wrote; None when none can be written (it may be a library's)."""
    for track in reversed(ob.animation_data.nla_tracks if ob.animation_data else ()):
        for strip in track.strips:
            if actions.role_of(strip.action) == role and strip.action.is_editable:
                return strip
    return None


def find_sheet(ob: bpy.types.Object, role: str) -> Sheet | None:
    """Return the sheet that we wrote for an object."""
    strip = find_strip(ob, role)
    return actions.strip_sheet(strip) if strip is not None else None


def own_weight_curves(ob: bpy.types.Object) -> dict[str, bpy.types.FCurve]:
    """Return the curves of weights in the object's own action; none in tweak mode, where a strip's stands for it."""
    own = actions.assigned_sheet(ob)
    return own.keyed(weight_paths(ob)) if own is not None and not is_tweaking(ob) else {}


def is_tweaking(ob: bpy.types.Object) -> bool:
    """Return whether a strip of the object's NLA is in tweak mode."""
    return bool(ob.animation_data and ob.animation_data.use_tweak_mode)


def is_on_top(ob: bpy.types.Object) -> bool:
    """Return whether new keys add to what is below."""
    data = ob.animation_data
    return bool(data) and not data.use_tweak_mode and data.action_blend_type in LAYERED


def layer_state(ob: bpy.types.Object) -> LayerState:
    """Return how the object is layered."""
    data = ob.animation_data
    if data is None:
        return LayerState()
    tweaked = data.action.name if data.use_tweak_mode and data.action else ""
    return LayerState(find_strip(ob, PERFORMANCE) is not None, tweaked, is_on_top(ob), _hiding(ob))


def _hiding(ob: bpy.types.Object) -> str:
    """Return the name of the artist's action whose weights hide the performance; empty when there is none."""
    data = ob.animation_data
    if data.use_tweak_mode or data.action_blend_type != REPLACES or not own_weight_curves(ob):
        return ""
    return str(data.action.name)


def _covered(ob: bpy.types.Object) -> tuple[str, ...]:
    """The artist's tracks with weights below the performance, which replaces them. (A new track comes on top of all;
    Blender lets only its NLA editor move it down.)"""
    names: list[str] = []
    for track in ob.animation_data.nla_tracks:
        sheets = [sheet for strip in track.strips if (sheet := actions.find_strip_sheet(strip)) is not None]
        if any(actions.role_of(sheet.action) == PERFORMANCE for sheet in sheets):
            return tuple(names)
        if not track.mute and any(sheet.keyed(weight_paths(ob)) for sheet in sheets):
            names.append(track.name)
    return ()


# --- writing ---------------------------------------------------------------------------------------------------------


def write_performance(
    ob: bpy.types.Object, frames: range, curves: Sequence[Keys | None]
) -> Steps[WriteResult]:
    """Write a performance over `frames`: the keys of a curve for each weight (None: that curve stays).

    Replaces our keys inside the range and leaves the rest. When the artist edited any of them, the action is first
    saved as a copy. The steps work on a draft; the file changes at the last one.
    Raises `EDTalkError` when the NLA is in tweak mode.
    """
    return (
        yield from _write_layer(ob, PERFORMANCE, frames, dict(zip(weight_paths(ob), curves, strict=True)))
    )


def write_predicted_emotions(
    ob: bpy.types.Object, frames: range, curves: Mapping[str, Keys]
) -> Steps[WriteResult]:
    """Write predicted intensities of emotions, by their names, over `frames`: as `write_performance`, on their
    track."""
    named = {emotion_path(name): keys for name, keys in curves.items()}
    return (yield from _write_layer(ob, EMOTIONS, frames, named))


def _looks(ob: bpy.types.Object, role: str) -> dict[str, CurveStyle]:
    """Return the F-Curve paths of what we write in a role, with their looks."""
    if role == PERFORMANCE:
        return weight_paths(ob)
    return {emotion_path(name): CurveStyle("Emotion", EMOTION_COLOR) for name in emotions.EMOTIONS}


def _write_layer(
    ob: bpy.types.Object, role: str, frames: range, curves: Mapping[str, Keys | None]
) -> Steps[WriteResult]:
    refuse_tweaking(ob)
    looks, strip = _looks(ob, role), find_strip(ob, role)
    is_ours = strip is not None and _plays_as_written(strip)
    draft = Draft(ob, actions.strip_sheet(strip) if is_ours else None, _name(ob, role), role)
    try:
        yield
        for path, keys in curves.items():
            if keys is not None:
                style = looks[path]
                actions.style_curve(draft.sheet.ensure(path, style.group), style.color)
                yield from actions.write_steps(partial(draft.curve, path), keys)
                yield
        before = yield from actions.fingerprint(lambda: draft.source, looks)
        after = yield from actions.fingerprint(lambda: draft.sheet, looks)
        refuse_tweaking(draft.owner)
        return _play_draft(draft, role, frames, before, after)
    finally:
        draft.drop()


def _play_draft(draft: Draft, role: str, frames: range, before: str, after: str) -> WriteResult:
    """Let the character play the draft. `before`, `after`: fingerprints of what it played and plays now."""
    ob, sheet = draft.owner, draft.sheet
    written = ob.edtalk if role == PERFORMANCE else ob.edtalk.emotion
    artist_action = _give_moved_strip_away(ob, role)
    edited = before not in {"", written.predicted}
    old = draft.source if not artist_action else None
    if old is not None:
        name, sheet.action.use_fake_user = old.action.name, old.action.use_fake_user
        if (strip := find_strip(ob, role)) is not None:  # its track may have been deleted since
            _assign(strip, sheet)
        artist_action = _retire(old.action, edited)
        sheet.action.name = name
    draft.mark_used()
    _play(ob, role, sheet)
    # keys outside the range that are not ours stay, and must still be seen as the artist's next time
    stays = edited and actions.has_keys_outside(sheet, _looks(ob, role), frames)
    written.predicted = "" if stays else after
    _let_keys_lie_on_top(ob)
    return WriteResult(artist_action, _hiding(ob), _covered(ob))


def _retire(action: bpy.types.Action, is_edited: bool) -> str:
    """What becomes of an action that a draft took the place of: the artist's, when he edited it (its name then), else
    it goes. One that others play stays with them."""
    is_played = action.users - action.use_fake_user > 0
    if is_edited:
        return actions.copy_for_artist(action) if is_played else actions.give_to_artist(action, action.name)
    if not is_played:
        bpy.data.actions.remove(action)
    return ""


def write_emotions(ob: bpy.types.Object, curves: Mapping[str, Keys]) -> None:
    """Write the intensities of emotions by their names. Replaces all that were written before.

    Keys that the artist set on the sliders lie on top and stay; written ones that the artist edited are saved as a
    copy. Raises `EDTalkError` when the NLA is being edited.
    """
    refuse_tweaking(ob)
    if not curves and find_strip(ob, EMOTIONS) is None:
        return
    _keep_edited_emotions(ob)
    sheet = _writable(ob, EMOTIONS)
    sheet.remove([curve.data_path for curve in sheet.curves()])
    if not curves:
        _stop(ob, EMOTIONS)
        return
    looks = {emotion_path(name): CurveStyle("Emotion", EMOTION_COLOR) for name in curves}
    _write_curves(sheet, looks, dict(zip(looks, curves.values(), strict=True)))
    _play(ob, EMOTIONS, sheet)
    note_predicted(ob, [EMOTIONS])
    _let_keys_lie_on_top(ob)


def predicted_roles(ob: bpy.types.Object) -> list[str]:
    """Return the roles whose keys are as a prediction left them."""
    notes = {PERFORMANCE: ob.edtalk.predicted, EMOTIONS: ob.edtalk.emotion.predicted}
    return [role for role, note in notes.items() if note and note == _fingerprint(ob, role)]


def note_predicted(ob: bpy.types.Object, roles: Iterable[str]) -> None:
    """Take the keys of these roles, as they are now, for a prediction's: we moved them, not the artist."""
    for role in roles:
        written = ob.edtalk if role == PERFORMANCE else ob.edtalk.emotion
        written.predicted = _fingerprint(ob, role)


def _fingerprint(ob: bpy.types.Object, role: str) -> str:
    return run_to_end(actions.fingerprint(lambda: find_sheet(ob, role), _looks(ob, role)))


def _keep_edited_emotions(ob: bpy.types.Object) -> None:
    """Save written emotions as a copy where the artist edited them."""
    predicted, sheet = ob.edtalk.emotion.predicted, find_sheet(ob, EMOTIONS)
    ob.edtalk.emotion.predicted = ""
    if predicted and sheet is not None:
        found = run_to_end(actions.fingerprint(lambda: sheet, _looks(ob, EMOTIONS)))
        if found not in {"", predicted}:
            actions.copy_for_artist(sheet.action)


def emotion_path(name: str) -> str:
    """Return the F-Curve path of an emotion's slider."""
    return f"edtalk.emotion.{name}"


def _write_curves(sheet: Sheet, looks: Mapping[str, CurveStyle], curves: Mapping[str, Keys]) -> None:
    for path, keys in curves.items():
        curve = sheet.ensure(path, looks[path].group)
        actions.write(curve, keys)
        actions.style_curve(curve, looks[path].color)


def refuse_tweaking(ob: bpy.types.Object) -> None:
    """Raise `EDTalkError` while a strip of the object's NLA is being edited."""
    if is_tweaking(ob):
        raise EDTalkError(
            ErrorCode.UNSUPPORTED,
            f"A strip of {ob.name} is being edited in the NLA.",
            "Choose the layer Tweaks in the Weights panel (or press Tab in the NLA editor) first.",
        )


def _writable(ob: bpy.types.Object, role: str) -> Sheet:
    """Return our action to write into: the one on our track, or a new one that is not played yet.

    One that several objects share (duplicates) is copied first, so that no other character changes.
    """
    strip = find_strip(ob, role)
    if strip is not None:
        return _unshared(strip)
    return actions.new_sheet(_name(ob, role), role, ob)


def _name(ob: bpy.types.Object, role: str) -> str:
    return f"EDTalk {ob.name}" if role == PERFORMANCE else f"EDTalk {role} {ob.name}"


def _unshared(strip: bpy.types.NlaStrip) -> Sheet:
    """Return what a strip plays, after copying the action when others play it too."""
    sheet = actions.strip_sheet(strip)
    if sheet.action.users - sheet.action.use_fake_user > 1:
        sheet = actions.copy_sheet(sheet)
        _assign(strip, sheet)
    return sheet


def _assign(strip: bpy.types.NlaStrip, sheet: Sheet) -> None:
    strip.action = sheet.action
    if sheet.slot is not None:
        strip.action_slot = sheet.slot


def _play(ob: bpy.types.Object, role: str, sheet: Sheet) -> None:
    """Let the object play what was written: make or fit the strip, and unmute it."""
    data = ob.animation_data or ob.animation_data_create()
    first, last = sheet.span()
    strip = find_strip(ob, role)
    if strip is None:
        track = data.nla_tracks.new()
        track.name = TRACKS[role]
        strip = track.strips.new(TRACKS[role], round(first), sheet.action)
        _assign(strip, sheet)
        strip.blend_type = REPLACES
    _fit(strip, first, last)
    strip.mute = _track_of(ob, strip).mute = False
    data.use_nla = True
    ob.update_tag(refresh={"OBJECT", "TIME"})


def _fit(strip: bpy.types.NlaStrip, first: float, last: float) -> None:
    """Let a strip play its action at the action's own frames."""
    strip.use_sync_length = True  # keys that are added later are played, too
    strip.scale, strip.repeat = 1.0, 1.0
    strip.action_frame_start, strip.action_frame_end = first, max(last, first + 1)
    strip.frame_end = max(last, first + 1) + 1  # room first: an end may not lie before a start
    strip.frame_start, strip.frame_end = first, max(last, first + 1)
    strip.scale = 1.0


def _track_of(ob: bpy.types.Object, strip: bpy.types.NlaStrip) -> bpy.types.NlaTrack:
    return next(track for track in ob.animation_data.nla_tracks if strip in list(track.strips))


def _stop(ob: bpy.types.Object, role: str) -> None:
    """Remove what we wrote, with its strip, and its track when nothing else is on it."""
    strip = find_strip(ob, role)
    if strip is None:
        return
    track, action = _track_of(ob, strip), strip.action
    track.strips.remove(strip)
    if not len(track.strips):
        ob.animation_data.nla_tracks.remove(track)
    if not action.users - action.use_fake_user:
        bpy.data.actions.remove(action)


def _give_moved_strip_away(ob: bpy.types.Object, role: str) -> str:
    """A strip that the artist moved, stretched or reversed plays frames elsewhere than predicted: leave it to the
    artist, muted, and begin a new one. The action's name, if so."""
    strip = find_strip(ob, role)
    if strip is None or _plays_as_written(strip):
        return ""
    track, sheet = _track_of(ob, strip), _unshared(strip)
    name = actions.give_to_artist(sheet.action, sheet.action.name)
    track.name, strip.mute = name, True
    return name


def _plays_as_written(strip: bpy.types.NlaStrip) -> bool:
    shift = strip.frame_start - strip.action_frame_start
    return abs(shift) < 1e-3 and abs(strip.scale - 1) < 1e-4 and strip.repeat == 1 and not strip.use_reverse


def sheets_as_written(ob: bpy.types.Object) -> list[Sheet]:
    """Return what we wrote for an object and it plays where we wrote it, each for this object alone."""
    strips = [find_strip(ob, role) for role in TRACKS]
    return [_unshared(strip) for strip in strips if strip is not None and _plays_as_written(strip)]


def fit_strips(ob: bpy.types.Object) -> None:
    """Let the strips of `sheets_as_written` play all of their keys again, after these were moved."""
    for role in TRACKS:
        strip = find_strip(ob, role)
        if strip is not None and _plays_as_written(strip):
            _fit(strip, *actions.strip_sheet(strip).span())


# --- where keys go ---------------------------------------------------------------------------------------------------


def edit_on_top(ob: bpy.types.Object) -> None:
    """From now on keys change the performance instead of replacing it. Keys that replace it stay as they are, on a
    track of their own."""
    data = ob.animation_data or ob.animation_data_create()
    data.use_tweak_mode = False
    _let_keys_lie_on_top(ob)
    if data.action_blend_type not in LAYERED:
        _push_down(ob)
        data.action_blend_type = ON_TOP


def edit_performance(ob: bpy.types.Object) -> None:
    """Open the performance in the editors (the NLA's tweak mode). Raises `EDTalkError` when there is none."""
    strip = find_strip(ob, PERFORMANCE)
    if strip is None:
        raise EDTalkError(
            ErrorCode.UNSUPPORTED, "There is no performance that can be edited.", "Predict one first."
        )
    data = ob.animation_data
    data.use_tweak_mode = False
    for track in data.nla_tracks:
        for other in track.strips:
            other.select = other == strip
    data.nla_tracks.active = _track_of(ob, strip)
    data.use_tweak_mode = True
    if actions.role_of(data.action) != PERFORMANCE:
        raise EDTalkError(
            ErrorCode.UNSUPPORTED, "The performance's track cannot be edited.", "Unlock it in the NLA editor."
        )


def _let_keys_lie_on_top(ob: bpy.types.Object) -> None:
    """Let the object's own action combine with the performance where that changes nothing that is seen: when it has no
    keys of weights, and there are no tracks of the artist's that it could be meant to replace."""
    data = ob.animation_data
    if data is None or data.use_tweak_mode or data.action_blend_type != REPLACES:
        return
    is_alone = all(_is_ours(track) for track in data.nla_tracks)
    if data.action is None or (is_alone and not own_weight_curves(ob)):
        data.action_blend_type = ON_TOP


def _is_ours(track: bpy.types.NlaTrack) -> bool:
    return all(actions.role_of(strip.action) in TRACKS for strip in track.strips)


def _push_down(ob: bpy.types.Object) -> None:
    """Move the object's own action onto a track, where it plays as before."""
    data, own = ob.animation_data, actions.assigned_sheet(ob)
    if own is None:
        return
    first, last = own.span()
    track = data.nla_tracks.new()
    track.name = own.action.name
    strip = track.strips.new(own.action.name, round(first), own.action)
    _assign(strip, own)
    _fit(strip, first, last)
    strip.blend_type, strip.extrapolation = data.action_blend_type, data.action_extrapolation
    if data.action_influence < 1:
        strip.use_animated_influence = True
        strip.influence = data.action_influence
    data.action = None


def style_own_curves(ob: bpy.types.Object, paths: Iterable[str]) -> None:
    """Colour the curves of weights in the object's own action like those of the performance."""
    own, looks = actions.assigned_sheet(ob), weight_paths(ob)
    for path in paths:
        curve = own.find(path) if own is not None else None
        if curve is not None and path in looks:
            actions.style_curve(curve, looks[path].color)
