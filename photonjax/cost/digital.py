"""What a program costs on a digital accelerator, in two views.

**Whole accelerator**, for each product of ``macs`` multiply-accumulates, by the roofline (Williams, Waterman
and Patterson, CACM 52, 65 (2009)):

    seconds = max(2 macs / (rate utilisation), bytes / bandwidth)
    joules  = seconds power

of real numbers: a complex product is four real ones, of operands twice as long, in the precision of
its parts. Bytes are those of both operands and the result, each crossing the memory interface once (a
lower bound). Of a product with two computed operands only the smallest of the three counts: in
attention no kernel of today writes scores out (Dao et al., NeurIPS 2022), and keys and values wait in
the cache while queries pass.

Other operations take ``ops / vector rate`` (the peak: a lower bound), a transcendental one counting
as ``transcendental_ops``; gathers and other movement take ``bytes / bandwidth``. They run on units of
their own, and the time that products wait for them is part of a measured utilisation, so that only
what exceeds the products' time is charged: max(others - products, 0), spread over their kinds. An
accelerator without ``power_w`` or rates has a floor only, and unknown (nan) seconds.

**Floor**: ``macs mac_energy_j`` and nothing else, unless the accelerator has an
``energy_per_byte_j``, which adds the component ``memory``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from photonjax.cost.breakdown import CostBreakdown, CostEntry
from photonjax.machines.accelerator import DTYPE_BITS, DigitalAccelerator
from photonjax.workload import MatmulSite, Workload

__all__ = [
    "Precision",
    "digital_cost",
    "digital_entries",
    "maximum",
    "model_flop_utilisation",
    "total",
]

Precision = str | Callable[[MatmulSite], str] | None
"""Of products: one for all, a function that tells it of a site, or the one each was traced in."""

_PARTS = {"complex64": "float32", "complex128": "float64"}
_VECTOR = ("elementwise", "reduction", "transcendental", "random", "other")
_BESIDE = (
    "non-matmul operations run beside the products, and are charged for the time by which they take "
    "longer than these all together; at the peak vector rate, their memory traffic taken as fused away; "
    "gathers and concatenations at memory bandwidth; layout as free"
)


def digital_cost(
    workload: Workload, accelerator: DigitalAccelerator, *, dtype: Precision = None
) -> CostBreakdown:
    """A program on a digital accelerator: the whole of it, and in ``floor`` its arithmetic.

    The arguments are those of ``photonjax.cost.estimate``.
    """
    sites = [(s, precision(s, dtype)) for s in workload.matmuls]
    notes = [*(f"not counted: {u}" for u in workload.unsupported), *workload.notes]
    floor_notes = [*workload.notes]
    if workload.operations:
        floor_notes.append("non-matmul operations are not part of the arithmetic floor")
    floor = CostBreakdown(
        "arithmetic floor", tuple(floor_notes), tuple(_floor(s, d, accelerator) for s, d in sites)
    )
    if accelerator.power_w is None or not accelerator.ops_per_s:
        notes.append(
            "no power or rate is published for this reference: arithmetic floor only, time unknown"
        )
        entries = tuple(
            CostEntry(e.path, "digital", e.joules, {"compute": math.nan}) for e in floor.entries
        )
        return CostBreakdown("digital, arithmetic only", tuple(notes), entries, floor)
    entries = tuple(digital_entries(workload.matmuls, workload, accelerator, dtype))
    notes += [*other_notes(workload, accelerator), *_capacity_notes(sites, accelerator)]
    return CostBreakdown("digital, whole accelerator", tuple(notes), entries, floor)


def model_flop_utilisation(
    workload: Workload, accelerator: DigitalAccelerator, *, dtype: Precision = None
) -> Any:
    """Fraction of the peak rates that the cost amounts to: to hold against published MFU.

    Time of all products at peak rate, over the seconds of the whole program.

    >>> from photonjax import machines
    >>> site = MatmulSite("w", batch=1, M=4096, K=4096, N=4096, count=1, dtype="int8", stationary=True)
    >>> round(model_flop_utilisation(Workload([site], []), machines.digital("b200")), 3)
    0.5
    """
    peak = sum(2.0 * s.macs / accelerator.rate(precision(s, dtype)) for s in workload.matmuls)
    return peak / digital_cost(workload, accelerator, dtype=dtype).seconds


def precision(site: MatmulSite, dtype: Precision) -> str:
    """Precision that a site's product runs in; of complex numbers, that of their parts."""
    if callable(dtype):
        return dtype(site)
    return dtype or _PARTS.get(site.dtype, site.dtype)


