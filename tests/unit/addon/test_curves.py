"""Few keys instead of one a frame: what an artist gets, and how far it may be from the prediction."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from blender_addon.core.tasks import run_to_end
from blender_addon.core.weights import curves

TOLERANCE = 0.01


def bezier(keys: curves.Keys, frame: float) -> float:
    """The value of the cubic Bezier curve of keys and handles, found by bisection: nothing of how it was fitted."""
    left, right = curves.handles(keys)
    i = min(int(np.searchsorted(keys.frames, frame, side="right")) - 1, len(keys) - 2)
    points = np.array(
        [
            (keys.frames[i], keys.values[i]),
            right[i],
            left[i + 1],
            (keys.frames[i + 1], keys.values[i + 1]),
        ]
    )

    def at(t: float) -> np.ndarray:
        s = 1 - t
        return np.array([s**3, 3 * s * s * t, 3 * s * t * t, t**3]) @ points

    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if at(middle)[0] < frame else (low, middle)
    return float(at(low)[1])


def reduced(first: int, samples: npt.ArrayLike, tolerance: float) -> curves.Keys:
    return run_to_end(curves.reduce(first, samples, tolerance))


def signals(count: int) -> dict[str, np.ndarray]:
    generator, time = np.random.default_rng(1), np.arange(count)
    window = np.hanning(9) / np.hanning(9).sum()
    return {
        "speech": np.convolve(generator.normal(size=count), window, "same")[:count] / 2,
        "a slow turn": np.sin(time / 40),
        "a jump": (time > count // 2) * 1.0,
        "shaking": generator.normal(size=count),
        "rest": np.full(count, 0.3),
    }


@pytest.mark.parametrize("name", signals(8))
@pytest.mark.parametrize("count", [2, 3, 7, 90])
def test_the_curve_stays_within_the_stated_error(name: str, count: int) -> None:
    samples = signals(count)[name]
    keys = reduced(5, samples, TOLERANCE)
    assert (keys.frames[0], keys.frames[-1]) == (5, 4 + count)
    drawn = [bezier(keys, frame) for frame in range(5, 5 + count)]
    np.testing.assert_allclose(drawn, samples, atol=TOLERANCE + 1e-6)


def test_what_moves_slowly_or_rests_needs_few_keys() -> None:
    found = {name: len(reduced(1, samples, TOLERANCE)) for name, samples in signals(300).items()}
    assert found["rest"] == 2
    assert found["a slow turn"] < 300 / 15
    assert found["speech"] < 300 / 2
    assert len(curves.dense(1, signals(300)["rest"])) == 300


def test_a_larger_error_gives_fewer_keys() -> None:
    speech = signals(300)["speech"]
    counts = [len(reduced(1, speech, tolerance)) for tolerance in (0.001, 0.01, 0.1)]
    assert counts[0] > counts[1] > counts[2]


def test_a_single_frame_is_a_single_key() -> None:
    keys = reduced(7, [0.25], TOLERANCE)
    assert (keys.frames.tolist(), keys.values.tolist()) == ([7.0], [0.25])
    left, right = curves.handles(keys)
    assert left[0, 0] < 7 < right[0, 0]


def test_ten_minutes_are_never_worked_through_in_one_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two pauses there is one pass over the samples, or a part of one."""
    passes = list[str]()
    for name in ("_slopes", "_missed"):
        work = getattr(curves, name)
        monkeypatch.setattr(
            curves, name, lambda *given, do=work, name=name: (passes.append(name), do(*given))[1]
        )
    samples = signals(15_000)["shaking"]
    counts = [0, *(len(passes) for _ in curves.reduce(1, samples, TOLERANCE)), len(passes)]
    assert max(np.diff(counts)) == 1
    assert len(passes) >= 4 and counts.count(0) > 15_000 // 2 // curves.TURNS_AT_ONCE, (
        "finding turns pauses, too"
    )
