"""Exponents of width: how photons, SNR and alignment move with it, seed by seed.

Each seed is a family of decoders of its own, one of each width, and has an exponent of its own: the slope of
a straight line in log-log. The 95 % interval is Student's over the seeds (n - 1 degrees of freedom), so it
covers how training falls out and what noise and rounding of the search add to it (each seed has noise of its
own); not the corpus, the depth, the length of training or the windows, which all seeds share.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from photonjax.evaluation.exponents import fit_exponent
from photonjax.evaluation.intervals import mean_interval

Row = Mapping[str, Any]
FAMILY = ("mlp", "scaling", "encoding", "operands", "target_percent")
QUANTITIES = ("photons_per_multiply", "signal_per_multiply", "snr")
CLEAR = 0.1  # an interval within this of a law agrees with it


def exponents_of_light(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The exponent of every quantity in every family of ``thresholds``."""
    found = []
    for quantity in QUANTITIES:
        found += over_seeds(rows, FAMILY, quantity)
    return found


def exponents_of_alignment(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The same of the alignment of every kind of site; layers of one model by their geometric mean."""
    return over_seeds(rows, ("mlp", "scaling", "operands", "site"), "alignment")


def over_seeds(rows: Sequence[Row], family: Sequence[str], quantity: str) -> list[dict[str, Any]]:
    """The mean exponent of ``width`` in each family, with its interval over seeds.

    Args:
      rows: with ``width``, ``seed``, the family's columns, and the quantity (None: not known).
      family: columns; rows that agree in them belong together.
      quantity: column.

    Returns:
      A row for each family of which two widths or more are known in some seed: its columns,
      ``quantity``, ``exponent``, ``low``, ``high`` (None with one seed), ``seeds``, ``widths`` and
      ``reading``. Seeds that lack a width which others have are left out.

    Example:
      >>> rows = [{"width": w, "seed": s, "y": (8.0 + s) * w**-0.5} for w in (64, 128) for s in range(3)]
      >>> (row,) = over_seeds(rows, (), "y")
      >>> round(row["exponent"], 6), round(row["low"], 6), row["reading"]
      (-0.5, -0.5, 'falls')
    """
    groups: dict[tuple[Any, ...], dict[int, list[tuple[float, float]]]] = {}
    for r in rows:
        if r[quantity] is not None and r[quantity] > 0:
            seeds = groups.setdefault(tuple(r[name] for name in family), {})
            seeds.setdefault(r["seed"], []).append((r["width"], r[quantity]))
    found = []
    for names, seeds in groups.items():
        widths = sorted({w for points in seeds.values() for w, _ in points})
        whole = [p for p in seeds.values() if {w for w, _ in p} == set(widths)]
        if len(widths) < 2 or not whole:
            continue
        fits = [fit_exponent(*zip(*points, strict=True)).value for points in whole]
        value, low, high = mean_interval(fits)
        found.append(
            dict(zip(family, names, strict=True))
            | {"quantity": quantity, "exponent": value, "low": low, "high": high}
            | {"seeds": len(whole), "widths": widths, "reading": reading(low, high)}
        )
    return found


def reading(low: float | None, high: float | None) -> str:
    """What a 95 % interval of an exponent says.

    >>> reading(-0.05, 0.06), reading(-1.04, -0.95), reading(-0.4, -0.2), reading(-0.5, 0.5)
    ('does not move', 'falls as 1/width', 'falls', 'undecided')
    """
    if low is None or high is None:
        return "undecided"
    for law, name in ((0.0, "does not move"), (-1.0, "falls as 1/width")):
        if law - CLEAR <= low and high <= law + CLEAR:
            return name
    return "falls" if high < 0 else "rises" if low > 0 else "undecided"


def undecided(rows: Iterable[Row]) -> list[str]:
    """Families whose interval holds both 0 and a clear slope, in words."""
    return [
        " ".join(str(r[name]) for name in FAMILY[:-1]) + f" at +{r['target_percent']:g} %"
        for r in rows
        if r["quantity"] == "photons_per_multiply" and r["reading"] == "undecided"
    ]
