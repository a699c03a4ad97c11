"""How every figure of the project looks: colours, sizes, and labels that keep clear of each other.

Matplotlib is imported when a figure is drawn.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from photonjax.extras import need

__all__ = [
    "GREY",
    "MARKERS",
    "PALETTE",
    "band",
    "colors",
    "figure",
    "label_levels",
    "label_points",
    "new_axes",
    "spread",
]

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
"""Colours of Okabe and Ito, told apart in every form of colour vision; not their yellow, pale on white."""

MARKERS = "os^Dv*P"
GREY = "0.45"
_STYLE = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "figure.titlesize": 11,
    "figure.dpi": 100,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "0.88",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.4,
    "lines.markersize": 4.5,
    "errorbar.capsize": 2,
}


@contextlib.contextmanager
def figure(
    rows: int = 1, columns: int = 1, *, size: tuple[float, float] | None = None, **subplots: Any
) -> Iterator[tuple[Any, Any]]:
    """A figure and its axes in the house's style; what is drawn belongs inside of the ``with``.

    Args:
      rows, columns: of the grid of axes.
      size: width and height in inches; by default 5.5 x 3.8 for each of the axes.
      **subplots: to Matplotlib's ``Figure.subplots``, such as ``sharey`` and ``squeeze``.

    Yields:
      The figure, and what ``Figure.subplots`` returns. No window is opened; ``figure.savefig`` writes it.

    Raises:
      ImportError: Matplotlib is not installed; the error says how to get it.

    >>> with figure(columns=2) as (drawn, (left, right)):
    ...     _ = left.plot([1, 2, 3])
    >>> len(drawn.axes)
    2
    """
    matplotlib = need("matplotlib.figure", "experiments")
    with _style():
        drawn = matplotlib.Figure(size or (5.5 * columns, 3.8 * rows), layout="constrained")
        yield drawn, drawn.subplots(rows, columns, **subplots)
        drawn.draw_without_rendering()  # ticks take their style when they are first drawn


def new_axes(rows: int = 1, size: tuple[float, float] | None = None, **subplots: Any) -> Any:
    """Axes of a figure of their own, which a notebook shows; one below the other where there are several.

    Raises:
      ImportError: Matplotlib is not installed; the error says how to get it.
    """
    pyplot = need("matplotlib.pyplot", "experiments")
    with _style():
        return pyplot.subplots(rows, figsize=size, layout="constrained", **subplots)[1]


@contextlib.contextmanager
def _style() -> Iterator[None]:
    cycler = need("cycler", "experiments").cycler
    with need("matplotlib", "experiments").rc_context(
        {**_STYLE, "axes.prop_cycle": cycler(color=PALETTE)}
    ):
        yield


def colors(count: int) -> list[str]:
    """This many colours: the palette, then ever lighter tints of it.

    >>> colors(9)[6:]
    ['#000000', '#7FB8D8', '#EAAE7F']
    """
    found = []
    for i in range(count):
        times, place = divmod(i, len(PALETTE))
        channels = (int(PALETTE[place][k : k + 2], 16) for k in (1, 3, 5))
        light = 1 - 0.5**times
        found.append("#" + "".join(f"{int(c + light * (255 - c)):02X}" for c in channels))
    return found


def band(axes: Any, x: Any, y: Any, low: Any, high: Any, *, label: str = "", **line: Any) -> None:
    """A line with the interval around it shaded.

    Args:
      axes: to draw on.
      x, y: of the line.
      low, high: ends of the interval, for each x.
      label: for the legend.
      **line: to Matplotlib's ``plot``.
    """
    (drawn,) = axes.plot(x, y, label=label or None, **line)
    axes.fill_between(x, low, high, color=drawn.get_color(), alpha=0.18, linewidth=0)


def label_points(axes: Any, points: Sequence[tuple[float, float]], texts: Sequence[str]) -> None:
    """Write a text beside each point, within the axes and clear of points, lines and other texts.

    To be called when all else is drawn and the limits are as they will be. Where there is no free place
    nearby, the one with the least overlap is taken.

    Args:
      axes: to write on.
      points: in data coordinates.
      texts: as many.
    """
    drawn = axes.figure
    drawn.draw_without_rendering()
    frame = axes.get_window_extent()
    step = drawn.dpi / 72
    taken = [_around(axes.transData.transform(p), 3.5 * step) for p in points]
    taken += [_around(p, step) for line in axes.get_lines() for p in _sampled(line, 4 * step)]
    for point, text in zip(points, texts, strict=True):
        note = axes.annotate(text, point, textcoords="offset points", xytext=(0, 0), fontsize=8)
        best = math.inf
        for radius, angle in itertools.product((7, 12, 18, 28, 40, 54, 70), range(0, 360, 45)):
            right, up = math.cos(math.radians(angle)), math.sin(math.radians(angle))
            sides = [
                ("center" if abs(v) < 0.1 else ends[v < 0])
                for v, ends in ((right, ("left", "right")), (up, ("bottom", "top")))
            ]
            place = (radius * right, radius * up)
            found = _extent(note, place, sides)
            cost = _outside(found, frame) * 1e3 + sum(_overlap(found, box) for box in taken)
            if cost < best:
                best, chosen = cost, (place, sides)
            if cost == 0:
                break
        taken.append(_extent(note, *chosen))
        if math.hypot(*chosen[0]) > 20:  # far enough to be taken for another point's
            thin = {"arrowstyle": "-", "color": GREY, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 3}
            axes.annotate("", point, chosen[0], textcoords="offset points", arrowprops=thin)


def label_levels(axes: Any, levels: Mapping[str, float], **line: Any) -> None:
    """Horizontal lines across the axes, each with its name in the margin to the right.

    Names of levels that are close together are moved apart. To be called when the limits are as they
    will be.

    Args:
      axes: to draw on.
      levels: values by name.
      **line: to Matplotlib's ``axhline``.
    """
    if not levels:
        return
    for value in levels.values():
        axes.axhline(value, **{"color": GREY, "linewidth": 0.8, "zorder": 1, **line})
    drawn = axes.figure
    drawn.draw_without_rendering()
    left = axes.get_xlim()[0]
    heights = [axes.transData.transform((left, v))[1] for v in levels.values()]
    gap = 9.5 * drawn.dpi / 72
    for (name, value), before, after in zip(
        levels.items(), heights, spread(heights, gap), strict=True
    ):
        axes.annotate(
            name,
            (1.0, value),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            xytext=(5, (after - before) * 72 / drawn.dpi),
            fontsize=8,
            color="0.25",
            va="center",
            annotation_clip=False,
        )


def spread(places: Sequence[float], gap: float) -> list[float]:
    """Places moved apart as little as possible, so that neighbours are at least ``gap`` from each other.

    Their order is kept; the sum of squared moves is the smallest.

    >>> spread([0.0, 10.0, 10.0], 4.0)
    [0.0, 8.0, 12.0]
    """
    order = sorted(range(len(places)), key=lambda i: places[i])
    # With the gaps taken out the places must only not fall: a regression that pools what falls.
    pools: list[tuple[float, int]] = []
    for rank, i in enumerate(order):
        mean, count = places[i] - rank * gap, 1
        while pools and pools[-1][0] > mean:
            other, many = pools.pop()
            mean, count = (mean * count + other * many) / (count + many), count + many
        pools.append((mean, count))
    levels = [mean for mean, count in pools for _ in range(count)]
    found = [0.0] * len(places)
    for rank, i in enumerate(order):
        found[i] = levels[rank] + rank * gap
    return found


def _extent(note: Any, place: Any, sides: Sequence[str]) -> np.ndarray:
    """Where a text lies when it is placed so: left, bottom, right, top in pixels."""
    note.set(position=place, ha=sides[0], va=sides[1])
    return np.asarray(note.get_window_extent().extents)


def _around(point: Any, radius: float) -> np.ndarray:
    return np.asarray([point[0] - radius, point[1] - radius, point[0] + radius, point[1] + radius])


def _sampled(line: Any, step: float) -> Iterator[np.ndarray]:
    """Points along a drawn line, ``step`` pixels apart."""
    path = line.get_transform().transform(np.asarray(line.get_xydata(), float))
    path = path[np.isfinite(path).all(1)]
    for a, b in itertools.pairwise(path):
        count = min(1000, max(1, int(np.hypot(*(b - a)) / step)))
        yield from (a + (b - a) * i / count for i in range(count + 1))


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    wide, high = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    return float(max(wide, 0.0) * max(high, 0.0))


def _outside(box: np.ndarray, frame: Any) -> float:
    """How far a box reaches out of the frame [pixels]."""
    beyond = np.maximum(frame.extents[:2] - box[:2], 0) + np.maximum(box[2:] - frame.extents[2:], 0)
    return float(beyond.sum())
