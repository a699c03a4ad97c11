"""Figures in one style: colours, levels that are named in the margin, labels that keep clear."""

from __future__ import annotations

import itertools
import sys

import numpy as np
import pytest

from photonjax import plotting

pytest.importorskip("matplotlib")


def boxes(figure, texts):
    figure.draw_without_rendering()
    return [t.get_window_extent() for t in texts]


@pytest.mark.parametrize("log", [False, True])
def test_labels_of_points_stay_in_the_axes_and_off_each_other(log):
    with plotting.figure() as (figure, axes):
        x, y = np.geomspace(1, 100, 8), [1, 1, 1.001, 1.001, 1, 1, 9, 10]
        axes.plot(x, y, "o-")
        if log:
            axes.set_xscale("log")
        names = [f"core-{i}-of-many" for i in range(8)]
        plotting.label_points(axes, list(zip(x, y, strict=True)), names)
    texts = [t for t in axes.texts if t.get_text()]  # the others are lines that lead to a point
    assert [t.get_text() for t in texts] == names
    found = boxes(figure, texts)
    frame = axes.get_window_extent()
    for box in found:
        assert frame.x0 <= box.x0 and box.x1 <= frame.x1
        assert frame.y0 <= box.y0 and box.y1 <= frame.y1
    assert not any(a.overlaps(b) for a, b in itertools.combinations(found, 2))


def test_names_of_equal_levels_stand_one_above_the_other():
    with plotting.figure() as (figure, axes):
        axes.plot([1, 10], [1, 100])
        axes.set_yscale("log")
        plotting.label_levels(axes, {"a": 10.0, "b": 10.0, "c": 10.1, "far": 90.0})
    found = boxes(figure, axes.texts)
    assert not any(a.overlaps(b) for a, b in itertools.combinations(found, 2))
    assert all(box.x0 > axes.get_window_extent().x1 for box in found)
    assert max(box.x1 for box in found) < figure.bbox.x1  # room is made for them


@pytest.mark.parametrize("seed", range(5))
def test_spread_keeps_order_and_distance_and_moves_nothing_that_has_room(seed):
    places = np.random.default_rng(seed).uniform(0, 50, 12)
    moved = np.asarray(plotting.spread(list(places), 3.0))
    order = np.argsort(places)
    assert np.all(np.diff(moved[order]) >= 3.0 - 1e-9)
    assert moved.mean() == pytest.approx(places.mean())  # as of every least-squares move
    assert plotting.spread([0.0, 5.0, 9.0], 3.0) == [0.0, 5.0, 9.0]


def test_the_style_ends_with_the_figure():
    import matplotlib

    before = dict(matplotlib.rcParams)
    with plotting.figure() as (_, axes):
        assert not axes.spines["top"].get_visible()
        plotting.band(axes, [1, 2], [1, 2], [0, 1], [2, 3], label="measured")
    assert dict(matplotlib.rcParams) == before
    assert axes.get_lines()[0].get_color() == plotting.PALETTE[0]


def test_colors_differ_beyond_the_palette():
    assert len(set(plotting.colors(20))) == 20
    assert plotting.colors(3) == list(plotting.PALETTE[:3])


def test_without_matplotlib_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with (
        pytest.raises(ImportError, match=r"pip install 'photonjax\[experiments\]'"),
        plotting.figure(),
    ):
        pass
