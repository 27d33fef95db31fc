"""What the timeline and the panel say of a shot's frames: fresh, stale, missing, without looking at all at once."""

from __future__ import annotations

from blender_addon.core.takes.staleness import Run, Staleness, State, state_of


def looked_at(frames: range, now: dict[int, str], recorded: dict[int, str], finished: set[int]) -> Staleness:
    """All frames of a range, each seen once."""
    map_ = Staleness(frames)
    while not map_.is_settled:
        frame = map_.next_frame()
        map_.saw(state_of(frame, now[frame], recorded, finished))
    return map_


def test_an_edited_frame_is_stale_and_an_unbaked_one_is_missing() -> None:
    now = {1: "a", 2: "b2", 3: "c", 4: "d"}
    map_ = looked_at(range(1, 5), now, {1: "a", 2: "b", 3: "c"}, {1, 2, 3})
    assert map_.runs == [
        Run(1, 1, State.FRESH),
        Run(2, 2, State.STALE),
        Run(3, 3, State.FRESH),
        Run(4, 4, State.MISSING),
    ]
    assert map_.words == "2 of 4 frames to bake: 2, 4"


def test_a_frame_whose_file_was_deleted_is_missing() -> None:
    assert state_of(3, "a", {3: "a"}, finished={1, 2}) == State.MISSING


def test_neighbours_are_named_together_and_long_lists_are_cut() -> None:
    frames = range(1, 21)
    now = {frame: "new" if frame % 3 else "old" for frame in frames}
    map_ = looked_at(frames, now, dict.fromkeys(frames, "old"), set(frames))
    assert map_.words == "14 of 20 frames to bake: 1–2, 4–5, 7–8, 10–11, …"


def test_missing_and_stale_neighbours_are_one_range() -> None:
    map_ = looked_at(range(1, 6), dict.fromkeys(range(1, 6), "new"), {1: "new", 2: "old"}, {1, 2})
    assert map_.words == "4 of 5 frames to bake: 2–5"


def test_no_number_is_said_before_all_frames_were_seen() -> None:
    map_ = Staleness(range(1, 4))
    map_.saw(State.FRESH)
    assert map_.words == "Checking..."
    map_.saw(State.FRESH)
    map_.saw(State.FRESH)
    assert map_.words == "All 3 frames are baked"


def test_after_a_change_nothing_is_said_until_all_is_seen_again() -> None:
    map_ = looked_at(range(1, 4), {1: "a", 2: "a", 3: "a"}, {}, set())
    assert map_.words == "No frame is baked"
    map_.unsettle()
    assert not map_.is_settled
    assert map_.words == "Checking..."
    assert map_.saw(State.FRESH), "that is news"
    assert [run.state for run in map_.runs] == [State.FRESH, State.MISSING], "the timeline follows at once"
    assert map_.words == "Checking..."
    map_.saw(State.MISSING)
    map_.saw(State.MISSING)
    assert map_.words == "2 of 3 frames to bake: 2–3"
