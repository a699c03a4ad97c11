"""The search for the light that a loss allows: against answers in closed form."""

from __future__ import annotations

import math

import pytest

from photonjax.evaluation.thresholds import highest_rise, interpolate_threshold, solve_threshold


@pytest.mark.parametrize("start", [1e-2, 1.0, 700.0, 1e4, 1e9])
def test_solver_finds_a_known_answer(start):
    """rise = a/l + b/l**2 meets 0.01 at a light known in closed form, from near and from far."""
    a, b, target = 5.0, 900.0, 0.01
    answer = (a + math.sqrt(a * a + 4 * b * target)) / (2 * target)
    asked = []

    def rise(light: float) -> float:
        asked.append(light)
        return a / light + b / light**2

    found = solve_threshold(rise, target, start, tolerance=0.1, most=12)
    assert found == pytest.approx(answer, rel=5e-3)
    assert len(asked) == len(set(asked)) <= 12


def test_solver_with_odd_curves():
    """Curves that saturate, that are negative or infinite somewhere, and that never get there."""
    assert solve_threshold(lambda x: math.log1p((300 / x) ** 2), 0.05, 1.0) == pytest.approx(
        300 / math.sqrt(math.expm1(0.05)), rel=1e-2
    )
    assert solve_threshold(lambda x: 7 / x - 1e-5, 0.01, 1e7) == pytest.approx(
        7 / 0.01001, rel=1e-2
    )
    assert solve_threshold(lambda x: math.inf if x < 50 else 3 / x, 0.01, 1.0) == pytest.approx(
        300, rel=1e-2
    )
    assert solve_threshold(lambda x: -1e-3, 0.01, 1e3) is None
    assert solve_threshold(lambda x: 2.0, 0.01, 1e3) is None
    known = {100.0: 0.05, 1000.0: 0.005}
    assert solve_threshold(lambda x: 5 / x, 0.0101, 1.0, seen=known, most=1) == pytest.approx(
        5 / 0.0101
    )
    assert interpolate_threshold({100.0: 0.02}, 0.01) == pytest.approx(200.0)
    assert interpolate_threshold({100.0: 0.2}, 0.01) is None


def test_points_that_are_known_are_not_asked_for_again():
    """The ends of the bracket are points that were evaluated, to the last bit."""
    asked = []

    def rise(light: float) -> float:
        asked.append(light)
        return 5.0 / light + 900.0 / light**2

    seen = {3.0: rise(3.0), 7e5: rise(7e5)}
    solve_threshold(rise, 0.01, 1.0, tolerance=0.01, seen=seen)
    assert len(asked) == len(seen) == len({round(math.log(light), 9) for light in seen})


def collapsing(light: float) -> float:
    """Rises to 0.6 % with less light, falls below zero, and is far above in the dark."""
    return 0.6e-2 / (60 / light + light / 60) * 2 - 0.05 * (light < 5) + 0.5 * (light < 0.05)


def test_a_level_that_the_bright_branch_does_not_reach_has_no_threshold():
    """What this was found by: in the dark the same curve passes the level, and that is no answer."""
    seen: dict[float, float] = {}
    assert solve_threshold(collapsing, 0.01, 1e3, most=20, seen=seen) is None
    assert len(seen) < 10  # it gives up once the curve has turned
    light, rise = highest_rise(seen, 0.01)
    assert 0.4e-2 < rise < 0.6e-2 and 20 < light < 200
    dark = seen | {0.01: collapsing(0.01), 0.04: collapsing(0.04)}
    assert dark[0.01] > 0.01 and interpolate_threshold(dark, 0.01) is None
    assert interpolate_threshold({1e3: 0.001, 60.0: 0.006, 1.0: -0.05}, 0.01) is None
    # Below its top the same curve has a threshold, the brightest passage.
    found = solve_threshold(collapsing, 0.002, 1e3, tolerance=0.01, seen=seen)
    assert found == pytest.approx(60 * (3 + math.sqrt(8)), rel=0.02)
    assert highest_rise(seen, 0.002) is None


@pytest.mark.parametrize("start", [0.5, 1.0, 4.0, 1e9])
def test_a_start_in_the_dark_finds_the_bright_passage(start):
    """There noise helps: the curve passes the level in the dark too, at 0.04, where the search went."""
    answer = 60 * (3 + math.sqrt(8))
    seen: dict[float, float] = {}
    found = solve_threshold(collapsing, 0.002, start, tolerance=0.01, most=20, seen=seen)
    assert found == pytest.approx(answer, rel=0.02) and len(seen) < 14


def dipping(light: float) -> float:
    """As many tiny models: the loss falls back to 0.4 of the target in the dark, and never below zero."""
    bright, dark = 2.0 / light, 0.01 * math.exp(-light)
    return bright if light > 100 else 4e-3 + dark + 0.016 * (light / 100) ** 2


@pytest.mark.parametrize("start", [0.3, 3.0, 20.0, 1e3, 1e6])
def test_a_start_in_the_dark_with_a_loss_below_the_target_finds_the_bright_passage(start):
    """0.4 % at a light of 3, as on the bright branch at 500: the target, 1 %, is at 200, and not at 0.5."""
    assert dipping(3.0) == pytest.approx(0.4e-2, rel=0.2)
    seen: dict[float, float] = {}
    found = solve_threshold(dipping, 0.01, start, tolerance=0.01, most=15, seen=seen)
    assert found == pytest.approx(200, rel=0.02) and len(seen) < 15


def test_a_floor_of_the_loss_is_no_turn():
    """Rounding leaves a part that does not fall with light."""
    for floor in (0.05e-2, 0.3e-2):
        found = solve_threshold(lambda x, f=floor: 5 / x + f, 0.01, 1e3, tolerance=0.01, most=12)
        assert found == pytest.approx(5 / (0.01 - floor), rel=0.02)


def test_jitter_does_not_turn_a_curve():
    rise = lambda x: (5 / x) * (1 + 0.1 * math.sin(40 * math.log(x)))
    found = solve_threshold(rise, 0.01, 1e4)
    assert found == pytest.approx(500, rel=0.15)
