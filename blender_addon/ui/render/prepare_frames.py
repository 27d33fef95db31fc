# SPDX-License-Identifier: GPL-3.0-or-later
"""Make frames ready for a render: bake the stale ones, and lend the planes their takes.

Where nothing is stale no server is looked for, so that a render node without one just reads images.
"""

from __future__ import annotations

import time

from shared_protocol.errors import EDTalkError

from ...core import takes
from ...core.takes.staleness import State, state_of
from ...core.tasks import PACE, Progress, Steps, time_sliced
from ...core.text.translate import rpt_
from ...scene import paths
from ...scene.keys.signature import Signature, has_drivers
from ...scene.references import CharacterRef, find_object, get_scene
from ...scene.takes import take_places
from ..bake.bake import BakeRequest, bake, bakeable
from ..bake.take_library import takes_changed
from .loans import LOANS

_Loan = tuple[takes.Take, range]
"""A take, and the unbroken run of its frames for a plane to show."""
FAILED: set[int] = set()
"""Characters (`session_uid`) that could not be baked in the current render: they are tried again in the next."""


def prepare_frames(scene_uid: int, frames: range, progress: Progress) -> Steps[str]:
    """Bake the stale frames of a scene's characters and let their planes show them. Return the line to report.

    Raises `EDTalkError` when a character failed; the others are ready all the same, and it is in `FAILED`.
    """
    rendered, loans, failures = 0, dict[int, _Loan](), list[EDTalkError]()
    scene = get_scene(scene_uid)
    for ref in [CharacterRef.of(ob, scene) for ob in bakeable(scene)]:
        try:
            rendered += yield from _prepare_character(ref, frames, progress, loans)
        except EDTalkError as error:
            failures.append(error)
            FAILED.add(ref.uid)
    for uid, (take, run) in loans.items():  # all at once: an undo in between would take back the first ones
        if (ob := find_object(uid)) is not None:
            LOANS.lend(ob, take, run)
    takes_changed()
    if failures:
        raise failures[0]
    return rpt_("{count} frames baked", count=rendered)


def _prepare_character(
    ref: CharacterRef, frames: range, progress: Progress, loans: dict[int, _Loan]
) -> Steps[int]:
    """Bake a character's stale frames and put what its plane has to show into `loans`. Return the rendered frames."""
    folder, rendered = paths.file_of(ref.get_character(), "take"), 0
    take = (yield from time_sliced(takes.Take.open_in_steps(folder))) if folder is not None else None
    finished = (yield from time_sliced(take.finished())) if take is not None else set[int]()
    run = takes.run_to_show(finished, frames[0])
    if take is None or not (yield from _are_fresh(ref, take, finished, frames)):
        if ref.uid in FAILED:
            return 0
        progress.subject = ref.get_character().name
        result = yield from bake(BakeRequest(ref, frames, take_places.default_base()), progress)
        progress.subject = ""
        take, run, rendered = result.take, result.run, result.rendered
    group = ref.get_character().edtalk
    shows = group.show == "TAKE" and group.take_first <= frames[0] and frames[-1] <= group.take_last
    if not shows or take.folder != folder:
        loans[ref.uid] = take, run
    return rendered


def _are_fresh(ref: CharacterRef, take: takes.Take, finished: set[int], frames: range) -> Steps[bool]:
    """Return whether all frames are baked as their curves are now. Driven weights never count as fresh."""
    if has_drivers(ref.get_character()) or not all(frame in finished for frame in frames):
        return False
    left = frames
    while left:
        signature, end = Signature(ref.get_character()), time.perf_counter() + PACE.slice_s
        while left and time.perf_counter() < end:
            if state_of(left[0], signature.at(left[0]), take.signatures, finished) != State.FRESH:
                return False
            left = left[1:]
        yield
    return True