def digital_entries(
    sites: Sequence[MatmulSite],
    workload: Workload,
    accelerator: DigitalAccelerator,
    dtype: Precision,
) -> list[CostEntry]:
    """``sites`` and all other operations of the workload on the whole accelerator."""
    named: dict[tuple[str, str], list[MatmulSite]] = {}
    for site in sites:
        named.setdefault((site.path, precision(site, dtype)), []).append(site)
    entries = [_products(group, accelerator, d) for (_, d), group in named.items()]
    products = sum(sum(e.seconds.values()) for e in entries)
    others = _others(workload, accelerator)
    alone_s = sum(others.values())
    # Only what products do not hide counts; 1e-30 s where there is nothing, against dividing by zero.
    charged = maximum(alone_s - products, 0.0) / maximum(alone_s, 1e-30)
    for kind, alone in others.items():
        seconds = alone * charged
        joules = {"other operations": seconds * accelerator.power_w}
        entries.append(CostEntry(f"({kind})", "digital", joules, {"other operations": seconds}))
    return entries


def _products(
    sites: Sequence[MatmulSite], accelerator: DigitalAccelerator, dtype: str
) -> CostEntry:
    """Products of one name on the whole accelerator: roofline time of each, and their energy."""
    operations = np.array([2.0 * s.macs for s in sites])
    compute = operations / (accelerator.rate(dtype) * accelerator.utilisation)
    traffic = _transfer(np.array([_bytes(s, dtype) for s in sites]), accelerator)
    seconds = total(maximum(compute, traffic))
    joules = {"digital": seconds * accelerator.power_w}
    return CostEntry(sites[0].path, "digital", joules, {"digital": seconds})


def _others(workload: Workload, accelerator: DigitalAccelerator) -> dict[str, Any]:
    """Seconds of the operations that are not products, by kind, as if nothing else ran."""
    found: dict[str, Any] = {}
    for kind in dict.fromkeys(o.kind for o in workload.operations):
        if kind == "movement":
            size = float(sum(o.bytes for o in workload.operations if o.kind == kind))
            found[kind] = _transfer(size, accelerator)
        elif kind in _VECTOR and accelerator.vector_ops_per_s is not None:
            each = accelerator.transcendental_ops if kind == "transcendental" else 1.0
            ops = float(workload.elements(kind)) * each
            found[kind] = ops / accelerator.vector_ops_per_s
    return found


def other_notes(workload: Workload, accelerator: DigitalAccelerator) -> tuple[str, ...]:
    """What the charge for other operations assumes and leaves out."""
    if not workload.operations:
        return ()
    if accelerator.vector_ops_per_s is None:
        return ("non-matmul operations are not charged: the accelerator has no vector_ops_per_s",)
    return (_BESIDE,)


def _capacity_notes(
    sites: Sequence[tuple[MatmulSite, str]], accelerator: DigitalAccelerator
) -> list[str]:
    room = accelerator.memory_bytes
    if not isinstance(room, (int, float)):
        return []  # unknown, or traced
    held = ((s.count * s.batch * s.K * s.N * _parts(s), d) for s, d in sites if s.stationary)
    size = sum(numbers * DTYPE_BITS[d] / 8 for numbers, d in held)
    if size <= room:
        return []
    return [
        f"parameters take {size / 1e9:.4g} GB, an accelerator has {room / 1e9:.4g} GB: "
        f"{math.ceil(size / room)} accelerators at least; seconds are of one, joules without what goes "
        "between them"
    ]


def maximum(a: Any, b: Any) -> Any:
    """The larger of two numbers or arrays, plain or traced."""
    if isinstance(a, jax.Array) or isinstance(b, jax.Array):
        return jnp.maximum(a, b)
    larger = np.maximum(a, b)
    return larger if larger.ndim else float(larger)


def total(values: Any) -> Any:
    """The sum of an array: a float, or traced."""
    return values.sum() if isinstance(values, jax.Array) else float(values.sum())


def _floor(site: MatmulSite, dtype: str, accelerator: DigitalAccelerator) -> CostEntry:
    joules = {"arithmetic": float(site.macs) * accelerator.mac_energy(dtype)}
    if accelerator.energy_per_byte_j is not None:
        joules["memory"] = _bytes(site, dtype) * accelerator.energy_per_byte_j
    return CostEntry(site.path, "digital", joules, {})


def _bytes(site: MatmulSite, dtype: str) -> float:
    matrices = (site.M * site.K, site.K * site.N, site.M * site.N)
    numbers = sum(matrices) if site.stationary else min(matrices)
    return site.count * site.batch * numbers * _parts(site) * DTYPE_BITS[dtype] / 8


def _parts(site: MatmulSite) -> int:
    """Real numbers in one of its numbers."""
    return 2 if site.complex else 1


def _transfer(size: Any, accelerator: DigitalAccelerator) -> Any:
    bandwidth = accelerator.bandwidth_bytes_per_s
    return 0.0 * size if bandwidth is None else size / bandwidth
