"""Labels stay in the picture and off each other, and lines that lie on each other are told as one."""

from __future__ import annotations

import itertools

import pytest

from experiments.evaluate import plots


def row(core, perplexity, photons=None, low=None, high=None):
    ends = {"perplexity_change_percent_low": low, "perplexity_change_percent_high": high}
    return {"core": core, "perplexity": perplexity, "photons_per_multiply": photons} | ends


ROWS = [
    row("digital", 20.0),
    row("int16-no-adc", 20.01),
    row("int8-noise-free", 21.7),
    row("int8-1e6-photons", 23.0, 1.3e4, 10.0, 20.0),
    row("int8-3e5-photons", 23.1, 4e3, 10.0, 22.0),
    row("int8-1e5-photons", 24.0, 1.3e3, 15.0, 25.0),
    row("int8-3e4-photons", 37.0, 4e2, 60.0, 100.0),
    row("int8-1e4-photons", 2700.0, 1.5e2, 9e3, 2e4),
]


@pytest.fixture
def axes():
    return plots.perplexity(ROWS).axes[0]


def test_every_label_is_inside_and_apart_from_the_others(axes):
    axes.figure.draw_without_rendering()
    frame = axes.get_window_extent()
    written = [t for t in axes.texts if t.get_text()]
    assert {t.get_text() for t in written} == {r["core"] for r in ROWS[3:]}
    boxes = [t.get_window_extent() for t in written]
    for box in boxes:
        assert frame.contains(box.x0, box.y0) and frame.contains(box.x1, box.y1)
    for one, other in itertools.combinations(boxes, 2):
        assert not one.overlaps(other)


def test_depth_is_written_below_the_lowest_panel_of_every_column():
    sites = [
        {"core": f"core {i}", "site": f"layers/{layer}/mlp/up_proj", "snr_db": 20.0 + layer}
        for i in range(5)
        for layer in range(3)
    ]
    drawn = plots.site_snr(sites)
    drawn.draw_without_rendering()
    named = [bool(a.get_xlabel()) for a in drawn.axes if a.get_visible()]
    marked = [
        any(t.label1.get_visible() for t in a.xaxis.get_major_ticks()) for a in drawn.axes[:5]
    ]
    assert named == marked == [False, False, True, True, True]


def test_lines_on_each_other_share_a_name(axes):
    names = [t.get_text() for t in axes.get_legend().get_texts()]
    assert names == ["20.00: digital, int16-no-adc", "21.70: int8-noise-free"]


def test_intervals_become_error_bars(axes):
    (bars,) = axes.containers
    ends = [segment[:, 1] for segment in bars[2][0].get_segments()]
    by_photons = sorted(ROWS[3:], key=lambda r: r["photons_per_multiply"])
    for (low, high), r in zip(ends, by_photons, strict=True):
        assert low == pytest.approx(r["perplexity_change_percent_low"])
        assert high == pytest.approx(r["perplexity_change_percent_high"])


def test_a_line_stands_at_its_rise_and_the_digital_model_at_zero(axes):
    heights = [
        line.get_ydata()[0] for line in axes.get_lines() if not line.get_marker().strip("None")
    ]
    assert sorted({round(float(h), 6) for h in heights})[:2] == [0.0, 8.5]


def test_without_light_there_are_only_lines():
    figure = plots.perplexity(ROWS[:3])
    assert not figure.axes[0].texts and not figure.axes[0].containers
