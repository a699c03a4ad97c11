"""Workloads of many layers, shortened to one line for each kind of site."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from photonjax.core.pytree import brief
from photonjax.tables import text_table
from photonjax.workload import MatmulSite, Workload

__all__ = ["group_sites", "group_table"]


def check_workload(where: str, workload: Any) -> None:
    """Raise ``TypeError`` for what is given as a workload and is none."""
    if not isinstance(workload, Workload):
        raise TypeError(
            f"{where}: workload = {brief(workload)} is not a Workload; pj.trace_workload(f, *args) makes "
            "that of a function, the model among its arguments"
        )


def group_sites(workload: Workload) -> Workload:
    """The workload with sites that differ only in numbers within their names as one, counts added.

    ``layers/0/mlp/up_proj/kernel`` and ``layers/1/mlp/up_proj/kernel`` become 2 executions of
    ``layers/*/mlp/up_proj/kernel``. Every cost is proportional to ``count``, so costs stay what they are.

    >>> from photonjax.workload import MatmulSite
    >>> layers = [MatmulSite(f"layers/{i}/up", 1, 8, 4, 4, 1, "int8", True) for i in range(3)]
    >>> grouped = group_sites(Workload(layers, []))
    >>> [(site.path, site.count) for site in grouped.matmuls]
    [('layers/*/up', 3)]
    """
    check_workload("group_sites", workload)
    groups: dict[MatmulSite, int] = {}
    for site in workload.matmuls:
        key = dataclasses.replace(
            site, path=_starred(site.path), scope=_starred(site.scope), count=1
        )
        groups[key] = groups.get(key, 0) + site.count
    sites = [dataclasses.replace(key, count=count) for key, count in groups.items()]
    return dataclasses.replace(workload, matmuls=sites)


def group_table(workload: Workload) -> str:
    """A line for each name: executions, sizes (smallest ... largest), fraction of the multiply-accumulates.

    >>> from photonjax.workload import MatmulSite
    >>> layers = [MatmulSite(f"layers/{i}/up", 1, 8, 4, 4 + i, 1, "int8", True) for i in range(3)]
    >>> print(group_table(Workload(layers, [])))
    products     executions  batch  M  K        N  MACs  fraction
    -------------------------------------------------------------
    layers/*/up           3      1  8  4  4 ... 6   480    100.0%
    """
    whole = max(workload.macs, 1)
    groups: dict[str, list[MatmulSite]] = {}
    for site in group_sites(workload).matmuls:
        groups.setdefault(site.path, []).append(site)
    rows: list[tuple[str, ...]] = [
        ("products", "executions", "batch", "M", "K", "N", "MACs", "fraction")
    ]
    for path, sites in groups.items():
        sizes = (_span([getattr(s, f) for s in sites]) for f in ("batch", "M", "K", "N"))
        macs = sum(s.macs for s in sites)
        count = f"{sum(s.count for s in sites):,}"
        rows.append((path, count, *sizes, f"{macs:.4g}", f"{macs / whole:.1%}"))
    return text_table(rows)


def _span(values: list[int]) -> str:
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,} ... {high:,}"


def _starred(path: str) -> str:
    """``*`` for every number that stands alone in a path."""
    return re.sub(r"(?<![^/:])\d+(?![^/])", "*", path)
