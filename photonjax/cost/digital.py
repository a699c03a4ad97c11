"""What a program costs on a digital accelerator, in two views."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp

from photonjax.cost.bill import Bill, Entry
from photonjax.hardware.digital import DTYPE_BITS, DigitalAccelerator
from photonjax.inventory import Inventory, MatmulSite

__all__ = ["TRANSCENDENTAL_OPS", "on_digital"]

TRANSCENDENTAL_OPS = 8
"""Vector operations that one exponential, root or sine takes: assumed (special functions run at an
eighth of the rate of multiply-adds, or as polynomials of about this many terms)."""

_VECTOR_OPS = {
    "elementwise": 1,
    "reduction": 1,
    "transcendental": TRANSCENDENTAL_OPS,
    "random": 1,
    "other": 1,
}
_FUSED = (
    "non-matmul operations: at the vector rate, their memory traffic taken as fused away; gathers and "
    "concatenations at memory bandwidth; layout as free"
)


def on_digital(
    inventory: Inventory, accelerator: DigitalAccelerator, *, dtype: str | None = None
) -> Bill:
    """The bill of a program on a digital chip: the whole chip, and in ``bill.floor`` its arithmetic.

    Whole chip, for each product of ``macs`` multiply-accumulates, by the roofline (Williams, Waterman
    and Patterson, CACM 52, 65 (2009)):

        seconds = max(2 macs / (rate utilisation), (M K + K N + M N) bytes / bandwidth)
        joules  = seconds power

    with operands and results crossing the memory interface once (a lower bound). Operations that are
    not products take ``ops / (vector rate utilisation)``, a transcendental one counting as
    :data:`TRANSCENDENTAL_OPS`; gathers and other movement take ``bytes / bandwidth``. A chip without
    ``power_w`` or rates has a floor only, and unknown (nan) seconds.

    Floor: ``macs mac_energy_j`` and nothing else, unless the accelerator has an
    ``energy_per_byte_j``, which adds the component ``memory``.

    Args:
      inventory: of the program (:func:`photonjax.take_inventory`).
      accelerator: the chip.
      dtype: precision the products run in; by default the one each was traced in.

    Raises:
      ValueError: the accelerator has no rate, or energy, for a precision.

    Example:
      >>> from photonjax.cost import on_digital
      >>> from photonjax.hardware import presets
      >>> from photonjax.inventory import Inventory, MatmulSite
      >>> site = MatmulSite("w", batch=1, M=4096, K=4096, N=4096, count=1, dtype="bfloat16", stationary=True)
      >>> bill = on_digital(Inventory([site], []), presets.digital("h100-sxm"))
      >>> round(bill.joules / site.macs * 1e12, 2), round(bill.floor.joules / site.macs * 1e12, 2)  # pJ/MAC
      (2.83, 0.3)
    """
    sites = [(s, dtype or s.dtype) for s in inventory.matmuls]
    notes = [*(f"not counted: {u}" for u in inventory.unsupported), *inventory.notes]
    floor_notes = []
    if inventory.operations:
        floor_notes.append("non-matmul operations are not part of the arithmetic floor")
    floor = Bill(
        "arithmetic floor", tuple(floor_notes), tuple(_floor(s, d, accelerator) for s, d in sites)
    )
    if accelerator.power_w is None or not accelerator.ops_per_s:
        notes.append(
            "no power or rate is published for this reference: arithmetic floor only, time unknown"
        )
        entries = tuple(
            Entry(e.path, "digital", e.joules, {"compute": math.nan}) for e in floor.entries
        )
        return Bill("digital, arithmetic only", tuple(notes), entries, floor)
    entries = tuple(product_entry(s, accelerator, d) for s, d in sites) + other_entries(
        inventory, accelerator
    )
    return Bill(
        "digital, whole chip", (*notes, *other_notes(inventory, accelerator)), entries, floor
    )


def product_entry(site: MatmulSite, accelerator: DigitalAccelerator, dtype: str) -> Entry:
    """One product on the whole chip: roofline time and its energy."""
    compute = 2.0 * site.macs / (accelerator.rate(dtype) * accelerator.utilisation)
    seconds = maximum(compute, _transfer(_bytes(site, dtype), accelerator))
    return Entry(
        site.path, "digital", {"digital": seconds * accelerator.power_w}, {"digital": seconds}
    )


def other_entries(inventory: Inventory, accelerator: DigitalAccelerator) -> tuple[Entry, ...]:
    """The operations that are not products, by kind, on the whole chip."""
    entries = []
    for kind in dict.fromkeys(o.kind for o in inventory.operations):
        if kind == "movement":
            seconds = _transfer(
                float(sum(o.bytes for o in inventory.operations if o.kind == kind)), accelerator
            )
        elif kind in _VECTOR_OPS and accelerator.vector_ops_per_s is not None:
            ops = float(inventory.elements(kind) * _VECTOR_OPS[kind])
            seconds = ops / (accelerator.vector_ops_per_s * accelerator.utilisation)
        else:
            continue
        joules = {"other operations": seconds * accelerator.power_w}
        entries.append(Entry(f"({kind})", "digital", joules, {"other operations": seconds}))
    return tuple(entries)


def other_notes(inventory: Inventory, accelerator: DigitalAccelerator) -> tuple[str, ...]:
    """What :func:`other_entries` assumes and leaves out."""
    if not inventory.operations:
        return ()
    if accelerator.vector_ops_per_s is None:
        return ("non-matmul operations are not charged: the accelerator has no vector_ops_per_s",)
    return (_FUSED,)


def maximum(a: Any, b: Any) -> Any:
    """The larger of two numbers, plain or traced."""
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        return max(a, b)
    return jnp.maximum(a, b)


def _floor(site: MatmulSite, dtype: str, accelerator: DigitalAccelerator) -> Entry:
    joules = {"arithmetic": float(site.macs) * accelerator.mac_energy(dtype)}
    if accelerator.energy_per_byte_j is not None:
        joules["memory"] = _bytes(site, dtype) * accelerator.energy_per_byte_j
    return Entry(site.path, "digital", joules, {})


def _bytes(site: MatmulSite, dtype: str) -> float:
    numbers = site.M * site.K + site.K * site.N + site.M * site.N
    return site.count * site.batch * numbers * DTYPE_BITS[dtype] / 8


def _transfer(size: float, accelerator: DigitalAccelerator) -> Any:
    return (
        0.0
        if accelerator.bandwidth_bytes_per_s is None
        else size / accelerator.bandwidth_bytes_per_s
    )
