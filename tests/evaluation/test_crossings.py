"""Where quantities overtake each other: against closed forms."""

from __future__ import annotations

import math

import pytest

from photonjax.evaluation.crossings import crossings, solve_crossing


def test_crossings_of_power_laws_are_exact_and_have_a_direction():
    rows = [{"value": n, "a": n**2, "b": 100 * n, "c": n / 10} for n in (2, 16, 512, 4096)]
    ((at, over, under),) = crossings(rows, "a", "b")
    assert at == pytest.approx(100)
    assert (over, under) == ("a", "b")
    ((at, over, _),) = crossings([{**r, "b": 1e4} for r in rows], "b", "a")
    assert (at, over) == (pytest.approx(100), "a")
    assert crossings(rows, "a", "c") == []


def test_a_crossing_on_a_point_is_found_once():
    rows = [{"value": n, "a": n, "b": 4} for n in (1, 4, 16)]
    assert [c.at for c in crossings(rows, "a", "b")] == [4]


def test_a_touch_is_no_crossing():
    rows = [{"value": n, "a": y, "b": 4} for n, y in ((1, 8), (2, 4), (4, 8))]
    assert crossings(rows, "a", "b") == []


@pytest.mark.parametrize("power", [0.5, 1, 3])
def test_a_crossing_is_solved_with_few_traces(power):
    seen = []

    def ratio(n: int) -> float:
        seen.append(n)
        return (n / 5000) ** power + (n / 9e4) ** 2

    found = solve_crossing(ratio, 10, 10**6)
    assert ratio(math.floor(found * 0.998)) < 1 < ratio(math.ceil(found * 1.002))
    assert len(seen) < 20
    assert solve_crossing(ratio, 10, 100) is None
    assert solve_crossing(ratio, 10**6, 10**7) is None
